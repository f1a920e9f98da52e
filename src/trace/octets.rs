//! Text that need not be UTF-8: header values are bytes, and strings hold them here.
//!
//! What is UTF-8 stands as it is. A byte that isn't part of any stands as one character of a private plane, so that two
//! texts are the same only if their bytes are.

use std::borrow::Cow;

/// The character for a byte that is part of no UTF-8; the bytes from 0x80 on can be such.
const FIRST: u32 = 0x0010_ff00;

/// The text of these bytes.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
    }
    out
}

/// The byte that a character stands for, if it is part of no UTF-8.
fn stray(c: char) -> Option<u8> {
    u32::from(c).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80)
}

/// The text as a [`Request`](super::Request) holds it, of one whose characters up to U+00FF are the bytes of ISO 8859-1.
#[must_use]
pub fn from_latin1(latin1: &str) -> Cow<'_, str> {
    let bytes: Option<Vec<u8>> = latin1.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    match bytes {
        Some(bytes) if !latin1.is_ascii() => Cow::Owned(text(&bytes)),
        _ => Cow::Borrowed(latin1),
    }
}

/// The bytes that a text stands for.
pub(crate) fn bytes(text: &str) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match stray(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

/// Whether the bytes that a text stands for are UTF-8.
pub(crate) fn is_utf8(text: &str) -> bool {
    text.is_ascii() || !text.chars().any(|c| stray(c).is_some())
}

/// Whether a surrogate is written as if it were a character, which some read as one.
pub(crate) fn has_surrogates(text: &str) -> bool {
    !text.is_ascii() && bytes(text).windows(2).any(|pair| matches!(pair, [0xed, 0xa0..=0xbf]))
}

/// The text with one character for each byte, as ISO 8859-1 has them.
pub(crate) fn to_latin1(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(bytes(text).iter().map(|byte| char::from(*byte)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for latin1 in ["a", "\u{e9}", "a\u{c3}\u{a9}b", "\u{e2}\u{82}\u{ac}", "\u{c3}\u{c3}\u{a9}", "\u{ff}\u{80}"] {
            let text = from_latin1(latin1);
            assert_eq!(to_latin1(&text), latin1);
            assert_eq!(bytes(&text).len(), latin1.chars().count());
        }
        assert_eq!(from_latin1("\u{c3}\u{a9}"), "\u{e9}");
        assert_eq!((is_utf8(&from_latin1("\u{c3}\u{a9}")), is_utf8(&from_latin1("\u{e9}"))), (true, false));
        assert!(!from_latin1("\u{c3}\u{c3}\u{a9}").starts_with('\u{e9}'));
        assert_eq!(from_latin1("\u{20ac}"), "\u{20ac}");
    }
}
