//! The structural pass over JSON text: where values start and end, without reading them.
//!
//! Values that are stepped over are only bracket-balanced; whoever decodes one later checks its grammar
//! (`spec/loading.md` §3, "Guarantee"). Blocks of 64 bytes are classified with portable SIMD compares, so that a dump
//! on one line is stepped over at memory-like speed; in a pretty-printed one [`Closers`] jumps from a resource's first
//! line to its last.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use rayon::prelude::*;
use wide::u8x16;

/// Why a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScanError {
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
}

impl ScanError {
    /// Where the scan stopped.
    #[must_use]
    pub(super) fn offset(self) -> usize {
        match self {
            Self::Truncated { offset } | Self::Unexpected { offset, .. } => offset,
        }
    }
}

/// A position in JSON text.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    closers: Option<&'a Closers>,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8], pos: usize) -> Self {
        Self { bytes, pos, closers: None }
    }

    /// The same, stepping over objects on the lines that `closers` knows the ends of.
    pub(crate) fn with_closers(mut self, closers: &'a Closers) -> Self {
        self.closers = Some(closers);
        self
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
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
        }
        Ok(())
    }

    /// Steps over a value and gives its range.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>, ScanError> {
        let first = self.peek()?;
        let start = self.pos;
        match first {
            b'{' | b'[' => {
                self.pos = match self.closers.and_then(|closers| closers.end(self.bytes, start)) {
                    Some(end) => end,
                    None => {
                        container_end(self.bytes, start).ok_or(ScanError::Truncated { offset: self.bytes.len() })?
                    }
                };
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

/// End of the object or array that starts at `start`; `None` if the text ends first.
fn container_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth: u32 = 0;
    let mut in_string: u64 = 0;
    let mut escaped: u64 = 0;
    let mut at = start;
    let body = bytes.get(start..)?;
    let (blocks, tail) = body.as_chunks::<64>();
    let mut padded = [b' '; 64];
    padded.get_mut(..tail.len())?.copy_from_slice(tail);
    for block in blocks.iter().chain(std::iter::once(&padded)) {
        let masks = Masks::of(block);
        let escapes = masks.escapes(&mut escaped);
        let quotes = masks.quotes & !escapes;
        let inside = prefix_xor(quotes) ^ in_string;
        // All ones if the block ends inside a string.
        in_string = 0_u64.wrapping_sub(inside >> 63);
        let opens = masks.opens & !inside;
        let closes = masks.closes & !inside;
        if depth > closes.count_ones() {
            depth = depth + opens.count_ones() - closes.count_ones();
        } else {
            let mut both = opens | closes;
            while both != 0 {
                let bit = both.trailing_zeros();
                both &= both - 1;
                if closes >> bit & 1 == 0 {
                    depth += 1;
                } else {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at + bit as usize + 1);
                    }
                }
            }
        }
        at += 64;
    }
    None
}

/// One bit a byte of a block: what the byte is.
struct Masks {
    quotes: u64,
    backslashes: u64,
    opens: u64,
    closes: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; 64]) -> Self {
        let mut masks = Self { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
        let (lanes, _) = block.as_chunks::<16>();
        // From the last lane to the first, so that each shift moves what is done up.
        for lane in lanes.iter().rev() {
            let bytes = u8x16::new(*lane);
            // `[` and `{`, `]` and `}` differ in one bit.
            let folded = bytes | u8x16::splat(0x20);
            masks.quotes = masks.quotes << 16 | mask(bytes, b'"');
            masks.backslashes = masks.backslashes << 16 | mask(bytes, b'\\');
            masks.opens = masks.opens << 16 | mask(folded, b'{');
            masks.closes = masks.closes << 16 | mask(folded, b'}');
        }
        masks
    }

    /// Bytes that follow an odd run of backslashes; `carry` is 1 if the last block ended in one.
    #[inline]
    fn escapes(&self, carry: &mut u64) -> u64 {
        if self.backslashes == 0 {
            return std::mem::take(carry);
        }
        let mut escapes = 0;
        let mut escaped = *carry != 0;
        // Blocks with backslashes are rare: bit by bit will do.
        for bit in 0..64 {
            if escaped {
                escapes |= 1 << bit;
                escaped = false;
            } else {
                escaped = self.backslashes >> bit & 1 == 1;
            }
        }
        *carry = u64::from(escaped);
        escapes
    }
}

