//! The destination of a request whose client only knows a URL.
//!
//! A person asks for `http://reviews:9080/x`; the kernel of the pod sees an address and a port. The address is derived
//! from what the dump holds, and the first step of the trace says how: domains of virtual hosts (Istio lists the VIPs
//! beside the names), addresses of listeners, endpoints.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

use super::context::Context;
use super::listener::{self, Accepting};
use super::outcome::{Rejected, Step};
use super::path::port_start;
use super::request::{Direction, Request};
use super::waypoint;
use crate::dump::{Origin, Resource, State, type_of};
use crate::proto::envoy::config::core::v3::TrafficDirection;
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use crate::proto::envoy::config::listener::v3::FilterChain;
use crate::proto::envoy::config::listener::v3::filter::ConfigType;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;

/// A request with a destination, and the steps that explain it.
pub(crate) struct Derived {
    pub(crate) request: Request,
    pub(crate) steps: Vec<Step>,
    /// The host, if the destination's address only stands for one that isn't in the dump.
    pub(crate) stands_for: Option<String>,
}

/// Ports that Istio's iptables rules redirect to (semantics §2.2).
const OUTBOUND_PORT: u16 = 15001;
const INBOUND_PORT: u16 = 15006;

/// Finds where the request goes before any proxy looks at it.
pub(crate) fn derive(cx: &Context<'_>, request: &Request) -> Derived {
    let (host, port) = target(request);
    let capture = |port: u16| {
        let place = listener::places(cx).on_port(port).find(|place| place.is_bound);
        place.and_then(|place| place.accepting(cx))
    };
    let port_of = |found: &Accepting<'_>| listener::addresses(found.listener).next().map(|address| address.port());
    // Only a proxy that connections are redirected to has these two; before Istio 1.3 there is one for both. Other
    // meshes listen on other ports, and say which side is which.
    let outbound = capture(OUTBOUND_PORT)
        .filter(|found| found.listener.use_original_dst.is_some_and(|v| v.value))
        .or_else(|| redirected(cx, TrafficDirection::Outbound));
    let inbound = capture(INBOUND_PORT).or_else(|| redirected(cx, TrafficDirection::Inbound));
    match (request.direction, outbound, inbound) {
        (Direction::Inbound, _, Some(found)) => {
            to_application(cx, request, port, port_of(&found).unwrap_or(INBOUND_PORT))
        }
        (Direction::Inbound, Some(_), None) => to_application(cx, request, port, OUTBOUND_PORT),
        (Direction::Outbound | Direction::Unspecified, Some(found), _) => {
            through_capture(cx, request, &host, port, &found)
        }
        _ => waypoint::derive(cx, request, &host, port).unwrap_or_else(|| to_bound_port(cx, request, &host, port)),
    }
}

/// The listener of one direction that connections are redirected to: it restores where they were going.
fn redirected<'a>(cx: &Context<'a>, direction: TrafficDirection) -> Option<Accepting<'a>> {
    let bound = listener::places(cx).iter().filter(|place| place.is_bound).filter_map(|place| place.accepting(cx));
    bound.into_iter().find(|found| {
        let restores = found.listener.listener_filters.iter().any(|filter| filter.name.ends_with("original_dst"));
        restores && found.listener.traffic_direction == direction as i32
    })
}

/// Host and port of a request: of its authority, else of its SNI; the port of the scheme where none is written.
fn target(request: &Request) -> (String, u16) {
    let authority =
        request.authority.clone().or_else(|| request.tls.as_ref().and_then(|tls| tls.sni.clone())).unwrap_or_default();
    let default = request.port.unwrap_or(if request.tls.is_some() { 443 } else { 80 });
    let (host, port) = match port_start(&authority) {
        Some(colon) => (
            authority.get(..colon).unwrap_or_default().to_owned(),
            authority.get(colon + 1..).and_then(|p| p.parse().ok()).unwrap_or(default),
        ),
        None => (authority, default),
    };
    (host.trim_start_matches('[').trim_end_matches(']').to_owned(), request.port.unwrap_or(port))
}

