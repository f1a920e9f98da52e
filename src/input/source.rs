//! Bytes of one input and the lines in them.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;

/// Bytes whose newlines are counted together.
pub(crate) const LINES: usize = 64 * 1024;

/// The bytes of one input, mapped or read, under the name that messages use for it.
pub struct Source {
    file: String,
    bytes: Bytes,
    /// Number of newlines before each [`LINES`] bytes.
    lines: OnceLock<Vec<usize>>,
    /// Whether a line in these bytes is a line of the file (not so after a conversion from YAML).
    has_lines: bool,
}

enum Bytes {
    Map(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Source {
    /// Bytes that are already in memory.
    #[must_use]
    pub fn from_bytes(file: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { file: file.into(), bytes: Bytes::Owned(bytes), lines: OnceLock::new(), has_lines: true }
    }

    /// Bytes converted from another notation: they have JSON paths, but no lines.
    #[must_use]
    pub(crate) fn converted(file: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { file: file.into(), bytes: Bytes::Owned(bytes), lines: OnceLock::new(), has_lines: false }
    }

    pub(crate) fn from_map(file: impl Into<String>, map: memmap2::Mmap) -> Self {
        Self { file: file.into(), bytes: Bytes::Map(map), lines: OnceLock::new(), has_lines: true }
    }

    /// Name of the file as given, `-` for standard input.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Map(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }

    /// The bytes of a range; empty if it lies outside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes().get(range).unwrap_or_default()
    }

    /// Maps the pages of a range at once, where the system can: one call is cheaper than a fault for each few pages.
    pub(crate) fn prefetch(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if let Bytes::Map(map) = &self.bytes {
            let end = range.end.min(map.len());
            if let Some(length) = end.checked_sub(range.start) {
                // Older kernels don't know it; the pages are mapped one by one then.
                let _ = map.advise_range(memmap2::Advice::PopulateRead, range.start, length);
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// Line of a byte, from 1; `None` where the bytes aren't those of the file.
    #[must_use]
    pub fn line(&self, offset: usize) -> Option<usize> {
        if !self.has_lines {
            return None;
        }
        let bytes = self.bytes();
        let lines = self.lines.get_or_init(|| {
            let counts: Vec<usize> =
                bytes.par_chunks(LINES).map(|block| memchr::memchr_iter(b'\n', block).count()).collect();
            sums(counts)
        });
        let offset = offset.min(bytes.len());
        let block = (offset / LINES).min(lines.len().saturating_sub(1));
        let before = lines.get(block).copied().unwrap_or_default();
        let rest = bytes.get(block * LINES..offset).unwrap_or_default();
        Some(before + memchr::memchr_iter(b'\n', rest).count() + 1)
    }

    /// Gives the number of newlines in each [`LINES`] bytes, where they were counted already.
    pub(crate) fn set_lines(&self, newlines: &[u32]) {
        // Counts that are there already are the same.
        let _ = self.lines.set(sums(newlines.iter().map(|count| *count as usize)));
    }
}

/// What comes before each count.
fn sums(counts: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let before = |sum: &mut usize, count| Some(std::mem::replace(sum, *sum + count));
    counts.into_iter().scan(0, before).collect()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).field("len", &self.bytes().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_from_one_across_blocks() {
        let text = "x\n".repeat(LINES);
        let source = Source::from_bytes("a.json", text.into_bytes());
        assert_eq!(source.line(0), Some(1));
        assert_eq!(source.line(2), Some(2));
        assert_eq!(source.line(LINES), Some(LINES / 2 + 1));
        assert_eq!(source.line(usize::MAX), Some(LINES + 1));
    }
}
