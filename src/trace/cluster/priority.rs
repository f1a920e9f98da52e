//! How load spreads over priorities: availability, overprovisioning, panic (semantics §6.4).

use std::borrow::Cow;

use super::hosts::{Health, Priority, with_draining};
use crate::trace::walk::Walk;

/// Load of each priority in percent; healthy and degraded together are 100.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Loads {
    pub(super) healthy: Vec<u64>,
    pub(super) degraded: Vec<u64>,
    /// Priorities whose hosts are all used, whatever their health.
    pub(super) panic: Vec<bool>,
}

/// Which hosts of a priority a request is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    Healthy,
    Degraded,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    hosts: u64,
    counted: u64,
    healthy: u64,
    degraded: u64,
}

fn counts(priority: &Priority<'_>) -> Counts {
    let mut counts = Counts { hosts: 0, counted: 0, healthy: 0, degraded: 0 };
    for member in &priority.members {
        counts.hosts += 1;
        counts.counted += u64::from(!member.excluded);
        counts.healthy += u64::from(member.health == Health::Healthy);
        counts.degraded += u64::from(member.health == Health::Degraded);
    }
    counts
}

/// Healthy and degraded percent of a priority after overprovisioning, in whole numbers as Envoy has them.
fn availability(priority: &Priority<'_>) -> (u64, u64) {
    let Counts { counted, mut healthy, mut degraded, .. } = counts(priority);
    if counted == 0 {
        return (0, 0);
    }
    let mut total = counted;
    if priority.by_weight {
        let weight = |wanted: Option<Health>| -> u64 {
            let members = priority.members.iter().filter(|m| wanted.map_or(!m.excluded, |health| m.health == health));
            members.map(|m| m.weight).sum()
        };
        healthy = weight(Some(Health::Healthy));
        degraded = weight(Some(Health::Degraded));
        total = weight(None).max(1);
    }
    let percent = |part: u64| (priority.overprovisioning.saturating_mul(part) / total).min(100);
    (percent(healthy), percent(degraded))
}

/// Whether too few hosts of a priority are usable.
fn panics(priority: &Priority<'_>, threshold: u64) -> bool {
    let Counts { counted, healthy, degraded, .. } = counts(priority);
    let percent = |part: u64| if counted == 0 { 0.0 } else { 100.0 * part as f64 / counted as f64 };
    percent(healthy) + percent(degraded) < threshold as f64
}

/// Gives each priority as much load as it can take, the first ones first; the rest is returned with the first
/// priority that is available at all.
fn distribute(available: &[u64], mut load: u64, total: u64) -> (Vec<u64>, Option<usize>, u64) {
    let loads = available
        .iter()
        .map(|percent| {
            let given = (percent * 100).checked_div(total).unwrap_or_default().min(load);
            load -= given;
            given
        })
        .collect();
    (loads, available.iter().position(|percent| *percent > 0), load)
}

/// The load of each priority of a cluster, `threshold` being its panic threshold in percent.
pub(super) fn loads(priorities: &[Priority<'_>], threshold: u64) -> Loads {
    let (healthy, degraded): (Vec<u64>, Vec<u64>) = priorities.iter().map(availability).unzip();
    let total = healthy.iter().chain(&degraded).sum::<u64>().min(100);
    let mut loads = Loads {
        healthy: vec![0; priorities.len()],
        degraded: vec![0; priorities.len()],
        panic: vec![false; priorities.len()],
    };
    if total > 0 {
        let (given, first_healthy, rest) = distribute(&healthy, 100, total);
        loads.healthy = given;
        let (given, first_degraded, rest) = distribute(&degraded, rest, total);
        loads.degraded = given;
        // What is left is rounding.
        let remainder = match (first_healthy, first_degraded) {
            (Some(first), _) => loads.healthy.get_mut(first),
            (None, Some(first)) => loads.degraded.get_mut(first),
            (None, None) => None,
        };
        if let Some(load) = remainder {
            *load += rest;
        }
    } else if threshold == 0 {
        // Nothing is usable and panic is off: the request goes to priority 0, which has no host for it.
        if let Some(load) = loads.healthy.first_mut() {
            *load = 100;
        }
        return loads;
    }
    if total < 100 {
        loads.panic = priorities.iter().map(|priority| panics(priority, threshold)).collect();
    }
    if loads.panic.iter().all(|panic| *panic) {
        spread_by_number(priorities, &mut loads);
    }
    loads
}

impl Loads {
    /// Which hosts may be chosen at all, whatever their shares: for each priority whether it gets healthy and degraded
    /// load, and whether it then panics.
    pub(super) fn reach(&self) -> Vec<(bool, bool, bool)> {
        let loads = self.healthy.iter().zip(&self.degraded).zip(&self.panic);
        loads
            .map(|((healthy, degraded), panic)| (*healthy > 0, *degraded > 0, *panic && healthy + degraded > 0))
            .collect()
    }
}

/// Most combinations of draining hosts that are looked at one by one.
const MOST_COMBINATIONS: usize = 256;

/// The hosts, and the load of each priority. Draining hosts don't count, but a dump shows them as unhealthy: where `key`
/// of the loads depends on which they are, each way is assumed.
pub(super) fn settled<'s, 'a, K: PartialEq>(
    walk: &mut Walk,
    set: &'s [Priority<'a>],
    threshold: u64,
    cluster: &str,
    key: impl Fn(&Loads) -> K,
) -> (Cow<'s, [Priority<'a>]>, Loads) {
    let as_printed = loads(set, threshold);
    let may_drain = |priority: &Priority<'_>| priority.members.iter().filter(|member| member.may_drain).count();
    let most: Vec<usize> = set.iter().map(may_drain).collect();
    if most.iter().all(|count| *count == 0) {
        return (Cow::Borrowed(set), as_printed);
    }
    let mut ways = vec![(key(&as_printed), Cow::Borrowed(set), as_printed)];
    for counts in combinations(&most) {
        let hosts = with_draining(set, &counts);
        let loads = loads(&hosts, threshold);
        let key = key(&loads);
        if ways.iter().all(|(other, ..)| *other != key) {
            ways.push((key, Cow::Owned(hosts), loads));
        }
    }
    let reason = format!("whether the unhealthy endpoints of cluster {cluster} are draining (no /clusters)");
    let nth = if ways.len() > 1 { walk.assume(&reason, ways.len()) } else { 0 };
    let (_, hosts, loads) = ways.swap_remove(nth.min(ways.len() - 1));
    (hosts, loads)
}

