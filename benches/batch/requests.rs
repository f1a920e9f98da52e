//! Requests that a dump's own routes and listeners take, and such that they nearly take.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use xdsight::dump::Proxy;
use xdsight::proto::envoy::config::core::v3::address::Address as AddressKind;
use xdsight::proto::envoy::config::core::v3::socket_address::PortSpecifier;
use xdsight::proto::envoy::config::listener::v3::Listener;
use xdsight::proto::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use xdsight::proto::envoy::config::route::v3::route_match::PathSpecifier;
use xdsight::proto::envoy::config::route::v3::{RouteMatch, VirtualHost};
use xdsight::proto::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use xdsight::trace::{ClientTls, Protocol, Request};

/// Ports that a sidecar's connections are redirected to.
const OUTBOUND: u16 = 15001;
const INBOUND: u16 = 15006;

/// `count` requests of all kinds, the same ones for the same dump.
pub(crate) fn of(proxy: &Proxy, count: usize) -> Vec<Request> {
    let mut all = Vec::new();
    for route in proxy.routes().iter().filter(|route| route.state.is_in_force()) {
        let Some(Ok(table)) = proxy.table_of(route) else { continue };
        let port = route.name.rsplit([':', '.']).find_map(|part| part.parse().ok()).unwrap_or(80);
        for host in table.virtual_hosts.iter().filter_map(|entry| entry.get().ok()) {
            to_host(host, port, &mut all);
        }
    }
    to_listeners(proxy, &mut all);
    if all.is_empty() {
        all.push(Request { authority: Some("a.test".to_owned()), ..Request::get("/") });
    }
    // Neighbours in a batch have little in common.
    let stride = (7919..).find(|stride| all.len() % stride != 0).unwrap();
    let nth = |nth: usize| Request { id: format!("r{nth}"), ..all[nth * stride % all.len()].clone() };
    (0..count).map(nth).collect()
}

