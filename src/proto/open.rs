//! Enums that stay open.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The number of an enum value whose name `proto/` doesn't hold; `E::try_from` of it fails.
pub const UNKNOWN: i32 = -1;

/// An enum field on its way between JSON and its number: a name that `E` doesn't hold becomes [`UNKNOWN`], where the
/// generated code would fail the message around it.
#[derive(Debug, Clone, Copy)]
pub struct Open<E> {
    number: i32,
    kind: PhantomData<E>,
}

impl<E> Open<E> {
    /// The value with that number, known or not.
    #[must_use]
    pub fn new(number: i32) -> Self {
        Self { number, kind: PhantomData }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        self.number
    }
}

impl<'de, E: Deserialize<'de> + Into<i32>> Deserialize<'de> for Open<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpenVisitor(PhantomData))
    }
}

struct OpenVisitor<E>(PhantomData<E>);

impl<'de, E: Deserialize<'de> + Into<i32>> de::Visitor<'de> for OpenVisitor<E> {
    type Value = Open<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or number of an enum value")
    }

    fn visit_str<Fault: de::Error>(self, name: &str) -> Result<Self::Value, Fault> {
        let known = E::deserialize(StrDeserializer::<de::value::Error>::new(name));
        Ok(Open::new(known.map_or(UNKNOWN, Into::into)))
    }

    fn visit_i64<Fault: de::Error>(self, number: i64) -> Result<Self::Value, Fault> {
        Ok(Open::new(number.try_into().unwrap_or(UNKNOWN)))
    }

    fn visit_u64<Fault: de::Error>(self, number: u64) -> Result<Self::Value, Fault> {
        Ok(Open::new(number.try_into().unwrap_or(UNKNOWN)))
    }

    /// `null` is the default in protobuf's JSON.
    fn visit_unit<Fault: de::Error>(self) -> Result<Self::Value, Fault> {
        Ok(Open::new(0))
    }
}

impl<E: TryFrom<i32> + Serialize> Serialize for Open<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(self.number) {
            Ok(known) => known.serialize(serializer),
            Err(_) => serializer.serialize_i32(self.number),
        }
    }
}