#[inline]
fn mask(bytes: u8x16, wanted: u8) -> u64 {
    u64::from(bytes.simd_eq(u8x16::splat(wanted)).to_bitmask())
}

/// Each bit becomes the parity of the bits up to it.
#[inline]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Ends of the objects of a pretty-printed text that start on a line of their own with a given indentation.
///
/// A raw newline can't stand inside a JSON string, so a line that is `INDENT}` closes the object whose first line is
/// `INDENT{`. The lines are found by several threads at once.
pub(crate) struct Closers {
    indent: usize,
    /// Offsets of the closing braces, ascending.
    ends: Vec<usize>,
}

/// Texts below this size aren't worth a second thread.
const PARALLEL: usize = 1 << 20;

impl Closers {
    /// Finds the closing lines at `indent` blanks.
    pub(crate) fn find(bytes: &[u8], indent: usize) -> Self {
        let mut line = vec![b' '; indent + 2];
        if let Some(first) = line.first_mut() {
            *first = b'\n';
        }
        if let Some(last) = line.last_mut() {
            *last = b'}';
        }
        let finder = memmem::Finder::new(&line);
        let step = if bytes.len() > PARALLEL { PARALLEL } else { bytes.len().max(1) };
        let ends: Vec<Vec<usize>> = (0..bytes.len().div_ceil(step))
            .into_par_iter()
            .map(|chunk| {
                let from = chunk * step;
                // Overlaps the next chunk by one needle less a byte, so that no line is missed or found twice.
                let to = (from + step + line.len() - 1).min(bytes.len());
                let text = bytes.get(from..to).unwrap_or_default();
                finder.find_iter(text).map(|at| from + at + indent + 1).collect()
            })
            .collect();
        Self { indent, ends: ends.concat() }
    }

    /// End of the object at `start`, if it stands alone on an indented line.
    fn end(&self, bytes: &[u8], start: usize) -> Option<usize> {
        let line = start.checked_sub(self.indent + 1)?;
        let before = bytes.get(line..start)?;
        let alone = before.first() == Some(&b'\n')
            && before.iter().skip(1).all(|b| *b == b' ')
            && bytes.get(start) == Some(&b'{')
            && matches!(bytes.get(start + 1), Some(b'\n' | b'\r'));
        if !alone {
            return None;
        }
        let next = self.ends.partition_point(|end| *end < start);
        let end = *self.ends.get(next)? + 1;
        // What follows an element is a comma or, after white space, the end of its array.
        let mut after = bytes.get(end..)?.iter().skip_while(|b| b.is_ascii_whitespace());
        matches!(after.next(), Some(b',' | b']' | b'}')).then_some(end)
    }
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

    #[test]
    fn closers_and_brackets_agree() {
        let value = serde_json::json!([{"a": {"b": "\n  }"}, "c": [{}]}, {"d": {}}]);
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let closers = Closers::find(pretty.as_bytes(), 2);
        let mut slow = Vec::new();
        let mut fast = Vec::new();
        Scanner::new(pretty.as_bytes(), 0).array(|s, _| s.skip().map(|range| slow.push(range))).unwrap();
        Scanner::new(pretty.as_bytes(), 0)
            .with_closers(&closers)
            .array(|s, _| s.skip().map(|range| fast.push(range)))
            .unwrap();
        assert_eq!(slow, fast);
        assert_eq!(slow.len(), 2);
    }
}
