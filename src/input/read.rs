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
#[error("{file}: {kind}")]
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
        let mut bytes = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads standard input")]
        let stdin = io::stdin();
        stdin.lock().take(limits.max_bytes).read_to_end(&mut bytes).map_err(|e| fail(e.into()))?;
        let source = decompress("-", bytes, limits).map_err(fail)?;
        return recognise(source).map(|artifact| vec![artifact]).map_err(|e| fail(e.into()));
    }
    let metadata = fs::metadata(path).map_err(|e| fail(e.into()))?;
    if metadata.is_dir() {
        return read_folder(path, limits);
    }
    let source = open(path, limits).map_err(fail)?;
    recognise(source).map(|artifact| vec![artifact]).map_err(|e| fail(e.into()))
}

fn read_folder(path: &str, limits: Limits) -> Result<Vec<Artifact>, ReadError> {
    let fail = |kind| ReadError { file: path.to_owned(), kind };
    #[expect(clippy::disallowed_methods, reason = "this is the one place that lists folders")]
    let entries = fs::read_dir(path).map_err(|e| fail(e.into()))?;
    let mut files: Vec<_> =
        entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.is_file()).take(limits.max_files).collect();
    files.sort();
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
        return if is_compressed(&map) {
            Ok(Source::from_bytes(path, inflate(&map, limits)?))
        } else {
            Ok(Source::from_map(path, map))
        };
    }
    let mut bytes = Vec::new();
    file.by_ref().take(limits.max_bytes).read_to_end(&mut bytes)?;
    decompress(path, bytes, limits)
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

fn decompress(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<Source, ReadErrorKind> {
    let bytes = if is_compressed(&bytes) { inflate(&bytes, limits)? } else { bytes };
    Ok(Source::from_bytes(name, bytes))
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
    reader.take(limits.max_bytes + 1).read_to_end(&mut out)?;
    if out.len() as u64 > limits.max_bytes { Err(ReadErrorKind::TooLarge(limits.max_bytes)) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let bomb = encoder.finish().unwrap();
        let limits = Limits { max_bytes: 1 << 16, ..Limits::default() };
        assert!(matches!(inflate(&bomb, limits), Err(ReadErrorKind::TooLarge(_))));
    }
}
