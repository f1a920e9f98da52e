//! Protobuf's JSON to what is printed, by schema.
//!
//! Names of fields stand in either spelling, numbers may be texts, `null` is absent. What istioctl doesn't know it
//! drops, and much that it doesn't expect makes it give up the whole dump ([`Rules::Istioctl`]); for printing without
//! its faults both are kept as they stand ([`Rules::Lenient`]).

use std::borrow::Cow;

use super::json::{Content, Member, Value, token};
use super::node::{Node, Shape};
use super::schema::{Field, Kind, Label, MapKey, Message, WellKnown, schema};
use super::{Fault, number};

/// Type whose fields are looked for in an `Any` that istioctl doesn't know.
const PLACEHOLDER: &str = "google.api.expr.v1alpha1.Type";

/// What becomes of what the schema doesn't expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// istioctl's reader of dumps: unknown fields are dropped, wrong ones are faults.
    Istioctl,
    /// istioctl's older reader, of `/clusters`: the last of two members counts, unknown names of enums are faults.
    Clusters,
    /// Everything is kept as it stands.
    Lenient,
}

/// An entry of a map, and where it stands.
struct Entry<'a> {
    at: usize,
    name: Cow<'a, str>,
    node: Node<'a>,
}

/// Reads messages out of one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    text: &'a str,
    rules: Rules,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, rules: Rules) -> Self {
        Self { text, rules }
    }

    /// The message of a registered name.
    pub(super) fn named(&self, name: &str, value: &Value<'a>) -> Result<Node<'a>, Fault> {
        match schema().message(name) {
            Some(message) => self.message(message, value),
            None => Ok(as_it_stands(value)),
        }
    }

    fn message(&self, message: &'static Message, value: &Value<'a>) -> Result<Node<'a>, Fault> {
        let Content::Object(members) = &value.content else { return Err(self.unexpected(value)) };
        let mut fields = Vec::with_capacity(members.len());
        self.fields(message, members, false, &mut fields)?;
        Ok(Node::Object(Shape::Message, fields))
    }

    /// Adds the fields of a message in the order of declaration.
    fn fields(
        &self,
        message: &'static Message,
        members: &[Member<'a>],
        in_any: bool,
        out: &mut Vec<(Cow<'a, str>, Node<'a>)>,
    ) -> Result<(), Fault> {
        let mut found: Vec<(usize, Node<'a>)> = Vec::with_capacity(members.len());
        let mut unknown = Vec::new();
        let mut seen: Vec<usize> = Vec::with_capacity(members.len());
        let mut oneofs: Vec<&str> = Vec::new();
        for member in members {
            if in_any && member.name == "@type" {
                continue;
            }
            let Some((nth, field)) = message.find(&member.name).and_then(|nth| Some((nth, message.fields.get(nth)?)))
            else {
                if self.rules == Rules::Lenient {
                    unknown.push((member.name.clone(), as_it_stands(&member.value)));
                }
                continue;
            };
            if seen.contains(&nth) {
                match self.rules {
                    Rules::Istioctl => {
                        let name = token(self.text.get(member.at..).unwrap_or_default());
                        return Err(Fault::at(self.text, member.at, format!("duplicate field {name}")));
                    }
                    _ => found.retain(|(known, _)| *known != nth),
                }
            }
            seen.push(nth);
            let is_null = matches!(member.value.content, Content::Null);
            if is_null && !matches!(field.kind, Kind::WellKnown(WellKnown::Value | WellKnown::NullValue)) {
                continue;
            }
            if let Some(oneof) = field.oneof {
                if oneofs.contains(&oneof) && self.rules == Rules::Istioctl {
                    let name = token(self.text.get(member.at..).unwrap_or_default());
                    let what = format!("error parsing {name}, oneof {}.{oneof} is already set", message.name);
                    return Err(Fault::at(self.text, member.at, what));
                }
                oneofs.push(oneof);
            }
            match self.field(field, &member.value) {
                Ok(Some(node)) => found.push((nth, node)),
                Ok(None) => {}
                Err(_) if self.rules == Rules::Lenient => found.push((nth, as_it_stands(&member.value))),
                Err(fault) => return Err(fault),
            }
        }
        found.sort_by_key(|(nth, _)| *nth);
        let named = |(nth, node): (usize, Node<'a>)| {
            message.fields.get(nth).map(|field| (Cow::Borrowed(field.json_name.as_str()), node))
        };
        out.extend(found.into_iter().filter_map(named));
        out.extend(unknown);
        Ok(())
    }

    /// The value of a field; `None` where it is as good as absent.
    fn field(&self, field: &'static Field, value: &Value<'a>) -> Result<Option<Node<'a>>, Fault> {
        match field.label {
            Label::Repeated => self.list(field, value),
            Label::Map(key) => self.map(field, key, value),
            Label::Single | Label::Optional => {
                let keeps_default = field.oneof.is_some() || field.label == Label::Optional;
                let node = self.single(field.kind, &field.json_name, value)?;
                Ok(node.filter(|node| keeps_default || !is_default(field.kind, node)))
            }
        }
    }

    fn list(&self, field: &'static Field, value: &Value<'a>) -> Result<Option<Node<'a>>, Fault> {
        let Content::List(values) = &value.content else { return Err(self.unexpected(value)) };
        let mut items = Vec::with_capacity(values.len());
        for value in values {
            items.extend(self.single(field.kind, &field.json_name, value)?);
        }
        Ok((!items.is_empty()).then_some(Node::List(Shape::Field, items)))
    }

    fn map(&self, field: &'static Field, key: MapKey, value: &Value<'a>) -> Result<Option<Node<'a>>, Fault> {
        let Content::Object(members) = &value.content else { return Err(self.unexpected(value)) };
        let mut entries = Vec::with_capacity(members.len());
        for member in members {
            let name = match key {
                MapKey::Text => member.name.clone(),
                MapKey::Bool if matches!(member.name.as_ref(), "true" | "false") => member.name.clone(),
                MapKey::Number if number::integer(&member.name).is_some() => {
                    Cow::Owned(number::integer(&member.name).unwrap_or_default().to_string())
                }
                _ => {
                    let name = token(self.text.get(member.at..).unwrap_or_default());
                    return Err(Fault::at(self.text, member.at, format!("invalid value for map key: {name}")));
                }
            };
            if let Some(node) = self.single(field.kind, &field.json_name, &member.value)? {
                entries.push(Entry { at: member.at, name, node });
            }
        }
        let entries = self.sorted(entries, key)?;
        Ok((!entries.is_empty()).then_some(Node::Object(Shape::Field, entries)))
    }

    /// Entries of a map as they are printed: by key, each once.
    fn sorted(&self, mut entries: Vec<Entry<'a>>, key: MapKey) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Fault> {
        match key {
            MapKey::Number => entries.sort_by_key(|entry| number::integer(&entry.name)),
            MapKey::Text | MapKey::Bool => entries.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        let mut out: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(entries.len());
        for Entry { at, name, node } in entries {
            match out.last_mut() {
                Some((known, _)) if *known == name && self.rules == Rules::Istioctl => {
                    let name = token(self.text.get(at..).unwrap_or_default());
                    return Err(Fault::at(self.text, at, format!("duplicate map key {name}")));
                }
                Some((known, last)) if *known == name => *last = node,
                _ => out.push((name, node)),
            }
        }
        Ok(out)
    }

    /// One value; `None` for the name of an enum that isn't known.
    fn single(&self, kind: Kind, name: &str, value: &Value<'a>) -> Result<Option<Node<'a>>, Fault> {
        match kind {
            Kind::Message(id) => match schema().message_at(id) {
                Some(message) => self.message(message, value).map(Some),
                None => Ok(Some(as_it_stands(value))),
            },
            Kind::WellKnown(well_known) => self.well_known(well_known, value).map(Some),
            Kind::Enum(id) => self.enumerator(id, name, value),
            scalar => self.scalar(scalar, name, value).map(Some),
        }
    }

    fn enumerator(&self, id: super::schema::TypeId, name: &str, value: &Value<'a>) -> Result<Option<Node<'a>>, Fault> {
        let Some(known) = schema().enum_at(id) else { return Ok(None) };
        let number = match &value.content {
            Content::Text(text) => match (known.number(text), self.rules) {
                (Some(number), _) => number,
                (None, Rules::Istioctl) => return Ok(None),
                (None, Rules::Clusters) => {
                    return Err(Fault::new(format!("unknown value {:?} for enum {}", format!("{text:?}"), known.name)));
                }
                (None, Rules::Lenient) => return Ok(Some(Node::Text(text.clone()))),
            },
            Content::Number(text) => {
                let number = number::integer(text).and_then(|number| i32::try_from(number).ok());
                number.ok_or_else(|| self.invalid("enum", name, value))?
            }
            _ => return Err(self.invalid("enum", name, value)),
        };
        Ok(Some(match known.name_of(number) {
            Some(name) => Node::Text(Cow::Borrowed(name)),
            None => Node::Number(Cow::Owned(number.to_string())),
        }))
    }

    fn scalar(&self, kind: Kind, name: &str, value: &Value<'a>) -> Result<Node<'a>, Fault> {
        let (type_name, node) = match kind {
            Kind::Bool => (
                "bool",
                match value.content {
                    Content::Bool(flag) => Some(Node::Bool(flag)),
                    _ => None,
                },
            ),
            Kind::String => (
                "string",
                match &value.content {
                    Content::Text(text) => Some(Node::Text(text.clone())),
                    _ => None,
                },
            ),
            Kind::Bytes => ("bytes", value.as_text().and_then(number::base64).map(|text| Node::Text(Cow::Owned(text)))),
            Kind::Float => (
                "float",
                real(value, |text| {
                    let number: f32 = text.parse().ok()?;
                    number.is_finite().then(|| number::float(number))
                }),
            ),
            Kind::Double => (
                "double",
                real(value, |text| {
                    let number: f64 = text.parse().ok()?;
                    number.is_finite().then(|| number::double(number))
                }),
            ),
            Kind::Int32 => ("int32", whole(value, i32::MIN.into(), i32::MAX.into()).map(Node::Number)),
            Kind::Uint32 => ("uint32", whole(value, 0, u32::MAX.into()).map(Node::Number)),
            Kind::Int64 => ("int64", whole(value, i64::MIN.into(), i64::MAX.into()).map(Node::Text)),
            Kind::Uint64 => ("uint64", whole(value, 0, u64::MAX.into()).map(Node::Text)),
            Kind::Enum(_) | Kind::Message(_) | Kind::WellKnown(_) => ("message", None),
        };
        node.ok_or_else(|| self.invalid(type_name, name, value))
    }

    fn well_known(&self, well_known: WellKnown, value: &Value<'a>) -> Result<Node<'a>, Fault> {
        let wrapped = match well_known {
            WellKnown::Any => return self.any(value),
            WellKnown::Value => return self.free(value, true),
            WellKnown::Struct => {
                return match value.content {
                    Content::Object(_) => self.free(value, false),
                    _ => Err(self.unexpected(value)),
                };
            }
            WellKnown::ListValue => {
                return match value.content {
                    Content::List(_) => self.free(value, false),
                    _ => Err(self.unexpected(value)),
                };
            }
            WellKnown::NullValue => return Ok(Node::Null),
            WellKnown::Empty => {
                let Content::Object(members) = &value.content else { return Err(self.unexpected(value)) };
                let kept = if self.rules == Rules::Lenient { members.as_slice() } else { &[] };
                return Ok(Node::Object(Shape::Message, plain_members(kept)));
            }
            WellKnown::Duration => {
                let text = self.text_of(value)?;
                let printed = number::duration(&text).map(Cow::into_owned);
                return self.time("Duration", value, printed);
            }
            WellKnown::Timestamp => {
                let text = self.text_of(value)?;
                return self.time("Timestamp", value, number::timestamp(&text));
            }
            WellKnown::Bool => Kind::Bool,
            WellKnown::Int32 => Kind::Int32,
            WellKnown::Int64 => Kind::Int64,
            WellKnown::Uint32 => Kind::Uint32,
            WellKnown::Uint64 => Kind::Uint64,
            WellKnown::Float => Kind::Float,
            WellKnown::Double => Kind::Double,
            WellKnown::String => Kind::String,
            WellKnown::Bytes => Kind::Bytes,
        };
        self.scalar(wrapped, "value", value)
    }

    /// What stands in a `Struct`, `ListValue` or, with `in_value`, `Value`: numbers are 64-bit floats, keys are sorted.
    fn free(&self, value: &Value<'a>, in_value: bool) -> Result<Node<'a>, Fault> {
        let shape = if in_value { Shape::Value } else { Shape::Struct };
        Ok(match &value.content {
            Content::Null => Node::Null,
            Content::Bool(flag) => Node::Bool(*flag),
            Content::Number(text) => {
                let printed = number::double(text.parse().unwrap_or_default());
                Node::Number(if printed == *text { Cow::Borrowed(*text) } else { Cow::Owned(printed) })
            }
            Content::Text(text) => Node::Text(text.clone()),
            Content::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.free(item, true)).collect();
                Node::List(shape, items?)
            }
            Content::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for Member { at, name, value } in members {
                    entries.push(Entry { at: *at, name: name.clone(), node: self.free(value, true)? });
                }
                Node::Object(shape, self.sorted(entries, MapKey::Text)?)
            }
        })
    }

    fn text_of(&self, value: &Value<'a>) -> Result<Cow<'a, str>, Fault> {
        match &value.content {
            Content::Text(text) => Ok(text.clone()),
            _ => Err(self.unexpected(value)),
        }
    }

    fn time(&self, kind: &str, value: &Value<'a>, printed: Option<String>) -> Result<Node<'a>, Fault> {
        let Some(printed) = printed else {
            let text = token(self.text.get(value.at..).unwrap_or_default());
            return Err(Fault::at(self.text, value.at, format!("invalid google.protobuf.{kind} value {text}")));
        };
        Ok(Node::Text(match &value.content {
            Content::Text(text) if **text == printed => text.clone(),
            _ => Cow::Owned(printed),
        }))
    }

    /// A message that names its type.
    pub(super) fn any(&self, value: &Value<'a>) -> Result<Node<'a>, Fault> {
        let Content::Object(members) = &value.content else { return Err(self.unexpected(value)) };
        let Some(url) = self.type_url(members)? else {
            return Ok(if self.rules == Rules::Lenient {
                as_it_stands(value)
            } else {
                Node::Unregistered(Cow::Borrowed(""))
            });
        };
        let first = (Cow::Borrowed("@type"), Node::Text(url.clone()));
        let mut out = vec![first];
        match schema().of_url(&url) {
            Some(Kind::WellKnown(well_known)) => {
                let mut inner = None;
                for member in members.iter().filter(|member| member.name == "value") {
                    if inner.is_some() && self.rules != Rules::Lenient {
                        return Err(Fault::at(self.text, member.at, "duplicate \"value\" field"));
                    }
                    inner = Some(self.well_known(well_known, &member.value));
                }
                match inner {
                    Some(Err(_)) if self.rules == Rules::Lenient => return Ok(as_it_stands(value)),
                    // Printed without, as there is nothing in it.
                    Some(Ok(_)) if well_known == WellKnown::Empty => {}
                    Some(inner) => out.push((Cow::Borrowed("value"), inner?)),
                    None if well_known == WellKnown::Empty => {}
                    None if self.rules == Rules::Lenient => return Ok(as_it_stands(value)),
                    None => return Err(Fault::at(self.text, value.at, "missing \"value\" field")),
                }
            }
            Some(Kind::Message(id)) => {
                if let Some(message) = schema().message_at(id) {
                    self.fields(message, members, true, &mut out)?;
                }
            }
            _ if self.rules == Rules::Lenient => return Ok(as_it_stands(value)),
            _ => {
                // The fields are lost, but they are read, and may be at fault.
                if let Some(placeholder) = schema().message(PLACEHOLDER) {
                    self.fields(placeholder, members, true, &mut out)?;
                }
                return Ok(Node::Unregistered(url));
            }
        }
        Ok(Node::Object(Shape::Message, out))
    }

    fn type_url(&self, members: &[Member<'a>]) -> Result<Option<Cow<'a, str>>, Fault> {
        let mut url = None;
        for member in members.iter().filter(|member| member.name == "@type") {
            if self.rules == Rules::Lenient {
                return Ok(match &member.value.content {
                    Content::Text(text) => Some(text.clone()),
                    _ => None,
                });
            }
            if url.is_some() {
                return Err(Fault::at(self.text, member.at, "duplicate \"@type\" field"));
            }
            let Content::Text(text) = &member.value.content else {
                let text = token(self.text.get(member.value.at..).unwrap_or_default());
                let what = format!("@type field value is not a string: {text}");
                return Err(Fault::at(self.text, member.value.at, what));
            };
            if text.is_empty() {
                return Err(Fault::at(self.text, member.value.at, "@type field contains empty value"));
            }
            url = Some(text.clone());
        }
        Ok(url)
    }

    fn unexpected(&self, value: &Value<'a>) -> Fault {
        let text = token(self.text.get(value.at..).unwrap_or_default());
        Fault::syntax(self.text, value.at, format!("unexpected token {text}"))
    }

    fn invalid(&self, kind: &str, name: &str, value: &Value<'a>) -> Fault {
        let text = token(self.text.get(value.at..).unwrap_or_default());
        Fault::at(self.text, value.at, format!("invalid value for {kind} field {name}: {text}"))
    }
}

/// Whether a field of this value is as good as absent.
fn is_default(kind: Kind, node: &Node<'_>) -> bool {
    match (kind, node) {
        (Kind::Message(_) | Kind::WellKnown(_), _) => false,
        (Kind::Enum(id), Node::Text(name)) => schema().enum_at(id).and_then(|known| known.number(name)) == Some(0),
        (_, Node::Bool(flag)) => !flag,
        (_, Node::Number(number)) => number == "0",
        (Kind::Int64 | Kind::Uint64, Node::Text(number)) => number == "0",
        (_, Node::Text(text)) => text.is_empty(),
        _ => false,
    }
}

/// An integer within limits.
fn whole<'a>(value: &Value<'a>, least: i128, greatest: i128) -> Option<Cow<'a, str>> {
    let (written, text) = match &value.content {
        Content::Number(text) => (Some(*text), *text),
        Content::Text(text) => (None, text.as_ref()),
        _ => return None,
    };
    let number = number::integer(text).filter(|number| (least..=greatest).contains(number))?;
    let printed = number.to_string();
    Some(match written.filter(|written| *written == printed) {
        Some(written) => Cow::Borrowed(written),
        None => Cow::Owned(printed),
    })
}

/// A number with decimals.
fn real<'a>(value: &Value<'a>, print: impl FnOnce(&str) -> Option<String>) -> Option<Node<'a>> {
    let text = match &value.content {
        Content::Number(text) => *text,
        Content::Text(text) if matches!(text.as_ref(), "NaN" | "Infinity" | "-Infinity") => {
            return Some(Node::Text(text.clone()));
        }
        Content::Text(text) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => text.as_ref(),
        _ => return None,
    };
    print(text).map(|text| Node::Number(Cow::Owned(text)))
}

/// What isn't known: nothing is changed.
pub(super) fn as_it_stands<'a>(value: &Value<'a>) -> Node<'a> {
    match &value.content {
        Content::Null => Node::Null,
        Content::Bool(flag) => Node::Bool(*flag),
        Content::Number(text) => Node::Number(Cow::Borrowed(text)),
        Content::Text(text) => Node::Text(text.clone()),
        Content::List(items) => Node::List(Shape::Field, items.iter().map(as_it_stands).collect()),
        Content::Object(members) => Node::Object(Shape::Field, plain_members(members)),
    }
}

fn plain_members<'a>(members: &[Member<'a>]) -> Vec<(Cow<'a, str>, Node<'a>)> {
    members.iter().map(|member| (member.name.clone(), as_it_stands(&member.value))).collect()
}
