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

#[cfg(test)]
mod tests {
    use super::envoy::config::core::v3::{SocketAddress, TrafficDirection};
    use super::envoy::config::listener::v3::{FilterChainMatch, Listener};
    use super::envoy::config::rbac::v3::Rbac;
    use super::*;

    #[track_caller]
    fn read<T: Message>(json: &str) -> T {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn fields_are_read_in_both_spellings() {
        let snake: Listener = read(r#"{"filter_chains": [{"filter_chain_match": {"server_names": ["a"]}}]}"#);
        let camel: Listener = read(r#"{"filterChains": [{"filterChainMatch": {"serverNames": ["a"]}}]}"#);
        assert_eq!(snake, camel);
    }

    #[test]
    fn presence_is_kept() {
        let absent: Listener = read("{}");
        let there: Listener = read(r#"{"bind_to_port": false}"#);
        assert_eq!((absent.bind_to_port, there.bind_to_port.unwrap().value), (None, false));
    }

    #[test]
    fn numbers_may_be_text() {
        let address: SocketAddress = read(r#"{"port_value": "80"}"#);
        assert_eq!(serde_json::to_string(&address).unwrap(), r#"{"portValue":80}"#);
    }

    #[test]
    fn an_unknown_enum_value_costs_nothing_else() {
        let direction = |json: &str| read::<Listener>(json).traffic_direction;
        assert_eq!(direction(r#"{"traffic_direction": "SIDEWAYS"}"#), UNKNOWN);
        assert_eq!(direction(r#"{"traffic_direction": 9}"#), 9);
        assert_eq!(direction(r#"{"traffic_direction": "OUTBOUND"}"#), TrafficDirection::Outbound as i32);
        assert_eq!(direction(r#"{"traffic_direction": 2}"#), TrafficDirection::Outbound as i32);
        let written = serde_json::to_string(&Listener { traffic_direction: 9, ..Listener::default() }).unwrap();
        assert_eq!(written, r#"{"trafficDirection":9}"#);
    }

    #[test]
    fn null_is_the_default() {
        let nulls = r#"{"name": null, "filter_chains": null, "traffic_direction": null, "metadata": null,
                        "continue_on_listener_filters_timeout": null, "bind_to_port": null}"#;
        assert_eq!(read::<Listener>(nulls), Listener::default());
        assert_eq!(read::<Rbac>(r#"{"policies": null}"#), Rbac::default());
        assert_eq!(read::<SocketAddress>(r#"{"port_value": null}"#), SocketAddress::default());
        assert_eq!(read::<FilterChainMatch>(r#"{"source_ports": []}"#), FilterChainMatch::default());
    }

    #[test]
    fn a_struct_keeps_its_order_and_survives_the_wire() {
        use prost::Message as _;
        let members: Struct = serde_json::from_str(r#"{"b": [1.5, null, {"c": true}], "a": "x"}"#).unwrap();
        assert_eq!(serde_json::to_string(&members).unwrap(), r#"{"b":[1.5,null,{"c":true}],"a":"x"}"#);
        let again = Struct::decode(members.encode_to_vec().as_slice()).unwrap();
        assert_eq!(again, members);
    }
}