fn derived(request: &Request, to: SocketAddr, redirected_to: Option<u16>, step: Step) -> Derived {
    let mut request = request.clone();
    request.connect = Some(to);
    request.redirected_to = redirected_to;
    Derived { request, steps: vec![step], stands_for: None }
}

/// The pod's own address and an application port.
fn to_application(cx: &Context<'_>, request: &Request, port: u16, capture: u16) -> Derived {
    let (ip, why) = match own_address(cx) {
        Some(ip) => (ip, "the proxy's own address, from its node".to_owned()),
        None => (
            IpAddr::from([127, 0, 0, 1]),
            "the dump doesn't tell the pod's address; 127.0.0.1 stands for it".to_owned(),
        ),
    };
    let to = SocketAddr::new(ip, port);
    derived(request, to, Some(capture), Step::new("destination", to.to_string(), why))
}

/// Address of the proxy's pod: `INSTANCE_IPS` of its node, or the second part of Istio's node id.
pub(crate) fn own_address(cx: &Context<'_>) -> Option<IpAddr> {
    let node = cx.proxy.node()?;
    let listed = node.metadata.as_ref().and_then(|m| m.get("INSTANCE_IPS")).and_then(|v| v.as_str());
    listed
        .and_then(|ips| ips.split(',').next())
        .and_then(|ip| ip.parse().ok())
        .or_else(|| node.id.split('~').nth(1)?.parse().ok())
}

/// A sidecar's application: the name was resolved to an address before the connection came here.
fn through_capture(cx: &Context<'_>, request: &Request, host: &str, port: u16, capture: &Accepting<'_>) -> Derived {
    let port_of_capture = listener::addresses(capture.listener).next().map_or(OUTBOUND_PORT, |a| a.port());
    let at = |ip: IpAddr, why: String, origin: Option<Origin>| {
        let to = SocketAddr::new(ip, port);
        derived(request, to, Some(port_of_capture), Step::new("destination", to.to_string(), why).at(origin))
    };
    if let Ok(ip) = host.parse() {
        return at(ip, "the URL names the address".to_owned(), None);
    }
    if let Some((ip, why, origin)) = vip_of_virtual_host(cx, host, port) {
        return at(ip, why, Some(origin));
    }
    if let Some((ip, why, origin)) = vip_of_chain(cx, host, port, capture) {
        return at(ip, why, Some(origin));
    }
    if let Some((ip, why, origin)) = vip_of_cluster(cx, host, port) {
        return at(ip, why, Some(origin));
    }
    if let Some((ip, why, origin)) = endpoint_of_cluster(cx, host, port) {
        return at(ip, why, Some(origin));
    }
    let ip = unused_address(cx, port);
    let mut derived =
        at(ip, format!("no address of {host} is in the dump; {ip} stands for one that no listener has"), None);
    derived.stands_for = Some(host.to_owned());
    derived
}

/// Names under which a service may be called: short forms count within the proxy's own namespace.
pub(crate) fn is_called(fqdn: &str, host: &str, namespace: Option<&str>) -> bool {
    if fqdn.eq_ignore_ascii_case(host) || fqdn.eq_ignore_ascii_case(host.trim_end_matches('.')) {
        return true;
    }
    let mut parts = fqdn.split('.');
    let (Some(name), Some(ns), Some("svc")) = (parts.next(), parts.next(), parts.next()) else { return false };
    let mut labels = host.split('.');
    let is_next = |label: Option<&str>, wanted: &str| label.is_some_and(|label| label.eq_ignore_ascii_case(wanted));
    if !is_next(labels.next(), name) {
        return false;
    }
    match (labels.next(), labels.next(), labels.next()) {
        (None, ..) => namespace == Some(ns),
        (label, None, _) => is_next(label, ns),
        (label, svc, None) => is_next(label, ns) && is_next(svc, "svc"),
        _ => false,
    }
}

pub(crate) fn namespace<'a>(cx: &Context<'a>) -> Option<&'a str> {
    cx.proxy.node()?.metadata.as_ref()?.get("NAMESPACE")?.as_str()
}

