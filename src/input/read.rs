//! Files, folders, standard input and compressed bytes to sources.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::recognise::{Artifact, NotADump, recognise};
use super::source::Source;

/// How much may be read; inputs are hostile.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of one input after decompression.
    pub max_bytes: u64,
    /// Most files of a folder.
    pub max_files: usize,
}

impl Default for Limits {
    /// 4 GiB and 256 files.
    fn default() -> Self {
        Self { max_bytes: 4 << 30, max_files: 256 }
    }
}

/// An input that can't be used, with its name.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {kind}", .kind.line().map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ReadError {
    /// The input as given.
    pub file: String,
    /// What is wrong.
    pub kind: ReadErrorKind,
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum ReadErrorKind {
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Decompression gives more than [`Limits::max_bytes`].
    #[error("more than {0} bytes after decompression")]
    TooLarge(u64),
    /// The content is no dump.
    #[error("{0}")]
    NotADump(#[from] NotADump),
    /// A folder without a file that is of use.
    #[error("no file in this folder is a config_dump or another admin answer")]
    EmptyFolder,
}

impl ReadErrorKind {
    /// Line that the fault is on, if it is on one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::NotADump(what) => what.line(),
            _ => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        const CAPTURE: &str = "capture one with: kubectl exec POD -c istio-proxy -- \
                               pilot-agent request GET 'config_dump?include_eds' > config_dump.json";
        match self {
            Self::Io(_) => None,
            Self::TooLarge(_) => Some("decompress it to a file and pass that".to_owned()),
            Self::NotADump(what) => Some(what.hint().unwrap_or(CAPTURE).to_owned()),
            Self::EmptyFolder => Some(CAPTURE.to_owned()),
        }
    }
}

/// Reads an input: `-` is standard input, a folder gives its recognised files (in order of name, not descending).
///
/// # Errors
///
/// When the input, or every file of a folder, can't be read or is no admin answer. In a folder one bad file doesn't
/// stop the rest: it is an artifact of kind [`ArtifactKind::Unusable`](super::ArtifactKind::Unusable).
pub fn read(path: &str, limits: Limits) -> Result<Vec<Artifact>, ReadError> {
    let fail = |kind| ReadError { file: path.to_owned(), kind };
    if path == "-" {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads standard input")]
        let stdin = io::stdin();
        let bytes = read_all(stdin.lock(), limits).map_err(fail)?;
        let source = unpack("-", bytes, limits).map_err(fail)?;
        return recognise(source).map(|artifact| vec![artifact]).map_err(|e| fail(e.into()));
    }
    let metadata = fs::metadata(path).map_err(|e| fail(e.into()))?;
    if metadata.is_dir() {
        return read_folder(path, limits);
    }
    let source = open(path, limits).map_err(fail)?;
    recognise(source).map(|artifact| vec![artifact]).map_err(|e| fail(e.into()))
}

/// The bytes of a file or of standard input, whatever they are.
///
/// # Errors
///
/// When they can't be read.
pub fn source(path: &str, limits: Limits) -> Result<Source, ReadError> {
    let fail = |kind| ReadError { file: path.to_owned(), kind };
    if path == "-" {
        #[expect(clippy::disallowed_methods, reason = "the other place that reads standard input")]
        let bytes = read_all(io::stdin().lock(), limits).map_err(fail)?;
        return unpack(path, bytes, limits).map_err(fail);
    }
    open(path, limits).map_err(fail)
}

/// Whether there is anything of that name; standard input is always there.
#[must_use]
pub fn exists(path: &str) -> bool {
    path == "-" || Path::new(path).exists()
}

/// Folders within folders that are descended into.
const DEPTH: usize = 12;

/// Most files of a bundle: a large mesh has thousands of proxies, with a dozen answers each.
const BUNDLE: usize = 100_000;

/// Reads a bundle: the JSON files of a folder and of those in it, in order of name. What isn't JSON, such as logs and
/// YAML, is passed over, and so are links.
///
/// # Errors
///
/// When the folder can't be read.
pub fn read_bundle(path: &str, limits: Limits) -> Result<Vec<Artifact>, ReadError> {
    let files = walk(path, Limits { max_files: BUNDLE, ..limits })?.into_iter().flatten();
    Ok(files.filter(is_json).filter_map(|source| recognise(source).ok()).collect())
}

/// The files of an input, whatever they are: those of a folder and of all folders in it, in order of name and without
/// links; a file; or standard input. A file of a folder that can't be read is told in its place.
///
/// # Errors
///
/// When the input itself can't be read.
pub fn files(path: &str, limits: Limits) -> Result<Vec<Result<Source, ReadError>>, ReadError> {
    let fail = |error: io::Error| ReadError { file: path.to_owned(), kind: error.into() };
    if path == "-" || !fs::metadata(path).map_err(fail)?.is_dir() {
        return Ok(vec![Ok(source(path, limits)?)]);
    }
    walk(path, Limits { max_files: BUNDLE, ..limits })
}

