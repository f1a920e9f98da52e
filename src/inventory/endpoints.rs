//! Endpoints, with their health as far as the input knows it (spec/istioctl.md §1.4).
//!
//! `/clusters` says what Envoy thinks of each endpoint now; without it the EDS section of a dump says what the control
//! plane sent, and the clusters themselves hold the endpoints of static and DNS clusters.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::name::SubsetKey;
use super::view::{Address, Number, Text};
use super::{Listing, go_sort};
use crate::dump::{Proxy, Resource};
use crate::proto::envoy::admin::v3::{ClusterStatus, HostHealthStatus};
use crate::proto::envoy::config::core::v3 as core;
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;

/// Which endpoints to list; all that are set must hold.
#[derive(Debug, Clone, Default)]
pub struct EndpointFilter {
    /// Address without its port, in any case.
    pub address: Option<String>,
    /// Port.
    pub port: Option<u32>,
    /// Whole name of the cluster, in any case.
    pub cluster: Option<String>,
    /// Health as in the column STATUS, in any case.
    pub status: Option<String>,
}

/// One endpoint of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EndpointRow {
    /// IP address, or the whole of another kind of address.
    pub address: String,
    /// Port; 0 if the address has none.
    pub port: u32,
    /// Both in one cell.
    pub endpoint: String,
    /// Health: `HEALTHY`, `UNHEALTHY` …; what Envoy's own checks found counts before what the control plane sent.
    pub status: String,
    /// Health that the control plane sent.
    #[serde(skip)]
    pub control_plane: String,
    /// Whether outlier detection has ejected it; `None` where only the control plane's view is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected: Option<bool>,
    /// Name of the cluster, or of its load assignment.
    pub cluster: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Priority; 0 is the first.
    pub priority: u32,
    /// Weight in its locality; `None` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// What speaks against it, in words; empty where only the control plane's view is known.
    pub flags: Vec<&'static str>,
    /// What EDS says of it, where both that and `/clusters` are known: its health, or [`ABSENT`]; `None` for endpoints of
    /// clusters that EDS has nothing to do with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eds: Option<String>,
}

/// Stands for the health of an endpoint on the side that doesn't have it.
pub const ABSENT: &str = "ABSENT";

/// What is said of an endpoint that active health checks found unhealthy.
pub(super) const FAILED_CHECK: &str = "failed health check";

