//! YAML as go-yaml v2 writes what sigs.k8s.io/yaml made of JSON (spec/istioctl.md §0.4).
//!
//! Which quotes a text gets and where a long line is broken follow from the state that a writer of YAML 1.1 keeps:
//! the column, whether the last thing written was white space, and whether it was only indentation.

use std::borrow::Cow;

use super::super::node::{Node, Shape};
use super::super::number;
use super::{NotFound, plain};
use crate::inventory::go_sort;

/// Column after which a line is broken at the next space.
const WIDTH: usize = 80;
/// Longest key that stands before its colon without a question mark.
const LONGEST_KEY: usize = 128;

/// The text of a document.
pub(crate) fn yaml(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer::new();
    writer.node(node, Place::Root)?;
    writer.break_line();
    Ok(writer.out)
}

/// The text of a list with this one element.
pub(crate) fn yaml_element(node: &Node<'_>) -> Result<String, NotFound> {
    let mut writer = Writer::new();
    writer.list(std::slice::from_ref(node), Place::Root)?;
    writer.break_line();
    Ok(writer.out)
}

/// What a value is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    Key,
    Member,
}

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

struct Writer {
    out: String,
    column: usize,
    /// The last character was white space, or an indicator that stands for it.
    white: bool,
    /// Nothing but indentation and indicators is on the line.
    indented: bool,
    /// Of the innermost collection; `None` outside of all.
    indent: Option<usize>,
}

impl Writer {
    fn new() -> Self {
        Self { out: String::new(), column: 0, white: true, indented: true, indent: None }
    }

