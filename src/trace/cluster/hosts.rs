//! The hosts of a cluster by priority and locality, with their health.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::address::HostAddress;
use crate::proto::Struct;
use crate::proto::envoy::admin::v3::{ClusterStatus, HostHealthStatus, HostStatus};
use crate::proto::envoy::config::core::v3::{Address, HealthStatus, Locality, Metadata};
use crate::proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use crate::proto::envoy::config::endpoint::v3::locality_lb_endpoints::LbConfig;
use crate::proto::envoy::config::endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints};
use crate::trace::context::Context;
use crate::trace::version::Rule;

/// Envoy's three classes of hosts (semantics §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Healthy,
    Degraded,
    Unhealthy,
}

/// One host of a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) address: Option<&'a Address>,
    pub(super) hostname: &'a str,
    /// `None` where the input doesn't hold the metadata of hosts (`/clusters`).
    pub(super) metadata: Option<&'a BTreeMap<String, Struct>>,
    pub(super) locality_metadata: Option<&'a Metadata>,
    pub(super) weight: u64,
    pub(super) health: Health,
    /// Not counted when availability is computed: it is draining, or its first health check is outstanding.
    pub(super) excluded: bool,
    /// Whether it may be draining: a dump prints that as unhealthy.
    pub(super) may_drain: bool,
    /// Why it isn't healthy.
    pub(super) fault: &'static str,
    pub(super) locality: Option<&'a Locality>,
}

impl Member<'_> {
    pub(super) fn host_address(&self) -> HostAddress {
        HostAddress::of(self.address)
    }

    /// `region/zone/sub_zone` without empty ends; empty if the host has no locality.
    pub(super) fn locality_name(&self) -> String {
        let Some(locality) = self.locality else { return String::new() };
        let parts = [&locality.region, &locality.zone, &locality.sub_zone];
        let used = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        let parts: Vec<&str> = parts.iter().take(used).map(|part| part.as_str()).collect();
        parts.join("/")
    }
}

/// The hosts of one locality within a priority.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Indices into the priority's members.
    pub(super) members: Vec<usize>,
    /// `load_balancing_weight`; 0 if it has none.
    pub(super) weight: u64,
    /// Whether this is the proxy's own locality.
    pub(super) is_local: bool,
}

/// The hosts of one priority.
#[derive(Debug, Clone)]
pub(super) struct Priority<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// The proxy's own locality first, then in the order of their names.
    pub(super) groups: Vec<Group>,
    /// Whether localities have weights here; subsets mostly have none.
    pub(super) is_weighted: bool,
    /// Percent, 140 by default.
    pub(super) overprovisioning: u64,
    /// Whether availability goes by weight rather than by number (`weighted_priority_health`). Envoy's dump doesn't print
    /// it, so only an assignment inside a cluster can say so.
    pub(super) by_weight: bool,
    /// Whether `members` are in Envoy's own order; a dump lists them by locality.
    pub(super) is_ordered: bool,
}

/// What Envoy knows besides the endpoints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// The proxy's own locality.
    pub(super) own: Option<&'a Locality>,
    /// Whether draining hosts don't count when availability is computed (Envoy 1.30).
    pub(super) excludes_draining: bool,
}

impl<'a> Surroundings<'a> {
    pub(super) fn of(cx: &Context<'a>) -> Self {
        Self {
            own: cx.proxy.node().and_then(|node| node.locality.as_ref()),
            excludes_draining: cx.follows(Rule::ExcludesDrainingHosts),
        }
    }
}

/// What an assignment says about all priorities.
#[derive(Debug, Clone, Copy)]
struct Common {
    overprovisioning: u64,
    by_weight: bool,
}

/// Where a load assignment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In the cluster, or in the EDS section as istiod sent it.
    AsSent,
    /// In the EDS section of an Envoy, which has three words for health only.
    ByEnvoy,
}

impl Written {
    /// How an assignment of the EDS section is written: Envoy prints the health of every endpoint.
    pub(super) fn of(assignment: &ClusterLoadAssignment) -> Self {
        use HealthStatus::{Degraded, Healthy, Unhealthy};
        let mut endpoints = assignment.endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
        let is_coarse = endpoints.all(|e| matches!(e.health_status(), Healthy | Unhealthy | Degraded));
        if is_coarse { Self::ByEnvoy } else { Self::AsSent }
    }
}

/// The hosts of a load assignment. `live` is what `/clusters` says: its flags are finer than the health that a dump
/// prints (semantics §1.2, "EDS data").
pub(super) fn of_assignment<'a>(
    assignment: &'a ClusterLoadAssignment,
    live: Option<&'a ClusterStatus>,
    around: &Surroundings<'_>,
    written: Written,
) -> Vec<Priority<'a>> {
    assigned(assignment, live, around, written, Builder::default())
}

