//! What a proxy holds: the summary, and the lists behind `proxy-config`.
//!
//! Takes a [`Proxy`](crate::dump::Proxy), gives plain data. Lists read narrow, borrowed views of the resources' text
//! (`view`), in parallel, so that a table of listeners doesn't pay for what it doesn't show. Columns, order and
//! rules of cells are istioctl's (spec/istioctl.md §1); `render` lays them out.

mod authz;
mod bootstrap;
mod chain_matcher;
mod clusters;
mod detail;
mod endpoint_detail;
mod endpoints;
pub(crate) mod go_sort;
mod listener_detail;
mod listeners;
mod name;
mod proxy_status;
mod root_ca;
mod routes;
mod secret_detail;
mod secrets;
mod summary;
mod tunnel;
mod view;
mod why;
mod ztunnel;

pub use authz::{PolicyRow, authorization_policies};
pub use bootstrap::{Versions, versions};
pub use clusters::{ClusterFilter, ClusterRow, all_clusters, clusters};
pub use detail::{ClusterDetail, EndpointCounts, RouteDetail, cluster_detail, route_details};
pub use endpoint_detail::{EndpointDetail, endpoint_details};
pub use endpoints::{
    ABSENT, DiscoveredRow, EndpointFilter, EndpointRow, discovered, endpoints, has_both_sides, live_endpoints,
    matching_assignments, matching_statuses,
};
pub use listener_detail::{ChainDetail, ListenerDetail, WaypointRow, listener_detail, waypoint_chains};
pub use listeners::{
    ChainRow, ListenerFilter, ListenerRow, ListenerType, all_listeners, listeners, sort as sort_listeners,
};
pub use name::SubsetKey;
pub use proxy_status::{
    HeldProxy, HeldType, IstiodAnswer, IstiodRow, ProxyStatus, ProxyStatusAnswer, ProxyStatusRow, TypeStatusAnswer,
    held_proxy, newest_push, proxy_status,
};
pub use root_ca::{RootCaError, root_certificates};
pub use routes::{RouteConfigRow, RouteFilter, RouteRow, VirtualHostRow, routes};
pub use secret_detail::{SecretDetail, secret_details};
pub(crate) use secrets::first_certificate;
pub use secrets::{CertificateRow, SecretRow, secrets};
pub use summary::{Attention, Freshness, Identity, Summary, identity, newest, summary};
pub use tunnel::Tunnels;
pub use why::{Why, why_cluster, why_route};
pub use ztunnel::{
    ConnectionFilter, ConnectionRow, IdentityRow, ServiceRow, WorkloadFilter, WorkloadRow, workload_states,
    ztunnel_certificates, ztunnel_connections, ztunnel_policies, ztunnel_services, ztunnel_workloads,
};

/// A list, and what in the dump couldn't be read for it.
#[derive(Debug)]
pub struct Listing<R> {
    /// One entry a resource.
    pub rows: Vec<R>,
    /// One text a resource that is missing from `rows`.
    pub warnings: Vec<String>,
}

impl<R> Listing<R> {
    /// Doesn't free the rows: for a large list that takes long, and a process that ends soon needn't.
    pub(crate) fn forget(self) -> Vec<String> {
        std::mem::forget(self.rows);
        self.warnings
    }

    fn collect(entries: Vec<Result<Option<R>, String>>) -> Self {
        let mut listing = Self { rows: Vec::with_capacity(entries.len()), warnings: Vec::new() };
        for entry in entries {
            match entry {
                Ok(row) => listing.rows.extend(row),
                Err(warning) => listing.warnings.push(warning),
            }
        }
        listing
    }
}
