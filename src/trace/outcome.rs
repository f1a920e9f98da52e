//! Where a request ends: the closed set of outcomes of a trace, and the steps that led there.

use std::collections::BTreeSet;
use std::fmt;

use crate::dump::Origin;

/// The answer for one request: every outcome held possible, and what the input lacks to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Id of the request.
    pub id: String,
    /// One per distinct outcome, the most probable first; exactly one when certain.
    pub branches: Vec<Branch>,
    /// What the input doesn't hold, each with the reason; empty when the set of outcomes is certain.
    pub unknown: Vec<Unknown>,
    /// What was taken for granted where the input doesn't say, as `KEY=ANSWER`.
    pub assumed: Vec<String>,
    /// Of a request that isn't delivered on some way: every setting that refuses it, in the order met. The first is
    /// the one that decides; the others would, were those before them mended.
    pub obstacles: Vec<Step>,
}

/// Something that the input doesn't say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unknown {
    /// What it is, and why it isn't known.
    pub what: String,
    /// Assumptions of which each would settle it ([`Assumptions::add`](super::Assumptions::add)); empty if none can.
    pub assume: Vec<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// One possible way of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Where it ends.
    pub outcome: Outcome,
    /// Decisions in the order taken.
    pub steps: Vec<Step>,
    /// Share of requests that go this way, 0 to 1; `None` where the dump doesn't say.
    pub share: Option<f64>,
}

/// How a request ended, in the words of semantics.md §8 and failure-patterns.md §1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    /// No bound listener for the address.
    NoListener,
    /// No filter chain, and no default one.
    NoFilterChain,
    /// TLS on a plain-text chain, the reverse, or a handshake that fails.
    TlsMismatch,
    /// Bytes that the chain's codec can't read.
    ProtocolMismatch,
    /// Rejected before routing.
    BadRequest,
    /// The route configuration isn't there, or no scope matches.
    NoRouteConfig,
    /// No virtual host for the authority.
    NoVirtualHost,
    /// No route in the virtual host.
    NoRoute,
    /// An RBAC engine denied.
    RbacDenied,
    /// Authentication failed.
    AuthnDenied,
    /// Another filter answered.
    FilterReply,
    /// A redirect.
    Redirect,
    /// A direct response.
    DirectResponse,
    /// The cluster doesn't exist.
    NoCluster,
    /// A cluster that is meant to hold no endpoint.
    BlackHole,
    /// No usable endpoint.
    NoHealthyEndpoint,
    /// A circuit breaker, maintenance mode or drop_overload.
    Overflow,
    /// The connection to the endpoint is bound to fail.
    ConnectFailure,
    /// Forwarded to the original destination.
    PassthroughOriginalDst,
    /// Forwarded to an endpoint.
    Endpoint,
    /// The same listener entered twice, or too deep a chain of internal listeners.
    Loop,
    /// The configuration that would serve it is there, but warming or rejected.
    NotInForce,
    /// The input doesn't hold enough to go on.
    InsufficientInfo,
}

impl Disposition {
    /// Whether the client gets what it asked for from where it asked.
    #[must_use]
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::PassthroughOriginalDst | Self::Endpoint | Self::Redirect)
    }
}

/// Envoy's view of the end of a request; fields that don't apply are `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Outcome {
    /// The entry of the closed list that this is; `None` only while a trace is under way.
    pub disposition: Option<Disposition>,
    /// Listener that handled the connection.
    pub listener: Option<String>,
    /// Filter chain chosen.
    pub filter_chain: Option<String>,
    /// Virtual host chosen.
    pub vhost: Option<String>,
    /// `<route configuration>/<virtual host>/<index>`.
    pub route: Option<String>,
    /// Name of the route.
    pub route_name: Option<String>,
    /// Cluster of the route or TCP proxy.
    pub cluster: Option<String>,
    /// Endpoint, `ip:port` or `envoy://listener/id`.
    pub upstream_host: Option<String>,
    /// HTTP status that the client reads.
    pub status: Option<u16>,
    /// Response flags in Envoy's short spelling, a set.
    pub flags: BTreeSet<&'static str>,
    /// Response code details up to the first `{`.
    pub details: Option<String>,
    /// Connection termination details.
    pub termination: Option<String>,
    /// `location` of a redirect.
    pub location: Option<String>,
    /// Path and query that reach the upstream.
    pub upstream_path: Option<String>,
    /// Authority that reaches the upstream.
    pub upstream_authority: Option<String>,
    /// Request headers that Envoy added or changed, as the upstream reads them.
    pub headers_added: Vec<(String, String)>,
    /// Request headers of the client that Envoy removed.
    pub headers_removed: Vec<String>,
}

/// One decision on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What was decided, an Envoy noun: `listener`, `filter chain`, `virtual host` …
    pub kind: &'static str,
    /// The thing chosen.
    pub chosen: String,
    /// Why it was chosen.
    pub why: String,
    /// What came next closest, each with the criterion it failed.
    pub rejected: Vec<Rejected>,
    /// The Istio object behind it, for example `VirtualService shop/catalog`.
    pub object: Option<String>,
    /// Where it stands in the input.
    pub origin: Option<Origin>,
}

/// An alternative that was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub name: String,
    /// The criterion that it failed.
    pub because: String,
}

impl Step {
    /// A step without alternatives, object or origin.
    pub fn new(kind: &'static str, chosen: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, chosen: chosen.into(), why: why.into(), rejected: Vec::new(), object: None, origin: None }
    }

    /// The same step with where it stands in the input.
    #[must_use]
    pub fn at(mut self, origin: Option<Origin>) -> Self {
        self.origin = origin;
        self
    }

    /// The same step with the Istio object behind it.
    #[must_use]
    pub fn of(mut self, object: Option<String>) -> Self {
        self.object = object;
        self
    }

    /// The same step with what was not chosen.
    #[must_use]
    pub fn not(mut self, rejected: Vec<Rejected>) -> Self {
        self.rejected = rejected;
        self
    }
}
