//! Aggregate clusters: the priorities of several clusters one after the other.

use super::balance::Picks;
use super::discovery::{self, Discovery, Hosts};
use super::hosts::Priority;
use super::priority::{Availability, Loads, settled};
use super::{Balance, Failure, Ways, balance, policy, unresolved, ways_to};
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::trace::context::Context;
use crate::trace::walk::Walk;

/// Chooses a priority among those of all members that are in force, then hosts as that member would.
pub(super) fn ways(
    cx: &Context<'_>,
    walk: &mut Walk,
    cluster: &Cluster,
    members: &[String],
    input: &Balance<'_>,
) -> Result<Ways, Failure> {
    let mut sets: Vec<(&Cluster, Vec<Priority<'_>>)> = Vec::new();
    for name in members {
        // A cluster that isn't there, or is still warming, is left out.
        let Some(member) = cx.proxy.cluster(name).and_then(|resource| resource.get().ok()) else { continue };
        match discovery::of(cx, member) {
            // Its hosts aren't known beforehand.
            Discovery::OriginalDst
            | Discovery::Aggregate(_)
            | Discovery::Composite(_)
            | Discovery::DynamicForwardProxy => {}
            kind => match discovery::hosts(cx, member, &kind) {
                Hosts::Known(set) => sets.push((member, set)),
                Hosts::HealthUnknown(_, reason) | Hosts::Disputed(_, reason, _) | Hosts::Unresolved(_, reason) => {
                    walk.missing(reason.clone());
                    return Ok(Ways::only(unresolved(cx, member, "", &reason)));
                }
            },
        }
    }
    // Priorities without hosts don't count.
    let mut line: Vec<Priority<'_>> = Vec::new();
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (nth, (_, set)) in sets.iter().enumerate() {
        for (priority, hosts) in set.iter().enumerate().filter(|(_, priority)| !priority.members.is_empty()) {
            line.push(hosts.clone());
            places.push((nth, priority));
        }
    }
    if line.is_empty() {
        let why = format!("no cluster of {} has an endpoint", members.join(", "));
        return Err(Failure::no_healthy_upstream(why));
    }
    let threshold = policy::of_cluster(cx, cluster).map_or(50, |policy| policy.panic_threshold);
    let (_, loads) = settled(walk, &line, threshold, &cluster.name, Loads::reach);
    let weights: Vec<f64> = loads.healthy.iter().chain(&loads.degraded).map(|load| *load as f64).collect();
    let chosen = walk.pick(&weights).unwrap_or_default();
    let (chosen, availability) = match chosen.checked_sub(line.len()) {
        Some(degraded) => (degraded, Availability::Degraded),
        None => (chosen, Availability::Healthy),
    };
    let place = places.get(chosen).and_then(|(nth, priority)| Some((sets.get(*nth)?, *priority)));
    let Some(((member, set), priority)) = place else {
        return Err(Failure::no_healthy_upstream(format!("aggregate cluster {} has no priority", cluster.name)));
    };
    let picks = balance(cx, walk, member, set, input, Some((priority, availability)))?;
    let Some(picks) = picks else {
        let why = format!("cluster {}, priority {priority}, has no usable endpoint", member.name);
        return Err(Failure::no_healthy_upstream(why));
    };
    let why = picks.why.after(&format!("from cluster {}", member.name));
    Ok(ways_to(cx, member, &Picks { why, ..picks }))
}
