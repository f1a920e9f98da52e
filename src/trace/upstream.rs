//! What a chosen host means for the next hop: the connection an internal listener sees, the protocol that is spoken,
//! whether a failed connection is tried again.

use std::collections::BTreeMap;

use super::cluster::{Host, HostAddress, SocketKind, allows_retry};
use super::context::{Context, Selected, Stream};
use super::network::no_address;
use super::request::{Connection, Headers};
use crate::dump::{Kind, decode_any};
use crate::proto::Struct;
use crate::proto::envoy::config::core::v3::RoutingPriority;
use crate::proto::envoy::config::route::v3::{RetryPolicy, RouteAction};
use crate::proto::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use crate::proto::envoy::extensions::upstreams::http::v3::http_protocol_options::UpstreamProtocolOptions;
use crate::proto::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;

/// Whether the route's cluster is one that requests can be sent to; where the file has no clusters it is taken to be.
pub(crate) fn is_in_force(cx: &Context<'_>, cluster: &str) -> bool {
    cx.proxy.cluster(cluster).is_some() || !cx.proxy.has_section(Kind::Cluster)
}

/// Address of a host as the access log shows it; `None` if the input doesn't hold it.
pub(crate) fn shown(address: &HostAddress) -> Option<String> {
    (*address != HostAddress::Unknown).then(|| address.to_string())
}

/// Metadata that tells an internal listener where its connection was meant to go (semantics §3.4).
const ORIGINAL_DESTINATION: &str = "envoy.filters.listener.original_dst";

/// The connection that an internal listener gets from one of this proxy's clusters.
///
/// It has no addresses of its own; filter state that was shared with the upstream, and metadata that the transport
/// socket passes on, come along.
pub(crate) fn internal_connection(host: &Host, from: &Connection, stream: Option<&Stream>) -> Connection {
    let mut connection = Connection::new(no_address(), no_address());
    connection.is_internal = true;
    let shared = from.filter_state.iter().chain(stream.iter().flat_map(|stream| &stream.filter_state));
    connection.filter_state =
        shared.filter(|(key, _)| is_shared(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    connection.metadata = passed_metadata(host);
    let local = connection.metadata.get(ORIGINAL_DESTINATION).and_then(|m| m.get("local")).and_then(|v| v.as_str());
    if let Some(local) = local.map(str::to_owned) {
        connection.filter_state.insert(format!("{ORIGINAL_DESTINATION}.local_ip"), local);
    }
    connection
}

fn passed_metadata(host: &Host) -> BTreeMap<String, Struct> {
    match &host.transport_socket.kind {
        SocketKind::Internal { metadata, .. } => metadata.clone(),
        _ => BTreeMap::new(),
    }
}

/// Keys that Istio shares with the upstream connection.
fn is_shared(key: &str) -> bool {
    key.starts_with(ORIGINAL_DESTINATION) || key.starts_with("io.istio.")
}

/// Whether requests to a cluster go out as HTTP/2.
pub(crate) fn speaks_http2(cx: &Context<'_>, cluster: &str, downstream_is_http2: bool) -> bool {
    let Some(Ok(cluster)) = cx.proxy.cluster(cluster).map(|resource| resource.get()) else { return false };
    let options = cluster
        .typed_extension_protocol_options
        .get("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
        .and_then(|any| decode_any::<HttpProtocolOptions>(any).ok());
    match options.and_then(|options| options.upstream_protocol_options) {
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)) => {
            matches!(config.protocol_config, Some(ProtocolConfig::Http2ProtocolOptions(_)))
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(_)) => downstream_is_http2,
        Some(UpstreamProtocolOptions::AutoConfig(_)) | None => false,
    }
}

/// How an attempt to reach the upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// There was no connection.
    NotConnected,
    /// The connection ended before an answer.
    Reset,
    /// The upstream answered with that status.
    Answered(u16),
}

/// What the log adds about retries when every attempt ends in the same way: that they are used up, or that the circuit
/// breaker allows none.
pub(crate) fn flag_of_retries(
    cx: &Context<'_>,
    action: &RouteAction,
    selected: &Selected<'_>,
    cluster: &str,
    headers: &Headers,
    attempt: Attempt,
) -> Option<&'static str> {
    let policy: Option<&RetryPolicy> =
        action.retry_policy.as_ref().or_else(|| selected.vhost.and_then(|vhost| vhost.retry_policy.as_ref()));
    // An internal client may ask for more; the headers of others were dropped before.
    let asked = headers.get("x-envoy-retry-on").unwrap_or_default();
    let own = policy.map(|policy| policy.retry_on.as_str()).unwrap_or_default();
    let mut codes: Vec<u32> = policy.map(|policy| policy.retriable_status_codes.clone()).unwrap_or_default();
    let more = headers.get("x-envoy-retriable-status-codes").unwrap_or_default();
    codes.extend(more.split(',').filter_map(|code| code.trim().parse::<u32>().ok()));
    let covers = own.split(',').chain(asked.split(',')).any(|on| covers(on.trim(), &codes, attempt));
    let priority = RoutingPriority::try_from(action.priority).unwrap_or_default();
    // None left is said of zero retries, too (measured on 1.40).
    covers.then(|| if allows_retry(cx, cluster, priority) { "URX" } else { "UO" })
}

/// Whether a condition of `retry_on` takes an attempt for failed.
fn covers(on: &str, codes: &[u32], attempt: Attempt) -> bool {
    match (on, attempt) {
        ("5xx" | "reset" | "gateway-error", Attempt::NotConnected | Attempt::Reset)
        | ("connect-failure" | "reset-before-request", Attempt::NotConnected) => true,
        ("5xx", Attempt::Answered(status)) => (500..600).contains(&status),
        ("gateway-error", Attempt::Answered(status)) => (502..=504).contains(&status),
        ("retriable-4xx", Attempt::Answered(status)) => status == 409,
        ("retriable-status-codes", Attempt::Answered(status)) => codes.contains(&u32::from(status)),
        _ => false,
    }
}
