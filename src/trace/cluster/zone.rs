//! Zone-aware balancing: a proxy that knows its own cluster prefers hosts of its own locality.

use super::hosts::{Health, Member, Priority};
use super::policy::{Policy, ZoneAware};
use crate::trace::walk::Walk;

/// What localities have to say about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing: all of the priority's hosts take part.
    Any,
    /// It goes to the locality with this index.
    Group(usize),
    /// It goes nowhere: too few of the proxies themselves are healthy.
    Nowhere,
}

/// Chooses the locality of a request, if localities take part.
pub(super) fn choose(
    walk: &mut Walk,
    settings: &ZoneAware,
    local: &Priority<'_>,
    upstream: &Priority<'_>,
    policy: &Policy,
) -> Zone {
    let healthy = upstream.members.iter().filter(|member| member.health == Health::Healthy).count();
    let own_first = |priority: &Priority<'_>| priority.groups.first().is_some_and(|group| group.is_local);
    let has_too_few = upstream.groups.len() < 2
        || (local.groups.len() < 2 && !settings.force_local && settings.force_local_from.is_none())
        || !own_first(local)
        || (healthy as u64) < settings.min_cluster_size;
    if has_too_few {
        return Zone::Any;
    }
    let enabled = settings.routing_enabled.min(100) as f64;
    if walk.pick(&[enabled, 100.0 - enabled]) != Some(0) {
        return Zone::Any;
    }
    if panics(local, policy.panic_threshold) {
        return if settings.fail_on_panic { Zone::Nowhere } else { Zone::Any };
    }
    let upstream_shares = shares(upstream, settings.by_weight);
    let local_shares = shares(local, settings.by_weight);
    // Of each upstream locality: its part of the hosts, and the part that the proxies there are of all proxies.
    let pairs: Vec<(u64, u64)> = upstream
        .groups
        .iter()
        .zip(&upstream_shares)
        .map(|(group, share)| {
            let place = group.members.first().and_then(|nth| upstream.members.get(*nth)).and_then(|m| m.locality);
            let same = local.groups.iter().zip(&local_shares).find(|(other, _)| {
                let member = other.members.first().and_then(|nth| local.members.get(*nth));
                member.and_then(|member: &Member<'_>| member.locality) == place
            });
            (*share, if *share == 0 { 0 } else { same.map_or(0, |(_, share)| *share) })
        })
        .collect();
    let mut to_own = 0;
    if own_first(upstream) {
        let (upstream_share, local_share) = pairs.first().copied().unwrap_or_default();
        let own_hosts = upstream.groups.first().map_or(0, |group| {
            let members = group.members.iter().filter_map(|nth| upstream.members.get(*nth));
            members.filter(|member| member.health == Health::Healthy).count() as u64
        });
        let is_forced = settings.force_local || settings.force_local_from.is_some_and(|from| own_hosts >= from);
        if (upstream_share > 0 && upstream_share >= local_share) || (is_forced && own_hosts > 0) {
            return Zone::Group(0);
        }
        to_own = (upstream_share * 10_000).checked_div(local_share).unwrap_or_default();
    }
    if walk.pick(&[to_own as f64, 10_000.0 - to_own as f64]) == Some(0) {
        return Zone::Group(0);
    }
    // The rest goes where there is more than the proxies there need.
    let spare = |(nth, (upstream_share, local_share)): (usize, &(u64, u64))| -> f64 {
        if nth == 0 && own_first(upstream) { 0.0 } else { upstream_share.saturating_sub(*local_share) as f64 }
    };
    let spare: Vec<f64> = pairs.iter().enumerate().map(spare).collect();
    let chosen = walk.pick(&spare).or_else(|| walk.pick(&vec![1.0; pairs.len()]));
    chosen.map_or(Zone::Any, Zone::Group)
}

/// Part of the healthy hosts that each locality has, in ten-thousandths.
fn shares(priority: &Priority<'_>, by_weight: bool) -> Vec<u64> {
    let count = |members: &mut dyn Iterator<Item = &Member<'_>>| -> u64 {
        members
            .filter(|member| member.health == Health::Healthy)
            .map(|member| if by_weight { member.weight } else { 1 })
            .sum()
    };
    let total = count(&mut priority.members.iter());
    let of_group = |members: &[usize]| count(&mut members.iter().filter_map(|nth| priority.members.get(*nth)));
    let groups = priority.groups.iter();
    groups.map(|group| (10_000 * of_group(&group.members)).checked_div(total).unwrap_or_default()).collect()
}

fn panics(priority: &Priority<'_>, threshold: u64) -> bool {
    let counted = priority.members.iter().filter(|member| !member.excluded).count();
    let usable = priority.members.iter().filter(|member| member.health != Health::Unhealthy).count();
    counted == 0 || 100.0 * (usable as f64) / (counted as f64) < threshold as f64
}
