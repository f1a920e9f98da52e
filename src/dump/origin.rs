//! Where a fact stands in the input.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::scan::Scanner;
use crate::input::Source;

/// File, line and JSON path of a resource or of a part of it. The line is counted when it is asked for.
#[derive(Clone)]
pub struct Origin {
    source: Arc<Source>,
    range: Range<usize>,
    path: String,
    within: String,
}

impl Origin {
    pub(crate) fn new(source: Arc<Source>, range: Range<usize>, path: String) -> Self {
        Self { source, range, path, within: String::new() }
    }

    /// A part of the same resource, by its JSON path in it: `.filter_chains[2]`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.within.push_str(path);
        self
    }

    /// Name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.file()
    }

    /// Line of the first byte, from 1; `None` where the input has no lines of its own (converted YAML).
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.source.line(self.offset())
    }

    /// JSON path from the root of the document.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}{}", self.path, self.within)
    }

    /// Bytes of the resource.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Offset of the part, or of the resource where the part isn't written as the path says.
    fn offset(&self) -> usize {
        locate(self.source.slice(0..self.range.end), self.range.start, &self.within).unwrap_or(self.range.start)
    }
}

/// Walks a JSON path such as `.filter_chains[2].filters[0]`; names match in both spellings.
fn locate(bytes: &[u8], start: usize, path: &str) -> Option<usize> {
    let mut scanner = Scanner::new(bytes, start);
    let mut at = start;
    for part in path.split_inclusive(['.', '[', ']']).map(|part| part.trim_end_matches(['.', '[', ']'])) {
        if part.is_empty() {
            continue;
        }
        let mut found = None;
        let first = scanner.peek().ok()?;
        if first == b'{' {
            // The error only ends the walk early.
            let _ = scanner.object(|scanner, key| {
                if super::index::snake(&key) == part {
                    scanner.peek()?;
                    found = Some(scanner.pos());
                    return Err(super::scan::ScanError::Truncated { offset: 0 });
                }
                scanner.skip().map(|_| ())
            });
        } else {
            let wanted: usize = part.parse().ok()?;
            let _ = scanner.array(|scanner, nth| {
                if nth == wanted {
                    scanner.peek()?;
                    found = Some(scanner.pos());
                    return Err(super::scan::ScanError::Truncated { offset: 0 });
                }
                scanner.skip().map(|_| ())
            });
        }
        at = found?;
        scanner = Scanner::new(bytes, at);
    }
    Some(at)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some(line) => write!(f, "{}:{line}", self.file()),
            None => write!(f, "{}: {}", self.file(), self.path()),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file(), self.path())
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.file() == other.file() && self.range == other.range && self.within == other.within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_both_spellings() {
        let text = b"{\"filterChains\": [1,\n {\"filters\": [\n  7]}]}";
        assert_eq!(locate(text, 0, ".filter_chains[1].filters[0]"), Some(38));
        assert_eq!(locate(text, 0, ".filter_chains[5]"), None);
        let origin =
            Origin::new(Arc::new(Source::from_bytes("f", text.to_vec())), 0..text.len(), "configs[0]".to_owned());
        assert_eq!(origin.clone().within(".filter_chains[1].filters[0]").line(), Some(3));
        assert_eq!(origin.within(".nothing").line(), Some(1));
    }
}
