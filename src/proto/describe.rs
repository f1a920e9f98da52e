//! What a JSON text says that `proto/` doesn't model.
//!
//! The decoder passes over fields, enum values and types that it doesn't know. This finds them again, so that an answer
//! can say what it didn't take into account.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A part of a JSON text that isn't modelled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmodelled {
    /// JSON path from the start of the message: `.filter_chains[2].filters[0].typed_config.x`.
    pub path: String,
    /// What stands there.
    pub what: What,
}

/// What isn't modelled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A field of Envoy's that is left out because it decides nothing: full name.
    LeftOut(String),
    /// A field that the message doesn't have as far as known here, by full name: newer than `proto/`, or removed.
    Field(String),
    /// An enum value: name of the enum and the value as written.
    EnumValue(String, String),
    /// A type of an `Any`, by full name; empty if it doesn't say.
    Type(String),
}

/// Whether `proto/` holds a message of that full name.
#[must_use]
pub fn is_modelled(message: &str) -> bool {
    MESSAGES.binary_search_by_key(&message, |(name, ..)| name).is_ok()
}

/// What the values of a field hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Neither messages nor names that a user chose.
    Plain,
    /// Messages of that full name.
    Message(&'static str),
    /// A map with messages of that full name.
    Map(&'static str),
}

/// What a modelled field holds, and whether it is a list; `name` is in either spelling.
#[must_use]
pub fn field(message: &str, name: &str) -> Option<(Holds, bool)> {
    let field = self::message(message)?.fields.get(name)?;
    let holds = match &field.kind {
        Kind::Map(values) => values.message().map_or(Holds::Plain, Holds::Map),
        kind => kind.message().map_or(Holds::Plain, Holds::Message),
    };
    Some((holds, field.repeated && !matches!(field.kind, Kind::Map(_))))
}

/// Finds what isn't modelled in the JSON text of a message, `Any`s in it included. The text is walked once and not
/// kept, so this costs little more than parsing. It ends at a fault of syntax, which is the decoder's to report.
#[must_use]
pub fn unmodelled(message: &str, json: &[u8]) -> Vec<Unmodelled> {
    walk(message, &mut serde_json::Deserializer::from_slice(json))
}

/// As [`unmodelled`] for JSON that is already parsed.
#[must_use]
pub fn unmodelled_value(message: &str, json: &Value) -> Vec<Unmodelled> {
    walk(message, json)
}

fn walk<'de>(message: &str, json: impl Deserializer<'de>) -> Vec<Unmodelled> {
    let mut walk = Walk::default();
    match self::message(message) {
        // A fault only ends the walk early.
        Some(message) => drop(Seed { shape: Shape::Message(message), walk: &mut walk }.deserialize(json)),
        None => walk.found(What::Type(message.to_owned())),
    }
    walk.found
}

/// All of `proto/`, by full name. What is asked for is prepared on the way: an answer needs a small part.
struct Table<T: 'static> {
    /// Names in order, and where the descriptor of each stands in [`DESCRIPTORS`].
    names: &'static [(&'static str, usize, usize)],
    prepared: Vec<OnceLock<T>>,
}

// Made by build.rs: `MESSAGES` and `ENUMS`.
include!(concat!(env!("OUT_DIR"), "/described.rs"));

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/described.bin"));

impl<T> Table<T> {
    fn of(names: &'static [(&'static str, usize, usize)]) -> Self {
        Self { names, prepared: names.iter().map(|_| OnceLock::new()).collect() }
    }

    fn find<D: prost::Message + Default>(&self, name: &str, prepare: impl FnOnce(&'static str, &D) -> T) -> Option<&T> {
        let nth = self.names.binary_search_by_key(&name, |(name, ..)| name).ok()?;
        let (name, start, end) = self.names.get(nth)?;
        Some(self.prepared.get(nth)?.get_or_init(|| {
            // build.rs has just encoded it, so it always decodes.
            let descriptor = D::decode(DESCRIPTORS.get(*start..*end).unwrap_or_default()).unwrap_or_default();
            prepare(name, &descriptor)
        }))
    }
}

fn message(name: &str) -> Option<&'static Message> {
    static TABLE: LazyLock<Table<Message>> = LazyLock::new(|| Table::of(&MESSAGES));
    TABLE.find(name, Message::of)
}

