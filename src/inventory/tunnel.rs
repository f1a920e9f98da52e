//! What is on the wire behind internal listeners: the transport socket that leads to one doesn't say.

use std::collections::{BTreeMap, BTreeSet};

use super::detail::plain_socket;
use crate::dump::{Proxy, decode_any, type_of};
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::address::Address;
use crate::proto::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier;
use crate::proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use crate::proto::envoy::config::listener::v3::{Listener, filter};
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;

/// The listener through which Istio's clusters reach the endpoints with the label `tunnel: http`.
const ORIGINATE: &str = "connect_originate";

/// Internal listeners, and what becomes of connections to each.
pub struct Tunnels<'a> {
    proxy: Option<&'a Proxy>,
    by_listener: BTreeMap<String, String>,
}

impl<'a> Tunnels<'a> {
    /// Reads the internal listeners in force of a proxy.
    #[must_use]
    pub fn of(proxy: Option<&'a Proxy>) -> Self {
        let mut tunnels = Self { proxy, by_listener: BTreeMap::new() };
        let listeners = proxy.map(Proxy::listeners).unwrap_or_default();
        for resource in listeners.iter().filter(|resource| resource.state.is_in_force()) {
            let has = |text: &[u8]| memchr::memmem::find(resource.raw(), text).is_some();
            if !has(b"internal_listener") && !has(b"internalListener") {
                continue;
            }
            if let (Some(proxy), Ok(listener)) = (proxy, resource.decode())
                && listener.listener_specifier.is_some()
            {
                tunnels.by_listener.insert(resource.name.clone(), on_the_wire(proxy, &listener));
            }
        }
        tunnels
    }

    /// What becomes of connections to an internal listener.
    pub(super) fn to(&self, listener: &str) -> String {
        match self.by_listener.get(listener) {
            Some(words) if !words.is_empty() => words.clone(),
            // The name is Istio's own; what its tunnels are made of isn't known.
            None if listener == ORIGINATE => "HBONE".to_owned(),
            _ => format!("internal listener {listener}"),
        }
    }

    /// The same of the endpoints of a cluster, or of those that have the label of Istio's tunnels.
    pub(super) fn of_cluster(&self, cluster: &Cluster, has_label: bool) -> String {
        if has_label {
            return self.to(ORIGINATE);
        }
        let service = cluster.eds_cluster_config.as_ref().map(|eds| eds.service_name.as_str());
        let service = service.filter(|name| !name.is_empty()).unwrap_or(&cluster.name);
        let delivered = self.proxy.and_then(|proxy| proxy.load_assignment(service)?.decode().ok());
        let assignments = delivered.as_deref().into_iter().chain(&cluster.load_assignment);
        let hosts = assignments.flat_map(|assignment| &assignment.endpoints).flat_map(|group| &group.lb_endpoints);
        let mut ways = BTreeSet::new();
        for host in hosts {
            let Some(HostIdentifier::Endpoint(endpoint)) = &host.host_identifier else { continue };
            if let Some(Address::EnvoyInternalAddress(internal)) =
                endpoint.address.as_ref().and_then(|address| address.address.as_ref())
                && let Some(AddressNameSpecifier::ServerListenerName(name)) = &internal.address_name_specifier
            {
                ways.insert(self.to(name));
            }
        }
        if ways.is_empty() {
            return "internal listener".to_owned();
        }
        ways.into_iter().collect::<Vec<_>>().join(" or ")
    }
}

/// What the tunnels of a listener are made of; empty if it doesn't tunnel.
fn on_the_wire(proxy: &Proxy, listener: &Listener) -> String {
    let filters = listener.filter_chains.iter().chain(&listener.default_filter_chain).flat_map(|chain| &chain.filters);
    let mut ways = BTreeSet::new();
    for filter in filters {
        let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        if !type_of(any).ends_with(".TcpProxy") {
            continue;
        }
        let Ok(tcp) = decode_any::<TcpProxy>(any) else { continue };
        if tcp.tunneling_config.is_none() {
            continue;
        }
        let name = match &tcp.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => Some(name),
            _ => None,
        };
        let cluster = name.and_then(|name| proxy.cluster(name)?.decode().ok());
        ways.insert(match cluster.filter(|cluster| cluster.transport_socket_matches.is_empty()) {
            Some(cluster) => match plain_socket(cluster.transport_socket.as_ref()) {
                wire if wire == "plain" => "HBONE without TLS".to_owned(),
                wire => format!("HBONE, {wire}"),
            },
            None => "HBONE".to_owned(),
        });
    }
    ways.into_iter().collect::<Vec<_>>().join(" or ")
}
