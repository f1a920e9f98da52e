//! A connection inside a listener: filter chain, TLS, network filters (semantics §2, §3).

use std::net::{IpAddr, SocketAddr};

use super::context::{Context, Stream};
use super::filter_chain::{self, Chosen};
use super::inspect::{self, Bytes, Inspected};
use super::listener::{self, Accepting};
use super::network_filter::{self, Denial};
use super::outcome::{Disposition, Step};
use super::request::{Connection, Protocol, Request};
use super::session::Session;
use super::unmodelled;
use super::validation::Validation;
use super::walk::Walk;
use super::{http, http_filter, tcp};
use crate::dump::{Origin, type_of};
use crate::proto::Any;
use crate::proto::envoy::config::core::v3::TransportSocket;
use crate::proto::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use crate::proto::envoy::config::listener::v3::filter::ConfigType;
use crate::proto::envoy::config::listener::v3::{Filter, FilterChain};
use crate::proto::envoy::extensions::filters::network::ext_authz::v3::ExtAuthz;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use crate::proto::envoy::extensions::filters::network::local_ratelimit::v3::LocalRateLimit;
use crate::proto::envoy::extensions::filters::network::rbac::v3::Rbac;
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use crate::proto::envoy::extensions::filters::network::wasm::v3::Wasm;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;

/// Where a request stands on its way through the proxy.
#[derive(Clone, Copy)]
pub(crate) struct Hop<'a> {
    pub(crate) cx: Context<'a>,
    pub(crate) session: &'a Session,
    /// What the client (or the hop before) sends.
    pub(crate) bytes: Bytes<'a>,
    /// Internal listeners passed so far.
    pub(crate) depth: usize,
}

/// Most internal listeners on one way; more is a loop.
const MAX_HOPS: usize = 8;

/// Follows a client's connection from the kernel to its end.
pub(crate) fn connect(hop: &Hop<'_>, walk: &mut Walk, to: SocketAddr) {
    let request = hop.bytes.request();
    // Sockets report an IPv4 address in its IPv6 form as IPv4; one that a PROXY header spells so stays.
    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
    let Some(found) = listener::accept(&hop.cx, walk, request, to) else { return };
    let arrival = match request.redirected_to {
        Some(port) => SocketAddr::new(to.ip(), port),
        None => to,
    };
    let remote = SocketAddr::new(request.source.to_canonical(), request.source_port.unwrap_or(0));
    let mut connection = Connection::new(arrival, remote);
    let inspected = inspect::run(&hop.cx, walk, hop.session, &found, hop.bytes, &mut connection);
    if let Inspected::Closed(disposition) = inspected {
        walk.end(disposition);
        return;
    }
    let mut current = found;
    if found.listener.use_original_dst.is_some_and(|v| v.value)
        && connection.restored
        && let Some(target) = listener::hand_off(&hop.cx, walk, found, connection.local)
    {
        current = target;
        connection.forget_inspection();
        let inspected = inspect::run(&hop.cx, walk, hop.session, &target, hop.bytes, &mut connection);
        if let Inspected::Closed(disposition) = inspected {
            walk.end(disposition);
            return;
        }
    }
    serve(hop, walk, current, connection);
}

/// Follows a connection that another cluster of the same proxy opens to an internal listener by name; gives whether it
/// stands until the first bytes are read.
pub(crate) fn enter_internal(hop: &Hop<'_>, walk: &mut Walk, name: &str, from: Connection) -> bool {
    let Some(found) = listener::internal(&hop.cx, name) else {
        // That there is none was seen when the endpoint was chosen.
        walk.missing(format!("internal listener {name}: it can't be read"));
        walk.end(Disposition::InsufficientInfo);
        return false;
    };
    if hop.depth > MAX_HOPS {
        walk.end(Disposition::Loop);
        return false;
    }
    let origin = found.resource.origin();
    walk.outcome.listener = Some(found.listener.name.clone()).filter(|name| !name.is_empty());
    walk.step(
        Step::new("internal listener", name, "the endpoint is an internal address that names it").at(Some(origin)),
    );
    let mut connection = from;
    let inspected = inspect::run(&hop.cx, walk, hop.session, &found, hop.bytes, &mut connection);
    if let Inspected::Closed(disposition) = inspected {
        walk.end(disposition);
        return connection.awaited_data;
    }
    let awaited_data = connection.awaited_data;
    serve(hop, walk, found, connection);
    awaited_data || walk.outcome.disposition != Some(Disposition::NoFilterChain)
}

