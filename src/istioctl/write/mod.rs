//! The forms that istioctl prints messages in.

mod go_yaml;
mod json;
mod plain;

use std::fmt::Write as _;

pub(super) use go_yaml::{yaml, yaml_element};
pub(super) use json::{json, json_element, jsonpb, protojson};

/// An `Any` of a type that istioctl doesn't know stands in what it would print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotFound;

/// Adds a text as JSON; `html` escapes what could end a script as well.
fn quoted(out: &mut String, text: &str, html: bool) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| is_special(byte, html)) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let Some(c) = after.chars().next() else { break };
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // A String takes whatever is written.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
        rest = after.get(c.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

fn is_special(byte: u8, html: bool) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\' || (html && (matches!(byte, b'<' | b'>' | b'&') || byte == 0xe2))
}