/// The same, and those that only `/clusters` has.
pub(super) fn with_hosts_of<'a>(
    assignment: &'a ClusterLoadAssignment,
    live: &'a ClusterStatus,
    around: &Surroundings<'_>,
    written: Written,
) -> Vec<Priority<'a>> {
    let localities = assignment.endpoints.iter();
    let sent = localities.flat_map(|locality| endpoints(assignment, locality));
    let sent: HashSet<&Address> = sent.filter_map(|(_, endpoint)| endpoint.address.as_ref()).collect();
    let mut builder = Builder::default();
    for host in &live.host_statuses {
        if host.address.as_ref().is_some_and(|address| !sent.contains(address)) {
            builder.add(host.priority, of_host(host, around));
        }
    }
    assigned(assignment, Some(live), around, written, builder)
}

fn assigned<'a>(
    assignment: &'a ClusterLoadAssignment,
    live: Option<&'a ClusterStatus>,
    around: &Surroundings<'_>,
    written: Written,
    mut builder: Builder<'a>,
) -> Vec<Priority<'a>> {
    let policy = assignment.policy.as_ref();
    let common = Common {
        overprovisioning: policy
            .and_then(|policy| policy.overprovisioning_factor)
            .map_or(140, |factor| u64::from(factor.value)),
        by_weight: policy.is_some_and(|policy| policy.weighted_priority_health),
    };
    let flags: HashMap<&Address, &HostHealthStatus> = live
        .into_iter()
        .flat_map(|status| &status.host_statuses)
        .filter_map(|host| host.address.as_ref().zip(host.health_status.as_ref()))
        .collect();
    for locality in &assignment.endpoints {
        builder.reach(locality.priority);
        // Envoy keeps the weight of a group only if the group has a locality.
        if let Some((place, weight)) = locality.locality.as_ref().zip(locality.load_balancing_weight) {
            builder.weigh(locality.priority, place, u64::from(weight.value));
        }
        for (lb_endpoint, endpoint) in endpoints(assignment, locality) {
            let flags = endpoint.address.as_ref().and_then(|address| flags.get(address));
            let (health, fault, excluded) = match flags {
                Some(flags) => of_flags(flags, around),
                None => of_status(lb_endpoint.health_status(), around),
            };
            builder.add(
                locality.priority,
                Member {
                    address: endpoint.address.as_ref(),
                    hostname: &endpoint.hostname,
                    metadata: Some(lb_endpoint.metadata.as_ref().map_or(no_metadata(), |m| &m.filter_metadata)),
                    locality_metadata: locality.metadata.as_ref(),
                    weight: lb_endpoint.load_balancing_weight.map_or(1, |weight| u64::from(weight.value).max(1)),
                    health,
                    excluded,
                    may_drain: written == Written::ByEnvoy
                        && flags.is_none()
                        && around.excludes_draining
                        && lb_endpoint.health_status() == HealthStatus::Unhealthy,
                    fault,
                    locality: locality.locality.as_ref(),
                },
            );
        }
    }
    let order = live.map(|status| {
        let hosts = status.host_statuses.iter().enumerate();
        hosts.filter_map(|(nth, host)| Some((host.address.as_ref()?, nth))).collect()
    });
    builder.finish(common, around.own, order.as_ref())
}

/// The hosts that `/clusters` lists; their metadata and the weights of localities aren't there.
pub(super) fn of_cluster_status<'a>(status: &'a ClusterStatus, around: &Surroundings<'_>) -> Vec<Priority<'a>> {
    let mut builder = Builder::default();
    for host in &status.host_statuses {
        builder.add(host.priority, of_host(host, around));
    }
    builder.finish(Common { overprovisioning: 140, by_weight: false }, around.own, Some(&HashMap::new()))
}

fn of_host<'a>(host: &'a HostStatus, around: &Surroundings<'_>) -> Member<'a> {
    let (health, fault, excluded) =
        host.health_status.as_ref().map_or((Health::Healthy, "", false), |f| of_flags(f, around));
    Member {
        address: host.address.as_ref(),
        hostname: &host.hostname,
        metadata: None,
        locality_metadata: None,
        weight: u64::from(host.weight).max(1),
        health,
        excluded,
        may_drain: false,
        fault,
        locality: host.locality.as_ref(),
    }
}

fn no_metadata() -> &'static BTreeMap<String, Struct> {
    static NONE: BTreeMap<String, Struct> = BTreeMap::new();
    &NONE
}

