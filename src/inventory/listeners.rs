//! Listeners and their filter chains (spec/istioctl.md §1.2).

use std::borrow::Cow;
use std::fmt;

use rayon::prelude::*;
use serde_json::value::RawValue;

use super::view::{Address, Number, Route, Text, VirtualHost};
use super::{Listing, go_sort};
use crate::dump::{Proxy, Resource};
use crate::proto::envoy::config::listener::v3::Listener;

/// Which listeners to list; all that are set must hold.
#[derive(Debug, Clone, Default)]
pub struct ListenerFilter {
    /// Address or an additional address, in any case.
    pub address: Option<String>,
    /// Port of the main address.
    pub port: Option<u32>,
    /// `HTTP`, `TCP`, `HTTP+TCP` or `UNKNOWN`, in any case.
    pub kind: Option<String>,
}

/// One listener in force.
#[derive(Debug)]
pub struct ListenerRow<'a> {
    /// The resource.
    pub resource: &'a Resource<Listener>,
    /// Main address and additional ones.
    pub addresses: Vec<String>,
    /// Port of the main address.
    pub port: u32,
    /// What its filters speak.
    pub kind: ListenerType,
    /// Filter chains, by destination from last to first; the default chain is one of them.
    pub chains: Vec<ChainRow>,
}

/// One filter chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// What a connection must have to get this chain.
    pub matches: String,
    /// Where it leads.
    pub destination: String,
    /// Its place among the chains of the listener; the default chain is the last.
    pub place: usize,
}

/// What the filters of a listener speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerType {
    /// HTTP connection managers alone.
    Http,
    /// Both.
    HttpTcp,
    /// TCP proxies alone.
    Tcp,
    /// Neither.
    Unknown,
}

impl ListenerType {
    /// istioctl's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::HttpTcp => "HTTP+TCP",
            Self::Tcp => "TCP",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for ListenerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The listeners in force: in the order of the dump, dynamic before static.
#[must_use]
pub fn listeners<'a>(proxy: &'a Proxy, filter: &ListenerFilter) -> Listing<ListenerRow<'a>> {
    list(proxy, filter, |resource| resource.state.is_in_force())
}

/// The same of listeners in all states: also those that warm, drain or were rejected.
#[must_use]
pub fn all_listeners<'a>(proxy: &'a Proxy, filter: &ListenerFilter) -> Listing<ListenerRow<'a>> {
    list(proxy, filter, |_| true)
}

fn list<'a>(
    proxy: &'a Proxy,
    filter: &ListenerFilter,
    is_wanted: impl Fn(&Resource<Listener>) -> bool + Sync,
) -> Listing<ListenerRow<'a>> {
    let entries: Vec<_> = proxy
        .listeners()
        .par_iter()
        .filter(|resource| is_wanted(resource))
        .map(|resource| {
            let row = row(resource).map_err(|error| format!("listener {:?} is left out: {error}", resource.name))?;
            Ok(filter.accepts(&row).then_some(row))
        })
        .collect();
    let mut listing = Listing::collect(entries);
    listing.rows.sort_by_key(|row| row.resource.state == crate::dump::State::Static);
    listing
}

impl ListenerFilter {
    fn accepts(&self, row: &ListenerRow<'_>) -> bool {
        self.address
            .as_ref()
            .is_none_or(|wanted| row.addresses.iter().any(|a| a.to_lowercase() == wanted.to_lowercase()))
            && self.port.is_none_or(|port| port == row.port)
            && self.kind.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case(row.kind.as_str()))
    }
}

