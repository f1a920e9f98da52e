//! Where a cluster's hosts come from, and the hosts.

use std::collections::HashSet;
use std::fmt;

use super::address::name_of;
use super::hosts::{Priority, Surroundings, Written, of_assignment, of_cluster_status, with_hosts_of};
use super::{HostAddress, hosts};
use crate::dump::{Resource, type_of};
use crate::proto::envoy::admin::v3::ClusterStatus;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use crate::proto::envoy::config::core::v3::{Address, HealthStatus};
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::proto::envoy::extensions::clusters::aggregate::v3::ClusterConfig as Aggregate;
use crate::proto::envoy::extensions::clusters::composite::v3::ClusterConfig as Composite;
use crate::proto::envoy::extensions::clusters::dns::v3::DnsCluster;
use crate::trace::context::Context;

/// How a cluster finds its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Discovery {
    Static,
    StrictDns,
    LogicalDns,
    Eds,
    OriginalDst,
    /// The clusters whose hosts it takes, in order.
    Aggregate(Vec<String>),
    DynamicForwardProxy,
    /// The clusters of which each retry takes the next.
    Composite(Vec<String>),
    /// An extension that isn't known here, by name.
    Other(String),
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str("STATIC"),
            Self::StrictDns => f.write_str("STRICT_DNS"),
            Self::LogicalDns => f.write_str("LOGICAL_DNS"),
            Self::Eds => f.write_str("EDS"),
            Self::OriginalDst => f.write_str("ORIGINAL_DST"),
            Self::Aggregate(members) => write!(f, "aggregate of {}", members.join(", ")),
            Self::DynamicForwardProxy => f.write_str("dynamic forward proxy"),
            Self::Composite(members) => write!(f, "composite of {}", members.join(", ")),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

/// The discovery type of a cluster.
pub(super) fn of(cx: &Context<'_>, cluster: &Cluster) -> Discovery {
    let custom = match cluster.cluster_discovery_type.as_ref() {
        None => return Discovery::Static,
        Some(ClusterDiscoveryType::Type(number)) => {
            return match DiscoveryType::try_from(*number) {
                Ok(DiscoveryType::Static) => Discovery::Static,
                Ok(DiscoveryType::StrictDns) => Discovery::StrictDns,
                Ok(DiscoveryType::LogicalDns) => Discovery::LogicalDns,
                Ok(DiscoveryType::Eds) => Discovery::Eds,
                Ok(DiscoveryType::OriginalDst) => Discovery::OriginalDst,
                Err(_) => Discovery::Other(format!("discovery type {number}")),
            };
        }
        Some(ClusterDiscoveryType::ClusterType(custom)) => custom,
    };
    let kind = custom.typed_config.as_ref().map(type_of).unwrap_or_default();
    match kind.strip_prefix("envoy.extensions.clusters.") {
        Some("aggregate.v3.ClusterConfig") => {
            let config = custom.typed_config.as_ref().and_then(|any| cx.cache.decode::<Aggregate>(any).ok());
            return config
                .map_or(Discovery::Other(kind.to_string()), |config| Discovery::Aggregate(config.clusters.clone()));
        }
        Some("composite.v3.ClusterConfig") => {
            let config = custom.typed_config.as_ref().and_then(|any| cx.cache.decode::<Composite>(any).ok());
            let names = config.map(|config| config.clusters.iter().map(|entry| entry.name.clone()).collect());
            return names.map_or(Discovery::Other(kind.to_string()), Discovery::Composite);
        }
        Some("dynamic_forward_proxy.v3.ClusterConfig") => return Discovery::DynamicForwardProxy,
        Some("original_dst.v3.OriginalDstCluster") => return Discovery::OriginalDst,
        Some("dns.v3.DnsCluster") => {
            let config = custom.typed_config.as_ref().and_then(|any| cx.cache.decode::<DnsCluster>(any).ok());
            let is_logical = config.is_some_and(|config| config.all_addresses_in_single_endpoint);
            return if is_logical { Discovery::LogicalDns } else { Discovery::StrictDns };
        }
        _ => {}
    }
    // "envoy.cluster.eds", "envoy.clusters.eds"
    match custom.name.rsplit('.').next().unwrap_or_default() {
        "static" => Discovery::Static,
        "strict_dns" => Discovery::StrictDns,
        "logical_dns" => Discovery::LogicalDns,
        "eds" => Discovery::Eds,
        "original_dst" => Discovery::OriginalDst,
        _ => Discovery::Other(if kind.is_empty() { custom.name.clone() } else { kind.into_owned() }),
    }
}

