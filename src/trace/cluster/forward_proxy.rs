//! Dynamic forward proxy clusters: the host is the one that the request names.

use std::net::{Ipv4Addr, SocketAddr};

use super::{
    Balance, Failure, Host, HostAddress, Way, discovery, hosts, socket_step, transport_socket, unresolved, way_to,
};
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DnsLookupFamily};
use crate::proto::envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;
use crate::proto::envoy::extensions::clusters::dynamic_forward_proxy::v3::cluster_config::ClusterImplementationSpecifier;
use crate::trace::context::Context;
use crate::trace::outcome::Step;
use crate::trace::walk::Walk;

/// The host that a request names: its authority, else the server name of its connection.
pub(super) fn way(cx: &Context<'_>, walk: &mut Walk, cluster: &Cluster, input: &Balance<'_>) -> Result<Way, Failure> {
    let filter_state = |key: &str| match input.stream {
        Some(stream) => stream.filter_state(key),
        None => input.connection.filter_state.get(key).map(String::as_str),
    };
    let named = filter_state("envoy.upstream.dynamic_host")
        .or_else(|| input.stream.map(|stream| stream.headers.authority()))
        .or(input.connection.server_name.as_deref())
        .filter(|name| !name.is_empty());
    let Some(named) = named else {
        return Err(Failure::no_healthy_upstream("the request names no host".to_owned()));
    };
    let socket = transport_socket::of_host(cx, cluster, None);
    let default_port = if matches!(socket.kind, transport_socket::SocketKind::Tls(_)) { 443 } else { 80 };
    let asked_port = filter_state("envoy.upstream.dynamic_port").and_then(|port| port.parse().ok());
    let (host, port) = split(named);
    let port = asked_port.or(port).unwrap_or(default_port);
    // An IPv6 address may be refused by the resolver.
    if let Ok(ip) = host.parse::<Ipv4Addr>()
        && !asks_for_ipv6(cx, cluster)
    {
        let address = SocketAddr::new(ip.into(), port);
        let endpoint = Step::new("endpoint", address.to_string(), "the address that the request names");
        let steps = vec![endpoint, socket_step(&socket)];
        let host = Host {
            address: HostAddress::Ip(address),
            hostname: host.to_owned(),
            cluster: cluster.name.clone(),
            transport_socket: socket,
            is_original_destination: false,
        };
        return Ok(Way { host, steps });
    }
    // A name that was resolved before stands among the hosts.
    let around = &hosts::Surroundings::of(cx);
    let live = cx.proxy.cluster_status(&cluster.name);
    let known = match discovery::assignment(cx, cluster) {
        Some((assignment, true)) => hosts::of_assignment(assignment, live, around, hosts::Written::ByEnvoy),
        _ => live.map(|live| hosts::of_cluster_status(live, around)).unwrap_or_default(),
    };
    let name = format!("{host}:{port}");
    let mut members = known.iter().flat_map(|priority| &priority.members);
    let Some(member) = members.find(|member| member.hostname == name || member.hostname == host) else {
        let reason = format!("address of {name} (dynamic forward proxy)");
        // For a request, a filter resolves the name and answers where it can't (measured on 1.40).
        if !walk.assume_bool(&reason) && input.stream.is_some() {
            return Err(Failure {
                flags: vec!["DF"],
                details: "dns_resolution_failure",
                ..Failure::no_healthy_upstream(format!("{name} can't be resolved"))
            });
        }
        return Ok(unresolved(cx, cluster, &name, &reason));
    };
    let why = "the host that the request names, as it was resolved when the dump was taken".to_owned();
    Ok(way_to(cx, cluster, member, why, Vec::new()))
}

/// Whether names are resolved to IPv6 addresses only.
fn asks_for_ipv6(cx: &Context<'_>, cluster: &Cluster) -> bool {
    let Some(ClusterDiscoveryType::ClusterType(custom)) = cluster.cluster_discovery_type.as_ref() else { return false };
    let config = custom.typed_config.as_ref().and_then(|any| cx.cache.decode::<ClusterConfig>(any).ok());
    match config.as_ref().and_then(|config| config.cluster_implementation_specifier.as_ref()) {
        Some(ClusterImplementationSpecifier::DnsCacheConfig(cache)) => {
            cache.dns_lookup_family() == DnsLookupFamily::V6Only
        }
        _ => false,
    }
}

/// Host and port of `host:port`, `host` or `[v6]:port`.
fn split(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}
