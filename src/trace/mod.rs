//! Follows a request through a proxy's configuration: where does it go, and why?
//!
//! Takes a [`Proxy`](crate::dump::Proxy) and a [`Request`], gives a [`Trace`]: every outcome held possible, the
//! decisions that lead to each, and what the input lacks to decide. The order of decisions is Envoy's
//! (semantics §11): listener, listener filters, filter chain, network filters, HTTP routing, HTTP filters, cluster,
//! endpoint.

mod cache;
mod cluster;
mod context;
mod format;
mod http_filter;
mod matcher;
mod outcome;
mod path;
mod rbac;
mod request;
mod session;
mod vhost;
mod walk;

pub use outcome::{Branch, Disposition, Outcome, Rejected, Step, Trace};
pub use request::{ClientCertificate, ClientTls, Connection, Headers, Protocol, ProxyHeader, Request, path_only};