/// The hosts of a cluster, as far as the input has them.
pub(super) enum Hosts<'a> {
    /// With their health.
    Known(Vec<Priority<'a>>),
    /// Active health checks decide, and their results aren't in the input: the hosts, and what is missing.
    HealthUnknown(Vec<Priority<'a>>, String),
    /// Two files have different ones: all of them, how they differ, and whether one of the files has none.
    Disputed(Vec<Priority<'a>>, String, bool),
    /// No address is known: names with their ports, if there are some, and what is missing.
    Unresolved(Vec<String>, String),
}

/// The name that joins a cluster to its load assignment.
fn assignment_name(cluster: &Cluster) -> &str {
    match cluster.eds_cluster_config.as_ref() {
        Some(eds) if !eds.service_name.is_empty() => &eds.service_name,
        _ => &cluster.name,
    }
}

/// The load assignment of a cluster, and whether it comes from the dump's EDS section: that shows what Envoy holds,
/// for clusters of every type.
pub(super) fn assignment<'a>(cx: &Context<'a>, cluster: &'a Cluster) -> Option<(&'a ClusterLoadAssignment, bool)> {
    let from_section = dumped_assignment(cx, cluster).map(|assignment| (assignment, true));
    from_section.or_else(|| cluster.load_assignment.as_ref().map(|assignment| (assignment, false)))
}

fn dumped_assignment<'a>(cx: &Context<'a>, cluster: &Cluster) -> Option<&'a ClusterLoadAssignment> {
    let name = assignment_name(cluster);
    let found = cx.proxy.load_assignment(name)?;
    if cx.proxy.count_load_assignments(name) < 2 {
        return found.get().ok();
    }
    let nth = cx.cache.assignment(cluster, || one_of_several(cx, cluster, name, found))?;
    cx.proxy.load_assignments().get(nth)?.get().ok()
}

/// Which of the load assignments of one name is that of a cluster: Envoy lists them in the order of the clusters' own
/// names. `found` is the one in force where that doesn't help.
fn one_of_several(
    cx: &Context<'_>,
    cluster: &Cluster,
    name: &str,
    found: &Resource<ClusterLoadAssignment>,
) -> Option<usize> {
    let state = cx.proxy.cluster(&cluster.name)?.state;
    let mut users: Vec<&str> = cx
        .proxy
        .clusters()
        .iter()
        .filter(|other| other.state == state && other.get().is_ok_and(|other| assignment_name(other) == name))
        .map(|other| other.name.as_str())
        .collect();
    users.sort_unstable();
    let all = || cx.proxy.load_assignments().iter();
    let of_state: Vec<_> = all().enumerate().filter(|(_, other)| other.name == name && other.state == state).collect();
    let nth = users.iter().position(|user| *user == cluster.name)?;
    let paired = of_state.get(nth).filter(|_| users.len() == of_state.len());
    paired.map(|(nth, _)| *nth).or_else(|| all().position(|other| std::ptr::eq(other, found)))
}

/// The hosts of a cluster that holds some itself.
pub(super) fn hosts<'a>(cx: &Context<'a>, cluster: &'a Cluster, kind: &Discovery) -> Hosts<'a> {
    let around = &Surroundings::of(cx);
    let live = cx.proxy.cluster_status(&cluster.name);
    let name = &cluster.name;
    let has_section = cx.proxy.has_endpoints_section();
    let found = assignment(cx, cluster);
    match (kind, found) {
        // Such a cluster may have hosts that it doesn't show.
        (Discovery::Other(kind), Some((assignment, true))) if assignment.endpoints.is_empty() => {
            Hosts::Unresolved(Vec::new(), format!("endpoints of cluster {name} ({kind})"))
        }
        (_, Some((assignment, true))) => {
            let written = if never_drains(cluster, kind) { Written::AsSent } else { Written::of(assignment) };
            let set = of_assignment(assignment, live, around, written);
            if let Some(live) = live
                && let Some(only) = Difference::of(&set, live)
            {
                // Neither file is the older one for sure.
                let may_be_none = live.host_statuses.is_empty() || set.iter().all(|p| p.members.is_empty());
                let reason = only.reason(name);
                return Hosts::Disputed(with_hosts_of(assignment, live, around, written), reason, may_be_none);
            }
            // istiod prints assignments too, but doesn't know the results of health checks: Envoy always prints one.
            let is_plain = live.is_none() && !assignment.endpoints.iter().any(is_health_printed);
            checked(cluster, set, is_plain)
        }
        (Discovery::Static, Some((assignment, false))) => {
            checked(cluster, of_assignment(assignment, live, around, Written::AsSent), live.is_none())
        }
        (Discovery::StrictDns | Discovery::LogicalDns, Some((assignment, false))) => match live {
            Some(live) => Hosts::Known(of_cluster_status(live, around)),
            None => unresolved(cluster, assignment, around),
        },
        (Discovery::Static, None) => Hosts::Known(no_hosts(around)),
        (Discovery::Eds, _) if has_section => Hosts::Known(no_hosts(around)),
        (_, _) if live.is_some() => Hosts::Known(live.map(|live| of_cluster_status(live, around)).unwrap_or_default()),
        (Discovery::StrictDns | Discovery::LogicalDns, None) => Hosts::Known(no_hosts(around)),
        (Discovery::Eds, _) => {
            Hosts::Unresolved(Vec::new(), format!("endpoints of cluster {name} (no EDS section in the dump)"))
        }
        (kind, _) => Hosts::Unresolved(Vec::new(), format!("endpoints of cluster {name} ({kind})")),
    }
}