/// istioctl's order of tables: port, address, type.
pub fn sort(rows: &mut [ListenerRow<'_>]) {
    go_sort::sort(rows, |a, b| {
        (a.port, a.addresses.first(), a.kind.as_str()) < (b.port, b.addresses.first(), b.kind.as_str())
    });
}

fn row(resource: &Resource<Listener>) -> Result<ListenerRow<'_>, crate::dump::DecodeError> {
    // A listener that was rejected before any version of it was accepted.
    if !resource.has_body() {
        let (addresses, kind) = (Vec::new(), ListenerType::Unknown);
        return Ok(ListenerRow { resource, addresses, port: 0, kind, chains: Vec::new() });
    }
    let mut view: ListenerView<'_> = resource.view()?;
    if view.is_old() {
        view = resource.lifted_view()?;
    }
    let (address, port) = view.address.listener();
    let mut addresses = vec![address];
    addresses.extend(view.additional_addresses.iter().map(|additional| additional.address.listener().0));
    let filters = view.chains().flat_map(|chain| &chain.filters);
    let (mut http, mut tcp) = (false, false);
    for filter in filters {
        http |= filter.is_http();
        tcp |= filter.is_tcp() && !filter.is_black_hole();
    }
    let kind = match (http, tcp) {
        (true, true) => ListenerType::HttpTcp,
        (true, false) => ListenerType::Http,
        (false, true) => ListenerType::Tcp,
        (false, false) => ListenerType::Unknown,
    };
    let mut chains = view
        .chains()
        .enumerate()
        .map(|(place, chain)| {
            let (matches, destination) = (chain.filter_chain_match.describe(), chain.destination()?);
            Ok(ChainRow { matches, destination, place })
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(|error| resource.malformed(&error))?;
    go_sort::sort(&mut chains, |a, b| a.destination > b.destination);
    Ok(ListenerRow { resource, addresses, port, kind, chains })
}

#[derive(Debug, Default, serde::Deserialize)]
struct ListenerView<'a> {
    #[serde(borrow, default, rename = "@type")]
    type_url: Text<'a>,
    #[serde(borrow, default)]
    address: Address<'a>,
    #[serde(borrow, default, alias = "additionalAddresses")]
    additional_addresses: Vec<AdditionalAddress<'a>>,
    #[serde(borrow, default, alias = "filterChains")]
    filter_chains: Vec<FilterChain<'a>>,
    #[serde(borrow, default, alias = "defaultFilterChain")]
    default_filter_chain: Option<FilterChain<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct AdditionalAddress<'a> {
    #[serde(borrow, default)]
    address: Address<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct FilterChain<'a> {
    #[serde(borrow, default, alias = "filterChainMatch")]
    filter_chain_match: FilterChainMatch<'a>,
    #[serde(borrow, default)]
    filters: Vec<Filter<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct FilterChainMatch<'a> {
    #[serde(default, alias = "destinationPort")]
    destination_port: Option<Number>,
    #[serde(borrow, default, alias = "prefixRanges")]
    prefix_ranges: Vec<CidrRange<'a>>,
    #[serde(borrow, default, alias = "serverNames")]
    server_names: Vec<Text<'a>>,
    #[serde(borrow, default, alias = "transportProtocol")]
    transport_protocol: Text<'a>,
    #[serde(borrow, default, alias = "applicationProtocols")]
    application_protocols: Vec<Text<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct CidrRange<'a> {
    #[serde(borrow, default, alias = "addressPrefix")]
    address_prefix: Text<'a>,
    #[serde(default, alias = "prefixLen")]
    prefix_len: Number,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Filter<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default, alias = "typedConfig")]
    typed_config: Option<&'a RawValue>,
    /// v2: the configuration without its type.
    #[serde(borrow, default)]
    config: Option<&'a RawValue>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct TypeUrl<'a> {
    #[serde(borrow, default, rename = "@type")]
    type_url: Text<'a>,
}

/// What is shown of an HTTP connection manager or a TCP proxy.
#[derive(Debug, Default, serde::Deserialize)]
struct FilterConfig<'a> {
    #[serde(borrow, default)]
    cluster: Text<'a>,
    #[serde(borrow, default, alias = "routeConfig")]
    route_config: Option<InlineRoutes<'a>>,
    #[serde(borrow, default)]
    rds: Option<Rds<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct InlineRoutes<'a> {
    #[serde(borrow, default, alias = "virtualHosts")]
    virtual_hosts: Vec<VirtualHost<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Rds<'a> {
    #[serde(borrow, default, alias = "routeConfigName")]
    route_config_name: Text<'a>,
}

