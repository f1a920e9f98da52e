//! What a token says.

use serde_json::{Map, Value};

use crate::trace::http_filter::credential::base64_url;

/// A token taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    /// The payload as it stands in the token.
    pub(super) payload_text: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithm: String,
    pub(super) key_id: String,
}

/// Signature algorithms that Envoy's library implements.
const ALGORITHMS: [&str; 13] = [
    "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
];

impl Token {
    /// Takes a token apart; the error is Envoy's.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('.').filter(|part| !part.is_empty()).collect();
        let &[header_text, payload_text, signature] = parts.as_slice() else {
            return Err("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
        };
        if text.matches('.').count() != 2 {
            return Err("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections");
        }
        let header = base64_url(header_text).ok_or("Jwt header is an invalid Base64url encoded")?;
        let header = object(&header).ok_or("Jwt header is an invalid JSON")?;
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.ok_or("Jwt header [alg] field is required and must be a string")?.to_owned();
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            return Err("Jwt header [alg] is not supported");
        }
        let key_id = string(&header, "kid").ok_or("Jwt header [kid] field is not a string")?;
        let payload = base64_url(payload_text).ok_or("Jwt payload is an invalid Base64url encoded")?;
        let payload = object(&payload).ok_or("Jwt payload is an invalid JSON")?;
        let issuer = string(&payload, "iss").ok_or("Jwt payload [iss] field is not a string")?;
        let subject = string(&payload, "sub").ok_or("Jwt payload [sub] field is not a string")?;
        for claim in ["iat", "nbf", "exp"] {
            if payload.get(claim).is_some_and(|value| !value.is_number()) {
                return Err("Jwt payload [iat], [nbf] or [exp] field is not an integer or overflow");
            }
        }
        if payload.get("jti").is_some_and(|value| !value.is_string()) {
            return Err("Jwt payload [jti] field is not a string");
        }
        let audiences = match payload.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(several)) => several
                .iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<Vec<String>>>()
                .ok_or("Jwt payload [aud] field is not a string nor string list")?,
            Some(_) => return Err("Jwt payload [aud] field is not a string nor string list"),
        };
        base64_url(signature).ok_or("Jwt signature is an invalid Base64url encoded")?;
        let payload_text = payload_text.to_owned();
        Ok(Self { header, payload, payload_text, issuer, subject, audiences, algorithm, key_id })
    }

    /// A claim by its dotted path.
    pub(super) fn claim(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('.');
        let first = self.payload.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    }
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

/// A string member, the empty string if it isn't there; `None` if it is something else.
fn string(members: &Map<String, Value>, name: &str) -> Option<String> {
    match members.get(name) {
        None => Some(String::new()),
        Some(value) => value.as_str().map(str::to_owned),
    }
}