fn serve(hop: &Hop<'_>, walk: &mut Walk, found: Accepting<'_>, mut connection: Connection) {
    let chosen = filter_chain::choose(&hop.cx, walk, &found, &connection);
    unmodelled::in_resource(&hop.cx, walk, found.resource, |path| decides(path, chosen.as_ref()));
    let Some(chosen) = chosen else { return };
    let origin = found.resource.origin().within(&chosen.path);
    let is_open = handshake(hop, walk, chosen.chain, &origin, &mut connection);
    run_filters(hop, walk, &found, &chosen, origin, connection, is_open);
}

/// Whether what stands at a path of a listener takes part in what becomes of a connection in a chain.
fn decides(path: &str, chosen: Option<&Chosen<'_>>) -> bool {
    let is_in_chain = path.starts_with(".filter_chains[") || path.starts_with(".default_filter_chain");
    let is_in_this = chosen.is_some_and(|chosen| path.strip_prefix(&chosen.path).is_some_and(|p| p.starts_with('.')));
    // What other chains ask for decides that they weren't chosen.
    !is_in_chain || is_in_this || path.contains(".filter_chain_match.")
}

/// TLS between client and chain; `false` ends the connection.
fn handshake(
    hop: &Hop<'_>,
    walk: &mut Walk,
    chain: &FilterChain,
    origin: &Origin,
    connection: &mut Connection,
) -> bool {
    let tls = match downstream_tls(chain.transport_socket.as_ref()) {
        Socket::Plain => return true,
        Socket::Unknown(name) => {
            walk.missing(format!("transport socket {name} of the filter chain"));
            return true;
        }
        Socket::Tls(any) => hop.cx.cache.decode::<DownstreamTlsContext>(any),
    };
    let origin = Some(origin.clone().within(".transport_socket"));
    let context = match tls {
        Ok(context) => context,
        Err(error) => {
            walk.missing(format!("the chain's TLS context can't be read: {error}"));
            return true;
        }
    };
    let fails = |walk: &mut Walk, why: &str| {
        walk.step(Step::new("TLS", "handshake fails", why).at(origin.clone()));
        if walk.passes_over(|| Step::new("TLS", "handshake fails", why)) {
            return true;
        }
        walk.end(Disposition::TlsMismatch);
        false
    };
    if !hop.bytes.is_tls() {
        return fails(walk, "the chain wants TLS, the client sends plain text");
    }
    let client = hop.bytes.request().tls.clone().unwrap_or_default();
    let common = context.common_tls_context.clone().unwrap_or_default();
    if let Some(missing) = secrets_missing(hop, &common) {
        return fails(walk, &missing);
    }
    let requires = context.require_client_certificate.is_some_and(|v| v.value);
    let validation = Validation::of(common.validation_context_type.as_ref());
    let wants_certificate = validation.wants(requires);
    if wants_certificate && client.certificate.is_none() {
        return fails(walk, "the chain requires a client certificate, the client has none");
    }
    let refusal = client.certificate.as_ref().and_then(|own| validation.refuses(&hop.cx, walk, own));
    if let Some(why) = refusal.as_ref().filter(|_| !validation.accepts_untrusted) {
        return fails(walk, why);
    }
    connection.tls = true;
    connection.handshake_server_name = client.sni.as_ref().map(|sni| sni.to_ascii_lowercase());
    // Envoy asks for a certificate when it has something to check it with.
    connection.peer = client.certificate.clone().filter(|_| validation.asks());
    connection.peer_validated = connection.peer.is_some() && validation.has_ca && refusal.is_none();
    connection.negotiated_protocol = common.alpn_protocols.iter().find(|p| client.alpn.contains(p)).cloned();
    let how = match (&connection.peer, &connection.negotiated_protocol) {
        (Some(peer), _) => {
            format!("the client presents {}", peer.uri_sans.first().map_or("a certificate", String::as_str))
        }
        (None, _) => "without a client certificate".to_owned(),
    };
    let alpn = connection.negotiated_protocol.as_ref().map(|p| format!(", ALPN {p}")).unwrap_or_default();
    walk.step(
        Step::new("TLS", if wants_certificate { "mutual" } else { "terminated" }, format!("{how}{alpn}")).at(origin),
    );
    true
}

