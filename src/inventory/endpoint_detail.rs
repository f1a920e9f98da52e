//! What decides about an endpoint beyond its row: why it isn't used, and what connections to it are made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::EndpointRow;
use super::detail::socket;
use super::endpoints::{ABSENT, address_of};
use super::tunnel::Tunnels;
use crate::dump::Proxy;
use crate::proto::Struct;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::Metadata;
use crate::proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use crate::proto::envoy::config::endpoint::v3::{ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints};
use crate::trace::labels_match;

/// Namespace of the metadata that chooses a transport socket.
const NAMESPACE: &str = "envoy.transport_socket_match";

/// An endpoint in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EndpointDetail {
    /// Why it isn't used, or is used less; `ok` if nothing speaks against it.
    pub health: String,
    /// What connections to it are made of; `-` where the input doesn't hold enough to tell.
    pub tls: String,
}

/// The details of rows, in their order. Without a proxy (`/clusters` alone) transport sockets aren't known.
#[must_use]
pub fn endpoint_details(proxy: Option<&Proxy>, rows: &[EndpointRow]) -> Vec<EndpointDetail> {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.cluster.as_str()).collect();
    let tunnels = Tunnels::of(proxy);
    let sockets: HashMap<&str, Sockets> = match proxy {
        Some(proxy) => {
            let by_service = by_service(proxy, &names);
            let names: Vec<&str> = names.into_iter().collect();
            let sockets = names.par_iter().filter_map(|name| {
                let cluster = proxy.cluster(name).or_else(|| proxy.cluster(by_service.get(*name)?))?;
                Some((*name, Sockets::of(proxy, cluster.decode().ok()?.as_ref(), &tunnels)))
            });
            sockets.collect()
        }
        None => HashMap::new(),
    };
    let detail = |row: &EndpointRow| EndpointDetail {
        health: health(row),
        tls: sockets.get(row.cluster.as_str()).and_then(|sockets| sockets.at(&row.endpoint)).unwrap_or("-").to_owned(),
    };
    rows.iter().map(detail).collect()
}

/// Clusters by their EDS service name, where that is what a row has.
fn by_service(proxy: &Proxy, names: &BTreeSet<&str>) -> BTreeMap<String, String> {
    if names.iter().all(|name| proxy.cluster(name).is_some()) {
        return BTreeMap::new();
    }
    let clusters = proxy.clusters().par_iter().filter(|cluster| cluster.state.is_in_force());
    let service = clusters.filter_map(|resource| {
        let cluster = resource.decode().ok()?;
        let service = cluster.eds_cluster_config.as_ref()?.service_name.clone();
        (!service.is_empty()).then(|| (service, resource.name.clone()))
    });
    service.collect::<Vec<_>>().into_iter().rev().collect()
}

fn health(row: &EndpointRow) -> String {
    let mut all: Vec<String> = row.flags.iter().map(|flag| (*flag).to_owned()).collect();
    match row.control_plane.as_str() {
        _ if row.status == ABSENT => all.push("only EDS has it".to_owned()),
        "HEALTHY" | "UNKNOWN" => {}
        status => all.push(format!("{} for the control plane", status.to_lowercase())),
    }
    if row.eds.as_deref() == Some(ABSENT) {
        all.push("EDS doesn't have it".to_owned());
    }
    if all.is_empty() { "ok".to_owned() } else { all.join(", ") }
}

/// The transport sockets of the endpoints of a cluster.
struct Sockets {
    by_endpoint: HashMap<String, String>,
    /// That of an endpoint whose metadata isn't known: if it doesn't depend on that, or if all of a DNS cluster have the
    /// same, whose endpoints are those of the addresses that were resolved.
    of_others: Option<String>,
}

impl Sockets {
    fn of(proxy: &Proxy, cluster: &Cluster, tunnels: &Tunnels<'_>) -> Self {
        let service = cluster.eds_cluster_config.as_ref().map(|eds| eds.service_name.as_str());
        let service = service.filter(|name| !name.is_empty()).unwrap_or(&cluster.name);
        let delivered = proxy.load_assignment(service).and_then(|resource| resource.decode().ok());
        let mut sockets = Self { by_endpoint: HashMap::new(), of_others: None };
        if cluster.transport_socket_matcher.is_some() {
            return sockets;
        }
        if cluster.transport_socket_matches.is_empty() {
            let any = || tunnels.of_cluster(cluster, false);
            sockets.of_others = Some(socket(cluster.transport_socket.as_ref(), false, any));
            return sockets;
        }
        for assignment in delivered.as_deref().into_iter().chain(&cluster.load_assignment) {
            sockets.add(cluster, assignment, tunnels);
        }
        if cluster.eds_cluster_config.is_some() {
            return sockets;
        }
        let all: BTreeSet<&String> = sockets.by_endpoint.values().collect();
        if let (Some(one), 1) = (all.first(), all.len()) {
            sockets.of_others = Some((*one).clone());
        }
        sockets
    }

    fn add(&mut self, cluster: &Cluster, assignment: &ClusterLoadAssignment, tunnels: &Tunnels<'_>) {
        for locality in &assignment.endpoints {
            for host in &locality.lb_endpoints {
                let Some(HostIdentifier::Endpoint(endpoint)) = &host.host_identifier else { continue };
                let (_, _, cell) = address_of(endpoint.address.as_ref());
                let behind = || match cell.strip_prefix("envoy://").and_then(|rest| rest.split_once('/')) {
                    Some((listener, _)) => tunnels.to(listener),
                    None => "internal listener".to_owned(),
                };
                let words = of_host(cluster, locality, host, behind);
                self.by_endpoint.insert(cell, words);
            }
        }
    }

    fn at(&self, endpoint: &str) -> Option<&str> {
        self.by_endpoint.get(endpoint).or(self.of_others.as_ref()).map(String::as_str)
    }
}

/// The first match that the endpoint's metadata has all labels of decides, else the locality's (semantics §7).
fn of_host(
    cluster: &Cluster,
    locality: &LocalityLbEndpoints,
    host: &LbEndpoint,
    behind: impl Fn() -> String,
) -> String {
    let labels_of = |metadata: Option<&Metadata>| -> Option<Struct> {
        metadata.and_then(|metadata| metadata.filter_metadata.get(NAMESPACE)).cloned()
    };
    for (nth, level) in [host.metadata.as_ref(), locality.metadata.as_ref()].into_iter().enumerate() {
        if nth > 0 && level.is_none() {
            continue;
        }
        let labels = labels_of(level);
        for candidate in &cluster.transport_socket_matches {
            let wanted = candidate.r#match.as_ref().map(|wanted| &wanted.fields);
            if labels_match(wanted.into_iter().flatten(), labels.as_ref(), false) {
                return socket(candidate.transport_socket.as_ref(), false, behind);
            }
        }
    }
    socket(cluster.transport_socket.as_ref(), false, behind)
}
