//! JSON text to prost messages, lifted to v3 on the way.

use std::borrow::Cow;

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
    origin: Option<Box<Origin>>,
}

impl DecodeError {
    /// The same error with where the resource stands.
    #[must_use]
    pub fn at(mut self, origin: Origin) -> Self {
        let path = if self.path.is_empty() { String::new() } else { format!(".{}", self.path) };
        self.origin = Some(Box::new(origin.within(&path)));
        self
    }

    /// An error without a place yet.
    pub(super) fn of(error: &impl std::fmt::Display) -> Self {
        Self { message: error.to_string(), path: String::new(), origin: None }
    }

    pub(super) fn without_text() -> Self {
        Self { message: "no text".to_owned(), path: String::new(), origin: None }
    }

    /// Where the resource stands, if known.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    fn place(&self) -> String {
        match &self.origin {
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
    let json = sensitive::redact(json);
    if legacy::needs_lift(&json) {
        return decode_lifted(&json, T::full_name().as_str());
    }
    serde_json::from_slice(&json).or_else(|_| diagnose(&json))
}

/// Decodes the message in an `Any`, or in the `TypedStruct` that wraps it.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_any<T: Message>(any: &Any) -> Result<T, DecodeError> {
    let json = sensitive::redact(&any.value);
    let json = match typed_struct(any, &json)? {
        Some(inner) => Cow::Owned(inner),
        None => json,
    };
    if legacy::needs_lift(&json) {
        return decode_lifted(&json, T::full_name().as_str());
    }
    serde_json::from_slice(&json).or_else(|_| diagnose(&json))
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
        return Cow::Owned(legacy::lift_type(&name).map_or(name.clone(), str::to_owned));
    }
    legacy::lift_type(name).map_or(Cow::Borrowed(name), Cow::Borrowed)
}

fn is_typed_struct(name: &str) -> bool {
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

fn decode_lifted<T: Message>(json: &[u8], message: &str) -> Result<T, DecodeError> {
    let mut value: serde_json::Value = serde_json::from_slice(json).or_else(|_| diagnose(json))?;
    legacy::lift(&mut value, message);
    serde_path_to_error::deserialize(value).map_err(path_error)
}

/// Decodes once more, slower, to learn the JSON path of the fault.
fn diagnose<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, DecodeError> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(json)).map_err(path_error)
}

fn path_error(error: serde_path_to_error::Error<serde_json::Error>) -> DecodeError {
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    DecodeError { message: error.into_inner().to_string(), path, origin: None }
}
