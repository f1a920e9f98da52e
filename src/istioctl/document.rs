//! Resources printed as istioctl prints them, but for its faults.

use std::fmt::Write as _;

use super::Fault;
use super::dump::untyped;
use super::json::{self, Dialect};
use super::node::{Node, Shape};
use super::read::{Reader, Rules, as_it_stands};
use super::write::{self, NotFound};
use crate::render::is_unsafe;

/// How istioctl indents the JSON of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lists: cluster, listener, route, endpoint.
    List,
    /// Sections: bootstrap, secret.
    Jsonpb,
    /// ecds.
    Protojson,
}

/// A text can't be printed: it isn't JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unprintable(String);

/// A value that is ready to be printed.
#[derive(Debug)]
pub struct Document<'a>(Node<'a>);

impl<'a> Document<'a> {
    /// The message of that full name in this text. What the schema doesn't know, or doesn't expect, is kept as it
    /// stands; so is all of a message that says that it is of another type which isn't known.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn message(name: &str, text: &'a [u8]) -> Result<Self, Unprintable> {
        read(text, |reader, value| {
            let url = value.get("@type").and_then(json::Value::as_text).unwrap_or_default();
            let own = url.rsplit('/').next().unwrap_or_default();
            if own.is_empty() {
                return reader.named(name, value);
            }
            let node = reader.any(value)?;
            Ok(if own == name { untyped(&node) } else { node })
        })
    }

    /// The same whatever type the message says it is of: for older versions of a message that hasn't changed.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn read_as(name: &str, text: &'a [u8]) -> Result<Self, Unprintable> {
        read(text, |reader, value| reader.named(name, value).map(|node| untyped(&node)))
    }

    /// Any JSON, as it stands.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn json_text(text: &'a [u8]) -> Result<Self, Unprintable> {
        read(text, |_, value| Ok(as_it_stands(value)))
    }

    /// The elements of a list in a message, as [`message`](Self::message) reads it.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn elements(name: &str, list: &str, text: &'a [u8]) -> Result<Vec<Self>, Unprintable> {
        let message = Self::message(name, text)?;
        Ok(message.0.items(list).iter().cloned().map(Self).collect())
    }

    /// istiod's answer to `proxy-status`, with the proxies of one namespace if it is given.
    ///
    /// # Errors
    ///
    /// When the text isn't JSON.
    pub fn proxy_status(text: &'a [u8], namespace: Option<&str>) -> Result<Self, Unprintable> {
        let mut message = Self::message("envoy.service.discovery.v3.DiscoveryResponse", text)?;
        if let (Some(namespace), Node::Object(_, members)) = (namespace, &mut message.0) {
            let is_of = |client: &Node<'_>| {
                client.path(&["node", "metadata"]).is_some_and(|of| of.text("NAMESPACE") == namespace)
            };
            for (name, member) in members.iter_mut() {
                if let ("resources", Node::List(_, clients)) = (name.as_ref(), member) {
                    clients.retain(is_of);
                }
            }
            members.retain(|(_, member)| !matches!(member, Node::List(_, items) if items.is_empty()));
        }
        Ok(message)
    }

    /// A message of these fields; lists without elements are left out.
    #[must_use]
    pub fn of_fields(fields: Vec<(&'static str, Vec<Self>)>) -> Self {
        let fields = fields.into_iter().filter(|(_, elements)| !elements.is_empty());
        let list =
            |elements: Vec<Self>| Node::List(Shape::Field, elements.into_iter().map(|element| element.0).collect());
        Self(Node::Object(Shape::Message, fields.map(|(name, elements)| (name.into(), list(elements))).collect()))
    }

    /// A message with this one as its only field.
    #[must_use]
    pub fn within(self, name: &'static str) -> Self {
        Self(Node::Object(Shape::Message, vec![(name.into(), self.0)]))
    }

    /// The JSON, without a newline at its end. Characters that steer a terminal are escaped.
    #[must_use]
    pub fn json(&self, form: Form) -> String {
        let printed = match form {
            Form::List => write::json(&self.0),
            Form::Jsonpb => write::jsonpb(&self.0),
            Form::Protojson => write::protojson(&self.0.as_protojson()),
        };
        // Nothing is left out of what was read leniently.
        safe(printed.unwrap_or_default())
    }

    /// The YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        write::yaml(&self.0).unwrap_or_default()
    }

    /// The JSON as that of an element in a list, indented, without what separates it from others.
    #[must_use]
    pub fn json_element(&self) -> String {
        safe(write::json_element(&self.0).unwrap_or_default())
    }

    /// The YAML as that of an element in a list; the lists' own is one after the other.
    #[must_use]
    pub fn yaml_element(&self) -> String {
        write::yaml_element(&self.0).unwrap_or_default()
    }

    pub(super) fn node(&self) -> &Node<'a> {
        &self.0
    }
}

fn read<'a>(
    text: &'a [u8],
    read: impl FnOnce(&Reader<'a>, &json::Value<'a>) -> Result<Node<'a>, Fault>,
) -> Result<Document<'a>, Unprintable> {
    let fail = |fault: Fault| Unprintable(fault.to_string());
    let text = std::str::from_utf8(text).map_err(|error| Unprintable(error.to_string()))?;
    let value = json::read(text, Dialect::Json).map_err(fail)?;
    read(&Reader::new(text, Rules::Lenient), &value).map(Document).map_err(fail)
}

/// JSON text with escapes in place of characters that steer a terminal.
#[must_use]
pub fn safe(json: String) -> String {
    if json.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | b'\r' | b' '..=b'~')) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) && !matches!(c, '\n' | '\t' | '\r') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A String takes whatever is written.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// JSON text as YAML, as sigs.k8s.io/yaml converts it.
///
/// # Errors
///
/// When the text isn't JSON, or has escapes that YAML doesn't.
pub fn json_to_yaml(text: &str) -> Result<String, Unprintable> {
    raw_yaml(text).map_err(|fault| Unprintable(fault.to_string()))
}

/// JSON text, read as YAML and written again.
pub(super) fn raw_yaml(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Ok("null\n".to_owned());
    }
    let value = json::read(text, Dialect::Yaml)?;
    write::yaml(&as_it_stands(&value)).map_err(|NotFound| Fault::new("not found"))
}
