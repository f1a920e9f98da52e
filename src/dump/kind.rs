//! Kinds and states of resources.

use std::fmt;

/// What a resource is, by its xDS type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SRDS.
    ScopedRoute,
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// SDS.
    Secret,
    /// ECDS: an HTTP, network or listener filter delivered on its own.
    Ecds,
}

impl Kind {
    /// Full name of the resource's v3 message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::Route => "envoy.config.route.v3.RouteConfiguration",
            Self::ScopedRoute => "envoy.config.route.v3.ScopedRouteConfiguration",
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Ecds => "envoy.config.core.v3.TypedExtensionConfig",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listener => "listener",
            Self::Route => "route configuration",
            Self::ScopedRoute => "scoped route configuration",
            Self::Cluster => "cluster",
            Self::Endpoint => "cluster load assignment",
            Self::Secret => "secret",
            Self::Ecds => "extension configuration",
        })
    }
}

/// Whether a resource is in force (semantics §1.2, "Semantics of the states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// From the bootstrap; in force.
    Static,
    /// Delivered by xDS; in force.
    Active,
    /// Delivered, but waiting for something it refers to; not in force.
    Warming,
    /// A former version that finishes its connections.
    Draining,
    /// Rejected: shows what was refused and why.
    Error,
}

impl State {
    /// Whether new requests are served by it.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Static | Self::Active)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Active => "active",
            Self::Warming => "warming",
            Self::Draining => "draining",
            Self::Error => "error",
        })
    }
}