enum Socket<'a> {
    Plain,
    Tls(&'a Any),
    Unknown(String),
}

fn downstream_tls(socket: Option<&TransportSocket>) -> Socket<'_> {
    let Some(socket) = socket else { return Socket::Plain };
    let Some(SocketConfig::TypedConfig(any)) = &socket.config_type else { return Socket::Plain };
    match type_of(any).as_ref() {
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext" => Socket::Tls(any),
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Socket::Plain,
        other => Socket::Unknown(other.to_owned()),
    }
}

/// A server certificate or CA that the chain takes from SDS and that hasn't arrived.
fn secrets_missing(
    hop: &Hop<'_>,
    common: &crate::proto::envoy::extensions::transport_sockets::tls::v3::CommonTlsContext,
) -> Option<String> {
    use crate::dump::{Kind, State};
    let proxy = hop.cx.proxy;
    if !proxy.has_section(Kind::Secret) {
        return None;
    }
    common.tls_certificate_sds_secret_configs.iter().find_map(|config| {
        let is_warming = proxy.secret(&config.name).is_none()
            && proxy.secrets().iter().any(|secret| secret.name == config.name && secret.state == State::Warming);
        is_warming.then(|| format!("secret {} is warming: the server certificate hasn't arrived", config.name))
    })
}

/// The network filters of a chain, up to the one that takes the connection over.
///
/// Where the handshake failed (not `is_open`), only what happens before it is left: a TCP proxy dials its upstream as
/// soon as the connection is accepted (measured on 1.40), the others wait for data.
fn run_filters(
    hop: &Hop<'_>,
    walk: &mut Walk,
    found: &Accepting<'_>,
    chosen: &Chosen<'_>,
    origin: Origin,
    mut connection: Connection,
    is_open: bool,
) {
    let mut denied: Option<Denial> = None;
    for (index, filter) in chosen.chain.filters.iter().enumerate() {
        if denied.is_some() && walk.passes_over(|| Step::new("network filter", "denied", "")) {
            denied = None;
        }
        let origin = origin.clone().within(&format!(".filters[{index}]"));
        let Some(config) = config_of(hop, walk, filter) else { continue };
        let type_name = type_of(&config).into_owned();
        if !is_open && !acts_on_accept(&type_name) {
            continue;
        }
        match type_name.as_str() {
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
                if let Some(denial) = denied {
                    denial.end(walk, false);
                    return;
                }
                match hop.cx.cache.decode::<HttpConnectionManager>(&config) {
                    Ok(hcm) => http::serve(hop, walk, &hcm, found, origin, connection),
                    Err(error) => unreadable(walk, &error),
                }
                return;
            }
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
                match hop.cx.cache.decode::<TcpProxy>(&config) {
                    Ok(proxy) => tcp::serve(hop, walk, &proxy, origin, &connection, denied),
                    Err(error) => unreadable(walk, &error),
                }
                if !is_open && walk.outcome.disposition.is_some_and(Disposition::is_delivered) {
                    // Whether the upstream has answered by the time that the handshake fails is a race.
                    if walk.undecided("upstream connected before the TLS handshake failed", 2) == 1 {
                        walk.outcome.upstream_host = None;
                    }
                    walk.outcome.status = None;
                    walk.outcome.upstream_path = None;
                    walk.outcome.upstream_authority = None;
                    walk.end(Disposition::TlsMismatch);
                }
                return;
            }
            "envoy.extensions.filters.network.rbac.v3.RBAC" => match hop.cx.cache.decode::<Rbac>(&config) {
                Ok(rules) => {
                    denied = denied.or_else(|| network_filter::rbac::on_data(&hop.cx, walk, &rules, &mut connection));
                }
                Err(error) => walk.missing(format!("network RBAC can't be read: {error}")),
            },
            "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz" => {
                match hop.cx.cache.decode::<ExtAuthz>(&config) {
                    Ok(authz) => {
                        denied =
                            denied.or_else(|| network_filter::ext_authz::on_data(&hop.cx, walk, &authz, &connection));
                    }
                    Err(error) => walk.missing(format!("network ext_authz can't be read: {error}")),
                }
            }
            "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit" => {
                match hop.cx.cache.decode::<LocalRateLimit>(&config) {
                    Ok(limit) => {
                        let refused = network_filter::local_ratelimit::on_new_connection;
                        if let Some(denial) = refused(&hop.cx, walk, hop.session, &limit) {
                            denial.end(walk, false);
                            return;
                        }
                    }
                    Err(error) => walk.missing(format!("network local_ratelimit can't be read: {error}")),
                }
            }
            "io.istio.network.authn.Config" => network_filter::authn::on_new_connection(&mut connection),
            "envoy.extensions.filters.network.wasm.v3.Wasm" if is_built_in(hop, &config) => {}
            "envoy.extensions.filters.network.sni_cluster.v3.SniCluster" => {
                if let Some(sni) = connection.server_name.clone().filter(|sni| !sni.is_empty()) {
                    walk.step(
                        Step::new("network filter", "sni_cluster", format!("the SNI {sni} names the cluster"))
                            .at(Some(origin)),
                    );
                    connection.filter_state.insert(tcp::CLUSTER_KEY.to_owned(), sni);
                }
            }
            "envoy.extensions.filters.network.set_filter_state.v3.Config" => {
                http_filter::set_filter_state_network(&hop.cx, walk, &config, &mut connection);
            }
            "envoy.extensions.filters.network.direct_response.v3.Config"
            | "envoy.extensions.filters.network.echo.v3.Echo" => {
                if let Some(denial) = denied {
                    denial.end(walk, false);
                    return;
                }
                walk.step(Step::new("network filter", &filter.name, "it answers by itself").at(Some(origin)));
                walk.end(Disposition::DirectResponse);
                return;
            }
            other => match effect(other, &filter.name) {
                Effect::None => {}
                Effect::Opaque(reason) => walk.missing(reason),
                Effect::Terminal(reason) => {
                    walk.step(
                        Step::new("network filter", &filter.name, format!("{other} is not followed further"))
                            .at(Some(origin)),
                    );
                    walk.missing(reason);
                    walk.end(Disposition::InsufficientInfo);
                    return;
                }
            },
        }
    }
    if !is_open {
        return;
    }
    walk.step(
        Step::new("network filter", "none", "the chain has no terminal filter: the connection is closed")
            .at(Some(origin)),
    );
    walk.end(Disposition::ProtocolMismatch);
}

