//! What stands in the graph: nodes, their kinds and presence, and the kinds of reference between them.

use std::fmt;
use std::sync::Arc;

use crate::dump::{Kind, Origin, State};

/// Kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// The bootstrap.
    Bootstrap,
    /// A listener in one state.
    Listener,
    /// A filter chain: `<listener>/<name or index>`.
    FilterChain,
    /// A scope of scoped routes.
    ScopedRoute,
    /// A route configuration, delivered or inline.
    RouteConfiguration,
    /// A virtual host: `<route configuration>/<virtual host>`.
    VirtualHost,
    /// A route: `<route configuration>/<virtual host>/<index>`, as `trace` names it; `m<number>` inside a matcher.
    Route,
    /// A cluster in one state.
    Cluster,
    /// The endpoints of a cluster, delivered or inline.
    LoadAssignment,
    /// One address.
    Endpoint,
    /// A secret in one state.
    Secret,
    /// A filter delivered by ECDS.
    Extension,
}

impl NodeKind {
    /// All kinds, in the direction of a request.
    pub const ALL: [Self; 12] = [
        Self::Bootstrap,
        Self::Listener,
        Self::FilterChain,
        Self::ScopedRoute,
        Self::RouteConfiguration,
        Self::VirtualHost,
        Self::Route,
        Self::Cluster,
        Self::LoadAssignment,
        Self::Endpoint,
        Self::Secret,
        Self::Extension,
    ];

    /// The word for it in `kind:name`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Listener => "listener",
            Self::FilterChain => "filter-chain",
            Self::ScopedRoute => "scoped-route",
            Self::RouteConfiguration => "route-config",
            Self::VirtualHost => "virtual-host",
            Self::Route => "route",
            Self::Cluster => "cluster",
            Self::LoadAssignment => "load-assignment",
            Self::Endpoint => "endpoint",
            Self::Secret => "secret",
            Self::Extension => "extension",
        }
    }

    /// The section of a dump that holds nodes of this kind, for those that are resources of their own.
    pub(super) fn section(self) -> Option<Kind> {
        Some(match self {
            Self::Listener => Kind::Listener,
            Self::ScopedRoute => Kind::ScopedRoute,
            Self::RouteConfiguration => Kind::Route,
            Self::Cluster => Kind::Cluster,
            Self::LoadAssignment => Kind::Endpoint,
            Self::Secret => Kind::Secret,
            Self::Extension => Kind::Ecds,
            Self::Bootstrap | Self::FilterChain | Self::VirtualHost | Self::Route | Self::Endpoint => return None,
        })
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bootstrap => "bootstrap",
            Self::Listener => "listener",
            Self::FilterChain => "filter chain",
            Self::ScopedRoute => "scoped route configuration",
            Self::RouteConfiguration => "route configuration",
            Self::VirtualHost => "virtual host",
            Self::Route => "route",
            Self::Cluster => "cluster",
            Self::LoadAssignment => "cluster load assignment",
            Self::Endpoint => "endpoint",
            Self::Secret => "secret",
            Self::Extension => "extension configuration",
        })
    }
}

/// Whether the file holds what a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// It does, in this state; parts have the state of their resource.
    Held(State),
    /// Something refers to it, and it isn't where it should be: the reference dangles.
    Missing,
    /// Something refers to it, but the file has no section for its kind, so nobody can say.
    NotInFile,
    /// Named by each request, or decided by a plugin.
    Dynamic,
}

impl Presence {
    /// Whether new requests are served by it.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Held(state) if state.is_in_force())
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(state) => state.fmt(f),
            Self::Missing => f.write_str("missing"),
            Self::NotInFile => f.write_str("not in this file"),
            Self::Dynamic => f.write_str("dynamic"),
        }
    }
}

/// A resource or a part of one, or what a reference means that isn't there.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Its name; several nodes of a kind may share one (states, inline route configurations).
    pub name: Arc<str>,
    /// Whether the file holds it.
    pub presence: Presence,
    /// What tells it from its neighbours: the match of a route, the discovery type of a cluster.
    pub detail: Option<String>,
    /// Where it stands; `None` for what isn't there and for endpoints, which several places may name.
    pub origin: Option<Origin>,
    /// How many nodes of the same kind, name and presence come before it.
    pub(super) ordinal: usize,
}