fn enumeration(name: &str) -> Option<&'static Enum> {
    static TABLE: LazyLock<Table<Enum>> = LazyLock::new(|| Table::of(&ENUMS));
    TABLE.find(name, |name, descriptor: &EnumDescriptorProto| {
        let values = descriptor.value.iter().map(|value| (value.name().to_owned(), value.number()));
        Enum { name, values: values.collect() }
    })
}

struct Message {
    name: &'static str,
    /// By both spellings.
    fields: HashMap<String, Field>,
    /// Both spellings to the name.
    left_out: HashMap<String, String>,
}

struct Enum {
    name: &'static str,
    values: HashMap<String, i32>,
}

#[derive(Clone)]
struct Field {
    name: String,
    repeated: bool,
    kind: Kind,
}

/// What a field holds; messages and enums by full name.
#[derive(Clone)]
enum Kind {
    /// Nothing in it can be unknown: scalars, and Google's messages with a JSON form of their own.
    Plain,
    Any,
    Message(String),
    Enum(String),
    Map(Box<Kind>),
}

impl Kind {
    fn message(&self) -> Option<&str> {
        match self {
            Self::Any => Some("google.protobuf.Any"),
            Self::Message(name) => Some(name),
            Self::Plain | Self::Enum(_) | Self::Map(_) => None,
        }
    }
}

impl Message {
    fn of(name: &'static str, message: &DescriptorProto) -> Self {
        let mut fields = HashMap::new();
        for field in &message.field {
            let described = Field {
                name: field.name().to_owned(),
                repeated: field.label() == Label::Repeated,
                kind: kind(field, message),
            };
            fields.insert(field.json_name().to_owned(), described.clone());
            fields.insert(field.name().to_owned(), described);
        }
        let left_out = message
            .reserved_name
            .iter()
            .flat_map(|name| [(name.clone(), name.clone()), (lower_camel(name), name.clone())])
            .collect();
        Self { name, fields, left_out }
    }
}

fn kind(field: &FieldDescriptorProto, message: &DescriptorProto) -> Kind {
    let type_name = field.type_name().trim_start_matches('.');
    match (field.r#type(), type_name) {
        (Type::Message, "google.protobuf.Any") => Kind::Any,
        (_, name) if name.starts_with("google.protobuf.") => Kind::Plain,
        (Type::Enum, name) => Kind::Enum(name.to_owned()),
        (Type::Message, name) => {
            let last = name.rsplit('.').next().unwrap_or_default();
            let entry = message.nested_type.iter().find(|nested| nested.name() == last && is_entry(nested));
            match entry.and_then(|entry| Some((entry, entry.field.iter().find(|field| field.name() == "value")?))) {
                Some((entry, value)) => Kind::Map(Box::new(kind(value, entry))),
                None => Kind::Message(name.to_owned()),
            }
        }
        _ => Kind::Plain,
    }
}

fn is_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// protobuf's JSON name: an underscore is dropped and the letter after it is a capital.
pub(crate) fn lower_camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut after_underscore = false;
    for c in name.chars() {
        if c == '_' {
            after_underscore = true;
        } else {
            out.push(if after_underscore { c.to_ascii_uppercase() } else { c });
            after_underscore = false;
        }
    }
    out
}

/// Where the walk is and what it has found.
#[derive(Default)]
struct Walk {
    path: Vec<Part>,
    found: Vec<Unmodelled>,
}

enum Part {
    Field(&'static str),
    Key(String),
    Index(usize),
}

impl Walk {
    fn found(&mut self, what: What) {
        use fmt::Write as _;
        let mut path = String::new();
        for part in &self.path {
            // Writing to a String can't fail.
            let _ = match part {
                Part::Field(name) => write!(path, ".{name}"),
                Part::Key(key) => write!(path, ".{key}"),
                Part::Index(index) => write!(path, "[{index}]"),
            };
        }
        self.found.push(Unmodelled { path, what });
    }

