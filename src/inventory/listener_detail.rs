//! Listeners in words: everything that their chains ask for and what they do.

use super::chain_matcher::{describe, paths};
use super::listeners::ListenerRow;
use crate::dump::{DecodeError, Resource, State, decode_any, type_of};
use crate::proto::envoy::config::accesslog::v3::{AccessLog, access_log};
use crate::proto::envoy::config::core::v3::{CidrRange, TransportSocket, transport_socket};
use crate::proto::envoy::config::listener::v3::filter_chain_match::ConnectionSourceType;
use crate::proto::envoy::config::listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, filter};
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};
use crate::proto::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;

/// A listener in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerDetail {
    /// State, with the text of a rejection.
    pub state: String,
    /// Its name; that of the rejected version where no other is known.
    pub name: String,
    /// One a chain, by its place among those of the listener.
    pub chains: Vec<ChainDetail>,
}

/// A filter chain in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ChainDetail {
    /// What it asks for beyond istioctl's column: where a connection comes from, or the way through a matcher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criteria: Option<String>,
    /// Whether istioctl's column doesn't count, as a matcher chooses among the chains.
    pub by_matcher: bool,
    /// Clusters of a TCP proxy with their shares, where there are several: istioctl's column has nothing of them.
    #[serde(skip)]
    pub clusters: Option<String>,
    /// What the client has to speak: `plain`, `TLS`, `mutual TLS`.
    pub tls: String,
    /// Network filters, an HTTP connection manager's with its HTTP filters.
    pub filters: String,
    /// Whether connections or requests are logged, and how.
    pub access_log: String,
}

/// A listener in words.
///
/// # Errors
///
/// When the resource can't be decoded.
pub fn listener_detail(resource: &Resource<Listener>) -> Result<ListenerDetail, DecodeError> {
    let error = resource.envelope().error.as_ref();
    let details = error.map(|error| error.details.trim()).unwrap_or_default();
    let state = match (resource.state, details) {
        (State::Error, details) => format!("rejected: {details}"),
        (State::Active, details) if !details.is_empty() => format!("active; update rejected: {details}"),
        (state, _) => state.to_string(),
    };
    let failed = error.and_then(|error| error.failed_name.clone()).unwrap_or_default();
    let name = if resource.name.is_empty() { failed } else { resource.name.clone() };
    if !resource.has_body() {
        return Ok(ListenerDetail { state, name, chains: Vec::new() });
    }
    let listener = resource.decode()?;
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    let chains = chains.map(|chain| chain_detail(&listener, chain)).collect();
    Ok(ListenerDetail { state, name, chains })
}

fn chain_detail(listener: &Listener, chain: &FilterChain) -> ChainDetail {
    let is_default = listener.default_filter_chain.as_ref().is_some_and(|default| std::ptr::eq(default, chain));
    let matcher = listener.filter_chain_matcher.as_ref().filter(|_| !is_default);
    let criteria = match matcher {
        Some(matcher) => Some(describe(matcher, &chain.name)),
        None if is_default => Some("DEFAULT".to_owned()),
        None => chain.filter_chain_match.as_ref().map(sources).filter(|text| !text.is_empty()),
    };
    let mut logs: Vec<&AccessLog> = Vec::new();
    let decoded: Vec<Known> = chain.filters.iter().map(known).collect();
    for filter in &decoded {
        match filter {
            Known::Http(manager) => logs.extend(&manager.access_log),
            Known::Tcp(proxy) => logs.extend(&proxy.access_log),
            Known::Other(_) => {}
        }
    }
    let filters: Vec<String> = decoded.iter().map(Known::describe).collect();
    let mut access_log = describe_logs(&logs);
    if !listener.access_log.is_empty() {
        let own: Vec<&AccessLog> = listener.access_log.iter().collect();
        access_log = format!("{access_log}; listener {}", describe_logs(&own));
    }
    ChainDetail {
        criteria,
        by_matcher: matcher.is_some(),
        clusters: decoded.iter().find(|filter| !matches!(filter, Known::Other(_))).and_then(Known::clusters),
        tls: downstream(chain.transport_socket.as_ref()),
        filters: if filters.is_empty() { "-".to_owned() } else { filters.join(", ") },
        access_log,
    }
}

/// What istioctl's column leaves out.
fn sources(wanted: &FilterChainMatch) -> String {
    let ranges = |ranges: &[CidrRange]| -> String {
        let range =
            |range: &CidrRange| format!("{}/{}", range.address_prefix, range.prefix_len.map_or(0, |len| len.value));
        ranges.iter().map(range).collect::<Vec<_>>().join(",")
    };
    let mut parts = Vec::new();
    if !wanted.source_prefix_ranges.is_empty() {
        parts.push(format!("Source: {}", ranges(&wanted.source_prefix_ranges)));
    }
    if !wanted.source_ports.is_empty() {
        let ports: Vec<String> = wanted.source_ports.iter().map(ToString::to_string).collect();
        parts.push(format!("Source port: {}", ports.join(",")));
    }
    if !wanted.direct_source_prefix_ranges.is_empty() {
        parts.push(format!("Direct source: {}", ranges(&wanted.direct_source_prefix_ranges)));
    }
    match wanted.source_type() {
        ConnectionSourceType::Any => {}
        ConnectionSourceType::SameIpOrLoopback => parts.push("Source type: local".to_owned()),
        ConnectionSourceType::External => parts.push("Source type: external".to_owned()),
    }
    if !wanted.address_suffix.is_empty() {
        parts.push(format!("Address suffix: {}", wanted.address_suffix));
    }
    parts.join("; ")
}

