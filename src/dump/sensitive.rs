//! Redaction: private keys, passwords and tokens never get past decoding.

use std::borrow::Cow;
use std::ops::Range;

use super::marks::Marks;
use super::scan::{ScanError, Scanner, Structure, text};

/// What takes the place of a sensitive value; Envoy's own admin interface writes the same.
pub const REDACTED: &str = "[redacted]";

/// Members whose whole value is sensitive, in snake_case (Envoy marks the same fields; semantics §1.2, "Redaction").
const MEMBERS: &[&str] = &[
    "private_key",
    "password",
    "session_ticket_keys",
    "generic_secret",
    "hmac_secret",
    "token_secret",
    "client_secret",
    "private_key_provider",
    "access_token",
    "refresh_token",
    "json_key",
    "symmetric_secret",
];

/// Headers whose value is a credential.
const HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Bytes that stand for [`REDACTED`] in base64.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

/// Deepest nesting that is looked into; a text with deeper values isn't decoded or printed either.
const DEEPEST: usize = 512;

/// The text with sensitive values replaced by [`REDACTED`], all else as it was; borrowed where there are none.
#[must_use]
pub fn redact(json: &[u8]) -> Cow<'_, [u8]> {
    if Marks::of(json).sensitive { redact_marked(json) } else { Cow::Borrowed(json) }
}

/// The same for a text that is known to have marks.
pub(super) fn redact_marked(json: &[u8]) -> Cow<'_, [u8]> {
    let mut redactor = Redactor { end: json.len(), found: Vec::new() };
    // A text that isn't JSON can't be read any further.
    let _ = redactor.value(&mut Scanner::new(json, 0), 0);
    redactor.apply(json)
}

/// The same for a text that is printed as it stands; `None` if it isn't JSON, as then not all of it is known.
pub(super) fn redact_whole<'a>(json: &'a [u8], structure: &'a Structure, start: usize) -> Option<Cow<'a, [u8]>> {
    let mut redactor = Redactor { end: json.len(), found: Vec::new() };
    if Marks::of(json).sensitive {
        let mut scanner = Scanner::new(json, start).with_structure(structure);
        match redactor.value(&mut scanner, 0) {
            Ok(()) | Err(ScanError::Truncated { .. }) => {}
            Err(_) => return None,
        }
    }
    Some(redactor.apply(json))
}

/// Finds what has to go, in the order of the text.
struct Redactor {
    end: usize,
    found: Vec<(Range<usize>, &'static str)>,
}

impl Redactor {
    fn value(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), ScanError> {
        match scanner.peek()? {
            b'{' | b'[' if depth == DEEPEST => Err(too_deep(scanner)),
            b'{' => self.object(scanner, depth),
            b'[' => scanner.array(|scanner, _| self.value(scanner, depth + 1)),
            _ => scanner.skip().map(|_| ()),
        }
    }

    fn object(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), ScanError> {
        let mut is_credential = false;
        let mut header_value = None;
        scanner.object(|scanner, key| {
            let first = scanner.peek()?;
            if key == "key" && first == b'"' {
                let name = text(scanner.string()?).to_ascii_lowercase();
                is_credential |= HEADERS.contains(&name.as_str());
                return Ok(());
            }
            if key == "value" {
                header_value = Some(*scanner);
            }
            if MEMBERS.contains(&super::index::snake(&key).as_ref()) {
                return self.blank(scanner, depth + 1);
            }
            self.value(scanner, depth + 1)
        })?;
        if let (true, Some(mut scanner)) = (is_credential, header_value) {
            self.blank(&mut scanner, depth + 1)?;
        }
        Ok(())
    }

