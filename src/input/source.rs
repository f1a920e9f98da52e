//! Bytes of one input and the lines in them.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;

/// Bytes per step of the line index.
const BLOCK: usize = 64 * 1024;

/// The bytes of one input, mapped or read, under the name that messages use for it.
pub struct Source {
    file: String,
    bytes: Bytes,
    /// Number of newlines before each block.
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

    /// Line of a byte, from 1; `None` where the bytes aren't those of the file.
    #[must_use]
    pub fn line(&self, offset: usize) -> Option<usize> {
        if !self.has_lines {
            return None;
        }
        let bytes = self.bytes();
        let lines = self.lines.get_or_init(|| {
            let counts: Vec<usize> =
                bytes.par_chunks(BLOCK).map(|block| memchr::memchr_iter(b'\n', block).count()).collect();
            let mut before = Vec::with_capacity(counts.len());
            let mut sum = 0;
            for count in counts {
                before.push(sum);
                sum += count;
            }
            // The end of the text may begin a block of its own.
            before.push(sum);
            before
        });
        let block = offset.min(bytes.len()) / BLOCK;
        let before = lines.get(block).copied().unwrap_or_default();
        let rest = bytes.get(block * BLOCK..offset.min(bytes.len())).unwrap_or_default();
        Some(before + memchr::memchr_iter(b'\n', rest).count() + 1)
    }
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
        let text = "x\n".repeat(BLOCK);
        let source = Source::from_bytes("a.json", text.into_bytes());
        assert_eq!(source.line(0), Some(1));
        assert_eq!(source.line(2), Some(2));
        assert_eq!(source.line(BLOCK), Some(BLOCK / 2 + 1));
        assert_eq!(source.line(usize::MAX), Some(BLOCK + 1));
    }
}