/// The address that stands beside the name in the domains of a virtual host, on a route that a listener of that port
/// uses.
fn vip_of_virtual_host(cx: &Context<'_>, host: &str, port: u16) -> Option<(IpAddr, String, Origin)> {
    let host_in_lower_case = host.to_lowercase();
    let with_port = format!("{host_in_lower_case}:{port}");
    for name in [port.to_string(), format!("http.{port}")] {
        let Some((resource, Ok(table))) = cx.proxy.route_table(&name) else { continue };
        let domains = cx.cache.domains(table);
        let found = domains.exact(table, &host_in_lower_case).into_iter().chain(domains.exact(table, &with_port)).min();
        let Some((index, entry)) = found.and_then(|index| Some((index, table.virtual_hosts.get(index)?))) else {
            continue;
        };
        let ips = entry.domains.iter().filter_map(|domain| {
            let bare = port_start(domain).and_then(|colon| domain.get(..colon)).unwrap_or(domain);
            bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()
        });
        let mut ips: Vec<IpAddr> = ips.collect();
        // IPv4 first: a dual-stack service lists both.
        ips.sort_by_key(|ip| !ip.is_ipv4());
        if let Some(ip) = ips.first() {
            let origin = resource.origin().within(&format!(".virtual_hosts[{index}]"));
            return Some((
                *ip,
                format!("{host} is a domain of virtual host {} (route {name}), which lists this address", entry.name),
                origin,
            ));
        }
    }
    None
}

/// The one address that a chain of the capturing listener asks for, if its routes know the host.
fn vip_of_chain(cx: &Context<'_>, host: &str, port: u16, capture: &Accepting<'_>) -> Option<(IpAddr, String, Origin)> {
    let host_in_lower_case = host.to_lowercase();
    let with_port = format!("{host_in_lower_case}:{port}");
    for (index, chain) in capture.listener.filter_chains.iter().enumerate() {
        let Some(asked) = &chain.filter_chain_match else { continue };
        if asked.destination_port.is_some_and(|wanted| wanted.value != u32::from(port)) {
            continue;
        }
        let [range] = asked.prefix_ranges.as_slice() else { continue };
        let Ok(ip) = range.address_prefix.parse::<IpAddr>() else { continue };
        if range.prefix_len.is_none_or(|length| length.value < if ip.is_ipv4() { 32 } else { 128 }) {
            continue;
        }
        let knows = |name: &String| {
            let Some((_, Ok(table))) = cx.proxy.route_table(name) else { return false };
            let domains = cx.cache.domains(table);
            domains.exact(table, &host_in_lower_case).or_else(|| domains.exact(table, &with_port)).is_some()
        };
        if let Some(route) = names_of(cx, chain).iter().find(|name| knows(name)) {
            let why = format!("the chain for this address has route {route}, of which {host} is a domain");
            return Some((ip, why, capture.resource.origin().within(&format!(".filter_chains[{index}]"))));
        }
    }
    None
}

/// The address of a listener of that port that leads to a cluster of the service.
fn vip_of_cluster(cx: &Context<'_>, host: &str, port: u16) -> Option<(IpAddr, String, Origin)> {
    let namespace = namespace(cx);
    for place in listener::places(cx).on_port(port) {
        let address = place.addresses().find(|a| a.port() == port && !a.ip().is_unspecified());
        let Some((address, found)) = address.zip(place.accepting(cx)) else { continue };
        let chains = found.listener.filter_chains.iter().chain(&found.listener.default_filter_chain);
        let leads = chains.map(|chain| names_of(cx, chain)).find_map(|names| {
            names.iter().find(|name| service_of(name).is_some_and(|fqdn| is_called(fqdn, host, namespace))).cloned()
        });
        if let Some(name) = leads {
            let why = format!("listener {} has this address and leads to {name}", listener::display_name(&found));
            return Some((address.ip(), why, found.resource.origin()));
        }
    }
    None
}

/// Clusters and route names that a chain's terminal filters hold.
fn names_of(cx: &Context<'_>, chain: &FilterChain) -> Arc<[String]> {
    cx.cache.names(chain, || find_names(cx, chain))
}

