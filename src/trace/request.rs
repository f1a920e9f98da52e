//! What a client sends, and what Envoy knows of its connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::proto::Struct;

/// One request of a client, as sent: nothing of Envoy's view is in it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Repeated in the answer, so that a batch can be joined.
    pub id: String,
    /// What the client speaks on the connection.
    pub protocol: Protocol,
    /// Address the client dials; `None` lets the tracer derive it from the authority.
    pub connect: Option<SocketAddr>,
    /// Local port at which a redirected connection arrives (iptables REDIRECT); its original destination is `connect`.
    pub redirected_to: Option<u16>,
    /// Port of the URL, where the authority has none and `connect` is to be derived.
    pub port: Option<u16>,
    /// Which side of a sidecar the request takes, where `connect` is to be derived.
    pub direction: Direction,
    /// Address the client dials from.
    pub source: IpAddr,
    /// Port the client dials from; `None` is an ephemeral one.
    pub source_port: Option<u16>,
    /// PROXY protocol header that the client sends first.
    pub proxy: Option<ProxyHeader>,
    /// TLS handshake of the client; `None` is plain text.
    pub tls: Option<ClientTls>,
    /// Request method, as sent.
    pub method: String,
    /// `Host` or `:authority`; `None` sends no Host.
    pub authority: Option<String>,
    /// Path and query as sent, or an absolute URL, `*` or a CONNECT target. Empty where an HTTP/2 CONNECT has none: one
    /// that sends an empty `:path` has it among the headers.
    pub path: String,
    /// Request headers in the order sent; values that aren't UTF-8 as [`from_latin1`](super::from_latin1) gives them.
    pub headers: Vec<(String, String)>,
    /// What a CONNECT carries once its tunnel is open (HBONE); `None` is a line that isn't HTTP.
    pub tunnelled: Option<Box<Request>>,
}

impl Request {
    /// An HTTP/1.1 `GET /` from 127.0.0.1 without an authority: the start of every other request.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self {
            id: String::new(),
            protocol: Protocol::Http1,
            connect: None,
            redirected_to: None,
            port: None,
            direction: Direction::Unspecified,
            source: IpAddr::from([127, 0, 0, 1]),
            source_port: None,
            proxy: None,
            tls: None,
            method: "GET".to_owned(),
            authority: None,
            path: path.to_owned(),
            headers: Vec::new(),
            tunnelled: None,
        }
    }
}

/// Which side of a sidecar a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The proxy decides: outbound for a sidecar, inbound for anything else.
    #[default]
    Unspecified,
    /// From the application out.
    Outbound,
    /// From outside to the application.
    Inbound,
}

/// What the client speaks once the connection (and its TLS, if any) stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, over TLS or with prior knowledge.
    Http2,
    /// Bytes that are not HTTP.
    Tcp,
}

/// Addresses of a PROXY protocol header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Whether it is binary (version 2), not a line of text.
    pub is_v2: bool,
    /// The client, as the sender of the header saw it.
    pub source: SocketAddr,
    /// The destination the client meant.
    pub destination: SocketAddr,
}

/// TLS ClientHello and certificate of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Server name indication; Envoy matches it in lower case.
    pub sni: Option<String>,
    /// Application protocols in the client's order of preference.
    pub alpn: Vec<String>,
    /// Certificate that the client presents, taken to be signed by the CA that the configuration trusts.
    pub certificate: Option<ClientCertificate>,
}

/// The identities of a client certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject alternative names of type URI (a SPIFFE id in a mesh).
    pub uri_sans: Vec<String>,
    /// Subject alternative names of type DNS.
    pub dns_sans: Vec<String>,
    /// Subject, RFC 2253; empty when not known.
    pub subject: String,
}

/// A connection as the filters of a listener see it (semantics §2.2 to §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Local address: the original destination once a listener filter has restored it.
    pub local: SocketAddr,
    /// Whether `local` was restored (original_dst, PROXY protocol) and so may hand off or feed ORIGINAL_DST clusters.
    pub restored: bool,
    /// Remote address, after PROXY protocol.
    pub remote: SocketAddr,
    /// Remote address of the physical peer.
    pub direct_remote: SocketAddr,
    /// Transport protocol that a listener filter detected; `None` counts as `raw_buffer`.
    pub transport_protocol: Option<String>,
    /// Server name, lower-cased, if tls_inspector ran on TLS bytes.
    pub server_name: Option<String>,
    /// Application protocols that an inspector found, in the client's order.
    pub application_protocols: Vec<String>,
    /// Whether the chosen filter chain terminated TLS.
    pub tls: bool,
    /// Server name of the terminated handshake, inspector or not.
    pub handshake_server_name: Option<String>,
    /// The client's certificate, if the chain asked for one and it was presented.
    pub peer: Option<ClientCertificate>,
    /// Whether the peer's certificate was checked against a CA.
    pub peer_validated: bool,
    /// Application protocol that the terminated handshake agreed on.
    pub negotiated_protocol: Option<String>,
    /// Filter state by key (set_filter_state, connect_authority, sni_cluster).
    pub filter_state: BTreeMap<String, String>,
    /// Dynamic metadata of the connection by namespace.
    pub metadata: BTreeMap<String, Struct>,
    /// Whether the PROXY protocol header has been read: it comes once.
    pub read_proxy_header: bool,
    /// Whether a listener filter waited for the first bytes before a filter chain was looked for.
    pub awaited_data: bool,
    /// Whether the peer is another listener of this proxy, not a socket.
    pub is_internal: bool,
}