/// Whether a network filter does its part before the first byte of the client is read.
fn acts_on_accept(type_name: &str) -> bool {
    matches!(
        type_name,
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
            | "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"
            | "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"
            | "envoy.extensions.filters.network.set_filter_state.v3.Config"
    )
}

fn unreadable(walk: &mut Walk, error: &str) {
    walk.missing(format!("the filter's configuration can't be read: {error}"));
    walk.end(Disposition::InsufficientInfo);
}

/// A filter's configuration, its own or from ECDS.
fn config_of(hop: &Hop<'_>, walk: &mut Walk, filter: &Filter) -> Option<Any> {
    match filter.config_type.as_ref()? {
        ConfigType::TypedConfig(any) => Some(any.clone()),
        ConfigType::ConfigDiscovery(source) => {
            let found =
                hop.cx.proxy.extension(&filter.name).and_then(|r| r.get().ok()).and_then(|e| e.typed_config.clone());
            if found.is_none() {
                walk.missing(format!("network filter {}: its ECDS configuration isn't in this file", filter.name));
            }
            found.or_else(|| source.default_config.clone())
        }
    }
}

/// Whether a Wasm filter is code of the proxy itself: Istio's telemetry.
fn is_built_in(hop: &Hop<'_>, config: &Any) -> bool {
    let wasm = hop.cx.cache.decode::<Wasm>(config).ok();
    let plugin = wasm.as_ref().and_then(|wasm| wasm.config.as_ref());
    plugin.is_some_and(|plugin| http_filter::is_built_in(plugin.vm.as_ref()))
}

enum Effect {
    /// Changes no decision.
    None,
    /// May close the connection; the trace goes on as if it did not.
    Opaque(String),
    /// Takes the connection over by rules of its own protocol.
    Terminal(String),
}