fn find_names(cx: &Context<'_>, chain: &FilterChain) -> Vec<String> {
    use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
    use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;
    let mut names = Vec::new();
    for filter in &chain.filters {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { continue };
        match type_of(any).rsplit('.').next() {
            Some("TcpProxy") => {
                let Ok(proxy) = cx.cache.decode::<TcpProxy>(any) else { continue };
                match &proxy.cluster_specifier {
                    Some(ClusterSpecifier::Cluster(name)) => names.push(name.clone()),
                    Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                        names.extend(weighted.clusters.iter().map(|c| c.name.clone()))
                    }
                    None => {}
                }
            }
            Some("HttpConnectionManager") => {
                let Ok(hcm) = cx.cache.decode::<HttpConnectionManager>(any) else { continue };
                if let Some(RouteSpecifier::Rds(rds)) = &hcm.route_specifier {
                    names.push(rds.route_config_name.clone());
                }
            }
            _ => {}
        }
    }
    names
}

/// Host of a service in `outbound|80|v1|host` or in a route name `host:80`.
pub(crate) fn service_of(name: &str) -> Option<&str> {
    if name.contains('|') {
        return name.rsplit('|').next().filter(|host| !host.is_empty());
    }
    let (host, port) = name.rsplit_once(':')?;
    port.parse::<u16>().is_ok().then_some(host)
}

/// Load assignments by the first label of the services that they are of: every name that a service is called by starts
/// with it.
#[derive(Debug)]
pub(crate) struct Services {
    /// By the hash of the label, indices among the proxy's load assignments in ascending order.
    by_label: HashMap<u64, Vec<usize>>,
}

impl Services {
    fn of(assignments: &[Resource<ClusterLoadAssignment>]) -> Self {
        let mut by_label: HashMap<u64, Vec<usize>> = HashMap::new();
        for (nth, resource) in assignments.iter().enumerate() {
            if resource.state != State::Warming
                && resource.name.starts_with("outbound")
                && let Some(fqdn) = service_of(&resource.name)
            {
                by_label.entry(Self::key(fqdn)).or_default().push(nth);
            }
        }
        Self { by_label }
    }

    fn key(name: &str) -> u64 {
        xxh64(name.split('.').next().unwrap_or_default().to_ascii_lowercase().as_bytes(), 0)
    }

    /// Those that may be called by that name.
    fn called(&self, host: &str) -> impl Iterator<Item = usize> {
        self.by_label.get(&Self::key(host)).into_iter().flatten().copied()
    }
}

/// A headless service: its endpoints are what its name resolves to.
fn endpoint_of_cluster(cx: &Context<'_>, host: &str, port: u16) -> Option<(IpAddr, String, Origin)> {
    let namespace = namespace(cx);
    let wanted = format!("|{port}|");
    let assignments = cx.proxy.load_assignments();
    let services = cx.cache.services(|| Services::of(assignments));
    for resource in services.called(host).filter_map(|nth| assignments.get(nth)) {
        let fits = resource.name.contains(&wanted)
            && service_of(&resource.name).is_some_and(|fqdn| is_called(fqdn, host, namespace));
        if !fits {
            continue;
        }
        let Ok(assignment) = resource.get() else { continue };
        let address = assignment.endpoints.iter().flat_map(|locality| &locality.lb_endpoints).find_map(|endpoint| {
            let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return None };
            listener::tcp_address(endpoint.address.as_ref()?).filter(|a| a.port() == port)
        });
        // An address is the destination only if a listener takes it: else the service has a VIP that isn't shown.
        let address = address.filter(|to| listener::places(cx).have(*to));
        if let Some(to) = address {
            return Some((
                to.ip(),
                format!("{} has this endpoint, and a listener takes its address", resource.name),
                resource.origin(),
            ));
        }
    }
    None
}

/// An address of the documentation range that no listener of that port has.
fn unused_address(cx: &Context<'_>, port: u16) -> IpAddr {
    (1..=254)
        .map(|last| IpAddr::from([198, 51, 100, last]))
        .find(|ip| !listener::places(cx).have(SocketAddr::new(*ip, port)))
        .unwrap_or(IpAddr::from([198, 51, 100, 255]))
}