/// Every choice of a number up to the one given for each priority; only none or all where these are too many.
fn combinations(most: &[usize]) -> Vec<Vec<usize>> {
    let product = most.iter().fold(1_usize, |product, count| product.saturating_mul(count + 1));
    if product > MOST_COMBINATIONS {
        return vec![most.to_vec()];
    }
    let mut all = vec![Vec::new()];
    for count in most {
        all =
            all.iter().flat_map(|start: &Vec<usize>| (0..=*count).map(|n| [start.as_slice(), &[n]].concat())).collect();
    }
    all
}

/// When all priorities panic, load follows the number of hosts.
fn spread_by_number(priorities: &[Priority<'_>], loads: &mut Loads) {
    let total: u64 = priorities.iter().map(|priority| counts(priority).hosts).sum();
    let first = priorities.iter().position(|priority| !priority.members.is_empty()).unwrap_or_default();
    let mut rest = 100;
    for (priority, load) in priorities.iter().zip(&mut loads.healthy) {
        *load = (100 * counts(priority).hosts).checked_div(total).unwrap_or_default();
        rest -= (*load).min(rest);
    }
    if let Some(load) = loads.healthy.get_mut(first) {
        *load += rest;
    }
    loads.degraded.fill(0);
}

#[cfg(test)]
mod tests {
    use super::super::hosts::tests::{anywhere, assignment};
    use super::super::hosts::{Written, of_assignment};
    use super::*;

    /// One text a priority: `h` healthy, `d` degraded, `u` unhealthy.
    #[track_caller]
    fn check(priorities: &[&str], threshold: u64, healthy: &[u64], degraded: &[u64], panic: &[bool]) {
        let groups: Vec<String> = priorities
            .iter()
            .enumerate()
            .map(|(nth, hosts)| {
                let hosts: Vec<String> = hosts
                    .chars()
                    .map(|c| match c {
                        'h' => r#"{"endpoint": {}}"#.to_owned(),
                        'd' => r#"{"endpoint": {}, "health_status": "DEGRADED"}"#.to_owned(),
                        _ => r#"{"endpoint": {}, "health_status": "UNHEALTHY"}"#.to_owned(),
                    })
                    .collect();
                format!(r#"{{"priority": {nth}, "lb_endpoints": [{}]}}"#, hosts.join(","))
            })
            .collect();
        let assignment = assignment(&format!(r#"{{"endpoints": [{}]}}"#, groups.join(",")));
        let loads = loads(&of_assignment(&assignment, None, &anywhere(), Written::AsSent), threshold);
        assert_eq!(loads, Loads { healthy: healthy.into(), degraded: degraded.into(), panic: panic.into() });
    }

    #[test]
    fn load_spills_to_the_next_priority() {
        check(&["hh", "h"], 50, &[100, 0], &[0, 0], &[false, false]);
        check(&["hu", "hh"], 50, &[70, 30], &[0, 0], &[false, false]);
        check(&["uu", "h"], 50, &[0, 100], &[0, 0], &[false, false]);
        // 5 of 7 healthy is 100 % after overprovisioning.
        check(&["hhhhhuu", "h"], 50, &[100, 0], &[0, 0], &[false, false]);
        // 35 % + 46 % of 81 %: 43 + 56, the remainder goes to the first.
        check(&["huuu", "huu"], 0, &[44, 56], &[0, 0], &[false, false]);
    }

    #[test]
    fn degraded_hosts_take_what_healthy_ones_cannot() {
        check(&["hd", ""], 50, &[70, 0], &[30, 0], &[false, false]);
        check(&["dd"], 50, &[0], &[100], &[false]);
        check(&["hdd", "d"], 50, &[46, 0], &[54, 0], &[false, false]);
    }

    #[test]
    fn panic_uses_all_hosts() {
        check(&["uuu"], 50, &[100], &[0], &[true]);
        check(&["uuu"], 0, &[100], &[0], &[false]);
        check(&["uu", "u"], 50, &[67, 33], &[0, 0], &[true, true]);
        check(&["huuu"], 50, &[100], &[0], &[true]);
        // One priority panics, the other doesn't.
        check(&["huuuuuuuuu", "hu"], 50, &[17, 83], &[0, 0], &[true, false]);
        check(&[""], 50, &[100], &[0], &[true]);
    }
}