fn effect(type_name: &str, name: &str) -> Effect {
    let last = type_name.rsplit('.').next().unwrap_or_default();
    let is_istio = matches!(
        type_name,
        "stats.PluginConfig"
            | "envoy.tcp.metadataexchange.config.MetadataExchange"
            | "io.istio.http.peer_metadata.Config"
            | "envoy.extensions.network_filters.peer_metadata.Config"
            | "envoy.extensions.network_filters.peer_metadata.UpstreamConfig"
            | "istio.telemetry.network.v1.Config"
    );
    let sniffs = ["mongo_proxy", "mysql_proxy", "postgres_proxy", "zookeeper_proxy", "kafka_broker"];
    if is_istio
        || sniffs.iter().any(|s| type_name.contains(s) || name.ends_with(s))
        || matches!(last, "ConnectionLimit" | "ForwardDownstreamSni")
        || matches!(
            name,
            "istio.stats"
                | "istio.metadata_exchange"
                | "envoy.filters.network.metadata_exchange"
                | "forward_downstream_sni"
        )
    {
        return Effect::None;
    }
    let terminal =
        ["redis_proxy", "thrift_proxy", "dubbo_proxy", "meta_protocol", "generic_proxy", "sip_proxy", "rocketmq_proxy"];
    if let Some(protocol) = terminal.iter().find(|t| type_name.contains(*t) || name.contains(*t)) {
        return Effect::Terminal(format!("{protocol} routes by its own protocol, which the request doesn't hold"));
    }
    Effect::Opaque(format!("network filter {name} ({type_name}) may close the connection"))
}

/// An address for connections that have none: it matches no prefix but the catch-all (semantics §2.3 step 2).
pub(crate) fn no_address() -> SocketAddr {
    SocketAddr::new(IpAddr::from([255, 255, 255, 255]), 0)
}

/// The request of the next hop, as the router sends it on.
pub(crate) fn next_request(stream: &Stream, request: &Request, is_http2: bool) -> Request {
    let mut next = Request::get(stream.headers.path());
    next.id.clone_from(&request.id);
    next.protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    next.source = request.source;
    next.method = stream.headers.method().to_owned();
    next.authority = stream.headers.get(":authority").map(str::to_owned);
    next.headers = stream
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(':'))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    next
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::Tracer;
    use crate::trace::matcher::fixture::proxy_of;
    use crate::trace::request::ClientTls;

    /// Envoy dials the upstream of a TCP proxy when it accepts; the access log shows the cluster although TLS failed.
    #[test]
    fn a_tcp_proxy_has_its_cluster_before_the_handshake_fails() {
        let at = |ip: &str, port: u16| json!({"socket_address": {"address": ip, "port_value": port}});
        let endpoint = json!({"endpoint": {"address": at("10.0.0.1", 80)}});
        let socket = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": {"validation_context": {"trusted_ca": {"filename": "ca.pem"}}},
        }});
        let filter = json!({"name": "tcp", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "cluster": "c",
        }});
        let chain = json!({"transport_socket": socket, "filters": [filter]});
        let listener = json!({"name": "tls", "address": at("0.0.0.0", 443), "filter_chains": [chain]});
        let assignment = json!({"cluster_name": "c", "endpoints": [{"lb_endpoints": [endpoint]}]});
        let cluster = json!({"name": "c", "type": "STATIC", "load_assignment": assignment});
        let proxy = proxy_of(&[listener], &[cluster]);
        let mut request = Request::get("/");
        request.connect = Some("10.9.9.9:443".parse().unwrap());
        request.tls = Some(ClientTls::default());
        let trace = Tracer::new(&proxy).trace(&request);
        let ends = trace.branches.iter().map(|branch| {
            let outcome = &branch.outcome;
            (outcome.disposition, outcome.cluster.as_deref(), outcome.upstream_host.as_deref(), outcome.status)
        });
        let failed = Some(Disposition::TlsMismatch);
        let expected = [(failed, Some("c"), Some("10.0.0.1:80"), None), (failed, Some("c"), None, None)];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
        assert!(trace.unknown.is_empty(), "{:?}", trace.unknown);
    }
}