/// The endpoints of a locality with those named elsewhere looked up.
fn endpoints<'a>(
    assignment: &'a ClusterLoadAssignment,
    locality: &'a LocalityLbEndpoints,
) -> impl Iterator<Item = (&'a LbEndpoint, &'a Endpoint)> {
    let listed = match locality.lb_config.as_ref() {
        Some(LbConfig::LoadBalancerEndpoints(list)) => list.lb_endpoints.as_slice(),
        Some(LbConfig::LedsClusterLocalityConfig(_)) | None => locality.lb_endpoints.as_slice(),
    };
    listed.iter().filter_map(|lb_endpoint| {
        let endpoint = match lb_endpoint.host_identifier.as_ref()? {
            HostIdentifier::Endpoint(endpoint) => endpoint,
            HostIdentifier::EndpointName(name) => assignment.named_endpoints.get(name)?,
        };
        Some((lb_endpoint, endpoint))
    })
}

fn of_status(status: HealthStatus, around: &Surroundings<'_>) -> (Health, &'static str, bool) {
    match status {
        HealthStatus::Unknown | HealthStatus::Healthy => (Health::Healthy, "", false),
        HealthStatus::Unhealthy => (Health::Unhealthy, "unhealthy", false),
        HealthStatus::Draining => (Health::Unhealthy, "draining", around.excludes_draining),
        HealthStatus::Timeout => (Health::Unhealthy, "its health check timed out", false),
        HealthStatus::Degraded => (Health::Degraded, "degraded", false),
    }
}

fn of_flags(flags: &HostHealthStatus, around: &Surroundings<'_>) -> (Health, &'static str, bool) {
    let (by_eds, fault, excluded) = of_status(flags.eds_health_status(), around);
    let excluded = excluded || flags.pending_active_hc || flags.excluded_via_immediate_hc_fail;
    let (health, fault) = if flags.failed_active_health_check {
        (Health::Unhealthy, "fails its active health check")
    } else if flags.failed_outlier_check {
        (Health::Unhealthy, "ejected by outlier detection")
    } else if by_eds == Health::Healthy && flags.failed_active_degraded_check {
        (Health::Degraded, "degraded by its active health check")
    } else if by_eds == Health::Healthy && flags.failed_degraded_outlier_detection {
        (Health::Degraded, "degraded by outlier detection")
    } else {
        (by_eds, fault)
    };
    (health, fault, excluded)
}

/// Localities compare by their three names.
type Place<'a> = (&'a str, &'a str, &'a str);

fn place(locality: Option<&Locality>) -> Place<'_> {
    locality.map_or(("", "", ""), |l| (l.region.as_str(), l.zone.as_str(), l.sub_zone.as_str()))
}

#[derive(Default)]
struct Builder<'a> {
    priorities: Vec<(Vec<Member<'a>>, BTreeMap<Place<'a>, u64>)>,
}

/// Envoy accepts priorities up to 128.
const MAX_PRIORITY: u32 = 128;

impl<'a> Builder<'a> {
    /// Makes room for a priority: one without hosts counts too.
    fn reach(&mut self, priority: u32) -> Option<&mut (Vec<Member<'a>>, BTreeMap<Place<'a>, u64>)> {
        let nth = usize::try_from(priority.min(MAX_PRIORITY)).unwrap_or_default();
        if self.priorities.len() <= nth {
            self.priorities.resize_with(nth + 1, Default::default);
        }
        self.priorities.get_mut(nth)
    }

    fn weigh(&mut self, priority: u32, locality: &'a Locality, weight: u64) {
        if let Some((_, weights)) = self.reach(priority) {
            weights.insert(place(Some(locality)), weight);
        }
    }

    fn add(&mut self, priority: u32, member: Member<'a>) {
        if let Some((members, _)) = self.reach(priority) {
            members.push(member);
        }
    }

    /// `order` is the place of each address in Envoy's own order, where that is known.
    fn finish(
        mut self,
        common: Common,
        own: Option<&Locality>,
        order: Option<&HashMap<&Address, usize>>,
    ) -> Vec<Priority<'a>> {
        // There is always a priority 0.
        self.reach(0);
        self.priorities
            .into_iter()
            .map(|(mut members, weights)| {
                if let Some(order) = order {
                    let place = |member: &Member<'_>| member.address.and_then(|address| order.get(address));
                    members.sort_by_key(|member| place(member).copied().unwrap_or(usize::MAX));
                }
                let mut by_place = group_by_place(&members);
                by_place.sort_by_key(|(at, _)| *at);
                let mut groups: Vec<Group> = by_place
                    .into_iter()
                    .map(|(at, members)| Group {
                        members,
                        weight: weights.get(&at).copied().unwrap_or_default(),
                        is_local: own.is_some_and(|own| place(Some(own)) == at),
                    })
                    .collect();
                groups.sort_by_key(|group| !group.is_local);
                Priority {
                    is_ordered: order.is_some() || groups.len() < 2,
                    members,
                    groups,
                    is_weighted: true,
                    overprovisioning: common.overprovisioning,
                    by_weight: common.by_weight,
                }
            })
            .collect()
    }
}