impl<'a> ListenerView<'a> {
    fn chains(&self) -> impl Iterator<Item = &FilterChain<'a>> {
        self.filter_chains.iter().chain(&self.default_filter_chain)
    }

    /// Whether it is of an older API version, in whole or in a filter.
    fn is_old(&self) -> bool {
        self.type_url.contains(".v2.")
            || self
                .chains()
                .flat_map(|chain| &chain.filters)
                .any(|filter| filter.config.is_some() || filter.type_url().contains(".v2."))
    }
}

impl FilterChainMatch<'_> {
    fn describe(&self) -> String {
        let mut parts = Vec::new();
        if !self.server_names.is_empty() {
            parts.push(format!("SNI: {}", join(&self.server_names)));
        }
        if !self.transport_protocol.is_empty() {
            parts.push(format!("Trans: {}", &*self.transport_protocol));
        }
        if !self.application_protocols.is_empty() {
            parts.push(format!("App: {}", application_protocols(&self.application_protocols)));
        }
        let port = self.destination_port.map(|port| format!(":{}", port.0)).unwrap_or_default();
        if !self.prefix_ranges.is_empty() {
            let ranges: Vec<_> =
                self.prefix_ranges.iter().map(|r| format!("{}/{}", &*r.address_prefix, r.prefix_len.0)).collect();
            parts.push(format!("Addr: {}{port}", ranges.join(",")));
        } else if !port.is_empty() {
            parts.push(format!("Addr: *{port}"));
        }
        if parts.is_empty() { "ALL".to_owned() } else { parts.join("; ") }
    }
}

fn join(texts: &[Text<'_>]) -> String {
    texts.iter().map(|text| &**text).collect::<Vec<_>>().join(",")
}

/// The lists that Istio writes have names of their own.
fn application_protocols(protocols: &[Text<'_>]) -> String {
    let list: Vec<&str> = protocols.iter().map(|text| &**text).collect();
    match list.as_slice() {
        ["http/1.0", "http/1.1", "h2c"] => "HTTP".to_owned(),
        ["istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"] => "Istio HTTP Plain".to_owned(),
        ["http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"] => "HTTP TLS".to_owned(),
        ["istio-peer-exchange", "istio"] => "TCP TLS".to_owned(),
        list => list.join(","),
    }
}

const BLACK_HOLE: &[u8] = b"BlackHoleCluster";

impl<'a> Filter<'a> {
    fn is_http(&self) -> bool {
        &*self.name == "envoy.filters.network.http_connection_manager"
            || self.type_url().ends_with(".HttpConnectionManager")
    }

    fn is_tcp(&self) -> bool {
        &*self.name == "envoy.filters.network.tcp_proxy" || self.type_url().ends_with(".TcpProxy")
    }

    /// Type of a filter whose name isn't Envoy's own: istioctl goes by the name alone and doesn't see those.
    fn type_url(&self) -> Cow<'a, str> {
        if self.name.starts_with("envoy.filters.") {
            return Cow::Borrowed("");
        }
        let config = self.typed_config.map(|config| serde_json::from_str::<TypeUrl<'a>>(config.get()));
        config.and_then(Result::ok).unwrap_or_default().type_url.0
    }

    fn is_black_hole(&self) -> bool {
        self.typed_config.is_some_and(|config| memchr::memmem::find(config.get().as_bytes(), BLACK_HOLE).is_some())
    }

    fn config(&self) -> Result<FilterConfig<'a>, serde_json::Error> {
        self.typed_config.map_or_else(|| Ok(FilterConfig::default()), |config| serde_json::from_str(config.get()))
    }
}

impl FilterChain<'_> {
    /// The first filter that leads anywhere decides.
    fn destination(&self) -> Result<String, serde_json::Error> {
        for filter in &self.filters {
            if filter.is_http() {
                return Ok(filter.config()?.http());
            }
            if filter.is_tcp() && !filter.is_black_hole() {
                return Ok(cluster(&filter.config()?.cluster));
            }
        }
        Ok("Non-HTTP/Non-TCP".to_owned())
    }
}

