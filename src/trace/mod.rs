//! Follows a request through a proxy's configuration: where does it go, and why?
//!
//! Takes a [`Proxy`](crate::dump::Proxy) and a [`Request`], gives a [`Trace`]: every outcome held possible, the
//! decisions that lead to each, and what the input lacks to decide. The order of decisions is Envoy's
//! (semantics §11): listener, listener filters, filter chain, network filters, HTTP routing, HTTP filters, cluster,
//! endpoint.

mod action;
mod assume;
mod cache;
mod cluster;
mod codec;
mod context;
mod destination;
mod filter_chain;
mod format;
mod forwarded;
mod http;
mod http_filter;
mod inspect;
mod listener;
mod matcher;
mod matcher_routes;
mod network;
mod network_filter;
mod octets;
mod outcome;
mod path;
mod provenance;
mod rate_limit;
mod rbac;
mod request;
mod route;
mod route_config;
mod session;
mod tcp;
mod tracer;
mod tunnel;
mod unmodelled;
mod upstream;
mod validation;
mod version;
mod vhost;
mod walk;
mod waypoint;

pub use assume::{AssumeError, Assumptions, Upstream};
pub(crate) use cluster::labels_match;
pub(crate) use matcher::header::describe as describe_header;
pub(crate) use matcher::string::describe as describe_string;
pub use octets::from_latin1;
pub use outcome::{Branch, Disposition, Outcome, Rejected, Step, Trace, Unknown};
pub use request::{
    ClientCertificate, ClientTls, Connection, Direction, Headers, Protocol, ProxyHeader, Request, path_only,
};
pub use tracer::Tracer;
