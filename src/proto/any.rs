//! `google.protobuf.Any` as dumps write it.

use std::fmt;

use prost::bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;

/// A message of any type, as the JSON text that stands in the dump.
///
/// The text isn't read further until its message is asked for ([`crate::dump::decode_any`]), so a type that nothing here
/// knows costs nothing and is lost nowhere.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Any {
    /// `@type`: `type.googleapis.com/` and the full name; empty if the text has none.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The whole JSON object, `@type` included, byte for byte.
    ///
    /// A clone shares the text, so that its address names it for as long as any clone lives.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Any {
    /// Full name of the message: what follows the last `/` of the type URL.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap_or_default()
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        std::str::from_utf8(&self.value).unwrap_or_default()
    }
}

impl prost::Name for Any {
    const NAME: &'static str = "Any";
    const PACKAGE: &'static str = "google.protobuf";
}

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Any").field("type_url", &self.type_url).field("value", &self.json()).finish()
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        let type_url = type_url(&text).map_err(de::Error::custom)?;
        Ok(Self { type_url, value: Bytes::from(String::from(text)) })
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.value.is_empty() {
            return serializer.serialize_none();
        }
        serde_json::from_slice::<&RawValue>(&self.value).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

/// Envoy writes `@type` first; only where it stands elsewhere is the whole object walked.
fn type_url(text: &str) -> serde_json::Result<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "@type", default)]
        written: Option<String>,
        // Some exporters print Any as an ordinary message.
        #[serde(alias = "typeUrl", default)]
        type_url: Option<serde_json::Value>,
    }
    if let Some(url) = leading_type_url(text) {
        return Ok(url.to_owned());
    }
    if !text.starts_with('{') {
        return Ok(String::new());
    }
    let typed: Typed = serde_json::from_str(text)?;
    let plain = || typed.type_url.as_ref().and_then(|url| url.as_str()).map(str::to_owned);
    Ok(typed.written.or_else(plain).unwrap_or_default())
}

fn leading_type_url(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('{')?.trim_start().strip_prefix("\"@type\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (url, _) = rest.split_once('"')?;
    // An escape would have to be undone first.
    (!url.contains('\\')).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, type_url: &str) {
        let borrowed: Any = serde_json::from_str(text).unwrap();
        assert_eq!((borrowed.type_url.as_str(), borrowed.json()), (type_url, text));
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let owned: Any = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(owned.type_url, type_url);
        assert_eq!(serde_json::from_str::<serde_json::Value>(owned.json()).unwrap(), value);
        let traced: Any = serde_path_to_error::deserialize(value).unwrap();
        assert_eq!(traced, owned);
        assert_eq!(serde_json::to_string(&borrowed).unwrap(), text);
    }

    #[test]
    fn the_text_is_kept_and_the_type_found_wherever_it_stands() {
        check(r#"{"@type":"a/b.C","x":1}"#, "a/b.C");
        check(r#"{ "@type" : "a/b.C" }"#, "a/b.C");
        check(r#"{"x":{"@type":"inner"},"@type":"a/b.C"}"#, "a/b.C");
        check(r#"{"@type":"a\/b.C"}"#, "a/b.C");
        check(r#"{"type_url":"a/b.C","value":"aGk="}"#, "a/b.C");
        check(r#"{"x":1}"#, "");
        check("[1]", "");
    }

    #[test]
    fn the_name_follows_the_last_slash() {
        let any = Any { type_url: "type.googleapis.com/envoy.config.route.v3.Route".into(), value: Bytes::new() };
        assert_eq!(any.type_name(), "envoy.config.route.v3.Route");
        assert_eq!(Any::default().type_name(), "");
    }
}