/// A gateway, a waypoint or a plain Envoy: the bound port decides.
fn to_bound_port(cx: &Context<'_>, request: &Request, host: &str, port: u16) -> Derived {
    let ip = host.parse().ok().or_else(|| own_address(cx)).unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let bound: Vec<Accepting<'_>> =
        listener::places(cx).iter().filter(|p| p.is_bound).filter_map(|p| p.accepting(cx)).collect();
    let on = |port: u16| bound.iter().find(|l| listener::addresses(l.listener).any(|a| a.port() == port));
    let address_of = |found: &Accepting<'_>, port: u16| {
        let own = listener::addresses(found.listener)
            .find(|a| a.port() == port)
            .map(|a| a.ip())
            .filter(|ip| !ip.is_unspecified());
        SocketAddr::new(own.unwrap_or(ip), port)
    };
    if let Some(found) = on(port) {
        let to = address_of(found, port);
        let why = format!("listener {} is bound to port {port}", listener::display_name(found));
        return derived(
            request,
            to,
            None,
            Step::new("destination", to.to_string(), why).at(Some(found.resource.origin())),
        );
    }
    // Behind a Kubernetes Service the gateway listens on the target port; its virtual hosts keep the service port.
    let serving: Vec<(&Accepting<'_>, String)> =
        bound.iter().filter_map(|found| Some((found, serves_port(cx, found, port)?))).collect();
    if let [(found, why)] = serving.as_slice()
        && let Some(address) = listener::addresses(found.listener).next()
    {
        let to = address_of(found, address.port());
        let step = Step::new("destination", to.to_string(), format!("no listener is bound to port {port}; {why}"));
        return derived(request, to, None, step.at(Some(found.resource.origin())));
    }
    let rejected = bound
        .iter()
        .filter(|l| l.listener.traffic_direction != TrafficDirection::Inbound as i32)
        .filter_map(|l| {
            Some(Rejected {
                name: listener::display_name(l),
                because: format!("it is bound to {}", listener::addresses(l.listener).next()?),
            })
        })
        .take(3)
        .collect();
    let to = SocketAddr::new(ip, port);
    derived(
        request,
        to,
        None,
        Step::new("destination", to.to_string(), format!("port {port} of the URL")).not(rejected),
    )
}

/// Why a listener serves a port of the Service in front of it: its routes have virtual hosts of that port, or their
/// name tells it (`https.443.…`).
fn serves_port(cx: &Context<'_>, found: &Accepting<'_>, port: u16) -> Option<String> {
    let shown = listener::display_name(found);
    let suffix = format!(":{port}");
    let names: Vec<_> = found.listener.filter_chains.iter().map(|chain| names_of(cx, chain)).collect();
    for name in names.iter().flat_map(|names| names.iter()) {
        if name.starts_with(&format!("https.{port}.")) {
            return Some(format!("{shown} serves it by its route {name}"));
        }
        let Some((_, Ok(table))) = cx.proxy.route_table(name) else { continue };
        if let Some(entry) = table.virtual_hosts.iter().find(|entry| entry.name.ends_with(&suffix)) {
            return Some(format!("{shown} serves it: its route {name} has the virtual host {}", entry.name));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_count_in_their_namespace() {
        let fqdn = "reviews.shop.svc.cluster.local";
        assert!(is_called(fqdn, "reviews", Some("shop")));
        assert!(!is_called(fqdn, "reviews", Some("other")));
        assert!(is_called(fqdn, "reviews.shop", None));
        assert!(is_called(fqdn, "REVIEWS.shop.svc.cluster.local", None));
        assert!(!is_called(fqdn, "reviews.sho", None));
    }

    #[test]
    fn services_are_read_from_cluster_and_route_names() {
        assert_eq!(service_of("outbound|80|v1|a.b"), Some("a.b"));
        assert_eq!(service_of("inbound|80||"), None);
        assert_eq!(service_of("a.b:80"), Some("a.b"));
        assert_eq!(service_of("80"), None);
    }
}
