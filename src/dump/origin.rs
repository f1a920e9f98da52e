//! Where a fact stands in the input.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::index::snake;
use super::scan::{ScanError, Scanner, Structure};
use crate::input::Source;

/// File, line and JSON path of a resource or of a part of it. The line is counted when it is asked for.
#[derive(Clone)]
pub struct Origin {
    source: Arc<Source>,
    /// That of the whole text: a part stands behind others that are stepped over.
    structure: Arc<Structure>,
    range: Range<usize>,
    path: Arc<str>,
    within: String,
    /// First byte of the part, where that is known better than by its path.
    byte: Option<usize>,
}

impl Origin {
    pub(super) fn new(source: Arc<Source>, structure: Arc<Structure>, range: Range<usize>, path: String) -> Self {
        Self { source, structure, range, path: path.into(), within: String::new(), byte: None }
    }

    /// A part of the same resource, by its JSON path in it: `.filter_chains[2]`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.within.push_str(path);
        self.byte = None;
        self
    }

    /// The same at a byte of the resource, counted from its start.
    #[must_use]
    pub(super) fn at_byte(mut self, byte: usize) -> Self {
        self.byte = Some(self.range.start + byte);
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

    /// Offset of the part; where the path leads further than the text, of the innermost value that it has.
    fn offset(&self) -> usize {
        let scanner = |at| Scanner::new(self.source.slice(0..self.range.end), at).with_structure(&self.structure);
        self.byte.unwrap_or_else(|| locate(scanner(self.range.start), &self.within))
    }
}

/// Walks a JSON path such as `.filter_chains[2].filters[0]` as far as the text goes; names match in both spellings.
fn locate(start: Scanner<'_>, mut path: &str) -> usize {
    let mut at = start.pos();
    while !path.is_empty() {
        let mut scanner = start.at(at);
        let mut found = None;
        // What can't be walked ends the search.
        let _ = match scanner.peek() {
            Ok(b'{') => scanner.object(|scanner, key| {
                scanner.peek()?;
                // Names that a user chose may hold dots: the longest that fits is meant.
                if let Some(rest) = after_key(path, &key)
                    && found.is_none_or(|(_, before): (usize, &str)| rest.len() < before.len())
                {
                    found = Some((scanner.pos(), rest));
                }
                scanner.skip().map(|_| ())
            }),
            Ok(b'[') => {
                let index = path.strip_prefix('[').and_then(|path| path.split_once(']'));
                scanner.array(|scanner, nth| {
                    scanner.peek()?;
                    if let Some((index, rest)) = index
                        && index.parse() == Ok(nth)
                    {
                        found = Some((scanner.pos(), rest));
                        return Err(ScanError::Enough);
                    }
                    scanner.skip().map(|_| ())
                })
            }
            _ => return at,
        };
        let Some((inside, rest)) = found else { return at };
        (at, path) = (inside, rest);
    }
    at
}

/// What follows a key in a path that starts with it.
fn after_key<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let path = path.strip_prefix('.')?;
    let rest = path.strip_prefix(key).or_else(|| {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, rest) = path.split_at_checked(end)?;
        (snake(name) == snake(key)).then_some(rest)
    })?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
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
        self.file() == other.file()
            && self.range == other.range
            && self.within == other.within
            && self.byte == other.byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_both_spellings() {
        let text = b"{\"filterChains\": [1,\n {\"filters\": [\n  7]}]}";
        assert_eq!(locate(Scanner::new(text, 0), ".filter_chains[1].filters[0]"), 38);
        assert_eq!(locate(Scanner::new(text, 0), ".filter_chains[5]"), 17);
        let source = Arc::new(Source::from_bytes("f", text.to_vec()));
        let structure = Arc::new(Structure::of(text, 0, |_| {}));
        let origin = Origin::new(source, structure, 0..text.len(), "configs[0]".to_owned());
        assert_eq!(origin.clone().within(".filter_chains[1].filters[0]").line(), Some(3));
        assert_eq!(origin.within(".nothing").line(), Some(1));
    }

    #[test]
    fn names_with_dots_are_parts() {
        let text = b"{\"a\": {\"a.b\": 1, \"a\": 2, \"a.b.c\": 3}}";
        assert_eq!(locate(Scanner::new(text, 0), ".a.a.b.c"), 34);
        assert_eq!(locate(Scanner::new(text, 0), ".a.a"), 22);
    }
}