fn walk(path: &str, limits: Limits) -> Result<Vec<Result<Source, ReadError>>, ReadError> {
    let mut files = Vec::new();
    let mut todo = vec![(Path::new(path).to_path_buf(), 0)];
    while let Some((folder, depth)) = todo.pop() {
        #[expect(clippy::disallowed_methods, reason = "the other place that lists folders")]
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(ReadError { file: path.to_owned(), kind: error.into() }),
            Err(_) => continue,
        };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut folders = Vec::new();
        for entry in entries {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEPTH {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && files.len() < limits.max_files {
                let name = entry.path().to_string_lossy().into_owned();
                files.push(open(&name, limits).map_err(|kind| ReadError { file: name, kind }));
            }
        }
        // The last pushed is read first.
        todo.extend(folders.into_iter().rev());
    }
    Ok(files)
}

/// Whether a file starts as JSON does.
fn is_json(source: &Source) -> bool {
    let bytes = source.bytes();
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['))
}

fn read_folder(path: &str, limits: Limits) -> Result<Vec<Artifact>, ReadError> {
    let fail = |kind| ReadError { file: path.to_owned(), kind };
    #[expect(clippy::disallowed_methods, reason = "this is the one place that lists folders")]
    let entries = fs::read_dir(path).map_err(|e| fail(e.into()))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file()).collect();
    files.sort();
    files.truncate(limits.max_files);
    let mut artifacts = Vec::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        let artifact = open(&name, limits).and_then(|source| recognise(source).map_err(ReadErrorKind::from));
        artifacts.push(artifact.unwrap_or_else(|reason| Artifact::unusable(&name, reason.to_string())));
    }
    if artifacts.iter().any(|artifact| artifact.kind.is_usable()) {
        Ok(artifacts)
    } else {
        Err(fail(ReadErrorKind::EmptyFolder))
    }
}

/// Maps a plain file; reads what can't be mapped or is compressed.
fn open(path: &str, limits: Limits) -> Result<Source, ReadErrorKind> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that opens files")]
    let mut file = fs::File::open(Path::new(path))?;
    if file.metadata()?.is_file()
        && let Ok(map) = map(&file)
    {
        return Ok(if is_compressed(&map) {
            Source::from_bytes(path, from_utf16(inflate(&map, limits)?))
        } else if is_utf16(&map) {
            Source::from_bytes(path, from_utf16(map.to_vec()))
        } else {
            Source::from_map(path, map)
        });
    }
    let bytes = read_all(&mut file, limits)?;
    unpack(path, bytes, limits)
}

fn read_all(reader: impl Read, limits: Limits) -> Result<Vec<u8>, ReadErrorKind> {
    let mut bytes = Vec::new();
    reader.take(limits.max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.max_bytes { Err(ReadErrorKind::TooLarge(limits.max_bytes)) } else { Ok(bytes) }
}

fn map(file: &fs::File) -> io::Result<memmap2::Mmap> {
    #[expect(unsafe_code, reason = "the one mapping of this crate")]
    // SAFETY: the map is private to this process and read only. If another process truncates the file while it is
    // mapped, a read past the new end raises SIGBUS; a saved dump isn't written to while it is analysed, and the
    // alternative, reading it whole, would cost more than the analysis (spec/loading.md §1).
    unsafe {
        memmap2::Mmap::map(file)
    }
}

fn unpack(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<Source, ReadErrorKind> {
    let bytes = if is_compressed(&bytes) { inflate(&bytes, limits)? } else { bytes };
    Ok(Source::from_bytes(name, from_utf16(bytes)))
}

/// Whether the text is marked as UTF-16, as PowerShell writes what is redirected to a file.
fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// UTF-16 to UTF-8; other bytes as they are.
fn from_utf16(bytes: Vec<u8>) -> Vec<u8> {
    if !is_utf16(&bytes) {
        return bytes;
    }
    let (units, _) = bytes.as_chunks::<2>();
    let is_little = bytes.first() == Some(&0xff);
    let units =
        units.iter().skip(1).map(|unit| if is_little { u16::from_le_bytes(*unit) } else { u16::from_be_bytes(*unit) });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

fn is_compressed(bytes: &[u8]) -> bool {
    bytes.starts_with(GZIP) || bytes.starts_with(ZSTD)
}

fn inflate(bytes: &[u8], limits: Limits) -> Result<Vec<u8>, ReadErrorKind> {
    let reader: Box<dyn Read + '_> = if bytes.starts_with(GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(bytes))
    } else {
        Box::new(ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other)?)
    };
    let mut out = Vec::new();
    match reader.take(limits.max_bytes + 1).read_to_end(&mut out) {
        // What is there of a file that was cut off is a cut text, which is of use.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !out.is_empty() => {}
        read => {
            read?;
        }
    }
    if out.len() as u64 > limits.max_bytes { Err(ReadErrorKind::TooLarge(limits.max_bytes)) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::io::Write as _;

    #[test]
    fn utf16_is_read_in_both_orders() {
        for (bytes, expected) in [(b"\xff\xfe{\0}\0".as_slice(), "{}"), (b"\xfe\xff\0{\0}", "{}"), (b"{}", "{}")] {
            assert_eq!(from_utf16(bytes.to_vec()), expected.as_bytes());
        }
    }

    #[test]
    fn a_cut_file_gives_what_is_there() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(&[b'x'; 100]).unwrap();
        let whole = encoder.finish().unwrap();
        let cut = inflate(&whole[..whole.len() - 20], Limits::default()).unwrap();
        assert!(!cut.is_empty() && cut.iter().all(|b| *b == b'x'));
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let limits = Limits { max_bytes: 1 << 16, ..Limits::default() };
        assert!(matches!(inflate(&bomb, limits), Err(ReadErrorKind::TooLarge(_))));
    }
}
