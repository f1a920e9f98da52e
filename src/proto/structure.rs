//! `google.protobuf.Struct` as JSON.

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost_types::value::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// A JSON object inside a message: metadata, runtime layers, node metadata. Members keep the order of the dump.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Struct {
    /// Members.
    pub fields: Map<String, Value>,
}

impl Struct {
    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }
}

impl prost::Name for Struct {
    const NAME: &'static str = "Struct";
    const PACKAGE: &'static str = "google.protobuf";
}

/// The binary form is prost's.
impl prost::Message for Struct {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        to_wire(&self.fields).encode_raw(buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut members = prost_types::Struct::default();
        members.merge_field(tag, wire_type, buf, context)?;
        self.fields.append(&mut from_wire(members));
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        to_wire(&self.fields).encoded_len()
    }

    fn clear(&mut self) {
        self.fields.clear();
    }
}

fn to_wire(members: &Map<String, Value>) -> prost_types::Struct {
    let fields = members.iter().map(|(name, value)| (name.clone(), value_to_wire(value))).collect();
    prost_types::Struct { fields }
}

fn value_to_wire(value: &Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or(f64::NAN)),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(value_to_wire).collect() })
        }
        Value::Object(members) => Kind::StructValue(to_wire(members)),
    };
    prost_types::Value { kind: Some(kind) }
}

fn from_wire(members: prost_types::Struct) -> Map<String, Value> {
    members.fields.into_iter().map(|(name, value)| (name, value_from_wire(value))).collect()
}

fn value_from_wire(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(value)) => Number::from_f64(value).map_or(Value::Null, Value::Number),
        Some(Kind::StringValue(value)) => Value::String(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(value_from_wire).collect(),
        Some(Kind::StructValue(members)) => Value::Object(from_wire(members)),
    }
}
