//! Redaction: private keys, passwords and tokens never get past decoding.

use std::borrow::Cow;

use serde_json::Value;

use super::marks::Marks;

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

/// The text with sensitive values replaced by [`REDACTED`]; borrowed where there are none.
#[must_use]
pub fn redact(json: &[u8]) -> Cow<'_, [u8]> {
    if Marks::of(json).sensitive { redact_marked(json) } else { Cow::Borrowed(json) }
}

/// The same for a text that is known to have marks.
pub(super) fn redact_marked(json: &[u8]) -> Cow<'_, [u8]> {
    let Ok(mut value) = serde_json::from_slice::<Value>(json) else { return Cow::Borrowed(json) };
    if redact_value(&mut value) { Cow::Owned(value.to_string().into_bytes()) } else { Cow::Borrowed(json) }
}

/// Redacts in place; true if anything was.
fn redact_value(value: &mut Value) -> bool {
    let mut changed = false;
    match value {
        Value::Object(members) => {
            let header = members
                .get("key")
                .and_then(Value::as_str)
                .is_some_and(|key| HEADERS.contains(&key.to_ascii_lowercase().as_str()));
            for (key, member) in members.iter_mut() {
                let name = super::index::snake(key);
                if MEMBERS.contains(&name.as_ref()) || (header && key == "value") {
                    changed |= blank(member);
                } else {
                    changed |= redact_value(member);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= redact_value(item);
            }
        }
        _ => {}
    }
    changed
}

/// Blanks every text below a sensitive member: inline data, file names and environment variables alike. Types and
/// names of secrets are kept.
fn blank(value: &mut Value) -> bool {
    match value {
        Value::String(text) if text != REDACTED && text != "W3JlZGFjdGVkXQ==" && !text.is_empty() => {
            REDACTED.clone_into(text);
            true
        }
        Value::Object(members) => members
            .iter_mut()
            .filter(|(key, _)| !matches!(key.as_str(), "@type" | "name" | "sds_config" | "sdsConfig"))
            .fold(false, |changed, (key, member)| {
                if key == "inline_bytes" || key == "inlineBytes" {
                    let already = member.as_str() == Some("W3JlZGFjdGVkXQ==") || member.as_str() == Some("");
                    *member = Value::from("W3JlZGFjdGVkXQ==");
                    return changed | !already;
                }
                blank(member) | changed
            }),
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| blank(item) | changed),
        _ => false,
    }
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
}
