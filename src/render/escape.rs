//! Text from a dump is untrusted: what would steer a terminal, or fake a line of output, is shown as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with control characters, line separators and direction marks written as escapes.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    // Nearly all text is plain ASCII, which is quick to see where no byte ends the look.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if is_plain || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), separators that end a line, and marks that turn or hide text.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        assert_eq!(escape("a|b ü"), "a|b ü");
        assert_eq!(escape("\u{1b}[31mred\n\u{202e}x\u{9b}"), "\\u{1b}[31mred\\n\\u{202e}x\\u{9b}");
    }
}
