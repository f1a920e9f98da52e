//! Listener filters: what they learn of a connection before a filter chain is chosen (semantics §2.4).

use std::net::SocketAddr;

use super::context::Context;
use super::listener::Accepting;
use super::outcome::{Disposition, Step};
use super::rate_limit::bucket::Bucket;
use super::request::{Connection, Protocol, ProxyHeader, Request};
use super::session::Session;
use super::version::Rule;
use super::walk::Walk;
use crate::dump::type_of;
use crate::proto::Any;
use crate::proto::envoy::config::core::v3::proxy_protocol_config::Version;
use crate::proto::envoy::config::listener::v3::listener_filter::ConfigType;
use crate::proto::envoy::config::listener::v3::listener_filter_chain_match_predicate::Rule as Predicate;
use crate::proto::envoy::config::listener::v3::{FilterChain, ListenerFilter, ListenerFilterChainMatchPredicate};
use crate::proto::envoy::extensions::filters::listener::local_ratelimit::v3::LocalRateLimit;
use crate::proto::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;

/// What listener filters did with a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// It goes on to the filter chains.
    Continue,
    /// A filter closed it.
    Closed(Disposition),
}

/// Where the bytes of a connection come from.
#[derive(Clone, Copy)]
pub(crate) enum Bytes<'a> {
    /// From the client itself.
    Client(&'a Request),
    /// From another listener of the same proxy, through an internal listener; `is_tls` if they are a TLS handshake.
    Internal(&'a Request, bool),
}

impl<'a> Bytes<'a> {
    pub(crate) fn request(self) -> &'a Request {
        match self {
            Self::Client(request) | Self::Internal(request, _) => request,
        }
    }

    /// Whether a TLS handshake comes first.
    pub(crate) fn is_tls(self) -> bool {
        match self {
            Self::Client(request) => request.tls.is_some(),
            Self::Internal(_, is_tls) => is_tls,
        }
    }
}

/// Runs the listener filters of `found` on a connection.
pub(crate) fn run(
    cx: &Context<'_>,
    walk: &mut Walk,
    session: &Session,
    found: &Accepting<'_>,
    bytes: Bytes<'_>,
    connection: &mut Connection,
) -> Inspected {
    for filter in &found.listener.listener_filters {
        if filter.filter_disabled.as_ref().is_some_and(|predicate| matches_predicate(predicate, connection, 0)) {
            continue;
        }
        let inspected = one(cx, walk, session, found, filter, bytes, connection);
        if inspected != Inspected::Continue {
            return inspected;
        }
    }
    if found.listener.use_original_dst.is_some_and(|v| v.value) {
        // Envoy adds this filter by itself, after the listed ones.
        original_dst(bytes, connection);
    }
    if adds_tls_inspector(cx, found) {
        tls_inspector(cx, bytes, connection);
    }
    Inspected::Continue
}

fn one(
    cx: &Context<'_>,
    walk: &mut Walk,
    session: &Session,
    found: &Accepting<'_>,
    filter: &ListenerFilter,
    bytes: Bytes<'_>,
    connection: &mut Connection,
) -> Inspected {
    let config = match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => Some(any.clone()),
        Some(ConfigType::ConfigDiscovery(_)) => {
            let resource = cx.proxy.extension(&filter.name).and_then(|r| r.get().ok());
            let Some(any) = resource.and_then(|r| r.typed_config.clone()) else {
                walk.missing(format!("listener filter {}: its ECDS configuration isn't in this file", filter.name));
                return Inspected::Continue;
            };
            Some(any)
        }
        None => None,
    };
    let type_name = config.as_ref().map(|any| type_of(any).into_owned()).unwrap_or_default();
    let kind = kind(&type_name, &filter.name);
    connection.awaited_data |= matches!(kind, Known::TlsInspector | Known::HttpInspector | Known::ProxyProtocol);
    match kind {
        Known::OriginalDst => original_dst(bytes, connection),
        Known::TlsInspector => tls_inspector(cx, bytes, connection),
        Known::HttpInspector => http_inspector(cx, bytes, connection),
        Known::ProxyProtocol => {
            let settings = config.as_ref().and_then(|any| crate::dump::decode_any::<ProxyProtocol>(any).ok());
            return proxy_protocol(walk, settings.as_ref(), bytes, connection);
        }
        Known::LocalRateLimit => return local_ratelimit(cx, walk, session, config.as_ref()),
        Known::NoEffect => {}
        Known::Opaque => walk.missing(format!(
            "listener filter {} ({type_name}) of {} may close the connection or change what is matched",
            filter.name,
            super::listener::display_name(found)
        )),
    }
    Inspected::Continue
}