    fn inside<T>(&mut self, part: Part, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(part);
        let out = walk(self);
        self.path.pop();
        out
    }
}

/// What the next JSON value is.
#[derive(Clone, Copy)]
enum Shape {
    Plain,
    Any,
    Message(&'static Message),
    Enum(&'static Enum),
    Repeated(&'static Kind),
    Map(&'static Kind),
}

impl Shape {
    fn of(kind: &'static Kind) -> Self {
        match kind {
            Kind::Plain => Self::Plain,
            Kind::Any => Self::Any,
            Kind::Message(name) => message(name).map_or(Self::Plain, Self::Message),
            Kind::Enum(name) => enumeration(name).map_or(Self::Plain, Self::Enum),
            Kind::Map(values) => Self::Map(values),
        }
    }

    fn of_field(field: &'static Field) -> Self {
        match &field.kind {
            Kind::Map(_) | Kind::Plain => Self::of(&field.kind),
            kind if field.repeated => Self::Repeated(kind),
            kind => Self::of(kind),
        }
    }
}

/// Walks one JSON value.
struct Seed<'a> {
    shape: Shape,
    walk: &'a mut Walk,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.shape {
            Shape::Plain => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.shape {
            Shape::Message(message) => {
                while let Some(key) = map.next_key::<String>()? {
                    member(message, &key, &mut map, self.walk)?;
                }
                Ok(())
            }
            Shape::Map(values) => {
                while let Some(key) = map.next_key::<String>()? {
                    let shape = Shape::of(values);
                    self.walk.inside(Part::Key(key), |walk| map.next_value_seed(Seed { shape, walk }))?;
                }
                Ok(())
            }
            Shape::Any => any(map, self.walk),
            Shape::Plain | Shape::Enum(_) | Shape::Repeated(_) => skip_rest(map),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let shape = match self.shape {
            Shape::Repeated(kind) => Shape::of(kind),
            _ => Shape::Plain,
        };
        for index in 0.. {
            let next = self.walk.inside(Part::Index(index), |walk| seq.next_element_seed(Seed { shape, walk }))?;
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if let Shape::Enum(known) = self.shape
            && !known.values.contains_key(text)
        {
            self.walk.found(What::EnumValue(known.name.to_owned(), text.to_owned()));
        }
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        if let Shape::Enum(known) = self.shape
            && !known.values.values().any(|value| i64::from(*value) == number)
        {
            self.walk.found(What::EnumValue(known.name.to_owned(), number.to_string()));
        }
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

fn member<'de, A: MapAccess<'de>>(
    message: &'static Message,
    key: &str,
    map: &mut A,
    walk: &mut Walk,
) -> Result<(), A::Error> {
    if let Some(field) = message.fields.get(key) {
        let shape = Shape::of_field(field);
        return walk.inside(Part::Field(&field.name), |walk| map.next_value_seed(Seed { shape, walk }));
    }
    if key == "@type" {
        // Where a message stands as itself, some writers name its type all the same.
        return map.next_value::<IgnoredAny>().map(drop);
    }
    let what = match message.left_out.get(key) {
        Some(name) => What::LeftOut(format!("{}.{name}", message.name)),
        None => What::Field(format!("{}.{key}", message.name)),
    };
    walk.inside(Part::Key(key.to_owned()), |walk| walk.found(what));
    map.next_value::<IgnoredAny>().map(drop)
}

/// The members of an `Any`: those of its message, once `@type` has told which it is.
fn any<'de, A: MapAccess<'de>>(mut map: A, walk: &mut Walk) -> Result<(), A::Error> {
    // One without members is unset.
    let Some(first) = map.next_key::<String>()? else { return Ok(()) };
    if first != "@type" {
        // Envoy writes it first; elsewhere the object has to be kept until it is found.
        let mut members = Map::new();
        members.insert(first, map.next_value()?);
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            members.insert(key, value);
        }
        match members.shift_remove_entry("@type") {
            Some((key, url)) => {
                members.shift_insert(0, key, url);
                // Parsed JSON has no syntax to be at fault.
                drop(Seed { shape: Shape::Any, walk }.deserialize(&Value::Object(members)));
            }
            None => walk.found(What::Type(String::new())),
        }
        return Ok(());
    }
    let url: String = map.next_value()?;
    let name = type_name(&url);
    if matches!(name, "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct") {
        return typed_struct(map, walk);
    }
    if name.starts_with("google.protobuf.") {
        return skip_rest(map);
    }
    let Some(message) = message(name) else {
        walk.found(What::Type(name.to_owned()));
        return skip_rest(map);
    };
    while let Some(key) = map.next_key::<String>()? {
        member(message, &key, &mut map, walk)?;
    }
    Ok(())
}

/// A `TypedStruct` is an `Any` in other words: type and members stand one level deeper.
fn typed_struct<'de, A: MapAccess<'de>>(mut map: A, walk: &mut Walk) -> Result<(), A::Error> {
    let (mut url, mut value) = (String::new(), Value::Null);
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "type_url" | "typeUrl" => url = map.next_value()?,
            "value" => value = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    let name = type_name(&url);
    match message(name) {
        Some(message) => walk.inside(Part::Field("value"), |walk| {
            // Parsed JSON has no syntax to be at fault.
            drop(Seed { shape: Shape::Message(message), walk }.deserialize(&value));
        }),
        None => walk.found(What::Type(name.to_owned())),
    }
    Ok(())
}

fn type_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

fn skip_rest<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTENER: &str = "envoy.config.listener.v3.Listener";

    #[track_caller]
    fn check(message: &str, json: &str, expected: &[(&str, What)]) {
        let expected: Vec<_> =
            expected.iter().map(|(path, what)| Unmodelled { path: (*path).to_owned(), what: what.clone() }).collect();
        assert_eq!(unmodelled(message, json.as_bytes()), expected);
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(unmodelled_value(message, &value), expected);
    }

    #[test]
    fn known_fields_are_silent_in_both_spellings() {
        check(
            LISTENER,
            r#"{"@type":"t/x","name":"a","filterChains":[{"filter_chain_match":{"prefix_ranges":[{"prefixLen":8}]}}],
                "trafficDirection":"INBOUND","traffic_direction":1,"metadata":{"filterMetadata":{"x":{"y":1}}}}"#,
            &[],
        );
    }

    #[test]
    fn fields_are_told_apart_by_whether_envoy_has_them() {
        check(
            LISTENER,
            r#"{"tcp_backlog_size":1,"tcpBacklogSize":1,"filter_chains":[{},{"brand_new":{"x":1}}]}"#,
            &[
                (".tcp_backlog_size", What::LeftOut(format!("{LISTENER}.tcp_backlog_size"))),
                (".tcpBacklogSize", What::LeftOut(format!("{LISTENER}.tcp_backlog_size"))),
                (".filter_chains[1].brand_new", What::Field("envoy.config.listener.v3.FilterChain.brand_new".into())),
            ],
        );
    }

    #[test]
    fn enum_values_are_checked_by_name_and_number() {
        let unknown = |text: &str| What::EnumValue("envoy.config.core.v3.TrafficDirection".into(), text.into());
        check(LISTENER, r#"{"traffic_direction":"SIDEWAYS"}"#, &[(".traffic_direction", unknown("SIDEWAYS"))]);
        check(LISTENER, r#"{"traffic_direction":9}"#, &[(".traffic_direction", unknown("9"))]);
        check(LISTENER, r#"{"traffic_direction":2}"#, &[]);
    }

    #[test]
    fn any_is_walked_by_its_type_wherever_that_stands() {
        let router = "envoy.extensions.filters.http.router.v3.Router";
        let found = |path| [(path, What::Field(format!("{router}.odd")))];
        let filter = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
        check(filter, &format!(r#"{{"typed_config":{{"@type":"t/{router}","odd":1}}}}"#), &found(".typed_config.odd"));
        check(filter, &format!(r#"{{"typed_config":{{"odd":1,"@type":"t/{router}"}}}}"#), &found(".typed_config.odd"));
        let typed = format!(r#""@type":"t/udpa.type.v1.TypedStruct","value":{{"odd":1}},"type_url":"t/{router}""#);
        check(filter, &format!(r#"{{"typed_config":{{{typed}}}}}"#), &found(".typed_config.value.odd"));
        let route = "envoy.config.route.v3.Route";
        let per_filter = format!(r#"{{"typed_per_filter_config":{{"a":{{"@type":"t/{router}","odd":1}}}}}}"#);
        check(route, &per_filter, &found(".typed_per_filter_config.a.odd"));
    }

    #[test]
    fn types_are_named_once_where_they_stand() {
        let filter = "envoy.config.listener.v3.Filter";
        check(
            filter,
            r#"{"typed_config":{"@type":"type.googleapis.com/acme.Filter","x":{"y":1}}}"#,
            &[(".typed_config", What::Type("acme.Filter".into()))],
        );
        check(filter, r#"{"typed_config":{"x":1}}"#, &[(".typed_config", What::Type(String::new()))]);
        check(filter, r#"{"typed_config":{}}"#, &[]);
        check("acme.Filter", "{}", &[("", What::Type("acme.Filter".into()))]);
        assert!(is_modelled(filter) && !is_modelled("acme.Filter"));
    }

    #[test]
    fn a_fault_of_syntax_ends_the_walk() {
        assert_eq!(unmodelled(LISTENER, br#"{"odd":1,"name":"#).len(), 1);
        assert_eq!(unmodelled(LISTENER, b""), []);
    }
}
