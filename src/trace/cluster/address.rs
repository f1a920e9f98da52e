//! Addresses of upstream hosts, as Envoy prints them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::proto::envoy::config::core::v3::Address;
use crate::proto::envoy::config::core::v3::address::Address as Kind;
use crate::proto::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier;
use crate::proto::envoy::config::core::v3::socket_address::PortSpecifier;

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostAddress {
    /// An IP address and port.
    Ip(SocketAddr),
    /// A Unix domain socket.
    Pipe(String),
    /// An internal listener of the same proxy.
    Internal {
        /// Name of the listener.
        listener: String,
        /// What tells endpoints of one listener apart.
        endpoint_id: String,
    },
    /// Not in the input: a name to be resolved, or endpoints that the dump lacks.
    Unknown,
}

impl HostAddress {
    /// The address of a host; a socket address that is a name is unknown.
    pub(super) fn of(address: Option<&Address>) -> Self {
        match address.and_then(|address| address.address.as_ref()) {
            Some(Kind::SocketAddress(socket)) => {
                let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { return Self::Unknown };
                match (socket.address.parse::<IpAddr>(), u16::try_from(port)) {
                    (Ok(ip), Ok(port)) => Self::Ip(SocketAddr::new(ip, port)),
                    _ => Self::Unknown,
                }
            }
            Some(Kind::Pipe(pipe)) => Self::Pipe(pipe.path.clone()),
            Some(Kind::EnvoyInternalAddress(internal)) => match internal.address_name_specifier.as_ref() {
                Some(AddressNameSpecifier::ServerListenerName(listener)) => {
                    Self::Internal { listener: listener.clone(), endpoint_id: internal.endpoint_id.clone() }
                }
                None => Self::Unknown,
            },
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Pipe(path) => f.write_str(path),
            Self::Internal { listener, endpoint_id } => write!(f, "envoy://{listener}/{endpoint_id}"),
            Self::Unknown => f.write_str("unknown address"),
        }
    }
}

/// Name and port of a socket address that has to be resolved: `reviews.test:9080`.
pub(super) fn name_of(address: Option<&Address>) -> Option<String> {
    let Some(Kind::SocketAddress(socket)) = address.and_then(|address| address.address.as_ref()) else { return None };
    Some(match socket.port_specifier.as_ref() {
        Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
        Some(PortSpecifier::NamedPort(port)) => format!("{}:{port}", socket.address),
        None => socket.address.clone(),
    })
}