    fn node(&mut self, node: &Node<'_>, place: Place) -> Result<(), NotFound> {
        match node {
            Node::Null => self.scalar("null", Style::Plain, place),
            Node::Bool(flag) => self.scalar(if *flag { "true" } else { "false" }, Style::Plain, place),
            Node::Number(number) => self.scalar(&printed(number), Style::Plain, place),
            Node::Text(text) => self.text(text, place),
            Node::List(_, items) if items.is_empty() => self.empty("[", "]"),
            Node::Object(_, members) if members.is_empty() => self.empty("{", "}"),
            Node::List(_, items) => self.list(items, place)?,
            Node::Object(shape, members) => self.mapping(*shape, members)?,
            Node::Unregistered(_) => return Err(NotFound),
        }
        Ok(())
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    fn list(&mut self, items: &[Node<'_>], place: Place) -> Result<(), NotFound> {
        let outer = self.indent;
        // A list below a key isn't indented.
        if place != Place::Member || self.indented {
            self.deeper();
        }
        for item in items {
            self.break_line();
            self.indicator("-", true, false, true);
            self.node(item, Place::Item)?;
        }
        self.indent = outer;
        Ok(())
    }

    fn mapping(&mut self, shape: Shape, members: &[(Cow<'_, str>, Node<'_>)]) -> Result<(), NotFound> {
        let mut order: Vec<usize> = (0..members.len()).collect();
        let name = |nth: &usize| members.get(*nth).map(|(name, _)| name.as_ref()).unwrap_or_default();
        go_sort::sort(&mut order, |a, b| precedes(name(a), name(b)));
        // Of two members of one name, which only what isn't known can have, the last counts.
        if shape == Shape::Field {
            order.dedup_by(|later, earlier| {
                let same = name(later) == name(earlier);
                *earlier = if same { *(&*earlier).max(later) } else { *earlier };
                same
            });
        }
        let outer = self.indent;
        self.deeper();
        for (key, value) in order.iter().filter_map(|nth| members.get(*nth)) {
            self.break_line();
            if key.len() > LONGEST_KEY || key.contains(is_break) {
                self.indicator("?", true, false, true);
                self.text(key, Place::Member);
                self.break_line();
                self.indicator(":", true, false, true);
            } else {
                self.text(key, Place::Key);
                self.indicator(":", false, false, false);
            }
            self.node(value, Place::Member)?;
        }
        self.indent = outer;
        Ok(())
    }

    fn deeper(&mut self) {
        self.indent = Some(self.indent.map_or(0, |indent| indent + 2));
    }

    fn text(&mut self, text: &str, place: Place) {
        let wanted = if text.contains('\n') {
            Style::Literal
        } else if plain::is_text(text) {
            Style::Plain
        } else {
            Style::Double
        };
        let traits = Traits::of(text);
        let style = match wanted {
            Style::Plain if traits.plain => Style::Plain,
            Style::Plain if traits.single => Style::Single,
            Style::Literal if traits.literal && place != Place::Key => Style::Literal,
            _ => Style::Double,
        };
        self.scalar(text, style, place);
    }

    fn scalar(&mut self, text: &str, style: Style, place: Place) {
        let outer = self.indent;
        self.indent = Some(self.indent.map_or(2, |indent| indent + 2));
        let may_break = place != Place::Key;
        match style {
            Style::Plain => self.plain(text, may_break),
            Style::Single => self.single(text, may_break),
            Style::Double => self.double(text, may_break),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    fn plain(&mut self, text: &str, may_break: bool) {
        if !self.white {
            self.put(' ');
        }
        self.words(text, may_break, false);
        self.white = false;
        self.indented = false;
    }

    fn single(&mut self, text: &str, may_break: bool) {
        self.indicator("'", true, false, false);
        self.words(text, may_break, true);
        self.indicator("'", false, false, false);
    }

    /// Text of a plain or single-quoted scalar, broken at single spaces.
    fn words(&mut self, text: &str, may_break: bool, quoted: bool) {
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if c == ' ' {
                let at_end = quoted && (at == 0 || next.is_none());
                if may_break && !after_space && self.column > WIDTH && !at_end && next != Some(' ') {
                    self.break_line();
                } else {
                    self.put(' ');
                }
                after_space = true;
                continue;
            }
            if quoted && c == '\'' {
                self.put('\'');
            }
            self.put(c);
            self.indented = false;
            after_space = false;
        }
    }

    fn double(&mut self, text: &str, may_break: bool) {
        self.indicator("\"", true, false, false);
        // go-yaml looks for a byte order mark at the start of the text, whichever character it is about.
        let is_escaped = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if c == ' ' && !is_escaped {
                if may_break && !after_space && self.column > WIDTH && at > 0 && next.is_some() {
                    self.break_line();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
                continue;
            }
            after_space = false;
            if !is_escaped && is_printable(c) && !is_break(c) && c != '"' && c != '\\' {
                self.put(c);
                continue;
            }
            for c in escape(c).chars() {
                self.put(c);
            }
        }
        self.indicator("\"", false, false, false);
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(' ') || text.starts_with(is_break) {
            self.indicator("2", false, false, false);
        }
        let mut ends = text.chars().rev();
        match (ends.next().is_some_and(is_break), ends.next()) {
            (false, _) => self.indicator("-", false, false, false),
            (true, Some(c)) if !is_break(c) => {}
            (true, _) => self.indicator("+", false, false, false),
        }
        self.new_line('\n');
        self.white = true;
        let mut at_start = true;
        for c in text.chars() {
            if is_break(c) {
                self.new_line(c);
                at_start = true;
                continue;
            }
            if at_start {
                self.break_line();
                at_start = false;
            }
            self.put(c);
            self.indented = false;
        }
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn new_line(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.indented = true;
    }

    /// Goes to the indentation, on a new line if there is anything on this one.
    fn break_line(&mut self) {
        let indent = self.indent.unwrap_or_default();
        if !self.indented || self.column > indent || (self.column == indent && !self.white) {
            self.new_line('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.white = true;
        self.indented = true;
    }

    fn indicator(&mut self, text: &str, needs_space: bool, is_white: bool, is_indentation: bool) {
        if needs_space && !self.white {
            self.put(' ');
        }
        for c in text.chars() {
            self.put(c);
        }
        self.white = is_white;
        self.indented &= is_indentation;
    }
}

/// Styles that a text can be written in.
struct Traits {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { plain: true, single: true, literal: false };
        }
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut space_break, mut break_space) = (false, false, false, false);
        let mut last = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let before_blank = chars.peek().is_none_or(|next| is_blank(*next));
            indicators |= match (last, c) {
                (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"') => true,
                (None, '%' | '@' | '`') => true,
                (None, '?' | ':' | '-') | (Some(_), ':') => before_blank,
                (Some(last), '#') => is_blank(last),
                _ => false,
            };
            special |= !is_printable(c);
            breaks |= is_break(c);
            space_break |= is_break(c) && last == Some(' ');
            break_space |= c == ' ' && last.is_some_and(is_break);
            last = Some(c);
        }
        let is_edge = |c: char| c == ' ' || is_break(c);
        let has_edge = text.starts_with(is_edge) || text.ends_with(is_edge);
        let double_only = special || space_break;
        Self {
            plain: !(indicators || has_edge || breaks || double_only),
            single: !(break_space || double_only),
            literal: !(text.ends_with(' ') || double_only),
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\0') || is_break(c)
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escape(c: char) -> Cow<'static, str> {
    Cow::Borrowed(match c {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        c => {
            let code = u32::from(c);
            return Cow::Owned(match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
        }
    })
}

/// A number of JSON, read as YAML and written again: whole ones stay, others are Go's `%g`.
fn printed(number: &str) -> Cow<'_, str> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if number == "-0" {
            return Cow::Borrowed("0");
        }
        if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
            return Cow::Borrowed(number);
        }
    }
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Cow::Owned(number::general(value)),
        _ => Cow::Borrowed(number),
    }
}

/// go-yaml's order of keys. It isn't one for all keys that mix digits and letters.
fn precedes(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (a.char_indices(), b.char_indices());
    loop {
        let ((at, l), r) = match (left.next(), right.next()) {
            (Some(l), Some((_, r))) => (l, r),
            (None, Some(_)) => return true,
            (_, None) => return false,
        };
        if l == r {
            continue;
        }
        match (l.is_alphabetic(), r.is_alphabetic()) {
            (true, true) => return l < r,
            (false, false) => {}
            (_, r_is_letter) => return r_is_letter,
        }
        // The texts are the same up to here. A zero within a number counts as a digit of it.
        let common = a.get(..at).unwrap_or_default();
        let digits_before = common.chars().rev().take_while(|c| c.is_numeric());
        let within = (l == '0' || r == '0') && digits_before.into_iter().any(|c| c != '0');
        let (l_value, l_digits) = run(a.get(at..).unwrap_or_default(), within);
        let (r_value, r_digits) = run(b.get(at..).unwrap_or_default(), within);
        if l_value != r_value {
            return l_value < r_value;
        }
        if l_digits != r_digits {
            return l_digits < r_digits;
        }
        return l < r;
    }
}

/// Value and length of the digits at the start.
fn run(text: &str, within: bool) -> (i64, usize) {
    let mut value = i64::from(within);
    let mut length = 0;
    for digit in text.chars().map_while(|c| c.to_digit(10)) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        length += 1;
    }
    (value, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(node: &Node<'_>, expected: &str) {
        assert_eq!(yaml(node).unwrap(), expected);
    }

    fn text(text: &str) -> Node<'_> {
        Node::Text(text.into())
    }

