//! What a proxy's dump says of a service: names of the Istio objects behind its clusters and routes.

use std::sync::LazyLock;

use regex::Regex;

use super::data::ListenerDescription;
use crate::dump::{Proxy, State, decode_any, type_of};
use crate::inventory::{self, SubsetKey};
use crate::proto::Any;
use crate::proto::envoy::config::core::v3::Metadata;
use crate::proto::envoy::config::core::v3::address::Address;
use crate::proto::envoy::config::core::v3::socket_address::PortSpecifier;
use crate::proto::envoy::config::listener::v3::filter::ConfigType;
use crate::proto::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use crate::proto::envoy::config::rbac::v3::Rbac as Rules;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::config::route::v3::route_action::ClusterSpecifier;
use crate::proto::envoy::config::route::v3::{Route, VirtualHost};
use crate::proto::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType as HttpConfigType;
use crate::proto::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier as TcpClusterSpecifier;

const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const HTTP_RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const NETWORK_RBAC: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";

/// Name of an Istio object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectName {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// An RBAC filter without rules, only shadow rules.
#[derive(Debug)]
pub(super) struct WithoutRules;

/// A proxy, seen with one port of a service in mind.
pub(super) struct View<'a> {
    proxy: &'a Proxy,
    service: &'a str,
    namespace: &'a str,
    /// `name.namespace.svc.domain`.
    host: String,
    port: u32,
    as_istioctl: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(proxy: &'a Proxy, service: &'a str, namespace: &'a str, port: u32, as_istioctl: bool) -> Self {
        let domain = if as_istioctl { None } else { domain(proxy) };
        let host = format!("{service}.{namespace}.svc.{}", domain.as_deref().unwrap_or("cluster.local"));
        Self { proxy, service, namespace, host, port, as_istioctl }
    }

    /// The DestinationRule behind the service's outbound cluster. The proxy of the service itself is asked, as it has
    /// the cluster too.
    pub(super) fn destination_rule(&self) -> Option<ObjectName> {
        let port = format!("|{}|", self.port);
        let is_of = |name: &str| {
            if self.as_istioctl {
                return name.contains(&self.host) && name.contains("outbound") && name.contains(&port);
            }
            self.is_cluster_of(name)
        };
        let clusters = self.proxy.clusters().iter().filter(|cluster| cluster.state == State::Active);
        let mut rules = clusters.filter(|cluster| is_of(&cluster.name)).filter_map(|cluster| {
            let cluster = cluster.decode().ok()?;
            Some(config(cluster.metadata.as_ref()?).unwrap_or_default().to_owned())
        });
        object(&rules.next()?, "destination-rule")
    }

    fn is_cluster_of(&self, name: &str) -> bool {
        let key = SubsetKey::parse(name);
        key.direction == "outbound" && key.port == self.port && key.host == self.host
    }

    /// The VirtualServices behind the routes to the service; istioctl looks at the first route alone, and only at HTTP.
    pub(super) fn virtual_services(&self) -> Vec<ObjectName> {
        let (number, host) = (self.port.to_string(), format!("{}:{}", self.host, self.port));
        let is_config_of = |name: &str| {
            let is_gateway = name.starts_with("http.") || name.starts_with("https.");
            name == number || is_gateway || (!self.as_istioctl && name == host)
        };
        let configs = self.proxy.routes().iter().filter(|config| config.state == State::Active);
        let mut found = Vec::new();
        for config in configs.filter(|config| is_config_of(&config.name)) {
            let Some(Ok(table)) = self.proxy.table_of(config) else { continue };
            for host in &table.virtual_hosts {
                let Ok(host) = host.decode() else { continue };
                for route in host.routes.iter().filter(|route| self.is_route_to(route, &host)) {
                    let object =
                        route.metadata.as_ref().and_then(|metadata| object(self::config(metadata)?, "virtual-service"));
                    if self.as_istioctl {
                        return object.into_iter().collect();
                    }
                    found.extend(object);
                }
            }
        }
        if !self.as_istioctl {
            found.extend(self.virtual_services_of_connections());
        }
        found.dedup();
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|name| seen.insert(name.clone()));
        found
    }

    fn is_route_to(&self, route: &Route, host: &VirtualHost) -> bool {
        let is_domain_of = |domain: &String| {
            if self.as_istioctl {
                return service_of(domain) == Some((self.service, self.namespace));
            }
            *domain == self.host || *domain == format!("{}:{}", self.host, self.port)
        };
        if host.domains.iter().any(is_domain_of) {
            return true;
        }
        let Some(Action::Route(action)) = &route.action else { return false };
        let clusters: Vec<&str> = match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => vec![name],
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let most = if self.as_istioctl { 1 } else { usize::MAX };
                weighted.clusters.iter().take(most).map(|cluster| cluster.name.as_str()).collect()
            }
            _ if self.as_istioctl => return false,
            _ => Vec::new(),
        };
        let mirrors = action.request_mirror_policies.iter().filter(|_| !self.as_istioctl);
        clusters.into_iter().chain(mirrors.map(|mirror| mirror.cluster.as_str())).any(|name| {
            if !self.as_istioctl {
                return self.is_cluster_of(name);
            }
            let Some((_, rest)) = name.split_once(&format!("outbound|{}|", self.port)) else { return false };
            let host = rest.split_once('|').map_or("", |(_, host)| host);
            host.split('.').count() == 5 && service_of(host) == Some((self.service, self.namespace))
        })
    }

    /// VirtualServices of TCP and TLS stand in the filter chains.
    fn virtual_services_of_connections(&self) -> Vec<ObjectName> {
        let listeners = self.proxy.listeners().iter().filter(|listener| listener.state == State::Active);
        let mut found = Vec::new();
        for listener in listeners.filter(|listener| listener.name != "virtualInbound") {
            let Ok(listener) = listener.decode() else { continue };
            for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
                let name = chain.metadata.as_ref().and_then(|metadata| object(config(metadata)?, "virtual-service"));
                let Some(name) = name else { continue };
                if chain.filters.iter().any(|filter| self.is_connection_to(filter)) {
                    found.push(name);
                }
            }
        }
        found
    }

    fn is_connection_to(&self, filter: &Filter) -> bool {
        let Some(proxy) = message::<TcpProxy>(filter, TCP_PROXY) else { return false };
        match &proxy.cluster_specifier {
            Some(TcpClusterSpecifier::Cluster(name)) => self.is_cluster_of(name),
            Some(TcpClusterSpecifier::WeightedClusters(weighted)) => {
                weighted.clusters.iter().any(|cluster| self.is_cluster_of(&cluster.name))
            }
            _ => false,
        }
    }

    /// Names of the RBAC policies of connections to a TCP port of the pod. istioctl takes those of the first HTTP filter of
    /// the first chain, whatever the port.
    pub(super) fn policies(&self, target: Option<u32>) -> Result<Vec<String>, WithoutRules> {
        let listeners = self.proxy.listeners().iter().filter(|listener| listener.state == State::Active);
        let mut inbound = listeners.filter(|listener| listener.name == "virtualInbound");
        let Some(listener) = inbound.next().and_then(|listener| listener.decode().ok()) else { return Ok(Vec::new()) };
        if self.as_istioctl {
            return first_policies(&listener);
        }
        let Some(target) = target else { return Ok(Vec::new()) };
        Ok(policies_of(chains_of(&listener, target)))
    }
}

