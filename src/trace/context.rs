//! What every rule of the tracer reads: the proxy, what was compiled from it, and the request under way.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

use super::assume::Assumptions;
use super::cache::Cache;
use super::request::{Connection, Headers, Protocol};
use crate::dump::Proxy;
use crate::proto::Struct;
use crate::proto::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use crate::proto::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost};

/// The proxy and what was decoded and compiled from it so far.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) proxy: &'a Proxy,
    pub(crate) cache: &'a Cache,
    pub(crate) assumptions: &'a Assumptions,
}

impl<'a> Context<'a> {
    /// A runtime value: the one that is assumed, else what the input tells.
    pub(crate) fn runtime(&self, key: &str) -> Option<&'a serde_json::Value> {
        self.assumptions.runtime(key).or_else(|| self.proxy.runtime(key))
    }

    /// A feature guard of `layered_runtime` or `/runtime`, or its default.
    pub(crate) fn guard(&self, key: &str, default: bool) -> bool {
        self.switch(key).unwrap_or(default)
    }

    /// A boolean of `layered_runtime` or `/runtime`; numbers count since Envoy 1.14.
    pub(crate) fn switch(&self, key: &str) -> Option<bool> {
        match self.runtime(key)? {
            serde_json::Value::Bool(value) => Some(*value),
            serde_json::Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            serde_json::Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            serde_json::Value::Number(number) => number.as_u64().map(|number| number != 0),
            _ => None,
        }
    }
}

/// A request inside an HTTP connection manager, as its filters and routes see it.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// The connection that carries it.
    pub(crate) connection: Connection,
    /// Request headers, pseudo-headers included, as changed so far.
    pub(crate) headers: Headers,
    /// Address of the client that Envoy trusts (PROXY protocol, x-forwarded-for): what `remote_ip` means.
    pub(crate) remote: SocketAddr,
    /// Dynamic metadata by filter namespace.
    pub(crate) metadata: BTreeMap<String, Struct>,
    /// Filter state of the request; that of the connection is in `connection`.
    pub(crate) filter_state: BTreeMap<String, String>,
    /// Whether the client's address counts as internal (`x-envoy-internal`).
    pub(crate) is_internal: bool,
    /// What the client speaks.
    pub(crate) protocol: Protocol,
    /// Headers as the client sent them.
    pub(crate) sent: Headers,
}

impl Stream {
    /// Filter state of the request, else of its connection.
    pub(crate) fn filter_state(&self, key: &str) -> Option<&str> {
        self.filter_state.get(key).or_else(|| self.connection.filter_state.get(key)).map(String::as_str)
    }

    /// Whether this is a gRPC request: local replies to it are HTTP 200 (semantics §8.2).
    pub(crate) fn is_grpc(&self) -> bool {
        self.headers
            .get("content-type")
            .is_some_and(|value| value == "application/grpc" || value.starts_with("application/grpc+"))
    }

    /// The trusted client address without its port.
    pub(crate) fn remote_ip(&self) -> IpAddr {
        self.remote.ip()
    }
}

/// What matchers may look at: a connection, and the request on it if there is one.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) stream: Option<&'a Stream>,
}

/// The route chosen for a request, and the levels above it that hold configuration for filters.
#[derive(Clone)]
pub(crate) struct Selected<'a> {
    /// The route configuration; its virtual hosts may have been taken out.
    pub(crate) config: &'a RouteConfiguration,
    /// `None`: no domain matched.
    pub(crate) vhost: Option<&'a VirtualHost>,
    /// `None`: no route matched.
    pub(crate) route: Option<RouteRef<'a>>,
    /// Entry of `weighted_clusters` that was picked.
    pub(crate) weight: Option<ClusterWeight>,
    /// Cluster of the route, after weights and `cluster_header`; it need not exist.
    pub(crate) cluster: Option<String>,
}

/// A route of a virtual host, or one out of a matcher tree.
#[derive(Clone)]
pub(crate) enum RouteRef<'a> {
    Listed(&'a Route),
    Decoded(Arc<Route>),
}

impl Deref for RouteRef<'_> {
    type Target = Route;

    fn deref(&self) -> &Route {
        match self {
            Self::Listed(route) => route,
            Self::Decoded(route) => route,
        }
    }
}
