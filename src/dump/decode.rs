//! JSON text to prost messages, lifted to v3 on the way.

use std::borrow::Cow;

use super::marks::Marks;
use super::origin::Origin;
use super::{legacy, sensitive};
use crate::proto::{Any, Message};

/// Text that isn't of a message's shape.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{message}", self.place())]
pub struct DecodeError {
    message: String,
    /// JSON path from the start of the resource.
    path: String,
    /// Where the text stops being JSON, from the start of the resource.
    byte: Option<usize>,
    origin: Option<Box<Origin>>,
}

impl DecodeError {
    /// The same error with where the resource stands.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        let path = if self.path.is_empty() { String::new() } else { format!(".{}", self.path) };
        let origin = origin.within(&path);
        self.origin = Some(Box::new(match self.byte {
            Some(byte) => origin.at_byte(byte),
            None => origin,
        }));
        self
    }

    /// An error without a place yet.
    pub(super) fn of(error: &impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), path: String::new(), byte: None, origin: None }
    }

    pub(super) fn without_text() -> Self {
        Self { message: "no text".to_owned(), path: String::new(), byte: None, origin: None }
    }

    /// Where the resource stands, if known.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    fn place(&self) -> String {
        match &self.origin {
            Some(origin) if origin.line().is_none() => format!("{origin}: "),
            Some(origin) => format!("{origin}: {}: ", origin.path()),
            None if self.path.is_empty() => String::new(),
            None => format!("{}: ", self.path),
        }
    }
}

/// Decodes one message; sensitive values are redacted first, older API versions are lifted to v3.
///
/// # Errors
///
/// When the text isn't JSON or not of the message's shape. Unknown fields, types and enum values are no error.
pub fn decode<T: Message>(json: &[u8]) -> Result<T, DecodeError> {
    let marks = Marks::of(json);
    let json = if marks.sensitive { sensitive::redact_marked(json) } else { Cow::Borrowed(json) };
    let decoded =
        if marks.legacy { decode_lifted(&json) } else { serde_json::from_slice(&json).or_else(|_| diagnose(&json)) };
    decoded.map_err(|error| match json {
        Cow::Borrowed(_) => error,
        // Bytes of a copy are elsewhere in the dump.
        Cow::Owned(_) => DecodeError { byte: None, ..error },
    })
}

/// Decodes the message in an `Any`, or in the `TypedStruct` that wraps it.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_any<T: Message>(any: &Any) -> Result<T, DecodeError> {
    match typed_struct(any, &any.value)? {
        Some(inner) => decode(&inner),
        None => decode(&any.value),
    }
}

/// Text of a `google.protobuf.StringValue`, whose JSON form in an `Any` is a member `value`.
#[must_use]
pub fn string_value(any: &Any) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        #[serde(default)]
        value: String,
    }
    (any.type_name() == "google.protobuf.StringValue")
        .then(|| serde_json::from_slice::<Wrapped>(&any.value).ok())
        .flatten()
        .map(|w| w.value)
}

/// Type of an `Any` with a `TypedStruct` looked through and v2 names lifted: `envoy.….v3.HttpConnectionManager`.
#[must_use]
pub fn type_of(any: &Any) -> Cow<'_, str> {
    let name = any.type_name();
    if is_typed_struct(name)
        && let Ok(value) = serde_json::from_slice::<TypedStruct>(&any.value)
    {
        let name = value.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        return Cow::Owned(legacy::lift_type(&name).unwrap_or(name));
    }
    legacy::lift_type(name).map_or(Cow::Borrowed(name), Cow::Owned)
}

pub(super) fn is_typed_struct(name: &str) -> bool {
    matches!(name, "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct")
}

#[derive(serde::Deserialize)]
struct TypedStruct {
    #[serde(alias = "typeUrl", default)]
    type_url: String,
    #[serde(default)]
    value: serde_json::Map<String, serde_json::Value>,
}

fn typed_struct(any: &Any, json: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    if !is_typed_struct(any.type_name()) {
        return Ok(None);
    }
    let mut wrapped: TypedStruct = serde_json::from_slice(json).or_else(|_| diagnose(json))?;
    wrapped.value.insert("@type".to_owned(), wrapped.type_url.into());
    Ok(Some(serde_json::Value::Object(wrapped.value).to_string().into_bytes()))
}

fn decode_lifted<T: Message>(json: &[u8]) -> Result<T, DecodeError> {
    let mut value: serde_json::Value = serde_json::from_slice(json).or_else(|_| diagnose(json))?;
    legacy::lift(&mut value, &T::full_name());
    serde_path_to_error::deserialize(value).map_err(path_error)
}

/// Decodes once more, slower, to learn the JSON path of the fault.
fn diagnose<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(json)).map_err(|error| {
        let (line, column) = (error.inner().line(), error.inner().column());
        let is_json = error.inner().is_data();
        let before = line.checked_sub(2).and_then(|nth| memchr::memchr_iter(b'\n', json).nth(nth));
        let byte = before.map_or(0, |newline| newline + 1) + column.saturating_sub(1);
        DecodeError { byte: (!is_json && line > 0).then_some(byte), ..path_error(error) }
    })
}

fn path_error(error: serde_path_to_error::Error<serde_json::Error>) -> DecodeError {
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let message = error.into_inner().to_string();
    // The line is one of the resource's text, not of the file.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
    DecodeError { message, path, byte: None, origin: None }
}