enum Known {
    OriginalDst,
    TlsInspector,
    HttpInspector,
    ProxyProtocol,
    LocalRateLimit,
    NoEffect,
    Opaque,
}

fn kind(type_name: &str, name: &str) -> Known {
    let by_type = type_name.rsplit('.').next().unwrap_or_default();
    let by_name = name.rsplit('.').next().unwrap_or_default();
    match (by_type, by_name) {
        ("OriginalDst", _) | ("", "original_dst") => Known::OriginalDst,
        ("TlsInspector", _) | ("", "tls_inspector") => Known::TlsInspector,
        ("HttpInspector", _) | ("", "http_inspector") => Known::HttpInspector,
        ("ProxyProtocol", _) | ("", "proxy_protocol") => Known::ProxyProtocol,
        // Transparent source addresses change no decision.
        ("OriginalSrc", _) | ("", "original_src") => Known::NoEffect,
        ("LocalRateLimit", _) => Known::LocalRateLimit,
        _ => Known::Opaque,
    }
}

/// Takes a token for the connection, or closes it before any filter chain is chosen.
fn local_ratelimit(cx: &Context<'_>, walk: &mut Walk, session: &Session, config: Option<&Any>) -> Inspected {
    let limit = match config.map(|any| cx.cache.decode::<LocalRateLimit>(any)) {
        Some(Ok(limit)) => limit,
        Some(Err(error)) => {
            walk.missing(format!("listener filter local_ratelimit can't be read: {error}"));
            return Inspected::Continue;
        }
        None => return Inspected::Continue,
    };
    let enabled = limit
        .runtime_enabled
        .as_ref()
        .is_none_or(|flag| cx.guard(&flag.runtime_key, flag.default_value.is_none_or(|value| value.value)));
    let key = format!("{:p}", std::sync::Arc::as_ptr(&limit));
    let bucket = limit.token_bucket.as_ref().filter(|_| enabled).and_then(|bucket| Bucket::new(key, bucket));
    let Some(bucket) = bucket else { return Inspected::Continue };
    let state = bucket.describe(walk, session);
    if bucket.take(walk, session, 1) {
        return Inspected::Continue;
    }
    walk.step(Step::new("listener filter", "local_ratelimit closes the connection", state));
    Inspected::Closed(Disposition::FilterReply)
}

/// The destination before iptables, or of internal connections the one that the sender shared.
fn original_dst(bytes: Bytes<'_>, connection: &mut Connection) {
    match bytes {
        Bytes::Client(request) => {
            if let (Some(_), Some(connect)) = (request.redirected_to, request.connect) {
                connection.local = connect;
                connection.restored = true;
            }
        }
        Bytes::Internal(..) => {
            let shared = |key: &str| connection.filter_state.get(key).and_then(|text| text.parse::<SocketAddr>().ok());
            if let Some(local) = shared("envoy.filters.listener.original_dst.local_ip") {
                connection.local = local;
                connection.restored = true;
            }
            if let Some(remote) = shared("envoy.filters.listener.original_dst.remote_ip") {
                connection.remote = remote;
            }
        }
    }
}

/// Whether Envoy adds a TLS inspector by itself: releases that did so where chains are chosen by what it finds.
fn adds_tls_inspector(cx: &Context<'_>, found: &Accepting<'_>) -> bool {
    if cx.follows(Rule::TlsInspectorMustBeListed) {
        return false;
    }
    let needs = |chain: &FilterChain| {
        chain.filter_chain_match.as_ref().is_some_and(|criteria| {
            !criteria.server_names.is_empty()
                || !criteria.application_protocols.is_empty()
                || criteria.transport_protocol == "tls"
        })
    };
    let is_listed = |filter: &ListenerFilter| filter.name.ends_with("tls_inspector");
    found.listener.filter_chains.iter().any(needs) && !found.listener.listener_filters.iter().any(is_listed)
}