fn cluster(name: &str) -> String {
    if name.contains("Cluster") { name.to_owned() } else { format!("Cluster: {name}") }
}

impl FilterConfig<'_> {
    fn http(&self) -> String {
        if let Some(inline) = &self.route_config {
            if let [host] = inline.virtual_hosts.as_slice()
                && let [domain] = host.domains.as_slice()
                && &**domain == "*"
                && let [Route { route_match, route: Some(action), .. }] = host.routes.as_slice()
                && route_match.prefix() == Some("/")
                && let Some(name) = &action.cluster
            {
                return cluster(name);
            }
            let hosts: Vec<String> = inline.virtual_hosts.iter().map(describe_host).collect();
            return format!("Inline Route: {}", hosts.join("; "));
        }
        match &self.rds {
            Some(rds) if !rds.route_config_name.is_empty() => format!("Route: {}", &*rds.route_config_name),
            _ => "HTTP".to_owned(),
        }
    }
}

fn describe_host(host: &VirtualHost<'_>) -> String {
    let routes: Vec<String> = host.routes.iter().map(|route| route.route_match.describe()).collect();
    let routes = routes.join(", ");
    let domains: Vec<&str> = host.domains.iter().map(|domain| &**domain).collect();
    match domains.as_slice() {
        [] | ["*"] => routes,
        domains => format!("{} {routes}", domains.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(json: &str, expected: &str) {
        let view: FilterChainMatch<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(view.describe(), expected);
    }

    #[test]
    fn chain_matches_in_one_cell() {
        matches("{}", "ALL");
        matches(r#"{"destination_port": 80}"#, "Addr: *:80");
        matches(
            r#"{"serverNames":["a","b"],"transport_protocol":"tls","application_protocols":["istio-peer-exchange","istio"],
                "prefix_ranges":[{"address_prefix":"10.0.0.0","prefix_len":8},{"address_prefix":"::"}],"destinationPort":"443"}"#,
            "SNI: a,b; Trans: tls; App: TCP TLS; Addr: 10.0.0.0/8,::/0:443",
        );
    }

    #[track_caller]
    fn destination(json: &str, expected: &str) {
        let view: FilterChain<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(view.destination().unwrap(), expected);
    }

    #[test]
    fn destinations_in_one_cell() {
        let hcm = |config: &str| {
            format!(
                r#"{{"filters":[{{"name":"envoy.filters.network.http_connection_manager","typed_config":{config}}}]}}"#
            )
        };
        destination(&hcm(r#"{"rds":{"route_config_name":"80"}}"#), "Route: 80");
        destination(&hcm(r#"{"scoped_routes":{}}"#), "HTTP");
        destination(
            &hcm(
                r#"{"route_config":{"virtual_hosts":[{"domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"a"}}]}]}}"#,
            ),
            "Cluster: a",
        );
        destination(
            &hcm(
                r#"{"routeConfig":{"virtualHosts":[{"domains":["a","b:80"],"routes":[{"match":{"path":"/x"}},{"match":{"safeRegex":{"regex":"y"}}}]},{"domains":["*"]}]}}"#,
            ),
            "Inline Route: a/b:80 /x, regex y; ",
        );
        destination(
            r#"{"filters":[{"name":"envoy.filters.network.tcp_proxy","typed_config":{"cluster":"BlackHoleCluster"}}]}"#,
            "Non-HTTP/Non-TCP",
        );
        destination(
            r#"{"filters":[{"name":"x"},{"name":"envoy.filters.network.tcp_proxy","typed_config":{"cluster":"PassthroughCluster"}}]}"#,
            "PassthroughCluster",
        );
    }
}