    fn object<'a>(members: &[(&'a str, Node<'a>)]) -> Node<'a> {
        let members = members.iter().map(|(name, node)| (Cow::Borrowed(*name), node.clone()));
        Node::Object(Shape::Message, members.collect())
    }

    #[test]
    fn collections_are_blocks() {
        let list = Node::List(Shape::Field, vec![text("x"), object(&[("b", text("1")), ("@a", Node::Null)])]);
        let nested = Node::List(Shape::Field, vec![Node::List(Shape::Field, vec![Node::Number("1.50".into())])]);
        let empty = Node::List(Shape::Field, Vec::new());
        check(
            &object(&[("z", list), ("y", nested), ("e", empty)]),
            "e: []\n\"y\":\n- - 1.5\nz:\n- x\n- '@a': null\n  b: \"1\"\n",
        );
        check(&Node::Null, "null\n");
    }

    #[test]
    fn long_lines_are_broken_at_single_spaces() {
        let long = format!("{} b  c d", "a".repeat(80));
        check(&object(&[("k", text(&long))]), &format!("k: {}\n  b  c d\n", "a".repeat(80)));
    }

    #[test]
    fn texts_get_the_quotes_they_need() {
        for (value, expected) in [
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("it's", "it's"),
            ("'", "''''"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
            ("😀", "\"\\U0001F600\""),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("a #b", "'a #b'"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\n", "|\n  a"),
            ("a\n\n", "|+\n  a\n"),
            (" a\nb", "|2-\n   a\n  b"),
            ("a \nb", "\"a \\nb\""),
        ] {
            check(&object(&[("k", text(value))]), &format!("k: {expected}\n"));
        }
    }

    #[test]
    fn keys_are_in_natural_order() {
        let mut keys = ["k10", "k9", "k09", "ab", "a-b", "B", "@type", "k"];
        go_sort::sort(&mut keys, |a, b| precedes(a, b));
        assert_eq!(keys, ["@type", "B", "a-b", "ab", "k", "k9", "k09", "k10"]);
    }
}