/// A network filter, decoded as far as it is shown.
enum Known {
    Http(Box<HttpConnectionManager>),
    Tcp(Box<TcpProxy>),
    Other(String),
}

fn known(filter: &Filter) -> Known {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        return Known::Other(short(&filter.name));
    };
    let kind = type_of(any);
    let read = match kind.rsplit('.').next().unwrap_or_default() {
        "HttpConnectionManager" => decode_any(any).ok().map(|manager| Known::Http(Box::new(manager))),
        "TcpProxy" => decode_any(any).ok().map(|proxy| Known::Tcp(Box::new(proxy))),
        _ => None,
    };
    read.unwrap_or_else(|| Known::Other(short(&filter.name)))
}

impl Known {
    /// The weighted clusters of a TCP proxy.
    fn clusters(&self) -> Option<String> {
        let Self::Tcp(proxy) = self else { return None };
        let Some(tcp_proxy::ClusterSpecifier::WeightedClusters(weighted)) = &proxy.cluster_specifier else {
            return None;
        };
        let total: u64 = weighted.clusters.iter().map(|entry| u64::from(entry.weight)).sum();
        let share = |weight: u32| u64::from(weight) * 100 / total.max(1);
        let entries = weighted.clusters.iter().map(|entry| format!("{} {} %", entry.name, share(entry.weight)));
        Some(format!("Clusters: {}", entries.collect::<Vec<_>>().join(", ")))
    }

    fn describe(&self) -> String {
        match self {
            Self::Http(manager) => {
                let filters: Vec<String> = manager.http_filters.iter().map(|filter| short(&filter.name)).collect();
                format!("http({})", filters.join(","))
            }
            Self::Tcp(_) => "tcp_proxy".to_owned(),
            Self::Other(name) => name.clone(),
        }
    }
}

/// A filter's name without what all of Envoy's have in common.
fn short(name: &str) -> String {
    const COMMON: [&str; 3] = ["envoy.filters.network.", "envoy.filters.http.", "envoy."];
    COMMON.iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name).to_owned()
}

fn describe_logs(logs: &[&AccessLog]) -> String {
    if logs.is_empty() {
        return "off".to_owned();
    }
    let kinds = logs.iter().map(|log| {
        let kind = match &log.config_type {
            Some(access_log::ConfigType::TypedConfig(any)) => {
                let kind = type_of(any);
                // `envoy.extensions.access_loggers.file.v3.FileAccessLog`
                let parts: Vec<&str> = kind.split('.').collect();
                parts.iter().rev().nth(2).map_or_else(|| kind.to_string(), |part| (*part).to_owned())
            }
            None => short(&log.name),
        };
        if log.filter.is_some() { format!("{kind} filtered") } else { kind }
    });
    format!("on ({})", kinds.collect::<Vec<_>>().join(", "))
}

/// What a client has to speak.
fn downstream(socket: Option<&TransportSocket>) -> String {
    let Some(socket) = socket else { return "plain".to_owned() };
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else {
        return if socket.name.ends_with("raw_buffer") { "plain".to_owned() } else { socket.name.clone() };
    };
    match type_of(any).rsplit('.').next().unwrap_or_default() {
        "RawBuffer" => "plain".to_owned(),
        "DownstreamTlsContext" => match decode_any::<DownstreamTlsContext>(any) {
            Ok(context) if context.require_client_certificate.is_some_and(|required| required.value) => {
                "mutual TLS".to_owned()
            }
            _ => "TLS".to_owned(),
        },
        other => other.to_owned(),
    }
}

/// A line of istioctl's `listener --waypoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaypointRow {
    /// Name of the listener.
    pub listener: String,
    /// Name of the chain.
    pub chain: String,
    /// What leads to it.
    pub matches: String,
    /// Where it leads.
    pub destination: String,
}

/// The chains of listeners and the ways through their matchers: a row a way.
///
/// # Errors
///
/// When a listener can't be decoded.
pub fn waypoint_chains(rows: &[ListenerRow<'_>]) -> Result<Vec<WaypointRow>, DecodeError> {
    let mut out = Vec::new();
    for row in rows {
        let listener = row.resource.decode()?;
        let chains: Vec<&FilterChain> = listener.filter_chains.iter().chain(&listener.default_filter_chain).collect();
        for shown in &row.chains {
            let Some(chain) = chains.get(shown.place) else { continue };
            let matches = match &listener.filter_chain_matcher {
                Some(matcher) => {
                    let paths = paths(matcher, &chain.name);
                    if paths.is_empty() { vec!["NONE".to_owned()] } else { paths }
                }
                None => vec![shown.matches.clone()],
            };
            out.extend(matches.into_iter().map(|matches| WaypointRow {
                listener: format!("envoy://{}", row.resource.name),
                chain: chain.name.clone(),
                matches,
                destination: shown.destination.clone(),
            }));
        }
    }
    Ok(out)
}