/// Indices of the members of each locality. Neighbours mostly share one, so names are compared only where it changes.
fn group_by_place<'a>(members: &[Member<'a>]) -> Vec<(Place<'a>, Vec<usize>)> {
    let mut groups: Vec<(Place<'a>, Vec<usize>)> = Vec::new();
    let mut last: Option<(Option<&Locality>, usize)> = None;
    for (nth, member) in members.iter().enumerate() {
        let is_same = |other: Option<&Locality>| match (other, member.locality) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let group = match last {
            Some((other, group)) if is_same(other) => group,
            _ => {
                let at = place(member.locality);
                groups.iter().position(|(other, _)| *other == at).unwrap_or_else(|| {
                    groups.push((at, Vec::new()));
                    groups.len() - 1
                })
            }
        };
        last = Some((member.locality, group));
        if let Some((_, indices)) = groups.get_mut(group) {
            indices.push(nth);
        }
    }
    groups
}

/// The same hosts with some of those that may be draining taken out of what counts: so many of each priority.
pub(super) fn with_draining<'a>(set: &[Priority<'a>], counts: &[usize]) -> Vec<Priority<'a>> {
    let mut set = set.to_vec();
    for (priority, count) in set.iter_mut().zip(counts) {
        for member in priority.members.iter_mut().filter(|member| member.may_drain).take(*count) {
            member.excluded = true;
        }
    }
    set
}

impl<'a> Priority<'a> {
    /// The same priority with only the members that `keep` wants; groups stay, empty or not.
    pub(super) fn filter(&self, keep: impl Fn(&Member<'a>) -> bool) -> Self {
        let mut new_index = Vec::with_capacity(self.members.len());
        let mut members = Vec::new();
        for member in &self.members {
            let kept = keep(member);
            new_index.push(kept.then_some(members.len()));
            if kept {
                members.push(*member);
            }
        }
        let groups = self
            .groups
            .iter()
            .map(|group| Group {
                members: group.members.iter().filter_map(|nth| new_index.get(*nth).copied().flatten()).collect(),
                ..*group
            })
            .collect();
        Self { members, groups, ..*self }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn anywhere() -> Surroundings<'static> {
        Surroundings { own: None, excludes_draining: true }
    }

    pub(in super::super) fn assignment(json: &str) -> ClusterLoadAssignment {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn localities_are_grouped_and_the_own_one_comes_first() {
        let assignment = assignment(
            r#"{"endpoints": [
                {"locality": {"region": "r", "zone": "b"}, "load_balancing_weight": 3, "lb_endpoints": [{"endpoint": {}}]},
                {"locality": {"region": "r", "zone": "a"}, "lb_endpoints": [{"endpoint": {}}, {"endpoint": {}, "health_status": "DRAINING"}]},
                {"load_balancing_weight": 7, "priority": 2, "lb_endpoints": [{"endpoint": {}, "health_status": "DEGRADED"}]}]}"#,
        );
        let own = Locality { region: "r".into(), zone: "b".into(), sub_zone: String::new() };
        let set = of_assignment(
            &assignment,
            None,
            &Surroundings { own: Some(&own), excludes_draining: true },
            Written::AsSent,
        );
        assert_eq!(set.len(), 3);
        let groups: Vec<_> = set[0].groups.iter().map(|g| (g.members.as_slice(), g.weight, g.is_local)).collect();
        assert_eq!(groups, [(&[0][..], 3, true), (&[1, 2][..], 0, false)]);
        assert_eq!(set[0].members[2].health, Health::Unhealthy);
        assert!(set[1].members.is_empty());
        // A weight counts only with a locality.
        assert_eq!(set[2].groups[0].weight, 0);
        assert_eq!(set[2].members[0].health, Health::Degraded);
    }

    #[test]
    fn live_flags_win_over_the_coarse_health() {
        let assignment = assignment(
            r#"{"endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}, "health_status": "UNHEALTHY"},
                {"endpoint": {"address": {"socket_address": {"address": "10.0.0.2", "port_value": 80}}}, "health_status": "UNHEALTHY"}]}]}"#,
        );
        let status: ClusterStatus = serde_json::from_str(
            r#"{"host_statuses": [{"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}},
                "health_status": {"eds_health_status": "HEALTHY", "failed_active_degraded_check": true}}]}"#,
        )
        .unwrap();
        let set = of_assignment(&assignment, Some(&status), &anywhere(), Written::AsSent);
        assert_eq!(set[0].members[0].health, Health::Degraded);
        assert_eq!(set[0].members[1].health, Health::Unhealthy);
    }
}
