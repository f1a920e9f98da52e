//! The rows of the wide tables as JSON, one a line.

use serde::Serialize;

use super::json::compact;
use crate::inventory::{
    ChainDetail, ClusterDetail, ClusterRow, EndpointDetail, EndpointRow, ListenerDetail, ListenerRow, RouteConfigRow,
    RouteDetail, SecretDetail, SecretRow,
};

/// A row and its details.
#[derive(Serialize)]
struct Record<R, D> {
    /// `xdsight.KIND/1`.
    schema: &'static str,
    /// The columns of the short table.
    #[serde(flatten)]
    row: R,
    /// Those that the wide table adds.
    #[serde(flatten)]
    detail: D,
}

/// `xdsight.listener/1`.
#[derive(Serialize)]
struct Listener<'a> {
    schema: &'static str,
    /// Name of the listener; that of the rejected update where it has none.
    name: &'a str,
    /// `active`, `warming`, `draining`, `static` or `error`, the last two with their reason.
    state: &'a str,
    /// IP addresses or paths, without the port.
    addresses: &'a [String],
    /// Port of the first address; 0 where it has none.
    port: u32,
    /// `HTTP`, `TCP`, `HTTP+TCP` or `UNKNOWN`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// In the table's order.
    chains: Vec<Chain<'a>>,
}

/// One filter chain of a listener.
#[derive(Serialize)]
struct Chain<'a> {
    /// What a connection must have, as in the table.
    #[serde(rename = "match")]
    matches: &'a str,
    /// Where it leads, as in the table.
    destination: &'a str,
    #[serde(flatten)]
    detail: Option<&'a ChainDetail>,
}

/// `xdsight.cluster/1`, beside [`ClusterDetail`].
#[derive(Serialize)]
struct Cluster<'a> {
    /// Name of the cluster.
    name: &'a str,
    /// `active`, `warming` or `static`.
    state: String,
    /// Discovery type: `EDS`, `STATIC` …, or the name of a custom one.
    #[serde(rename = "type")]
    kind: &'a str,
    /// `NAME.NAMESPACE` of the DestinationRule, or empty.
    destination_rule: &'a str,
}

/// `xdsight.route/1`, beside [`RouteDetail`].
#[derive(Serialize)]
struct Route<'a> {
    /// Name of the route configuration.
    name: &'a str,
    /// Name of the virtual host.
    virtual_host: &'a str,
    /// The first domains, as in the table.
    domains: &'a str,
    /// The path that is matched, as in the table.
    #[serde(rename = "match")]
    matches: &'a str,
    /// `NAME.NAMESPACE` of the VirtualService, or empty.
    virtual_service: &'a str,
}

/// A line a listener in one state, with its filter chains.
///
/// # Errors
///
/// As [`compact`].
pub fn listener_records(rows: &[ListenerRow<'_>], details: &[ListenerDetail]) -> Result<String, serde_json::Error> {
    lines(rows.iter().zip(details).map(|(row, detail)| {
        Listener {
            schema: "xdsight.listener/1",
            name: &detail.name,
            state: &detail.state,
            addresses: &row.addresses,
            port: row.port,
            kind: row.kind.as_str(),
            chains: row
                .chains
                .iter()
                .map(|chain| {
                    let detail = detail.chains.get(chain.place);
                    let clusters = detail.and_then(|detail| detail.clusters.as_deref());
                    Chain { matches: &chain.matches, destination: clusters.unwrap_or(&chain.destination), detail }
                })
                .collect(),
        }
    }))
}

/// A line a cluster in one state.
///
/// # Errors
///
/// As [`compact`].
pub fn cluster_records(rows: &[ClusterRow<'_>], details: &[ClusterDetail]) -> Result<String, serde_json::Error> {
    lines(rows.iter().zip(details).map(|(row, detail)| Record {
        schema: "xdsight.cluster/1",
        row: Cluster {
            name: &row.resource.name,
            state: row.resource.state.to_string(),
            kind: &row.kind,
            destination_rule: &row.destination_rule,
        },
        detail,
    }))
}

/// A line a route.
///
/// # Errors
///
/// As [`compact`].
pub fn route_records(
    rows: &[RouteConfigRow<'_>],
    details: &[Vec<Vec<RouteDetail>>],
) -> Result<String, serde_json::Error> {
    let mut records = Vec::new();
    for (row, hosts) in rows.iter().zip(details) {
        for (host, details) in row.virtual_hosts.iter().zip(hosts) {
            let routes = host.routes.iter().flatten().zip(details);
            records.extend(routes.map(|(route, detail)| Record {
                schema: "xdsight.route/1",
                row: Route {
                    name: &row.resource.name,
                    virtual_host: &host.name,
                    domains: &host.domains,
                    matches: &route.matches,
                    virtual_service: &route.virtual_service,
                },
                detail,
            }));
        }
    }
    lines(records)
}

/// A line an endpoint.
///
/// # Errors
///
/// As [`compact`].
pub fn endpoint_records(rows: &[EndpointRow], details: &[EndpointDetail]) -> Result<String, serde_json::Error> {
    let pairs = rows.iter().zip(details);
    lines(pairs.map(|(row, detail)| Record { schema: "xdsight.endpoint/1", row, detail }))
}

/// A line a certificate.
///
/// # Errors
///
/// As [`compact`].
pub fn secret_records(rows: &[SecretRow], details: &[SecretDetail]) -> Result<String, serde_json::Error> {
    let pairs = rows.iter().zip(details);
    lines(pairs.map(|(row, detail)| Record { schema: "xdsight.secret/1", row, detail }))
}

fn lines<T: Serialize>(records: impl IntoIterator<Item = T>) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    for record in records {
        out.push_str(&compact(&record)?);
        out.push('\n');
    }
    Ok(out)
}