/// The endpoints in istioctl's order: address, port, cluster.
#[must_use]
pub fn endpoints(proxy: &Proxy, filter: &EndpointFilter) -> Listing<EndpointRow> {
    let mut listing = if proxy.has_cluster_statuses() && proxy.has_endpoints_section() {
        side_by_side(proxy)
    } else if proxy.has_cluster_statuses() {
        Listing { rows: proxy.cluster_statuses().flat_map(of_status).collect(), warnings: Vec::new() }
    } else if proxy.has_endpoints_section() {
        let entries = proxy.load_assignments().par_iter().filter(|resource| resource.state.is_in_force());
        collect(entries.map(|resource| of_assignment(resource, resource.view())).collect())
    } else {
        let entries = proxy.clusters().par_iter().filter(|resource| resource.state.is_in_force());
        collect(
            entries
                .map(|resource| {
                    of_assignment(resource, resource.view::<ClusterView<'_>>().map(|view| view.load_assignment))
                })
                .collect(),
        )
    };
    listing.rows.retain(|row| filter.accepts(row));
    sort(&mut listing.rows);
    listing
}

/// Whether endpoints are told by `/clusters` and EDS both.
#[must_use]
pub fn has_both_sides(proxy: &Proxy) -> bool {
    proxy.has_cluster_statuses() && proxy.has_endpoints_section()
}

/// What Envoy has, each with what EDS says of it, and what EDS has beyond that.
fn side_by_side(proxy: &Proxy) -> Listing<EndpointRow> {
    let in_force = proxy.load_assignments().par_iter().filter(|resource| resource.state.is_in_force());
    let mut listing = collect(in_force.map(|resource| of_assignment(resource, resource.view())).collect());
    let mut by_name: HashMap<String, Vec<EndpointRow>> = HashMap::new();
    for row in std::mem::take(&mut listing.rows) {
        by_name.entry(row.cluster.clone()).or_default().push(row);
    }
    let mut used = HashSet::new();
    for status in proxy.cluster_statuses() {
        let service = if status.eds_service_name.is_empty() { &status.name } else { &status.eds_service_name };
        let has_assignment = proxy.load_assignment(service).is_some();
        let delivered = by_name.get(service).map(Vec::as_slice).unwrap_or_default();
        let mut rows = of_status(status);
        for row in &mut rows {
            let same = delivered.iter().find(|other| other.endpoint == row.endpoint);
            row.eds = has_assignment.then(|| same.map_or_else(|| ABSENT.to_owned(), |same| same.status.clone()));
        }
        let is_missing = |row: &&EndpointRow| !rows.iter().any(|other| other.endpoint == row.endpoint);
        let only_delivered: Vec<EndpointRow> =
            delivered.iter().filter(is_missing).map(|row| only_eds(row, &status.name)).collect();
        listing.rows.extend(rows);
        listing.rows.extend(only_delivered);
        used.insert(service.clone());
    }
    // Several names are sorted later.
    let mut unused: Vec<(String, Vec<EndpointRow>)> =
        by_name.into_iter().filter(|(name, _)| !used.contains(name)).collect();
    unused.sort_by(|a, b| a.0.cmp(&b.0));
    listing.rows.extend(unused.iter().flat_map(|(name, rows)| rows.iter().map(|row| only_eds(row, name))));
    listing
}

/// An endpoint that EDS has delivered and Envoy hasn't.
fn only_eds(row: &EndpointRow, cluster: &str) -> EndpointRow {
    EndpointRow { status: ABSENT.to_owned(), eds: Some(row.status.clone()), cluster: cluster.to_owned(), ..row.clone() }
}

/// As [`endpoints`], from `/clusters` alone.
#[must_use]
pub fn live_endpoints(statuses: &[ClusterStatus], filter: &EndpointFilter) -> Vec<EndpointRow> {
    let mut rows: Vec<_> = statuses.iter().flat_map(of_status).filter(|row| filter.accepts(row)).collect();
    sort(&mut rows);
    rows
}

/// The load assignments in force that an endpoint which is listed belongs to, in istioctl's order: host, subset, port,
/// direction.
#[must_use]
pub fn matching_assignments<'a>(proxy: &'a Proxy, filter: &EndpointFilter) -> Vec<&'a Resource<ClusterLoadAssignment>> {
    let has_match = |resource: &&Resource<_>| {
        let rows = of_assignment(resource, resource.view()).unwrap_or_default();
        resource.state.is_in_force() && rows.iter().any(|row| filter.accepts(row))
    };
    let mut kept: Vec<_> = proxy.load_assignments().par_iter().filter(has_match).collect();
    go_sort::sort(&mut kept, |a, b| SubsetKey::parse(&a.name).order(&SubsetKey::parse(&b.name)).is_lt());
    kept
}

/// The places of the clusters of `/clusters` that an endpoint which is listed belongs to.
#[must_use]
pub fn matching_statuses<'a>(
    statuses: impl IntoIterator<Item = &'a ClusterStatus>,
    filter: &EndpointFilter,
) -> Vec<usize> {
    let has_match = |status: &ClusterStatus| of_status(status).iter().any(|row| filter.accepts(row));
    statuses.into_iter().enumerate().filter(|(_, status)| has_match(status)).map(|(nth, _)| nth).collect()
}

/// One endpoint as EDS delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredRow {
    /// Its address and additional ones, each `ADDRESS:PORT`, separated by commas.
    pub addresses: String,
    /// Health that the control plane sent.
    pub status: String,
    /// `region/zone/subzone`.
    pub locality: String,
    /// Name of the load assignment.
    pub cluster: String,
}

/// The endpoints of the load assignments in force, by cluster as istioctl sorts them: host, subset, port, direction.
/// The filter's address is that of the endpoint or an additional one, with its port.
#[must_use]
pub fn discovered(proxy: &Proxy, filter: &EndpointFilter) -> Listing<DiscoveredRow> {
    let in_force = proxy.load_assignments().par_iter().filter(|resource| resource.state.is_in_force());
    let read = in_force.map(|resource| {
        let view = resource.view::<Assignment<'_>>();
        let view = view.map_err(|error| format!("the endpoints of {:?} are left out: {error}", resource.name))?;
        let rows = of_discovered(&resource.name, &view, filter);
        Ok((!rows.is_empty()).then_some((resource.name.as_str(), rows)))
    });
    let mut listing = Listing::collect(read.collect());
    go_sort::sort(&mut listing.rows, |(a, _), (b, _)| SubsetKey::parse(a).order(&SubsetKey::parse(b)).is_lt());
    Listing { rows: listing.rows.into_iter().flat_map(|(_, rows)| rows).collect(), warnings: listing.warnings }
}

