//! Plain data to text: tables, JSON, YAML, and the text form of a trace.
//!
//! Takes the serialisable answers of the rooms to the left, gives strings. Text carries ANSI styles; `cli` strips them
//! where the terminal can't or the user doesn't want them. Nothing here knows of files, flags or terminals. The text
//! form of an answer shows nothing that its JSON lacks.

mod describe;
mod dot;
mod escape;
mod exchange;
mod flow;
mod graph;
mod json;
mod mermaid;
mod proxy_config;
mod proxy_status;
mod record;
mod style;
mod summary;
mod table;
mod trace;
mod words;
mod ztunnel;

pub use describe::description;
pub use dot::dot;
pub use escape::escape;
pub(crate) use escape::is_unsafe;
pub use exchange::{OutcomeAnswer, RejectedAnswer, RequestAnswer, StepAnswer, TraceAnswer};
pub use graph::{DanglingAnswer, EdgeAnswer, GraphAnswer, NodeAnswer};
pub use json::{compact, pretty, yaml};
pub use mermaid::{MAX_EDGES, mermaid};
pub use proxy_config::{
    authorization_policies, clusters, clusters_named, clusters_wide, discovered, endpoints, endpoints_wide, listeners,
    listeners_brief, listeners_named, listeners_wide, routes, routes_brief, routes_wide, secrets, secrets_wide,
    versions, waypoint_chains, why,
};
pub use proxy_status::{istiods, proxy_status, proxy_status_istioctl, proxy_status_types, proxy_status_wide};
pub use record::{cluster_records, endpoint_records, listener_records, route_records, secret_records};
pub use summary::summary;
pub use table::Table;
pub use trace::trace;
pub use ztunnel::{
    ztunnel_certificates, ztunnel_connections, ztunnel_policies, ztunnel_services, ztunnel_workloads,
    ztunnel_workloads_wide,
};