/// Requests to each domain of a virtual host, to each of its routes, hit and miss.
fn to_host(host: &VirtualHost, port: u16, all: &mut Vec<Request>) {
    let Some(first) = host.domains.first() else { return };
    let address = host.domains.iter().find_map(|domain| domain.parse::<IpAddr>().ok());
    let mut routes: Vec<Request> = host.routes.iter().filter_map(|route| Some(hit(route.r#match.as_ref()?))).collect();
    routes.push(Request::get("/no/route/has/this?q=1"));
    for (nth, request) in routes.iter().enumerate() {
        let domain = &host.domains[nth % host.domains.len()];
        let name = domain.replace('*', "any");
        let to = |authority: &str, request: &Request| Request {
            authority: Some(authority.to_owned()),
            port: Some(port),
            ..request.clone()
        };
        all.push(to(&name, request));
        // The same with the address that the client has resolved.
        if let Some(address) = address {
            let connect = Some(SocketAddr::new(address, port));
            all.push(Request { connect, redirected_to: Some(OUTBOUND), ..to(&name, request) });
        }
        all.push(to(&name, &Request { path: format!("{}x", request.path), ..request.clone() }));
        if !request.headers.is_empty() {
            all.push(to(&name, &Request { headers: Vec::new(), ..request.clone() }));
        }
    }
    let name = first.replace('*', "any");
    all.push(Request { authority: Some(format!("{name}:1")), port: Some(port), ..Request::get("/") });
    all.push(Request { authority: Some(format!("no-{name}")), port: Some(port), ..Request::get("/") });
}

/// A request with the path and headers that a route asks for, as far as that can be told.
fn hit(criteria: &RouteMatch) -> Request {
    let path = match &criteria.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}items/1?q=1"),
        Some(PathSpecifier::Path(path)) => path.clone(),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => format!("{prefix}/1"),
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex.replace(['\\', '^', '$', '(', ')', '[', ']', '?'], ""),
        _ => "/".to_owned(),
    };
    let mut request = Request::get(&path);
    for matcher in &criteria.headers {
        let value = match &matcher.header_match_specifier {
            Some(HeaderMatchSpecifier::StringMatch(text)) => match &text.match_pattern {
                Some(MatchPattern::Exact(text) | MatchPattern::Prefix(text) | MatchPattern::Suffix(text)) => {
                    text.clone()
                }
                _ => "v1".to_owned(),
            },
            _ => "1".to_owned(),
        };
        match matcher.name.as_str() {
            ":method" => request.method = value,
            name if name.starts_with(':') => {}
            name => request.headers.push((name.to_owned(), value)),
        }
    }
    request
}

/// Connections to each address that a listener has, and to the chains of the inbound one.
fn to_listeners(proxy: &Proxy, all: &mut Vec<Request>) {
    let own = proxy.node().and_then(|node| node.metadata.as_ref()?.get("INSTANCE_IPS")?.as_str()?.parse().ok());
    for listener in proxy.listeners().iter().filter(|resource| resource.state.is_in_force()) {
        let Ok(listener) = listener.get() else { continue };
        let Some(address) = address(listener) else { continue };
        let is_bound = listener.bind_to_port.is_none_or(|bound| bound.value);
        if !address.ip().is_unspecified() {
            let redirected_to = (!is_bound).then_some(OUTBOUND);
            let tcp = Request { connect: Some(address), redirected_to, protocol: Protocol::Tcp, ..Request::get("/") };
            let tls = ClientTls { sni: Some("any.example.com".to_owned()), ..ClientTls::default() };
            all.push(Request { tls: Some(tls), ..tcp.clone() });
            all.push(tcp);
        }
        if let Some(own) = own
            && address.port() == INBOUND
        {
            let ports = listener.filter_chains.iter().filter_map(|chain| chain.filter_chain_match.as_ref());
            for port in ports.filter_map(|criteria| u16::try_from(criteria.destination_port?.value).ok()) {
                let connect = Some(SocketAddr::new(own, port));
                let authority = Some(format!("{own}:{port}"));
                let source = IpAddr::from([10, 1, 2, 3]);
                let plain = Request { connect, redirected_to: Some(INBOUND), authority, source, ..Request::get("/in") };
                let alpn = ["istio-http/1.1", "istio", "http/1.1"].map(str::to_owned).into();
                let tls = ClientTls { sni: None, alpn, certificate: None };
                all.push(Request { tls: Some(tls), ..plain.clone() });
                all.push(plain);
            }
        }
    }
}

fn address(listener: &Listener) -> Option<SocketAddr> {
    let AddressKind::SocketAddress(socket) = listener.address.as_ref()?.address.as_ref()? else { return None };
    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { return None };
    Some(SocketAddr::new(socket.address.parse().ok()?, u16::try_from(port).ok()?))
}

/// The requests as the command reads them: a JSON object on each line.
pub(crate) fn as_lines(requests: &[Request]) -> String {
    requests.iter().map(|request| as_json(request).to_string() + "\n").collect()
}

fn as_json(request: &Request) -> Value {
    let mut json = json!({"id": request.id, "method": request.method, "headers": request.headers});
    match (request.port, &request.authority) {
        // A URL says the port where the authority has none.
        (Some(port), Some(authority)) if request.connect.is_none() => {
            let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_port { String::new() } else { format!(":{port}") };
            json["url"] = format!("http://{authority}{port}{}", request.path).into();
        }
        _ => json["path"] = request.path.clone().into(),
    }
    json["authority"] = request.authority.clone().into();
    json["source"] = request.source.to_string().into();
    if request.protocol == Protocol::Tcp {
        json["protocol"] = "tcp".into();
    }
    if let Some(connect) = request.connect {
        json["connect"] = json!([connect.ip().to_string(), connect.port()]);
        json["redirected_to"] = request.redirected_to.into();
    }
    if let Some(tls) = &request.tls {
        json["tls"] = json!({"sni": tls.sni, "alpn": tls.alpn, "client_cert": tls.certificate.is_some()});
    }
    json
}
