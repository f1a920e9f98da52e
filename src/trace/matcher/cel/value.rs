//! Values of CEL.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    /// Request headers: keys in any case.
    Headers(BTreeMap<String, String>),
    /// An attribute that the input doesn't hold, by name.
    Unknown(String),
}

impl Value {
    /// Equality over types: numbers by value, other types differ.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            (a, b) if a.is_number() && b.is_number() => a.compare(b) == Some(Ordering::Equal),
            (a, b) => a == b,
        }
    }

    /// Order of two values; `None` where CEL has no such comparison, or a number isn't one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (a, b) => match (a.integer(), b.integer()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.double()?.partial_cmp(&b.double()?),
            },
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as CEL compares an integer with a double")]
    fn double(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            other => other.integer().map(|value| value as f64),
        }
    }
}

impl From<&serde_json::Value> for Value {
    /// A value of a Struct: every number is a double.
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Double(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(value) => Self::Text(value.clone()),
            serde_json::Value::Array(values) => Self::List(values.iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                Self::Map(members.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}
