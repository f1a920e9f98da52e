//! `proxy-config listener`

use super::super::answer::Stop;
use super::super::node::{Node, Shape};
use super::{Prefix, print, route_match};
use crate::inventory::{ListenerFilter, go_sort};

const HTTP: &str = "envoy.filters.network.http_connection_manager";
const TCP: &str = "envoy.filters.network.tcp_proxy";
const HTTP_TYPE: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_TYPE: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// Names that istioctl has for lists of application protocols.
const PROTOCOLS: [(&str, &str); 4] = [
    ("http/1.0,http/1.1,h2c", "HTTP"),
    ("istio,istio-http/1.0,istio-http/1.1,istio-h2", "Istio HTTP Plain"),
    ("http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2", "HTTP TLS"),
    ("istio-peer-exchange,istio", "TCP TLS"),
];

/// What is known of a listener before its row.
struct Listener<'n, 'a> {
    node: &'n Node<'a>,
    address: &'n str,
    port: u64,
    kind: &'static str,
}

/// Whether the filters let a listener pass.
pub(crate) fn is_wanted(node: &Node<'_>, filter: &ListenerFilter) -> Result<bool, Stop> {
    let (address, port) = socket(node.get("address"));
    let is_address = |wanted: &str| address.eq_ignore_ascii_case(wanted);
    let by_address = match &filter.address {
        Some(wanted) if !wanted.is_empty() && !is_address(wanted) => {
            additional(node)?.iter().any(|address| address.eq_ignore_ascii_case(wanted))
        }
        _ => true,
    };
    let by_port = filter.port.is_none_or(|wanted| wanted == 0 || u64::from(wanted) == port);
    let by_kind = match filter.kind.as_deref() {
        None | Some("") => true,
        Some(wanted) => kind(node)?.eq_ignore_ascii_case(wanted),
    };
    Ok(by_address && by_port && by_kind)
}

/// One row a filter chain, or one a listener.
pub(crate) fn listeners(
    nodes: &[Node<'_>],
    filter: &ListenerFilter,
    verbose: bool,
    prefix: Prefix,
) -> Result<String, Stop> {
    let mut kept = Vec::new();
    for node in nodes {
        if is_wanted(node, filter)? {
            let (address, port) = socket(node.get("address"));
            kept.push(Listener { node, address, port, kind: kind(node)? });
        }
    }
    go_sort::sort(&mut kept, |a, b| (a.port, a.address, a.kind) < (b.port, b.address, b.kind));
    let mut header = vec!["ADDRESSES", "PORT"];
    header.extend(if verbose { ["MATCH", "DESTINATION"].as_slice() } else { &["TYPE"] });
    if prefix == Prefix::Kind {
        header.insert(0, "NAME");
    }
    let mut rows = Vec::new();
    for listener in kept {
        let mut addresses = vec![listener.address];
        addresses.extend(additional(listener.node)?);
        let mut add = |cells: &[&str]| {
            let mut row = vec![addresses.join(","), listener.port.to_string()];
            row.extend(cells.iter().map(|cell| (*cell).to_owned()));
            if prefix == Prefix::Kind {
                row.insert(0, format!("listener/{}", listener.node.text("name")));
            }
            rows.push(row);
        };
        if verbose {
            for (matches, destination) in chains(listener.node)? {
                add(&[&matches, &destination]);
            }
        } else {
            add(&[listener.kind]);
        }
    }
    Ok(print(&header, 1, rows))
}

fn chains(node: &Node<'_>) -> Result<Vec<(String, String)>, Stop> {
    let mut rows = Vec::new();
    for chain in node.items("filterChains").iter().chain(node.get("defaultFilterChain")) {
        rows.push((matches(chain), destination(chain)?));
    }
    go_sort::sort(&mut rows, |(_, a), (_, b)| a > b);
    Ok(rows)
}

/// Address and port; of an address that isn't a socket's the port is 0.
fn socket<'n>(address: Option<&'n Node<'_>>) -> (&'n str, u64) {
    let Some(address) = address else { return ("", 0) };
    if let Some(socket) = address.get("socketAddress") {
        return (socket.text("address"), socket.number("portValue"));
    }
    (address.get("pipe").map(|pipe| pipe.text("path")).unwrap_or_default(), 0)
}

fn additional<'n>(node: &'n Node<'_>) -> Result<Vec<&'n str>, Stop> {
    let addresses = node.items("additionalAddresses").iter();
    addresses
        .map(|additional| match additional.path(&["address", "socketAddress"]) {
            Some(socket) => Ok(socket.text("address")),
            None => Err(Stop::Crash),
        })
        .collect()
}

/// A filter's configuration, read as the type that its name stands for.
fn config<'n, 'a>(filter: &'n Node<'a>, name: &str) -> Result<Option<&'n Node<'a>>, Stop> {
    match filter.get("typedConfig") {
        Some(config) => Ok(Some(config).filter(|config| config.type_name() == name)),
        None => Err(Stop::Crash),
    }
}

