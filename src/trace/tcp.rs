//! TCP proxy: which cluster and endpoint take a connection (semantics §3.2).

use super::assume::Upstream;
use super::cluster::{self, Balance, HostAddress, Selection};
use super::network::{self, Hop};
use super::network_filter::Denial;
use super::outcome::{Disposition, Step};
use super::request::{Connection, Protocol};
use super::upstream;
use super::walk::Walk;
use crate::dump::Origin;
use crate::proto::envoy::config::core::v3::{Metadata, RoutingPriority};
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::ClusterSpecifier;

/// Filter state that names the cluster of a connection (sni_cluster, set_filter_state).
pub(crate) const CLUSTER_KEY: &str = "envoy.tcp_proxy.cluster";

/// Forwards the connection; `denied` is what a filter before it says once the first byte arrives.
pub(crate) fn serve(
    hop: &Hop<'_>,
    walk: &mut Walk,
    proxy: &TcpProxy,
    origin: Origin,
    connection: &Connection,
    denied: Option<Denial>,
) {
    let (name, metadata, why) = match cluster_name(walk, proxy, connection) {
        Some(chosen) => chosen,
        None => {
            walk.outcome.flags.insert("NC");
            walk.step(Step::new("TCP proxy", "no cluster", "tcp_proxy names none").at(Some(origin)));
            walk.end(Disposition::NoCluster);
            return;
        }
    };
    walk.step(Step::new("TCP proxy", &name, why).at(Some(origin)));
    let balance = Balance {
        connection,
        stream: None,
        metadata_match: metadata,
        hash_policy: &[],
        connection_metadata: Some(&connection.metadata),
        connection_hash_policy: &proxy.hash_policy,
        priority: RoutingPriority::Default,
    };
    let host = match cluster::select(&hop.cx, walk, &name, &balance) {
        Selection::Failure(failure) => {
            if !failure.flags.contains(&"NC") {
                walk.outcome.cluster = Some(name.clone());
            } else if proxy.on_demand.as_ref().is_some_and(|on_demand| on_demand.odcds_config.is_some()) {
                walk.missing(format!("cluster {name}: it may be loaded on demand (ODCDS)"));
            }
            walk.outcome.flags.extend(failure.flags.iter().copied());
            if failure.host.is_some() {
                // Connecting failed: with one attempt that is also the end of all attempts.
                walk.outcome.flags.insert("URX");
                walk.outcome.upstream_host = failure.host;
            }
            walk.end(if name == "BlackHoleCluster" { Disposition::BlackHole } else { failure.disposition });
            return;
        }
        Selection::Host(host) => host,
    };
    walk.outcome.cluster = Some(name);
    walk.outcome.upstream_host = upstream::shown(&host.address);
    if let Some(denial) = denied {
        denial.end(walk, true);
        return;
    }
    let original = host.is_original_destination;
    if let HostAddress::Internal { listener, .. } = &host.address {
        let next = upstream::internal_connection(&host, connection, None);
        let inner = Hop {
            bytes: super::inspect::Bytes::Internal(hop.bytes.request(), hop.bytes.is_tls() && !connection.tls),
            depth: hop.depth + 1,
            ..*hop
        };
        http_result(walk, |walk| {
            network::enter_internal(&inner, walk, listener, next);
        });
        if walk.outcome.status.is_none() && is_closed_at_once(walk) {
            walk.outcome.flags.extend(["UF", "URX"]);
        }
        return;
    }
    if proxy.tunneling_config.is_some() && refuses_tunnel(walk) {
        walk.outcome.flags.extend(["UF", "URX"]);
        walk.step(Step::new("tunnel", "refused", "the upstream is assumed not to open the tunnel with a 2xx"));
        walk.end(Disposition::ConnectFailure);
        return;
    }
    walk.end(if original { Disposition::PassthroughOriginalDst } else { Disposition::Endpoint });
    let request = hop.bytes.request();
    // What is inside a TLS connection that isn't ended here stays unread. A tunnel (tunneling_config) hands the bytes on
    // as they are.
    let is_readable = !hop.bytes.is_tls() || connection.tls;
    if is_readable && request.protocol != Protocol::Tcp {
        walk.outcome.status = Some(200);
        walk.outcome.upstream_path = Some(request.path.clone());
        walk.outcome.upstream_authority = Some(request.authority.clone().unwrap_or_default());
    }
}

/// Whether the upstream is assumed not to open a tunnel.
fn refuses_tunnel(walk: &mut Walk) -> bool {
    match walk.upstream() {
        Some(Upstream::Status(status)) => !(200..300).contains(&status),
        Some(Upstream::Reset) => true,
        _ => false,
    }
}

/// Whether the next hop, an internal listener, closes the connection before it reads anything: to the hop before it, that
/// is one that failed to connect (measured on 1.40).
pub(crate) fn is_closed_at_once(walk: &Walk) -> bool {
    use Disposition::{BlackHole, ConnectFailure, NoCluster, NoFilterChain, NoHealthyEndpoint};
    let end = walk.outcome.disposition;
    matches!(end, Some(NoFilterChain | NoHealthyEndpoint | NoCluster | BlackHole | ConnectFailure))
}

/// Follows the next hop and keeps of it what the client sees: how it ends, not the way there.
pub(crate) fn http_result(walk: &mut Walk, follow: impl FnOnce(&mut Walk)) {
    let outer = std::mem::take(&mut walk.outcome);
    follow(walk);
    let inner = std::mem::replace(&mut walk.outcome, outer);
    // Where the next hop takes it from the connection, this hop has chosen the endpoint.
    walk.outcome.disposition = match inner.disposition {
        Some(Disposition::PassthroughOriginalDst) => Some(Disposition::Endpoint),
        other => other,
    };
    walk.outcome.status = inner.status;
    walk.outcome.upstream_path = inner.upstream_path;
    walk.outcome.upstream_authority = inner.upstream_authority;
}

fn cluster_name<'a>(
    walk: &mut Walk,
    proxy: &'a TcpProxy,
    connection: &Connection,
) -> Option<(String, Vec<&'a Metadata>, String)> {
    let mut metadata: Vec<&Metadata> = proxy.metadata_match.iter().collect();
    match proxy.cluster_specifier.as_ref()? {
        // Filter state outweighs a single cluster, but not weighted ones (measured on 1.40).
        ClusterSpecifier::Cluster(name) => match connection.filter_state.get(CLUSTER_KEY) {
            Some(name) => Some((name.clone(), metadata, "the connection's filter state names it".to_owned())),
            None => Some((name.clone(), metadata, "tcp_proxy names it".to_owned())),
        },
        ClusterSpecifier::WeightedClusters(weighted) => {
            let weights: Vec<f64> = weighted.clusters.iter().map(|c| f64::from(c.weight)).collect();
            let chosen = weighted.clusters.get(walk.pick(&weights)?)?;
            metadata.extend(chosen.metadata_match.as_ref());
            let sum: f64 = weights.iter().sum();
            Some((chosen.name.clone(), metadata, format!("weight {} of {sum}", chosen.weight)))
        }
    }
}
