//! Older API versions and forms are lifted to v3 at decode, so that rooms to the right see v3 only.
//!
//! v3 changed names and a few shapes, not meaning: each message takes its v3 name ([`types`]), and each field that v3
//! dropped becomes what took its place ([`rules`]). The walk goes by the types of fields ([`describe`]), so names that
//! a user chose, as keys of maps and in `Struct`s, stay as they are. What has no v3 form stays in place, as an
//! unknown field.

mod names;
mod rules;
mod types;

use serde_json::{Map, Value};

pub(crate) use types::lift_type;

use crate::proto::describe::{self, Holds};

/// Prefix that Envoy 1.13 to 1.19 gives to fields that v3 dropped (semantics §1.1).
const HIDDEN: &str = "hidden_envoy_deprecated_";

/// Deepest nesting that is walked; what is below isn't lifted. JSON that serde_json reads isn't as deep.
const DEEPEST: usize = 256;

/// Rewrites a resource of the given v3 message to its v3 form.
pub(crate) fn lift(value: &mut Value, message: &str) {
    Walk::default().message(value, message);
}

/// What the walk knows of the resource that it is in.
#[derive(Debug, Default)]
struct Walk {
    depth: usize,
    /// IP address of the listener around.
    listener_address: Option<String>,
}

impl Walk {
    fn message(&mut self, value: &mut Value, name: &str) {
        if self.depth == DEEPEST {
            return;
        }
        self.depth += 1;
        if name == "google.protobuf.Any" {
            self.any(value);
        } else if let Value::Object(members) = value
            && !name.starts_with("google.protobuf.")
        {
            unhide(members);
            rules::apply(self, name, members);
            self.members(members, name);
        }
        self.depth -= 1;
    }

    fn members(&mut self, members: &mut Map<String, Value>, name: &str) {
        for (key, value) in members.iter_mut() {
            let Some((holds, repeated)) = describe::field(name, key) else { continue };
            // In a `config` Struct one value may stand for a list of one (semantics §1.1).
            if repeated && !value.is_array() && !value.is_null() {
                *value = Value::Array(vec![value.take()]);
            }
            match (holds, value) {
                (Holds::Map(message), Value::Object(entries)) => {
                    entries.values_mut().for_each(|entry| self.message(entry, message));
                }
                (Holds::Message(message), Value::Array(items)) if repeated => {
                    items.iter_mut().for_each(|item| self.message(item, message));
                }
                (Holds::Message(message), value) => self.message(value, message),
                (Holds::Map(_) | Holds::Plain, _) => {}
            }
        }
    }

    /// Lifts the type of an `Any`, and what is in it if the type is known.
    fn any(&mut self, value: &mut Value) {
        let Value::Object(members) = value else { return };
        let url = |members: &Map<String, Value>, key: &str| {
            members.get(key).and_then(Value::as_str).map(|url| url.rsplit('/').next().unwrap_or(url).to_owned())
        };
        let Some(mut name) = url(members, "@type") else { return };
        if crate::dump::decode::is_typed_struct(&name) {
            let key = if members.contains_key("typeUrl") { "typeUrl" } else { "type_url" };
            let Some(inner) = url(members, key) else { return };
            let lifted = lift_type(&inner).unwrap_or(inner);
            members.insert(key.to_owned(), type_url(&lifted));
            if let Some(content) = members.get_mut("value") {
                self.message(content, &lifted);
            }
            return;
        }
        if let Some(lifted) = lift_type(&name) {
            members.insert("@type".to_owned(), type_url(&lifted));
            name = lifted;
        }
        self.message(value, &name);
    }
}

fn type_url(name: &str) -> Value {
    Value::from(format!("type.googleapis.com/{name}"))
}

/// Takes the prefix off the names of hidden fields.
fn unhide(members: &mut Map<String, Value>) {
    let hidden_camel = "hiddenEnvoyDeprecated";
    if !members.keys().any(|key| key.starts_with(HIDDEN) || key.starts_with(hidden_camel)) {
        return;
    }
    let shown = std::mem::take(members).into_iter().map(|(key, value)| {
        let shown = match key.strip_prefix(hidden_camel) {
            Some(rest) => {
                let (first, rest) = rest.split_at_checked(1).unwrap_or((rest, ""));
                first.to_ascii_lowercase() + rest
            }
            None => key.strip_prefix(HIDDEN).unwrap_or(&key).to_owned(),
        };
        (shown, value)
    });
    *members = shown.collect();
}