/// RBAC policies of a gateway or a waypoint by listener, those without left out.
pub(super) fn listeners(proxy: &Proxy) -> Vec<ListenerDescription> {
    let mut out = Vec::new();
    for entry in proxy.listeners().iter().filter(|listener| listener.state == State::Active) {
        let Ok(listener) = entry.decode() else { continue };
        let policies = policies_of(listener.filter_chains.iter().chain(&listener.default_filter_chain));
        if !policies.is_empty() {
            out.push(ListenerDescription { name: entry.name.clone(), port: port_of(&listener), policies });
        }
    }
    out.sort_by(|a, b| (a.port.is_none(), a.port, &a.name).cmp(&(b.port.is_none(), b.port, &b.name)));
    out
}

fn port_of(listener: &Listener) -> Option<u32> {
    match listener.address.as_ref()?.address.as_ref()? {
        Address::SocketAddress(address) => match address.port_specifier.as_ref()? {
            PortSpecifier::PortValue(port) => Some(*port),
            PortSpecifier::NamedPort(_) => None,
        },
        _ => None,
    }
}

fn policies_of<'a>(chains: impl IntoIterator<Item = &'a FilterChain>) -> Vec<String> {
    let mut policies = Vec::new();
    for filter in chains.into_iter().flat_map(|chain| &chain.filters) {
        if let Some(rbac) = message::<NetworkRbac>(filter, NETWORK_RBAC) {
            policies.extend(names(rbac.rules.as_ref()).chain(names(rbac.shadow_rules.as_ref())));
        }
        let Some(manager) = message::<HttpConnectionManager>(filter, MANAGER) else { continue };
        for rbac in http_rbac(&manager) {
            policies.extend(names(rbac.rules.as_ref()).chain(names(rbac.shadow_rules.as_ref())));
        }
    }
    policies.sort();
    policies.dedup();
    policies
}