fn kind(node: &Node<'_>) -> Result<&'static str, Stop> {
    let (mut has_http, mut has_tcp) = (false, false);
    for chain in node.items("filterChains").iter().chain(node.get("defaultFilterChain")) {
        for filter in chain.items("filters") {
            match filter.text("name") {
                HTTP => has_http = true,
                TCP => has_tcp |= !leads_nowhere(filter)?,
                _ => {}
            }
        }
    }
    Ok(match (has_http, has_tcp) {
        (true, false) => "HTTP",
        (true, true) => "HTTP+TCP",
        (false, true) => "TCP",
        (false, false) => "UNKNOWN",
    })
}

/// istioctl looks for the name anywhere in the configuration.
fn leads_nowhere(filter: &Node<'_>) -> Result<bool, Stop> {
    fn mentions(node: &Node<'_>) -> bool {
        const NAME: &str = "BlackHoleCluster";
        match node {
            Node::Text(text) => text.contains(NAME),
            Node::List(_, items) => items.iter().any(mentions),
            Node::Object(shape, members) => members.iter().any(|(name, node)| {
                let is_key = *shape != Shape::Message && name.contains(NAME);
                is_key || (name != "@type" && mentions(node))
            }),
            _ => false,
        }
    }
    filter.get("typedConfig").map(mentions).ok_or(Stop::Crash)
}

/// What a connection must have to get a chain.
fn matches(chain: &Node<'_>) -> String {
    let Some(conditions) = chain.get("filterChainMatch") else { return "ALL".to_owned() };
    let mut parts = Vec::new();
    let names = conditions.texts("serverNames");
    if !names.is_empty() {
        parts.push(format!("SNI: {}", names.join(",")));
    }
    let transport = conditions.text("transportProtocol");
    if !transport.is_empty() {
        parts.push(format!("Trans: {transport}"));
    }
    let protocols = conditions.texts("applicationProtocols").join(",");
    if !protocols.is_empty() {
        let known = PROTOCOLS.iter().find(|(list, _)| *list == protocols);
        parts.push(format!("App: {}", known.map_or(protocols.as_str(), |(_, name)| name)));
    }
    let port = conditions.get("destinationPort").map(|_| format!(":{}", conditions.number("destinationPort")));
    let ranges: Vec<String> = conditions
        .items("prefixRanges")
        .iter()
        .map(|range| format!("{}/{}", range.text("addressPrefix"), range.number("prefixLen")))
        .collect();
    match (ranges.is_empty(), port) {
        (false, port) => parts.push(format!("Addr: {}{}", ranges.join(","), port.unwrap_or_default())),
        (true, Some(port)) => parts.push(format!("Addr: *{port}")),
        (true, None) => {}
    }
    if parts.is_empty() { "ALL".to_owned() } else { parts.join("; ") }
}

fn destination(chain: &Node<'_>) -> Result<String, Stop> {
    for filter in chain.items("filters") {
        match filter.text("name") {
            HTTP => {
                let manager = config(filter, HTTP_TYPE)?;
                if let Some(routes) = manager.and_then(|manager| manager.get("routeConfig")) {
                    return Ok(inline(routes));
                }
                let name = manager.and_then(|manager| manager.get("rds")).map(|rds| rds.text("routeConfigName"));
                return Ok(match name {
                    Some(name) if !name.is_empty() => format!("Route: {name}"),
                    _ => "HTTP".to_owned(),
                });
            }
            TCP if !leads_nowhere(filter)? => {
                let proxy = config(filter, TCP_TYPE)?;
                return Ok(cluster(proxy.map(|proxy| proxy.text("cluster")).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Ok("Non-HTTP/Non-TCP".to_owned())
}

fn cluster(name: &str) -> String {
    if name.contains("Cluster") { name.to_owned() } else { format!("Cluster: {name}") }
}

/// Routes that stand in the listener.
fn inline(routes: &Node<'_>) -> String {
    let hosts = routes.items("virtualHosts");
    if let [host] = hosts
        && host.texts("domains") == ["*"]
        && let [route] = host.items("routes")
        && route.get("match").map(|matcher| matcher.text("prefix")) == Some("/")
        && let Some(name) = route.path(&["route", "cluster"]).and_then(Node::as_text)
    {
        return cluster(name);
    }
    let described = hosts.iter().map(|host| {
        let domains = host.texts("domains");
        let routes: Vec<String> = host.items("routes").iter().map(route_match).collect();
        let routes = routes.join(", ");
        if domains.is_empty() || domains == ["*"] { routes } else { format!("{} {routes}", domains.join("/")) }
    });
    format!("Inline Route: {}", described.collect::<Vec<_>>().join("; "))
}
