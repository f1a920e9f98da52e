//! Envoy's and Istio's messages: the model that every room reads.
//!
//! `proto/` at the root holds the `.proto` files: Envoy's packages, names and field numbers, but only the fields that a
//! question needs. `build.rs` makes prost types of them, with the protobuf JSON mapping. Field names that a message
//! lists as `reserved` are Envoy's too, and are left out because nothing here reads them.
//!
//! To read one more field, add it to its message there and take its name off the `reserved` list; `tests/proto.rs`
//! holds number and type against Envoy's.

mod any;
pub mod describe;
mod open;
mod structure;

pub use any::Any;
pub use open::{Open, UNKNOWN};
pub use structure::Struct;

/// A generated message.
pub trait Message:
    prost::Message + prost::Name + Default + Clone + serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Message for T where
    T: prost::Message
        + prost::Name
        + Default
        + Clone
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

#[expect(missing_docs, clippy::all, clippy::allow_attributes, reason = "generated; the comments stand in proto/")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/tree.rs"));
}

pub use generated::*;
