//! The transport socket of a connection to a host, and which of a cluster's matches chose it (semantics §7).

use std::collections::BTreeMap;

use serde_json::Value;

use super::hosts::Member;
use crate::dump::type_of;
use crate::proto::Struct;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::core::v3::TransportSocket;
use crate::proto::envoy::config::core::v3::transport_socket::ConfigType;
use crate::proto::envoy::extensions::transport_sockets::http_11_proxy::v3::Http11ProxyUpstreamTransport;
use crate::proto::envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport;
use crate::proto::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use crate::proto::envoy::extensions::transport_sockets::quic::v3::QuicUpstreamTransport;
use crate::proto::envoy::extensions::transport_sockets::tap::v3::Tap;
use crate::proto::envoy::extensions::transport_sockets::tcp_stats::v3::Config as TcpStats;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use crate::proto::envoy::r#type::metadata::v3::metadata_kind::Kind as MetadataSource;
use crate::trace::context::Context;

/// The transport socket of a host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UpstreamSocket {
    /// Name of the entry of `transport_socket_matches` that took the host; `None`: the cluster's own socket.
    pub(crate) matched: Option<String>,
    /// What it is.
    pub(crate) kind: SocketKind,
    /// Why it was chosen.
    pub(super) why: String,
}

/// What a transport socket does to the bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SocketKind {
    /// Plain text.
    RawBuffer,
    /// TLS.
    Tls(Tls),
    /// A connection to an internal listener, with metadata that it may read.
    Internal {
        /// What the bytes go through before.
        inner: Box<SocketKind>,
        /// Metadata passed on, by namespace.
        metadata: BTreeMap<String, Struct>,
    },
    /// A PROXY protocol header before the bytes of the inner socket.
    ProxyProtocol(Box<SocketKind>),
    /// A socket that isn't known here, by its type, or one whose choice depends on what the input lacks.
    Other(String),
}

/// What a TLS client says in its handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Server name; `None` sends none, unless it is taken from the request.
    pub(crate) sni: Option<String>,
    /// Whether the server name is the request's authority (`auto_sni`, `auto_host_sni`).
    pub(crate) auto_sni: bool,
    /// Application protocols; a filter may replace them.
    pub(crate) alpn: Vec<String>,
    /// Names of the SDS secrets with client certificates; one that stands in the cluster itself is `""`.
    pub(crate) certificates: Vec<String>,
}

impl SocketKind {
    /// What it is, in a few words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::RawBuffer => "plain text".to_owned(),
            Self::Tls(tls) => {
                let mut text = if tls.certificates.is_empty() { "TLS".to_owned() } else { "mutual TLS".to_owned() };
                if let Some(sni) = tls.sni.as_ref() {
                    text.push_str(&format!(", SNI {sni}"));
                }
                if !tls.alpn.is_empty() {
                    text.push_str(&format!(", ALPN {}", tls.alpn.join(",")));
                }
                text
            }
            Self::Internal { inner, .. } => format!("internal listener ({})", inner.describe()),
            Self::ProxyProtocol(inner) => format!("PROXY protocol, {}", inner.describe()),
            Self::Other(kind) => kind.clone(),
        }
    }
}

/// The socket of a host of a cluster.
pub(super) fn of_host(cx: &Context<'_>, cluster: &Cluster, host: Option<&Member<'_>>) -> UpstreamSocket {
    const NAMESPACE: &str = "envoy.transport_socket_match";
    let matches = &cluster.transport_socket_matches;
    if cluster.transport_socket_matcher.is_some() {
        return UpstreamSocket {
            matched: None,
            kind: SocketKind::Other("chosen by transport_socket_matcher".to_owned()),
            why: "the cluster has a transport_socket_matcher".to_owned(),
        };
    }
    // Hosts of ORIGINAL_DST clusters have no metadata.
    let none = BTreeMap::new();
    let metadata = match host {
        Some(host) => host.metadata,
        None => Some(&none),
    };
    let Some(metadata) = metadata.or_else(|| matches.is_empty().then_some(&none)) else {
        return UpstreamSocket {
            matched: None,
            kind: SocketKind::Other("chosen by the endpoint's metadata, which the input lacks".to_owned()),
            why: "the input lacks the endpoint's metadata".to_owned(),
        };
    };
    let locality = host.and_then(|host| host.locality_metadata).map(|metadata| &metadata.filter_metadata);
    for (level, metadata) in [("endpoint", Some(metadata)), ("locality", locality)] {
        let Some(metadata) = metadata else { continue };
        for candidate in matches {
            let labels = candidate.r#match.as_ref().map(|labels| &labels.fields);
            let labels = labels.into_iter().flatten();
            if !labels_match(labels.clone(), metadata.get(NAMESPACE), false) {
                continue;
            }
            let wanted: Vec<String> = labels.map(|(key, value)| format!("{key}={}", text(value))).collect();
            let why = if wanted.is_empty() {
                "its match takes every endpoint that no match before it takes".to_owned()
            } else {
                format!("the {level}'s metadata has {}", wanted.join(", "))
            };
            let kind = read(cx, cluster, host, candidate.transport_socket.as_ref(), 0);
            return UpstreamSocket { matched: Some(candidate.name.clone()), kind, why };
        }
    }
    let why = match (matches.is_empty(), cluster.transport_socket.is_some()) {
        (_, true) => "the cluster's transport_socket",
        (true, false) => "the cluster has no transport_socket",
        (false, false) => {
            "no transport_socket_matches entry takes the endpoint, and the cluster has no transport_socket"
        }
    };
    let kind = read(cx, cluster, host, cluster.transport_socket.as_ref(), 0);
    UpstreamSocket { matched: None, kind, why: why.to_owned() }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether metadata of one namespace has all labels with their values; no labels match everything.
pub(crate) fn labels_match<'a>(
    labels: impl IntoIterator<Item = (&'a String, &'a Value)>,
    metadata: Option<&Struct>,
    list_as_any: bool,
) -> bool {
    labels.into_iter().all(|(key, wanted)| match metadata.and_then(|metadata| metadata.get(key)) {
        Some(Value::Array(values)) if list_as_any => values.iter().any(|value| same(value, wanted)),
        Some(value) => same(value, wanted),
        None => false,
    })
}

