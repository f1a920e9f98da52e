//! The structural pass over JSON text: where values start and end, without reading them.
//!
//! Values that are stepped over are only bracket-balanced; whoever decodes one later checks its grammar
//! (`spec/loading.md` §3, "Guarantee"). Over a whole document a [`Structure`] is built first, at the speed of memory;
//! with it a value is stepped over without reading what is in it.

mod block;
mod structure;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use structure::Structure;

/// Why a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScanError {
    /// The text ends inside a value.
    #[error("the text ends inside a value")]
    Truncated {
        /// Where the text ends.
        offset: usize,
    },
    /// A byte that can't stand there.
    #[error("expected {expected}")]
    Unexpected {
        /// Where.
        offset: usize,
        /// What JSON wants there.
        expected: &'static str,
    },
    /// No fault: the walk has what it was for.
    #[error("the walk has ended")]
    Enough,
}

impl ScanError {
    /// Where the scan stopped.
    #[must_use]
    pub(crate) fn offset(self) -> usize {
        match self {
            Self::Truncated { offset } | Self::Unexpected { offset, .. } => offset,
            Self::Enough => 0,
        }
    }
}

/// A position in JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    structure: Option<&'a Structure>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8], pos: usize) -> Self {
        Self { bytes, pos, structure: None }
    }

    /// The same over the text that `structure` was built of, or over a part of it that starts with it.
    pub(crate) fn with_structure(mut self, structure: &'a Structure) -> Self {
        self.structure = Some(structure);
        self
    }

    /// The same at another position.
    pub(crate) fn at(mut self, pos: usize) -> Self {
        self.pos = pos;
        self
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The bytes of a range.
    pub(crate) fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Next byte that isn't white space, without taking it.
    pub(crate) fn peek(&mut self) -> Result<u8, ScanError> {
        while let Some(byte) = self.bytes.get(self.pos) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(*byte);
            }
            self.pos += 1;
        }
        Err(ScanError::Truncated { offset: self.bytes.len() })
    }

    fn take(&mut self, wanted: u8, expected: &'static str) -> Result<(), ScanError> {
        if self.peek()? == wanted {
            self.pos += 1;
            return Ok(());
        }
        Err(ScanError::Unexpected { offset: self.pos, expected })
    }

    /// Takes a string and gives what stands between its quotes, escapes as they are.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], ScanError> {
        self.take(b'"', "a string")?;
        let start = self.pos;
        loop {
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            let Some(at) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(ScanError::Truncated { offset: self.bytes.len() });
            };
            self.pos += at + 1;
            if rest.get(at) == Some(&b'"') {
                return Ok(self.bytes.get(start..self.pos - 1).unwrap_or_default());
            }
            self.pos += 1;
        }
    }

    /// Walks the members of an object; `member` must take the value, for example with [`Scanner::skip`].
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.take(b'{', "an object")?;
        if self.peek()? == b'}' {
            self.pos += 1;
            return Ok(());
        }
        loop {
            let key = text(self.string()?);
            self.take(b':', "a colon")?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.pos += 1,
                b'}' => {
                    self.pos += 1;
                    return Ok(());
                }
                _ => return Err(ScanError::Unexpected { offset: self.pos, expected: "a comma or }" }),
            }
            if self.peek()? == b'}' {
                return Err(ScanError::Unexpected { offset: self.pos, expected: "a key after the comma" });
            }
        }
    }

    /// Walks the elements of an array; `element` must take the value.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        self.take(b'[', "an array")?;
        if self.peek()? == b']' {
            self.pos += 1;
            return Ok(());
        }
        for index in 0.. {
            element(self, index)?;
            match self.peek()? {
                b',' => self.pos += 1,
                b']' => {
                    self.pos += 1;
                    return Ok(());
                }
                _ => return Err(ScanError::Unexpected { offset: self.pos, expected: "a comma or ]" }),
            }
            if self.peek()? == b']' {
                return Err(ScanError::Unexpected { offset: self.pos, expected: "a value after the comma" });
            }
        }
        Ok(())
    }

    /// The elements of the array that stands here and ends at `end`; that it does, and all brackets in it, must be known
    /// from [`Scanner::skip`].
    pub(crate) fn elements(mut self, end: usize) -> Result<Vec<Range<usize>>, (ScanError, usize)> {
        let found = self.structure.and_then(|structure| structure.elements(self.bytes, self.pos..end));
        if let Some(elements) = found {
            return Ok(elements);
        }
        let mut elements = Vec::new();
        let walked = self.array(|scanner, _| {
            elements.push(scanner.skip()?);
            Ok(())
        });
        walked.map_err(|error| (error, elements.len()))?;
        Ok(elements)
    }

    /// Steps over a value and gives its range.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, ScanError> {
        let first = self.peek()?;
        let start = self.pos;
        match first {
            b'{' | b'[' => {
                let end = match self.structure {
                    Some(structure) => structure.end(self.bytes, start),
                    None => structure::container_end(self.bytes, start),
                };
                self.pos = end.ok_or(ScanError::Truncated { offset: self.bytes.len() })?;
            }
            b'"' => {
                self.string()?;
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let rest = self.bytes.get(start..).unwrap_or_default();
                let length =
                    rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')).count();
                self.pos += length;
                if self.pos == self.bytes.len() {
                    return Err(ScanError::Truncated { offset: self.pos });
                }
            }
            _ => return Err(ScanError::Unexpected { offset: start, expected: "a value" }),
        }
        Ok(start..self.pos)
    }
}

/// The text of a key or string: borrowed where there is no escape.
pub(crate) fn text(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_some() {
        let quoted = [b"\"", raw, b"\""].concat();
        if let Ok(unescaped) = serde_json::from_slice::<String>(&quoted) {
            return Cow::Owned(unescaped);
        }
    }
    String::from_utf8_lossy(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let padded = format!("{text}   ");
        let range = Scanner::new(padded.as_bytes(), 0).skip().unwrap();
        assert_eq!(range, 0..text.len(), "{value}");
    }

    #[test]
    fn values_are_stepped_over_whole() {
        check("{}");
        check("[[],{\"a\":[1,2,{\"b\":\"}\"}]}]");
        check(r#"{"a":"\\\"}","b":"\\"}"#);
        check(r#""a\"b""#);
        check("-1.5e+3");
        for n in 50..80 {
            check(&format!("{{\"{}\\\\\":[\"{}\\\"]\"]}}", "x".repeat(n), "y".repeat(n)));
        }
    }

    #[test]
    fn a_cut_text_is_truncated() {
        for text in ["{\"a\":", "{\"a\":[1", "\"abc", "[{}", ""] {
            assert!(matches!(Scanner::new(text.as_bytes(), 0).skip(), Err(ScanError::Truncated { .. })), "{text}");
        }
    }
}