/// How many hosts only one of two files has: the dump's EDS section and `/clusters`, which show one moment each.
struct Difference {
    only_sent: usize,
    only_live: usize,
}

impl Difference {
    /// `None` if both have the same hosts.
    fn of(set: &[Priority<'_>], live: &ClusterStatus) -> Option<Self> {
        let sent: HashSet<&Address> =
            set.iter().flat_map(|priority| &priority.members).filter_map(|member| member.address).collect();
        let live: HashSet<&Address> = live.host_statuses.iter().filter_map(|host| host.address.as_ref()).collect();
        let (only_sent, only_live) = (sent.difference(&live).count(), live.difference(&sent).count());
        (only_sent + only_live > 0).then_some(Self { only_sent, only_live })
    }

    fn reason(&self, cluster: &str) -> String {
        let Self { only_sent, only_live } = self;
        format!(
            "endpoints of cluster {cluster}: {only_sent} only in the EDS section, {only_live} only in /clusters, which \
             were taken at different moments"
        )
    }
}

/// Whether no endpoint of a STATIC cluster can be draining: its own configuration says so, and nothing else could.
fn never_drains(cluster: &Cluster, kind: &Discovery) -> bool {
    let Some(own) = cluster.load_assignment.as_ref().filter(|_| *kind == Discovery::Static) else { return false };
    let mut endpoints = own.endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
    endpoints.all(|endpoint| endpoint.health_status() != HealthStatus::Draining)
}

fn no_hosts<'a>(around: &Surroundings<'_>) -> Vec<Priority<'a>> {
    static NONE: std::sync::LazyLock<ClusterLoadAssignment> = std::sync::LazyLock::new(ClusterLoadAssignment::default);
    of_assignment(&NONE, None, around, Written::AsSent)
}

fn is_health_printed(locality: &crate::proto::envoy::config::endpoint::v3::LocalityLbEndpoints) -> bool {
    locality.lb_endpoints.iter().any(|endpoint| endpoint.health_status() != HealthStatus::Unknown)
}

/// With active health checks, hosts are healthy only if these say so.
fn checked<'a>(cluster: &Cluster, set: Vec<Priority<'a>>, is_health_missing: bool) -> Hosts<'a> {
    let has_hosts = set.iter().any(|priority| !priority.members.is_empty());
    if cluster.health_checks.is_empty() || !is_health_missing || !has_hosts {
        return Hosts::Known(set);
    }
    Hosts::HealthUnknown(set, format!("active health of the endpoints of cluster {} (no /clusters)", cluster.name))
}

/// DNS names: only an address that is written as one is known.
fn unresolved<'a>(cluster: &Cluster, assignment: &'a ClusterLoadAssignment, around: &Surroundings<'_>) -> Hosts<'a> {
    let set = of_assignment(assignment, None, around, Written::AsSent);
    let members = || set.iter().flat_map(|priority| &priority.members);
    if members().all(|member: &hosts::Member<'_>| member.host_address() != HostAddress::Unknown) {
        return checked(cluster, set, true);
    }
    let names: Vec<String> = members().filter_map(|member| name_of(member.address)).collect();
    let reason = format!("addresses of {} (DNS; no /clusters)", names.join(", "));
    Hosts::Unresolved(names, reason)
}
