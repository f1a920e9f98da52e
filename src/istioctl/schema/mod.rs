//! What istioctl knows of Envoy's API: messages with their fields in the order of declaration, and enums.
//!
//! [`crate::proto`] models what questions need; this is for printing alone and knows every type that istioctl has
//! registered. The facts stand in `api.txt`, one type a line, sorted by name:
//!
//! ```text
//! envoy.x.v3.Mode OFF=0 ON=1
//! envoy.x.v3.Thing name:s ports:*u mode:.Mode labels:{s}s a:s@choice b:~Inner@choice
//! envoy.x.v3.Thing.Inner
//! ```
//!
//! A field is `name:type`; the type is one letter for a scalar, else a name: full, `.Name` in the same package, or
//! `~Name` nested in the message itself. In front of it, `*` is a list, `?` marks a scalar that is told from its
//! default, `{key}` a map; `@name` is the oneof that the field belongs to. `tests/istioctl_schema.rs` holds the file
//! against `../shared/spec/envoy-api.tsv` and writes it anew.
//!
//! Lines are found by name and read when they are first asked for.

use std::sync::{LazyLock, OnceLock};

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    /// Full name.
    pub(super) name: &'static str,
    /// Fields in the order of declaration.
    pub(super) fields: Vec<Field>,
    /// Both spellings of each field, sorted, with its place in `fields`.
    spellings: Vec<(String, usize)>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// Name in lowerCamelCase, as it is printed.
    pub(super) json_name: String,
    /// Name in snake_case, as it is declared.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) label: Label,
    /// Name of the oneof that it belongs to.
    pub(super) oneof: Option<&'static str>,
}

/// How often a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// Absent and default are the same.
    Single,
    /// Absent and default are told apart.
    Optional,
    Repeated,
    /// A map with such keys.
    Map(MapKey),
}

/// Type of a map's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapKey {
    Text,
    Number,
    Bool,
}

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float,
    Double,
    String,
    Bytes,
    Enum(TypeId),
    Message(TypeId),
    WellKnown(WellKnown),
}

/// A message of `google.protobuf` that has a JSON form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WellKnown {
    Any,
    Duration,
    Timestamp,
    Struct,
    Value,
    ListValue,
    Empty,
    /// An enum, but its only value is JSON's null.
    NullValue,
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float,
    Double,
    String,
    Bytes,
}

/// An enum type.
#[derive(Debug)]
pub(super) struct Enum {
    /// Full name.
    pub(super) name: &'static str,
    /// Values in the order of declaration.
    values: Vec<(&'static str, i32)>,
}

/// Place of a type in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(usize);

/// Every registered type.
pub(super) struct Schema {
    lines: Vec<&'static str>,
    types: Vec<OnceLock<Type>>,
}

#[derive(Debug)]
enum Type {
    Message(Message),
    Enum(Enum),
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let lines: Vec<&'static str> = include_str!("api.txt").lines().collect();
    let types = lines.iter().map(|_| OnceLock::new()).collect();
    Schema { lines, types }
});

/// Every registered type.
pub(super) fn schema() -> &'static Schema {
    &SCHEMA
}

