//! Filters that write dynamic metadata: from headers, or fixed.

use serde_json::{Map, Value};

use super::credential::base64;
use super::{Call, Verdict};
use crate::proto::Struct;
use crate::proto::envoy::extensions::filters::http::header_to_metadata::v3::Config as HeaderToMetadata;
use crate::proto::envoy::extensions::filters::http::header_to_metadata::v3::config::{
    KeyValuePair, ValueEncode, ValueType,
};
use crate::proto::envoy::extensions::filters::http::set_metadata::v3::Config as SetMetadata;
use crate::trace::action::substitute;
use crate::trace::context::Stream;
use crate::trace::matcher::header::cookie;
use crate::trace::walk::Walk;

/// `set_metadata`: values are merged into what is there only where that is allowed.
pub(super) fn set(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<SetMetadata>(walk) else { return Verdict::Continue };
    if let Some(value) = &config.value {
        put(stream, &config.metadata_namespace, value, true);
    }
    for entry in &config.metadata {
        if let Some(value) = &entry.value {
            put(stream, &entry.metadata_namespace, value, entry.allow_overwrite);
        }
    }
    Verdict::Continue
}

fn put(stream: &mut Stream, namespace: &str, value: &Struct, overwrites: bool) {
    match stream.metadata.get_mut(namespace) {
        None => {
            stream.metadata.insert(namespace.to_owned(), value.clone());
        }
        Some(existing) if overwrites => merge(&mut existing.fields, &value.fields, MAX_DEPTH),
        Some(_) => {}
    }
}

/// Deepest nesting that is merged.
const MAX_DEPTH: u32 = 32;

/// Objects are merged, lists joined, anything else replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>, depth: u32) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if depth > 0 => merge(old, new, depth - 1),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new.iter().cloned()),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `header_to_metadata`.
pub(super) fn from_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let overriding =
        call.overriding::<HeaderToMetadata>(walk, "envoy.extensions.filters.http.header_to_metadata.v3.Config");
    let Some(config) = overriding.or_else(|| call.own::<HeaderToMetadata>(walk)) else { return Verdict::Continue };
    for rule in &config.request_rules {
        let value = if rule.header.is_empty() {
            cookie(&stream.headers, &rule.cookie).filter(|value| !value.is_empty()).map(str::to_owned)
        } else {
            let values: Vec<&str> = stream.headers.all(&rule.header).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        if value.is_some() && rule.remove {
            stream.headers.remove(&rule.header);
        }
        let pair = if value.is_some() { &rule.on_header_present } else { &rule.on_header_missing };
        if let Some(pair) = pair {
            write(call, walk, pair, value.unwrap_or_default(), stream);
        }
    }
    Verdict::Continue
}

fn write(call: &Call<'_>, walk: &mut Walk, pair: &KeyValuePair, found: String, stream: &mut Stream) {
    let text = if !pair.value.is_empty() {
        pair.value.clone()
    } else if let Some(rewrite) = &pair.regex_value_rewrite {
        substitute(call.cx, walk, rewrite, &found)
    } else {
        found
    };
    if text.is_empty() {
        return;
    }
    let text = match pair.encode() {
        ValueEncode::None => Some(text),
        ValueEncode::Base64 => base64(&text).and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    let Some(text) = text else { return };
    let value = match pair.r#type() {
        ValueType::String => Value::from(text),
        ValueType::Number => match text.trim().parse::<f64>() {
            Ok(number) => Value::from(number),
            Err(_) => return,
        },
        ValueType::ProtobufValue => {
            walk.missing(format!("http filter {}: metadata {:?} in protobuf's binary form", call.name, pair.key));
            return;
        }
    };
    let namespace = if pair.metadata_namespace.is_empty() {
        "envoy.filters.http.header_to_metadata"
    } else {
        &pair.metadata_namespace
    };
    stream.metadata.entry(namespace.to_owned()).or_default().fields.insert(pair.key.clone(), value);
}