impl Connection {
    /// A connection before any filter has looked at it.
    #[must_use]
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            restored: false,
            remote,
            direct_remote: remote,
            transport_protocol: None,
            server_name: None,
            application_protocols: Vec::new(),
            tls: false,
            handshake_server_name: None,
            peer: None,
            peer_validated: false,
            negotiated_protocol: None,
            filter_state: BTreeMap::new(),
            metadata: BTreeMap::new(),
            read_proxy_header: false,
            awaited_data: false,
            is_internal: false,
        }
    }

    /// Forgets what inspectors found: a listener that a connection is handed to looks anew.
    pub(crate) fn forget_inspection(&mut self) {
        self.transport_protocol = None;
        self.server_name = None;
        self.application_protocols.clear();
    }

    /// Whether the peer is on the same host: the same address, exactly 127.0.0.1 or ::1, or no socket at all (S5).
    #[must_use]
    pub fn is_from_same_host(&self) -> bool {
        let remote = self.remote.ip();
        let is_loopback = match remote {
            IpAddr::V4(ip) => ip == std::net::Ipv4Addr::LOCALHOST,
            IpAddr::V6(ip) => ip == std::net::Ipv6Addr::LOCALHOST,
        };
        self.is_internal || is_loopback || remote == self.local.ip()
    }
}

/// Headers of which Envoy holds one entry, whatever a client sends (measured on 1.40).
const JOINED: &[&str] = &[
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "cdn-loop",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "origin",
    "pragma",
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Request headers as Envoy holds them: lower-case names, pseudo-headers included, order kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(String, String)>,
}

impl Headers {
    /// Appends one header; the name is lower-cased. Of the headers that Envoy keeps in one place each, a repeated one
    /// is joined to the first with a comma, so that matchers see one value.
    pub fn add(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if JOINED.contains(&name.as_str()) && self.contains(&name) {
            self.append(&name, value);
            return;
        }
        self.entries.push((name, value.to_owned()));
    }

    /// Replaces all headers of that name by one.
    pub fn set(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        match self.entries.iter().position(|(n, _)| *n == name) {
            Some(first) => {
                let mut index = 0;
                self.entries.retain(|(n, _)| {
                    index += 1;
                    *n != name || index - 1 == first
                });
                if let Some(entry) = self.entries.get_mut(first) {
                    value.clone_into(&mut entry.1);
                }
            }
            None => self.entries.push((name, value.to_owned())),
        }
    }

    /// Puts other headers before these.
    pub(crate) fn put_first(&mut self, mut first: Self) {
        first.entries.append(&mut self.entries);
        *self = first;
    }

    /// Appends a value to a comma-separated header, or adds the header.
    pub fn append(&mut self, name: &str, value: &str) {
        match self.get(name).map(str::to_owned) {
            Some(old) if !old.is_empty() => self.set(name, &format!("{old},{value}")),
            _ => self.set(name, value),
        }
    }

    /// Removes all headers of that name.
    pub fn remove(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.entries.retain(|(n, _)| *n != name);
    }

    /// First value of a header; `host` means `:authority`, as in Envoy.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a header, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = if name.eq_ignore_ascii_case("host") { ":authority".to_owned() } else { name.to_ascii_lowercase() };
        self.entries.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    /// Whether any header of that name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// `:authority`, or the empty string.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.get(":authority").unwrap_or_default()
    }

    /// `:path` with its query, or the empty string.
    #[must_use]
    pub fn path(&self) -> &str {
        self.get(":path").unwrap_or_default()
    }

    /// `:method`, or the empty string.
    #[must_use]
    pub fn method(&self) -> &str {
        self.get(":method").unwrap_or_default()
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// The path without query and fragment: what path matchers compare (semantics §4.4).
#[must_use]
pub fn path_only(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or_default()
}
