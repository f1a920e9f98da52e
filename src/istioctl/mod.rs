//! istioctl's answers, byte for byte, from the text of a dump (spec/istioctl.md).
//!
//! ```text
//! text → json → read (by schema) → node → tables | write → answer
//! ```
//!
//! istioctl decodes a whole dump into messages and prints those, so what it prints depends on every type that it has
//! registered, and on faults of what it makes of the rest. [`answer`] does the same. [`Document`] prints resources in
//! the same form without the faults: that is the JSON and YAML of `proxy-config`.
//!
//! What differs without `--istioctl` is listed in the README under "Differences from istioctl": the list there is the
//! whole of it. Where each comes from: [`Document`] reads leniently (unknown types, fields and enums, values of the wrong
//! form), the text that it is given is redacted, and rows of tables are [`crate::inventory`]'s.
//!
//! # What isn't istioctl's even with `--istioctl`
//!
//! Control characters in cells of tables are escaped. Where istioctl's own answer differs from run to run, which is
//! the order of YAML keys that mix digits and letters and can't be ordered, ours doesn't. JSON nested deeper than 256
//! levels isn't read. Texts of 50,000 lines and more that `proxy-status` compares may be matched otherwise. The text of an
//! error about malformed JSON has its place right, but not always its words.

mod answer;
mod compare;
mod document;
mod dump;
mod json;
mod node;
mod number;
mod read;
mod schema;
mod table;
mod unified;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub use answer::{All, Answer, Output, Query, Verb, answer};
pub use compare::compare;
pub use document::{Document, Form, Unprintable, json_to_yaml, safe};
pub use table::ecds_table;

/// What makes istioctl give up a dump: the text of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault(String);

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A fault of meaning at a byte.
    fn at(text: &str, at: usize, message: impl fmt::Display) -> Self {
        let (line, column) = place(text, at);
        Self(format!("(line {line}:{column}): {message}"))
    }

    /// A fault of grammar at a byte.
    fn syntax(text: &str, at: usize, message: impl fmt::Display) -> Self {
        let (line, column) = place(text, at);
        Self(format!("syntax error (line {line}:{column}): {message}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Line and column of a byte, from 1; columns are code points.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before.get(start..).unwrap_or_default().chars().count() + 1)
}