fn of_discovered(cluster: &str, assignment: &Assignment<'_>, filter: &EndpointFilter) -> Vec<DiscoveredRow> {
    let is = |wanted: &Option<String>, text: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted.eq_ignore_ascii_case(text))
    };
    if !is(&filter.cluster, cluster) {
        return Vec::new();
    }
    let mut rows = Vec::new();
    for group in &assignment.endpoints {
        let place = locality_cut(&group.locality);
        for host in &group.lb_endpoints {
            let more = host.endpoint.additional_addresses.iter().map(|more| &more.address);
            let addresses: Vec<String> =
                std::iter::once(&host.endpoint.address).chain(more).map(Address::with_port).collect();
            let status = if host.health_status.is_empty() { "UNKNOWN" } else { &host.health_status };
            let is_wanted = is(&filter.status, status)
                && filter.port.is_none_or(|port| port == 0 || port == host.endpoint.address.port())
                && (filter.address.is_none() || addresses.iter().any(|address| is(&filter.address, address)));
            if is_wanted {
                rows.push(DiscoveredRow {
                    addresses: addresses.join(","),
                    status: status.to_owned(),
                    locality: place.clone(),
                    cluster: cluster.to_owned(),
                });
            }
        }
    }
    rows
}

/// `region/zone/subzone`, cut at the first empty part.
fn locality_cut(place: &Locality<'_>) -> String {
    locality(&place.region, &place.zone, if place.zone.is_empty() { "" } else { &place.sub_zone })
}

/// Sorts by address, port and cluster. Most comparisons are decided by the first bytes of the address, which are kept
/// beside it as a number; the rows themselves are moved once.
fn sort(rows: &mut Vec<EndpointRow>) {
    let first_bytes = |text: &str| {
        let mut first = [0; 16];
        first.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        u128::from_be_bytes(first)
    };
    let mut order: Vec<_> =
        rows.par_iter().enumerate().map(|(nth, row)| (first_bytes(&row.address), row, nth)).collect();
    order.par_sort_by(|(a_first, a, _), (b_first, b, _)| {
        let rest = || (&a.address, a.port, &a.cluster).cmp(&(&b.address, b.port, &b.cluster));
        a_first.cmp(b_first).then_with(rest)
    });
    let order: Vec<usize> = order.into_iter().map(|(.., nth)| nth).collect();
    let mut unsorted: Vec<Option<EndpointRow>> = std::mem::take(rows).into_iter().map(Some).collect();
    rows.extend(order.into_iter().filter_map(|nth| unsorted.get_mut(nth)?.take()));
}

fn collect(entries: Vec<Result<Vec<EndpointRow>, String>>) -> Listing<EndpointRow> {
    let listing = Listing::collect(entries.into_iter().map(|entry| entry.map(Some)).collect());
    Listing { rows: listing.rows.into_iter().flatten().collect(), warnings: listing.warnings }
}

impl EndpointFilter {
    fn accepts(&self, row: &EndpointRow) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase() == text.to_lowercase())
        };
        is(&self.address, &row.address)
            && is(&self.cluster, &row.cluster)
            && is(&self.status, &row.status)
            && self.port.is_none_or(|port| port == row.port)
    }
}

/// `region/zone/subzone`, cut where the rest is empty.
fn locality(region: &str, zone: &str, sub_zone: &str) -> String {
    let mut out = region.to_owned();
    if !zone.is_empty() {
        out = format!("{out}/{zone}");
    }
    if !sub_zone.is_empty() {
        out = format!("{out}/{sub_zone}");
    }
    out
}

/// Address and port, and how the two are written in one cell.
pub(super) fn address_of(address: Option<&core::Address>) -> (String, u32, String) {
    use core::{address, envoy_internal_address::AddressNameSpecifier, socket_address::PortSpecifier};
    match address.and_then(|address| address.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match &socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => *port,
                _ => 0,
            };
            let cell = if port == 0 { socket.address.clone() } else { format!("{}:{port}", socket.address) };
            (socket.address.clone(), port, cell)
        }
        Some(address::Address::Pipe(pipe)) => whole(format!("unix://{}", pipe.path)),
        Some(address::Address::EnvoyInternalAddress(internal)) => {
            let AddressNameSpecifier::ServerListenerName(name) = internal
                .address_name_specifier
                .clone()
                .unwrap_or(AddressNameSpecifier::ServerListenerName(String::new()));
            whole(format!("envoy://{name}/{}", internal.endpoint_id))
        }
        None => whole("unknown".to_owned()),
    }
}