impl Node {
    pub(super) fn new(kind: NodeKind, name: impl Into<Arc<str>>, presence: Presence, origin: Option<Origin>) -> Self {
        Self { kind, name: name.into(), presence, detail: None, origin, ordinal: 0 }
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into()).filter(|detail| !detail.is_empty());
        self
    }

    /// `kind:name`, made unique by `@state` for what isn't in force and by `#2` for the second of the same name.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = format!("{}:{}", self.kind.word(), self.name);
        if let Presence::Held(state) = self.presence
            && !state.is_in_force()
        {
            id.push_str(&format!("@{state}"));
        }
        if self.ordinal > 0 {
            id.push_str(&format!("#{}", self.ordinal + 1));
        }
        id
    }
}

/// Kind of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeKind {
    /// A part: chain of a listener, virtual host of a route configuration, route of a virtual host, endpoint.
    Part,
    /// A route configuration, scope or load assignment written in place.
    Inline,
    /// A route configuration by name.
    Rds,
    /// A scope of the scoped routes that a connection manager names.
    Scoped,
    /// Cluster of a route.
    Cluster,
    /// One of several clusters of a route, with its weight.
    WeightedCluster(u32),
    /// Cluster that gets a copy of the request.
    Mirror,
    /// Cluster named by a request header.
    ClusterHeader,
    /// Cluster named by a cluster specifier plugin.
    ClusterPlugin,
    /// Cluster of a TCP proxy.
    TcpProxy,
    /// One of several clusters of a TCP proxy, with its weight.
    WeightedTcpProxy(u32),
    /// Cluster of another terminal filter (UDP, Redis, Thrift …).
    Proxy,
    /// Endpoints by EDS service name.
    Eds,
    /// Endpoints that a cluster of another discovery type has in force.
    Hosts,
    /// Member of an aggregate cluster.
    Aggregate,
    /// Internal listener that an endpoint leads to.
    InternalListener,
    /// Certificate that a listener presents.
    ServerCertificate,
    /// Certificate that a cluster presents.
    ClientCertificate,
    /// What a certificate of the other side is validated with.
    Validation,
    /// Another secret: a token, session ticket keys.
    Secret,
    /// Filter by ECDS name.
    Ecds,
    /// Cluster of an ext_authz filter.
    ExtAuthz,
    /// Cluster of an external processor.
    ExtProc,
    /// Cluster of a rate limit service.
    RateLimit,
    /// Cluster of an access log.
    AccessLog,
    /// Cluster that keys of JSON web tokens are fetched from.
    Jwks,
    /// Cluster of a tracer.
    Tracing,
    /// Cluster of another service: a filter's `grpc_service` or HTTP service.
    Service,
    /// Cluster that a config source is reached by.
    ConfigSource,
}

impl EdgeKind {
    /// The word for it in labels and answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Part => "part",
            Self::Inline => "inline",
            Self::Rds => "rds",
            Self::Scoped => "scoped",
            Self::Cluster => "cluster",
            Self::WeightedCluster(_) => "weighted cluster",
            Self::Mirror => "mirror",
            Self::ClusterHeader => "cluster header",
            Self::ClusterPlugin => "cluster plugin",
            Self::TcpProxy => "tcp proxy",
            Self::WeightedTcpProxy(_) => "weighted tcp proxy",
            Self::Proxy => "proxy",
            Self::Eds => "eds",
            Self::Hosts => "hosts",
            Self::Aggregate => "aggregate member",
            Self::InternalListener => "internal listener",
            Self::ServerCertificate => "server certificate",
            Self::ClientCertificate => "client certificate",
            Self::Validation => "validation",
            Self::Secret => "secret",
            Self::Ecds => "ecds",
            Self::ExtAuthz => "ext_authz",
            Self::ExtProc => "ext_proc",
            Self::RateLimit => "rate limit",
            Self::AccessLog => "access log",
            Self::Jwks => "jwks",
            Self::Tracing => "tracing",
            Self::Service => "service",
            Self::ConfigSource => "config source",
        }
    }

    /// Whether the cluster serves Envoy itself rather than a request's way; such clusters are often static.
    #[must_use]
    pub fn is_service(self) -> bool {
        matches!(
            self,
            Self::ExtAuthz
                | Self::ExtProc
                | Self::RateLimit
                | Self::AccessLog
                | Self::Jwks
                | Self::Tracing
                | Self::Service
                | Self::ConfigSource
        )
    }

    /// Weight of a weighted reference.
    #[must_use]
    pub fn weight(self) -> Option<u32> {
        match self {
            Self::WeightedCluster(weight) | Self::WeightedTcpProxy(weight) => Some(weight),
            _ => None,
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        self.weight().map_or(Ok(()), |weight| write!(f, " {weight}"))
    }
}
