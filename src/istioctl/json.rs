//! JSON text to values that know where they stand, with the faults that Go's protobuf reader finds in it.

use std::borrow::Cow;

use super::Fault;

/// Deepest nesting that is read; Envoy's own dumps stay below 60.
const DEEPEST: usize = 256;

/// A value and the place of its first byte.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) at: usize,
    pub(super) content: Content<'a>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Place of the name's first quote.
    pub(super) at: usize,
    pub(super) name: Cow<'a, str>,
    pub(super) value: Value<'a>,
}

/// Whose rules of strings hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Json,
    /// JSON read as YAML: not every escape is one there.
    Yaml,
}

impl<'a> Value<'a> {
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn members(&self) -> &[Member<'a>] {
        match &self.content {
            Content::Object(members) => members,
            _ => &[],
        }
    }

    /// The value of a member.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.name == name).map(|member| &member.value)
    }
}

/// Reads one value and what follows it: nothing but white space may.
pub(super) fn read(text: &str, dialect: Dialect) -> Result<Value<'_>, Fault> {
    let mut reader = Reader::new(text, 0, dialect);
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// A position in JSON text.
pub(super) struct Reader<'a> {
    text: &'a str,
    pos: usize,
    depth: usize,
    dialect: Dialect,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, pos: usize, dialect: Dialect) -> Self {
        Self { text, pos, depth: 0, dialect }
    }

    /// Next byte that isn't white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.pos) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.pos += 1;
        }
        None
    }

    /// Fails if anything follows.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected()),
        }
    }

    /// Takes a byte if it is next.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.pos += usize::from(found);
        found
    }

    /// The fault that the next token can't stand here.
    pub(super) fn unexpected(&mut self) -> Fault {
        let Some(first) = self.peek() else { return Fault::new("unexpected EOF") };
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let word = token(rest);
        let known = matches!(first, b'{' | b'}' | b'[' | b']' | b',' | b'"' | b'-' | b'0'..=b'9')
            || matches!(word, "true" | "false" | "null");
        let what = if known { "unexpected token" } else { "invalid value" };
        Fault::syntax(self.text, self.pos, format!("{what} {word}"))
    }

    pub(super) fn value(&mut self) -> Result<Value<'a>, Fault> {
        let first = self.peek();
        let at = self.pos;
        let content = match first {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Content::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Content::Number(self.number()?),
            Some(b't') => self.word("true", Content::Bool(true))?,
            Some(b'f') => self.word("false", Content::Bool(false))?,
            Some(b'n') => self.word("null", Content::Null)?,
            _ => return Err(self.unexpected()),
        };
        Ok(Value { at, content })
    }

    fn nested(&mut self, inside: impl FnOnce(&mut Self) -> Result<Content<'a>, Fault>) -> Result<Content<'a>, Fault> {
        if self.depth == DEEPEST {
            return Err(Fault::new("exceeded max recursion depth"));
        }
        self.depth += 1;
        self.pos += 1;
        let content = inside(self)?;
        self.depth -= 1;
        Ok(content)
    }

    fn object(&mut self) -> Result<Content<'a>, Fault> {
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Content::Object(members));
        }
        loop {
            let (at, name) = self.name()?;
            let value = self.value()?;
            members.push(Member { at, name, value });
            if self.take(b'}') {
                return Ok(Content::Object(members));
            }
            if !self.take(b',') {
                return Err(self.unexpected());
            }
        }
    }

    /// The name of a member and the colon after it.
    pub(super) fn name(&mut self) -> Result<(usize, Cow<'a, str>), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let at = self.pos;
        let name = self.string()?;
        if !self.take(b':') {
            let _ = self.peek();
            let rest = self.text.get(self.pos..).unwrap_or_default();
            let next = rest.chars().next().map_or_else(|| "EOF".to_owned(), |c| c.to_string());
            return Err(Fault::syntax(
                self.text,
                self.pos,
                format!("unexpected character {next}, missing \":\" after field name"),
            ));
        }
        Ok((at, name))
    }

    fn list(&mut self) -> Result<Content<'a>, Fault> {
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Content::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.take(b']') {
                return Ok(Content::List(items));
            }
            if !self.take(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn word(&mut self, word: &str, content: Content<'a>) -> Result<Content<'a>, Fault> {
        if token(self.text.get(self.pos..).unwrap_or_default()) != word {
            return Err(self.unexpected());
        }
        self.pos += word.len();
        Ok(content)
    }

    fn number(&mut self) -> Result<&'a str, Fault> {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let bytes = rest.as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = usize::from(bytes.first() == Some(&b'-'));
        let whole = if bytes.get(length) == Some(&b'0') { 1 } else { digits(length) };
        length += whole;
        let mut is_number = whole > 0;
        if bytes.get(length) == Some(&b'.') {
            let decimals = digits(length + 1);
            is_number &= decimals > 0;
            length += 1 + decimals;
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            length += 1 + usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            let exponent = digits(length);
            is_number &= exponent > 0;
            length += exponent;
        }
        let follows = bytes.get(length).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(byte));
        if !is_number || follows {
            return Err(Fault::syntax(self.text, self.pos, format!("invalid value {}", token(rest))));
        }
        self.pos += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.pos + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let Some(length) = rest.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ') else {
            self.pos = self.text.len();
            return Err(Fault::new("unexpected EOF"));
        };
        if rest.as_bytes().get(length) == Some(&b'"') {
            let text = rest.get(..length).unwrap_or_default();
            self.check(text)?;
            self.pos = start + length + 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::new();
        let mut at = 0;
        loop {
            let tail = rest.get(at..).unwrap_or_default();
            let Some(length) = tail.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ') else {
                return Err(Fault::new("unexpected EOF"));
            };
            let plain = tail.get(..length).unwrap_or_default();
            self.check(plain)?;
            out.push_str(plain);
            match tail.as_bytes().get(length) {
                Some(b'"') => {
                    self.pos = start + at + length + 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => at += length + self.escape(tail.get(length..).unwrap_or_default(), &mut out)?,
                _ => {
                    let c = tail.get(length..).and_then(|tail| tail.chars().next()).unwrap_or_default();
                    let text = format!("invalid character {c:?} in string");
                    return Err(Fault::syntax(self.text, start + at + length, text.replace('"', "'")));
                }
            }
        }
    }

    fn check(&self, text: &str) -> Result<(), Fault> {
        if self.dialect == Dialect::Yaml && !is_yaml(text) {
            return Err(Fault::new(NO_YAML));
        }
        Ok(())
    }

    /// Adds what an escape stands for, and gives its length.
    fn escape(&self, text: &str, out: &mut String) -> Result<usize, Fault> {
        let c = match text.as_bytes().get(1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') if self.dialect == Dialect::Json => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(text, out),
            _ if self.dialect == Dialect::Yaml => return Err(Fault::new("found unknown escape character")),
            _ => {
                let word: String = text.chars().take(2).collect();
                return Err(Fault::new(format!("invalid escape code {word:?} in string")));
            }
        };
        out.push(c);
        Ok(2)
    }

    fn unicode(&self, text: &str, out: &mut String) -> Result<usize, Fault> {
        let unit = |from: usize| text.get(from + 2..from + 6).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let wrong = || Fault::new(format!("invalid escape code {:?} in string", text.get(..6).unwrap_or(text)));
        let first = unit(0).ok_or_else(wrong)?;
        if let Some(c) = char::from_u32(first.into()) {
            out.push(c);
            return Ok(6);
        }
        if self.dialect == Dialect::Yaml {
            return Err(Fault::new("found invalid Unicode character escape code"));
        }
        let second = if text.get(6..8) == Some("\\u") { unit(6) } else { None };
        match second.and_then(|second| char::decode_utf16([first, second]).next()) {
            Some(Ok(c)) => {
                out.push(c);
                Ok(12)
            }
            _ => Err(wrong()),
        }
    }
}

/// What go-yaml says of a text that isn't YAML.
pub(super) const NO_YAML: &str = "control characters are not allowed";

/// Whether a text may stand in YAML as it is: DEL and its like may not.
pub(super) fn is_yaml(text: &str) -> bool {
    !text.contains(|c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'))
}

/// The token at the start of a text, as faults quote it.
pub(super) fn token(text: &str) -> &str {
    if text.starts_with('"') {
        let mut escaped = false;
        let end = text.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        return end.and_then(|(at, _)| text.get(..=at)).unwrap_or(text);
    }
    let length =
        text.bytes().take(32).take_while(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(byte)).count();
    if length == 0 {
        return text.chars().next().and_then(|c| text.get(..c.len_utf8())).unwrap_or_default();
    }
    text.get(..length).unwrap_or_default()
}