/// Chains of connections to a port; of a port without one, those that take any.
fn chains_of(listener: &Listener, target: u32) -> Vec<&FilterChain> {
    let port_of = |chain: &FilterChain| {
        chain.filter_chain_match.as_ref().and_then(|m| m.destination_port.as_ref()).map(|port| port.value)
    };
    let of = |port: Option<u32>| -> Vec<&FilterChain> {
        listener.filter_chains.iter().filter(|chain| port_of(chain) == port).collect()
    };
    let own = of(Some(target));
    if own.is_empty() { of(None) } else { own }
}

fn first_policies(listener: &Listener) -> Result<Vec<String>, WithoutRules> {
    let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
    let Some(manager) = filters.into_iter().find_map(|filter| message::<HttpConnectionManager>(filter, MANAGER)) else {
        return Ok(Vec::new());
    };
    let named = manager.http_filters.iter().filter(|filter| filter.name == "envoy.filters.http.rbac");
    let mut filters = named.filter_map(|filter| match &filter.config_type {
        Some(HttpConfigType::TypedConfig(config)) if type_of(config) == HTTP_RBAC => {
            decode_any::<HttpRbac>(config).ok()
        }
        _ => None,
    });
    match filters.next() {
        Some(HttpRbac { rules: None, .. }) => Err(WithoutRules),
        Some(rbac) => Ok(names(rbac.rules.as_ref()).collect()),
        None => Ok(Vec::new()),
    }
}

fn names(rules: Option<&Rules>) -> impl Iterator<Item = String> {
    rules.into_iter().flat_map(|rules| rules.policies.keys().cloned())
}

fn http_rbac(manager: &HttpConnectionManager) -> impl Iterator<Item = HttpRbac> {
    manager.http_filters.iter().filter_map(|filter| match &filter.config_type {
        Some(HttpConfigType::TypedConfig(config)) if type_of(config) == HTTP_RBAC => decode_any(config).ok(),
        _ => None,
    })
}

fn message<T: crate::proto::Message>(filter: &Filter, name: &str) -> Option<T> {
    let Some(ConfigType::TypedConfig(config)) = &filter.config_type else { return None };
    let config: &Any = config;
    (type_of(config) == name).then(|| decode_any(config).ok()).flatten()
}

/// Domain of the cluster, out of the node's id: `sidecar~address~pod.namespace~namespace.svc.domain`.
fn domain(proxy: &Proxy) -> Option<String> {
    let namespace = inventory::identity(proxy).namespace?;
    let of_node = proxy.node()?.id.rsplit('~').next()?.to_owned();
    Some(of_node.strip_prefix(&format!("{namespace}.svc."))?.to_owned())
}

/// `service` and `namespace` of a name that ends in `service.namespace.svc.cluster.local`.
fn service_of(host: &str) -> Option<(&str, &str)> {
    let (rest, namespace) = host.strip_suffix(".svc.cluster.local")?.rsplit_once('.')?;
    let service = rest.rsplit_once('.').map_or(rest, |(_, service)| service);
    (!service.is_empty() && !namespace.is_empty()).then_some((service, namespace))
}

/// Path of the Istio object behind a resource.
fn config(metadata: &Metadata) -> Option<&str> {
    metadata.filter_metadata.get("istio")?.get("config")?.as_str()
}

/// The object that a path names, if it is of a kind: `/apis/<group>/<version>/namespaces/<namespace>/<kind>/<name>`.
fn object(path: &str, kind: &str) -> Option<ObjectName> {
    static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"/apis/networking(?:\.istio\.io)?/v1[a-z0-9]*/namespaces/([^/]+)/([a-z-]+)/([^/]+)").ok()
    });
    let captures = FORM.as_ref()?.captures(path)?;
    let part = |nth| captures.get(nth).map_or("", |part| part.as_str());
    (part(2) == kind).then(|| ObjectName { namespace: part(1).to_owned(), name: part(3).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_object() {
        let name = |path: &str| object(path, "virtual-service").map(|name| format!("{}.{}", name.name, name.namespace));
        let path = |version| format!("/apis/networking{version}/namespaces/shop/virtual-service/catalog");
        assert_eq!(name(&path(".istio.io/v1")), Some("catalog.shop".to_owned()));
        assert_eq!(name(&path("/v1alpha3")), Some("catalog.shop".to_owned()));
        assert_eq!(name("/apis/networking.istio.io/v1/namespaces/shop/destination-rule/catalog"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn a_host_names_a_service() {
        assert_eq!(service_of("a.b.svc.cluster.local"), Some(("a", "b")));
        assert_eq!(service_of("x.a.b.svc.cluster.local"), Some(("a", "b")));
        assert_eq!(service_of("a.svc.cluster.local"), None);
        assert_eq!(service_of("a.b.svc.cluster.local:80"), None);
    }
}