/// Whether two values are equal to protobuf, which has one kind of number.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Sockets within sockets.
const MAX_NESTING: u32 = 8;

fn read(
    cx: &Context<'_>,
    cluster: &Cluster,
    host: Option<&Member<'_>>,
    socket: Option<&TransportSocket>,
    depth: u32,
) -> SocketKind {
    let Some(socket) = socket else { return SocketKind::RawBuffer };
    let Some(ConfigType::TypedConfig(any)) = socket.config_type.as_ref() else {
        // The name alone says what it is: raw_buffer needs no configuration.
        return match socket.name.rsplit('.').next() {
            Some("raw_buffer") => SocketKind::RawBuffer,
            Some("tls") => SocketKind::Tls(Tls::default()),
            _ => SocketKind::Other(socket.name.clone()),
        };
    };
    let kind = type_of(any);
    let inner = |socket: Option<&TransportSocket>| read(cx, cluster, host, socket, depth + 1);
    let read = match kind.strip_prefix("envoy.extensions.transport_sockets.") {
        _ if depth > MAX_NESTING => None,
        Some("raw_buffer.v3.RawBuffer") => Some(SocketKind::RawBuffer),
        Some("tls.v3.UpstreamTlsContext") => {
            cx.cache.decode::<UpstreamTlsContext>(any).ok().map(|context| SocketKind::Tls(tls(cluster, &context)))
        }
        Some("quic.v3.QuicUpstreamTransport") => cx.cache.decode::<QuicUpstreamTransport>(any).ok().map(|quic| {
            SocketKind::Tls(quic.upstream_tls_context.as_ref().map(|context| tls(cluster, context)).unwrap_or_default())
        }),
        Some("internal_upstream.v3.InternalUpstreamTransport") => {
            cx.cache.decode::<InternalUpstreamTransport>(any).ok().map(|internal| SocketKind::Internal {
                inner: Box::new(inner(internal.transport_socket.as_ref())),
                metadata: passed_metadata(cluster, host, &internal),
            })
        }
        Some("proxy_protocol.v3.ProxyProtocolUpstreamTransport") => cx
            .cache
            .decode::<ProxyProtocolUpstreamTransport>(any)
            .ok()
            .map(|proxy| SocketKind::ProxyProtocol(Box::new(inner(proxy.transport_socket.as_ref())))),
        Some("http_11_proxy.v3.Http11ProxyUpstreamTransport") => cx
            .cache
            .decode::<Http11ProxyUpstreamTransport>(any)
            .ok()
            .map(|proxy| inner(proxy.transport_socket.as_ref())),
        Some("tap.v3.Tap") => cx.cache.decode::<Tap>(any).ok().map(|tap| inner(tap.transport_socket.as_ref())),
        Some("tcp_stats.v3.Config") => {
            cx.cache.decode::<TcpStats>(any).ok().map(|stats| inner(stats.transport_socket.as_ref()))
        }
        _ => None,
    };
    read.unwrap_or_else(|| SocketKind::Other(kind.into_owned()))
}

fn tls(cluster: &Cluster, context: &UpstreamTlsContext) -> Tls {
    let common = context.common_tls_context.as_ref();
    let inline = common.map(|common| common.tls_certificates.iter().map(|_| String::new())).into_iter().flatten();
    let secrets = common.map(|common| common.tls_certificate_sds_secret_configs.iter().map(|sds| sds.name.clone()));
    let http = cluster.upstream_http_protocol_options.as_ref();
    Tls {
        sni: (!context.sni.is_empty()).then(|| context.sni.clone()),
        auto_sni: context.auto_host_sni || http.is_some_and(|http| http.auto_sni),
        alpn: common.map(|common| common.alpn_protocols.clone()).unwrap_or_default(),
        certificates: inline.chain(secrets.into_iter().flatten()).collect(),
    }
}

/// Metadata of the host and the cluster that an internal listener is told of.
fn passed_metadata(
    cluster: &Cluster,
    host: Option<&Member<'_>>,
    internal: &InternalUpstreamTransport,
) -> BTreeMap<String, Struct> {
    let mut passed = BTreeMap::new();
    for source in &internal.passthrough_metadata {
        let value = match source.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
            Some(MetadataSource::Host(_)) => host.and_then(|host| host.metadata?.get(&source.name)),
            Some(MetadataSource::Cluster(_)) => {
                cluster.metadata.as_ref().and_then(|metadata| metadata.filter_metadata.get(&source.name))
            }
            _ => None,
        };
        if let Some(value) = value {
            passed.insert(source.name.clone(), value.clone());
        }
    }
    passed
}