fn of_status(status: &ClusterStatus) -> Vec<EndpointRow> {
    let hosts = status.host_statuses.iter().map(|host| {
        let (address, port, endpoint) = address_of(host.address.as_ref());
        let health = host.health_status.as_ref();
        let place = host.locality.as_ref();
        let sent = health.map_or(core::HealthStatus::Unknown, |health| health.eds_health_status());
        EndpointRow {
            address,
            port,
            endpoint,
            status: checked(health, sent).as_str_name().to_owned(),
            control_plane: sent.as_str_name().to_owned(),
            ejected: Some(health.is_some_and(|health| health.failed_outlier_check)),
            cluster: status.name.clone(),
            locality: place.map(|l| locality(&l.region, &l.zone, &l.sub_zone)).unwrap_or_default(),
            priority: host.priority,
            weight: Some(host.weight).filter(|weight| *weight != 0),
            flags: health.map(flags).unwrap_or_default(),
            eds: None,
        }
    });
    hosts.collect()
}

/// What the control plane sent, or what active checks found that is worse.
fn checked(health: Option<&HostHealthStatus>, sent: core::HealthStatus) -> core::HealthStatus {
    use core::HealthStatus::{Degraded, Healthy, Unhealthy, Unknown};
    let Some(health) = health else { return sent };
    match sent {
        Healthy | Unknown | Degraded if health.failed_active_health_check => Unhealthy,
        Healthy | Unknown if health.failed_active_degraded_check => Degraded,
        sent => sent,
    }
}

/// What speaks against a host, in words.
fn flags(health: &HostHealthStatus) -> Vec<&'static str> {
    let flags = [
        (health.failed_active_health_check, FAILED_CHECK),
        (health.failed_outlier_check, "ejected as an outlier"),
        (health.failed_active_degraded_check, "degraded by health check"),
        (health.failed_degraded_outlier_detection, "degraded as an outlier"),
        (health.active_hc_timeout, "health check timed out"),
        (health.pending_active_hc, "not checked yet"),
        (health.excluded_via_immediate_hc_fail, "excluded by its own answer"),
        (health.pending_dynamic_removal, "removed when it is idle"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, words)| words).collect()
}

fn whole(address: String) -> (String, u32, String) {
    (address.clone(), 0, address)
}

fn of_assignment<T>(
    resource: &Resource<T>,
    view: Result<Assignment<'_>, crate::dump::DecodeError>,
) -> Result<Vec<EndpointRow>, String> {
    let view = view.map_err(|error| format!("the endpoints of {:?} are left out: {error}", resource.name))?;
    let mut rows = Vec::new();
    for group in &view.endpoints {
        let place = locality(&group.locality.region, &group.locality.zone, &group.locality.sub_zone);
        for host in &group.lb_endpoints {
            let (address, port, endpoint) = host.endpoint.address.endpoint();
            let sent = if host.health_status.is_empty() { "UNKNOWN" } else { &host.health_status };
            rows.push(EndpointRow {
                address,
                port,
                endpoint,
                status: sent.to_owned(),
                control_plane: sent.to_owned(),
                ejected: None,
                cluster: resource.name.clone(),
                locality: place.clone(),
                priority: group.priority.0,
                weight: host.load_balancing_weight.map(|weight| weight.0),
                flags: Vec::new(),
                eds: None,
            });
        }
    }
    Ok(rows)
}

#[derive(Debug, Default, serde::Deserialize)]
struct ClusterView<'a> {
    #[serde(borrow, default, alias = "loadAssignment")]
    load_assignment: Assignment<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Assignment<'a> {
    #[serde(borrow, default)]
    endpoints: Vec<LocalityEndpoints<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct LocalityEndpoints<'a> {
    #[serde(borrow, default)]
    locality: Locality<'a>,
    #[serde(borrow, default, alias = "lbEndpoints")]
    lb_endpoints: Vec<LbEndpoint<'a>>,
    #[serde(default)]
    priority: Number,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Locality<'a> {
    #[serde(borrow, default)]
    region: Text<'a>,
    #[serde(borrow, default)]
    zone: Text<'a>,
    #[serde(borrow, default, alias = "subZone")]
    sub_zone: Text<'a>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct LbEndpoint<'a> {
    #[serde(borrow, default)]
    endpoint: Endpoint<'a>,
    #[serde(borrow, default, alias = "healthStatus")]
    health_status: Text<'a>,
    #[serde(default, alias = "loadBalancingWeight")]
    load_balancing_weight: Option<Number>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct Endpoint<'a> {
    #[serde(borrow, default)]
    address: Address<'a>,
    #[serde(borrow, default, alias = "additionalAddresses")]
    additional_addresses: Vec<AdditionalAddress<'a>>,
}

#[derive(Debug, Default, serde::Deserialize)]
struct AdditionalAddress<'a> {
    #[serde(borrow, default)]
    address: Address<'a>,
}