impl Schema {
    /// The message of that full name.
    pub(super) fn message(&'static self, name: &str) -> Option<&'static Message> {
        self.find(name).and_then(|id| self.message_at(id))
    }

    /// What a type URL stands for.
    pub(super) fn of_url(&'static self, url: &str) -> Option<Kind> {
        let name = url.rsplit('/').next().unwrap_or(url);
        match well_known(name) {
            Some(WellKnown::NullValue) => None,
            Some(well_known) => Some(Kind::WellKnown(well_known)),
            None => self.find(name).filter(|id| self.message_at(*id).is_some()).map(Kind::Message),
        }
    }

    /// The message at a place.
    pub(super) fn message_at(&'static self, id: TypeId) -> Option<&'static Message> {
        match self.at(id)? {
            Type::Message(message) => Some(message),
            Type::Enum(_) => None,
        }
    }

    /// The enum at a place.
    pub(super) fn enum_at(&'static self, id: TypeId) -> Option<&'static Enum> {
        match self.at(id)? {
            Type::Enum(values) => Some(values),
            Type::Message(_) => None,
        }
    }

    fn at(&'static self, id: TypeId) -> Option<&'static Type> {
        let line = self.lines.get(id.0)?;
        Some(self.types.get(id.0)?.get_or_init(|| self.read(line)))
    }

    fn find(&self, name: &str) -> Option<TypeId> {
        self.lines.binary_search_by(|line| name_of(line).cmp(name)).ok().map(TypeId)
    }

    fn read(&self, line: &'static str) -> Type {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        if is_enum(line) {
            let values = words.filter_map(|word| {
                let (name, number) = word.split_once('=')?;
                Some((name, number.parse().ok()?))
            });
            return Type::Enum(Enum { name, values: values.collect() });
        }
        let fields: Vec<Field> = words.filter_map(|word| self.field(name, word)).collect();
        let both = |(nth, field): (usize, &Field)| [(field.json_name.clone(), nth), (field.name.to_owned(), nth)];
        let mut spellings: Vec<(String, usize)> = fields.iter().enumerate().flat_map(both).collect();
        spellings.sort_unstable();
        spellings.dedup();
        Type::Message(Message { name, fields, spellings })
    }

    fn field(&self, message: &str, word: &'static str) -> Option<Field> {
        let (name, rest) = word.split_once(':')?;
        let (kind, oneof) = match rest.split_once('@') {
            Some((kind, oneof)) => (kind, Some(oneof)),
            None => (rest, None),
        };
        let (label, kind) = match kind.split_at_checked(1) {
            Some(("*", kind)) => (Label::Repeated, kind),
            Some(("?", kind)) => (Label::Optional, kind),
            Some(("{", map)) => {
                let (key, kind) = map.split_once('}')?;
                let key = match key {
                    "s" => MapKey::Text,
                    "b" => MapKey::Bool,
                    _ => MapKey::Number,
                };
                (Label::Map(key), kind)
            }
            _ => (Label::Single, kind),
        };
        let kind = scalar(kind).or_else(|| self.named(message, kind))?;
        Some(Field { json_name: json_name(name), name, kind, label, oneof })
    }

    fn named(&self, message: &str, name: &str) -> Option<Kind> {
        let full = if let Some(nested) = name.strip_prefix('~') {
            format!("{message}.{nested}")
        } else if let Some(near) = name.strip_prefix('.') {
            format!("{}.{near}", package_of(message))
        } else {
            name.to_owned()
        };
        if let Some(well_known) = well_known(&full) {
            return Some(Kind::WellKnown(well_known));
        }
        let id = self.find(&full)?;
        let is_enum = self.lines.get(id.0).is_some_and(|line| is_enum(line));
        Some(if is_enum { Kind::Enum(id) } else { Kind::Message(id) })
    }
}

impl Message {
    /// Place of the field of that name, in either spelling.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let at = self.spellings.binary_search_by(|(spelling, _)| spelling.as_str().cmp(name)).ok()?;
        self.spellings.get(at).map(|(_, nth)| *nth)
    }
}

impl Enum {
    /// Number of a name.
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// First name of a number.
    pub(super) fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
    }
}

fn name_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

/// A line of an enum has values; a message may have nothing after its name.
fn is_enum(line: &str) -> bool {
    line.split(' ').nth(1).is_some_and(|word| word.contains('='))
}

/// Packages are in lower case, types aren't.
fn package_of(message: &str) -> &str {
    let is_type = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase());
    let length: usize = message.split('.').take_while(|part| !is_type(part)).map(|part| part.len() + 1).sum();
    message.get(..length.saturating_sub(1)).unwrap_or(message)
}

fn scalar(code: &str) -> Option<Kind> {
    Some(match code {
        "b" => Kind::Bool,
        "i" => Kind::Int32,
        "I" => Kind::Int64,
        "u" => Kind::Uint32,
        "U" => Kind::Uint64,
        "f" => Kind::Float,
        "d" => Kind::Double,
        "s" => Kind::String,
        "B" => Kind::Bytes,
        _ => return None,
    })
}

fn well_known(name: &str) -> Option<WellKnown> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Any" => WellKnown::Any,
        "Duration" => WellKnown::Duration,
        "Timestamp" => WellKnown::Timestamp,
        "Struct" => WellKnown::Struct,
        "Value" => WellKnown::Value,
        "ListValue" => WellKnown::ListValue,
        "Empty" => WellKnown::Empty,
        "NullValue" => WellKnown::NullValue,
        "BoolValue" => WellKnown::Bool,
        "Int32Value" => WellKnown::Int32,
        "Int64Value" => WellKnown::Int64,
        "UInt32Value" => WellKnown::Uint32,
        "UInt64Value" => WellKnown::Uint64,
        "FloatValue" => WellKnown::Float,
        "DoubleValue" => WellKnown::Double,
        "StringValue" => WellKnown::String,
        "BytesValue" => WellKnown::Bytes,
        _ => return None,
    })
}

/// protobuf's JSON name: an underscore goes, and the letter after it becomes a capital.
fn json_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut follows = false;
    for c in name.chars() {
        if c == '_' {
            follows = true;
        } else {
            out.push(if follows { c.to_ascii_uppercase() } else { c });
            follows = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_read() {
        assert!(schema().lines.is_sorted_by(|a, b| name_of(a) < name_of(b)));
        for (nth, line) in schema().lines.iter().enumerate() {
            let words = line.split(' ').count() - 1;
            match schema().at(TypeId(nth)) {
                Some(Type::Message(message)) => assert_eq!(message.fields.len(), words, "{line}"),
                Some(Type::Enum(values)) => assert_eq!(values.values.len(), words, "{line}"),
                None => panic!("{line}"),
            }
        }
    }

    #[test]
    fn a_field_is_known_in_both_spellings() {
        let cluster = schema().message("envoy.config.cluster.v3.Cluster").unwrap();
        assert_eq!(cluster.find("lbPolicy"), cluster.find("lb_policy"));
        let field = &cluster.fields[cluster.find("lb_policy").unwrap()];
        let Kind::Enum(id) = field.kind else { panic!("{field:?}") };
        assert_eq!(schema().enum_at(id).unwrap().name_of(1), Some("LEAST_REQUEST"));
        assert_eq!(json_name("ipv4_compat_2x"), "ipv4Compat2x");
    }

    #[test]
    fn packages_end_where_types_begin() {
        assert_eq!(package_of("a.b.v3.Thing.Inner"), "a.b.v3");
        assert_eq!(package_of("stats.PluginConfig"), "stats");
    }
}