fn tls_inspector(cx: &Context<'_>, bytes: Bytes<'_>, connection: &mut Connection) {
    if !bytes.is_tls() {
        return;
    }
    connection.transport_protocol = Some("tls".to_owned());
    if let Some(tls) = &bytes.request().tls {
        connection.server_name = tls
            .sni
            .as_ref()
            .map(|sni| if cx.follows(Rule::SniIgnoresCase) { sni.to_ascii_lowercase() } else { sni.clone() });
        connection.application_protocols.clone_from(&tls.alpn);
    }
}

fn http_inspector(cx: &Context<'_>, bytes: Bytes<'_>, connection: &mut Connection) {
    if bytes.is_tls() || connection.transport_protocol.as_deref().is_some_and(|t| t != "raw_buffer") {
        return;
    }
    let protocol = match bytes.request().protocol {
        Protocol::Http1 if super::codec::is_inspected_as_http(cx, &bytes.request().method) => "http/1.1",
        Protocol::Http10 if super::codec::is_inspected_as_http(cx, &bytes.request().method) => "http/1.0",
        Protocol::Http2 => "h2c",
        Protocol::Http10 | Protocol::Http1 | Protocol::Tcp => return,
    };
    connection.application_protocols = vec![protocol.to_owned()];
}

fn proxy_protocol(
    walk: &mut Walk,
    settings: Option<&ProxyProtocol>,
    bytes: Bytes<'_>,
    connection: &mut Connection,
) -> Inspected {
    let header = match bytes {
        Bytes::Client(request) => request.proxy,
        Bytes::Internal(..) => None,
    };
    let header = header.filter(|_| !connection.read_proxy_header);
    let version = |header: &ProxyHeader| if header.is_v2 { Version::V2 } else { Version::V1 };
    let is_disallowed = |header: &ProxyHeader| {
        settings.is_some_and(|settings| settings.disallowed_versions.contains(&(version(header) as i32)))
    };
    if header.as_ref().is_some_and(is_disallowed) {
        if settings.is_some_and(|s| s.allow_requests_without_proxy_protocol) {
            walk.missing("what the filter chain makes of a PROXY protocol header of a version that isn't allowed");
            return Inspected::Continue;
        }
        let why = "the client's PROXY protocol header is of a version that isn't allowed: the connection is closed";
        walk.step(Step::new("listener filter", "proxy_protocol", why));
        return Inspected::Closed(Disposition::ProtocolMismatch);
    }
    if let Some(header) = header {
        connection.remote = header.source;
        // Envoy counts the address as restored only if it really changed.
        connection.restored = connection.local != header.destination;
        connection.local = header.destination;
        connection.read_proxy_header = true;
        return Inspected::Continue;
    }
    if settings.is_some_and(|s| s.allow_requests_without_proxy_protocol) {
        return Inspected::Continue;
    }
    walk.step(Step::new(
        "listener filter",
        "proxy_protocol",
        "the client sends no PROXY protocol header: the connection is closed",
    ));
    Inspected::Closed(Disposition::ProtocolMismatch)
}

/// Predicates nest; a hostile one must not exhaust the stack.
const MAX_DEPTH: usize = 32;

fn matches_predicate(predicate: &ListenerFilterChainMatchPredicate, connection: &Connection, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return false;
    }
    match &predicate.rule {
        Some(Predicate::OrMatch(set)) => set.rules.iter().any(|rule| matches_predicate(rule, connection, depth + 1)),
        Some(Predicate::AndMatch(set)) => set.rules.iter().all(|rule| matches_predicate(rule, connection, depth + 1)),
        Some(Predicate::NotMatch(rule)) => !matches_predicate(rule, connection, depth + 1),
        Some(Predicate::AnyMatch(any)) => *any,
        Some(Predicate::DestinationPortRange(range)) => {
            (range.start..range.end).contains(&i32::from(connection.local.port()))
        }
        None => false,
    }
}