    /// Blanks every text below a sensitive member: inline data, file names and environment variables alike. Types and
    /// names of secrets are kept.
    fn blank(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), ScanError> {
        let first = scanner.peek()?;
        let start = scanner.pos();
        match first {
            b'"' => {
                let text = self.whole(start, |_| scanner.string())?;
                if !matches!(text, b"" | b"[redacted]" | b"W3JlZGFjdGVkXQ==") {
                    self.found.push((start..scanner.pos(), REDACTED));
                }
            }
            b'{' | b'[' if depth == DEEPEST => return Err(too_deep(scanner)),
            b'{' => scanner.object(|scanner, key| {
                let first = scanner.peek()?;
                if matches!(key.as_ref(), "@type" | "name" | "sds_config" | "sdsConfig") {
                    return scanner.skip().map(|_| ());
                }
                if key != "inline_bytes" && key != "inlineBytes" {
                    return self.blank(scanner, depth + 1);
                }
                let start = scanner.pos();
                let range = self.whole(start, |_| scanner.skip())?;
                let is_blank = first == b'"' && matches!(scanner.slice(&range), b"\"\"" | b"\"W3JlZGFjdGVkXQ==\"");
                if !is_blank {
                    self.found.push((range, REDACTED_BYTES));
                }
                Ok(())
            })?,
            b'[' => scanner.array(|scanner, _| self.blank(scanner, depth + 1))?,
            _ => {
                self.whole(start, |_| scanner.skip())?;
            }
        }
        Ok(())
    }

    /// Takes a sensitive value; of one that is cut off nothing is left.
    fn whole<T>(&mut self, start: usize, take: impl FnOnce(&mut Self) -> Result<T, ScanError>) -> Result<T, ScanError> {
        let taken = take(self);
        if taken.is_err() {
            self.found.push((start..self.end, REDACTED));
        }
        taken
    }

    fn apply(mut self, json: &[u8]) -> Cow<'_, [u8]> {
        if self.found.is_empty() {
            return Cow::Borrowed(json);
        }
        self.found.sort_by_key(|(range, _)| range.start);
        let mut out = Vec::with_capacity(json.len());
        let mut at = 0;
        for (range, text) in self.found {
            // The value of a header may have been blanked twice.
            if range.start < at {
                continue;
            }
            out.extend_from_slice(json.get(at..range.start).unwrap_or_default());
            out.extend([b"\"", text.as_bytes(), b"\""].concat());
            at = range.end;
        }
        out.extend_from_slice(json.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }
}

fn too_deep(scanner: &Scanner<'_>) -> ScanError {
    ScanError::Unexpected { offset: scanner.pos(), expected: "less deeply nested values" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&redact(json.as_bytes())), expected);
    }

    #[test]
    fn keys_and_credentials_are_blanked_in_both_spellings() {
        check(r#"{"privateKey":{"inlineBytes":"c2VjcmV0"}}"#, r#"{"privateKey":{"inlineBytes":"W3JlZGFjdGVkXQ=="}}"#);
        check(r#"{"private_key":{"filename":"/k.pem"}}"#, r#"{"private_key":{"filename":"[redacted]"}}"#);
        check(
            r#"{"initial_metadata":[{"key":"Authorization","value":"t"},{"key":"a","value":"b"}]}"#,
            r#"{"initial_metadata":[{"key":"Authorization","value":"[redacted]"},{"key":"a","value":"b"}]}"#,
        );
        check(r#"{"certificate_chain":{"inline_bytes":"YQ=="}}"#, r#"{"certificate_chain":{"inline_bytes":"YQ=="}}"#);
    }

    #[test]
    fn all_else_stays_as_it_stands() {
        check(
            "{ \"a\" : [1.0, {\"token_secret\" : {\"name\":\"n\", \"inline_string\": \"x\\\"y\"}} ] }",
            "{ \"a\" : [1.0, {\"token_secret\" : {\"name\":\"n\", \"inline_string\": \"[redacted]\"}} ] }",
        );
        check(r#"{"value":"t","key":"cookie"}"#, r#"{"value":"[redacted]","key":"cookie"}"#);
        check(r#"{"password":"unfinis"#, r#"{"password":"[redacted]""#);
    }
}
