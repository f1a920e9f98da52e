//! Which host of a set a request may reach: priority, then locality, then host.

use super::hash::{RequestHash, Tables, Weighted};
use super::hosts::{Group, Health, Member, Priority};
use super::policy::{Hashing, LocalityMode, Picker, Policy};
use super::priority::{Availability, Loads, settled};
use super::zone::{self, Zone};
use crate::trace::walk::{Shares, Walk};

/// The hosts that a request may reach.
#[derive(Debug, Clone)]
pub(super) struct Picks<'a> {
    /// At least one.
    pub(super) hosts: Vec<Member<'a>>,
    pub(super) how: How,
    pub(super) why: Why,
    /// Hosts that were not to be chosen, with the reason.
    pub(super) passed_over: Vec<(Member<'a>, String)>,
}

/// How one of several is chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum How {
    /// There is only one.
    Only,
    /// Envoy picks at random.
    Random(Shares),
    /// The input doesn't say: the reason.
    Assumed(String),
    /// Envoy itself is undecided: a key for the question.
    Undecided(String),
}

impl How {
    /// The index of one of `of`.
    pub(super) fn pick(&self, walk: &mut Walk, of: usize) -> usize {
        match self {
            Self::Only => 0,
            Self::Random(shares) => walk.pick_share(shares).unwrap_or_default(),
            Self::Assumed(reason) => walk.assume(reason, of),
            Self::Undecided(key) => walk.undecided(key, of),
        }
    }
}

/// Why one of the hosts is chosen, in words.
#[derive(Debug, Clone)]
pub(super) struct Why {
    /// What comes before: the subset, the member of an aggregate.
    before: String,
    reason: Reason,
}

#[derive(Debug, Clone)]
enum Reason {
    /// The same for all.
    Text(String),
    /// Several usable endpoints.
    Balanced { count: usize, panics: bool, priority: String, after: String },
}

impl Why {
    pub(super) fn text(text: String) -> Self {
        Self { before: String::new(), reason: Reason::Text(text) }
    }

    /// The same with something said before.
    pub(super) fn after(mut self, what: &str) -> Self {
        self.before = format!("{what}: {}", self.before);
        self
    }

    /// The words for one host.
    pub(super) fn of(&self, host: &Member<'_>) -> String {
        let before = &self.before;
        match &self.reason {
            Reason::Text(text) => format!("{before}{text}"),
            Reason::Balanced { count, panics, priority, after } => {
                let kind = match host.health {
                    _ if *panics => "",
                    Health::Healthy => "healthy ",
                    Health::Degraded => "degraded ",
                    Health::Unhealthy => "",
                };
                let of = match count {
                    1 => format!("the only {kind}endpoint"),
                    many => format!("1 of {many} {kind}endpoints"),
                };
                let locality = Some(host.locality_name()).filter(|name| !name.is_empty());
                let locality = locality.map(|name| format!(", locality {name}")).unwrap_or_default();
                format!("{before}{of}{priority}{locality}{after}")
            }
        }
    }
}

/// What a choice depends on besides the hosts.
pub(super) struct Chooser<'a> {
    pub(super) policy: &'a Policy,
    /// Hash of the request; only looked at by consistent hashing.
    pub(super) hash: RequestHash,
    /// The proxy's own cluster, where the bootstrap names one.
    pub(super) local: Option<Vec<Priority<'a>>>,
    /// The priority that an aggregate cluster has chosen.
    pub(super) forced: Option<(usize, Availability)>,
    /// Rings and tables of earlier requests.
    pub(super) tables: &'a Tables,
    /// A name for the set, so that its open questions are told apart.
    pub(super) name: &'a str,
}

impl Chooser<'_> {
    /// Chooses hosts; `None` is Envoy's "no healthy upstream".
    pub(super) fn choose<'h>(&self, walk: &mut Walk, set: &[Priority<'h>]) -> Option<Picks<'h>> {
        let threshold = self.policy.panic_threshold;
        // What matters is which hosts may be chosen: all with a share, or those of the priority that is already known.
        let (set, loads) = settled(walk, set, threshold, self.name, |loads| self.reach(loads));
        let set = set.as_ref();
        match &self.policy.picker {
            Picker::RingHash(_, hashing) | Picker::Maglev(_, hashing) => self.by_hash(walk, set, &loads, hashing),
            Picker::Unknown(_) | Picker::ClusterProvided => self.any(set),
            _ => self.by_weight(walk, set, &loads),
        }
    }

    /// What of the loads decides which hosts may be chosen.
    fn reach(&self, loads: &Loads) -> Vec<(bool, bool, bool)> {
        let hashes = matches!(self.policy.picker, Picker::RingHash(..) | Picker::Maglev(..));
        let known = match (&self.hash, self.forced) {
            (RequestHash::Known(hash), _) if hashes => by_percent(loads, *hash),
            (_, Some((nth, _))) if !hashes => Some(nth),
            _ => None,
        };
        let panics = |nth: usize| loads.panic.get(nth).copied().unwrap_or_default();
        match known {
            Some(nth) => (0..=nth).map(|other| (other == nth, false, other == nth && panics(nth))).collect(),
            None => loads.reach(),
        }
    }

    /// Nothing is known of how a host is chosen.
    fn any<'h>(&self, set: &[Priority<'h>]) -> Option<Picks<'h>> {
        let hosts: Vec<Member<'h>> = set.iter().flat_map(|priority| priority.members.iter().copied()).collect();
        let reason = format!("how cluster {} chooses a host: {}", self.name, self.policy.picker.name());
        let why = format!("one of {} hosts; {} isn't known here", hosts.len(), self.policy.picker.name());
        let how = match hosts.len() {
            0 => return None,
            1 => How::Only,
            _ => How::Assumed(reason),
        };
        Some(Picks { hosts, how, why: Why::text(why), passed_over: Vec::new() })
    }

    fn by_weight<'h>(&self, walk: &mut Walk, set: &[Priority<'h>], loads: &Loads) -> Option<Picks<'h>> {
        let (nth, availability) = self.priority(walk, loads)?;
        let priority = set.get(nth)?;
        let panics = loads.panic.get(nth).copied().unwrap_or_default();
        let wanted = health_of(availability);
        let usable = |member: &Member<'_>| panics || member.health == wanted;
        let mut members: Vec<usize> = indices(priority, usable);
        let mut place = String::new();
        match self.policy.locality {
            _ if panics => {
                if let LocalityMode::ZoneAware(zone) = self.policy.locality
                    && zone.fail_on_panic
                {
                    return None;
                }
            }
            LocalityMode::Weighted => {
                let weights: Vec<f64> = priority.groups.iter().map(|g| effective_weight(priority, g, wanted)).collect();
                if let Some(group) = walk.pick(&weights).and_then(|chosen| priority.groups.get(chosen)) {
                    let total: f64 = weights.iter().sum();
                    let chosen = effective_weight(priority, group, wanted);
                    members.retain(|member| group.members.binary_search(member).is_ok());
                    place = format!("{:.0} % by locality weight", 100.0 * chosen / total);
                }
            }
            LocalityMode::ZoneAware(settings) if nth == 0 => {
                let local = self.local.as_ref().and_then(|local| local.first());
                match local.map_or(Zone::Any, |local| zone::choose(walk, &settings, local, priority, self.policy)) {
                    Zone::Any => {}
                    Zone::Nowhere => return None,
                    Zone::Group(group) => {
                        let group = priority.groups.get(group)?;
                        members.retain(|member| group.members.binary_search(member).is_ok());
                        place = "zone-aware".to_owned();
                    }
                }
            }
            LocalityMode::ZoneAware(_) | LocalityMode::None => {}
        }
        let weights: Vec<f64> = members
            .iter()
            .filter_map(|nth| priority.members.get(*nth))
            .map(|member| if self.policy.picker == Picker::Random { 1.0 } else { member.weight as f64 })
            .collect();
        let how = How::Random(Shares::of(&weights)?);
        self.explain(set, nth, &members, (&members, how), panics, &place)
    }

    /// The priority, by its share of the load.
    fn priority(&self, walk: &mut Walk, loads: &Loads) -> Option<(usize, Availability)> {
        if let Some(forced) = self.forced {
            return Some(forced);
        }
        let weights: Vec<f64> = loads.healthy.iter().chain(&loads.degraded).map(|load| *load as f64).collect();
        let chosen = walk.pick(&weights)?;
        Some(match chosen.checked_sub(loads.healthy.len()) {
            Some(degraded) => (degraded, Availability::Degraded),
            None => (chosen, Availability::Healthy),
        })
    }

    /// Consistent hashing looks for the priority by the same hash, and never uses degraded hosts on purpose.
    fn by_hash<'h>(
        &self,
        walk: &mut Walk,
        set: &[Priority<'h>],
        loads: &Loads,
        hashing: &Hashing,
    ) -> Option<Picks<'h>> {
        let nth = match &self.hash {
            RequestHash::Known(hash) => by_percent(loads, *hash)?,
            RequestHash::Random | RequestHash::Unknown(_) => {
                let weights: Vec<f64> =
                    loads.healthy.iter().zip(&loads.degraded).map(|(h, d)| (h + d) as f64).collect();
                walk.pick(&weights)?
            }
        };
        let priority = set.get(nth)?;
        let panics = loads.panic.get(nth).copied().unwrap_or_default();
        let usable = |member: &Member<'_>| panics || member.health == Health::Healthy;
        let shares = self.shares(priority, usable);
        let members: Vec<usize> = shares.iter().map(|(member, _)| *member).collect();
        let on_ring: Vec<Weighted> = shares
            .iter()
            .filter_map(|(member, share)| Some((priority.members.get(*member)?, share)))
            .map(|(member, share)| Weighted { key: hash_key(member, hashing.use_hostname), share: *share })
            .collect();
        let all: Vec<usize> = (0..members.len()).collect();
        let (chosen, how, place) = match &self.hash {
            RequestHash::Known(hash) => {
                let candidates = match &self.policy.picker {
                    Picker::RingHash(ring, _) => ring.choose(self.tables, &on_ring, *hash, self.is_ordered(priority)),
                    Picker::Maglev(table, _) => table.choose(self.tables, &on_ring, *hash),
                    _ => Vec::new(),
                };
                let key = format!("order of the hosts on the ring of cluster {}", self.name);
                let how = if candidates.len() > 1 { How::Undecided(key) } else { How::Only };
                (candidates, how, format!("hash {hash:016x}"))
            }
            RequestHash::Random => {
                let weights: Vec<f64> = on_ring.iter().map(|host| host.share).collect();
                (all, How::Random(Shares::of(&weights)?), "the request has nothing to hash".to_owned())
            }
            RequestHash::Unknown(reason) if on_ring.len() > 1 => (all, How::Assumed(reason.clone()), reason.clone()),
            RequestHash::Unknown(_) => (all, How::Only, String::new()),
        };
        let chosen: Vec<usize> = chosen.iter().filter_map(|nth| members.get(*nth).copied()).collect();
        self.explain(set, nth, &members, (&chosen, how), panics, &place)
    }

    /// Whether the order in which Envoy puts the hosts of a priority on a ring is known.
    fn is_ordered(&self, priority: &Priority<'_>) -> bool {
        let by_locality = self.policy.locality == LocalityMode::Weighted && priority.is_weighted;
        by_locality || priority.is_ordered
    }

    /// Hosts of a priority with their share of all weights, in the arithmetic of Envoy's consistent hashing.
    fn shares(&self, priority: &Priority<'_>, usable: impl Fn(&Member<'_>) -> bool) -> Vec<(usize, f64)> {
        let weight = |nth: &usize| priority.members.get(*nth).map_or(0, |member| member.weight);
        let spread = |members: Vec<usize>, part: f64| -> Vec<(usize, f64)> {
            let sum: u64 = members.iter().map(weight).sum();
            members.into_iter().map(|nth| (nth, weight(&nth) as f64 * part / sum as f64)).collect()
        };
        if self.policy.locality != LocalityMode::Weighted || !priority.is_weighted {
            return spread(indices(priority, usable), 1.0);
        }
        let sum: u64 = priority.groups.iter().map(|group| group.weight).sum();
        let weighted = priority.groups.iter().filter(|group| group.weight > 0);
        weighted
            .flat_map(|group| {
                let members = group.members.iter().copied();
                let members = members.filter(|nth| priority.members.get(*nth).is_some_and(&usable)).collect();
                spread(members, group.weight as f64 / sum as f64)
            })
            .collect()
    }

    /// `members` are the hosts to choose from, `chosen` those that it may be; both by index in their priority.
    fn explain<'h>(
        &self,
        set: &[Priority<'h>],
        nth: usize,
        members: &[usize],
        (chosen, how): (&[usize], How),
        panics: bool,
        place: &str,
    ) -> Option<Picks<'h>> {
        let of_priority = set.get(nth)?.members.as_slice();
        let hosts: Vec<Member<'h>> = chosen.iter().filter_map(|chosen| of_priority.get(*chosen).copied()).collect();
        if hosts.is_empty() {
            return None;
        }
        let unhealthy = of_priority.iter().filter(|member| member.health == Health::Unhealthy).count();
        let priority = if set.len() > 1 { format!(" in priority {nth}") } else { String::new() };
        let mut after = String::new();
        if !place.is_empty() {
            after.push_str(&format!(", {place}"));
        }
        if members.len() > 1 {
            after.push_str(&format!(", by {}", self.policy.picker.name()));
        }
        if panics {
            after.push_str(&format!(
                "; fewer than {} % are healthy, so unhealthy ones are used too (panic)",
                self.policy.panic_threshold
            ));
        } else if unhealthy > 0 {
            after.push_str(&format!("; {unhealthy} unhealthy"));
        }
        let mut is_candidate = vec![false; of_priority.len()];
        for member in members {
            if let Some(candidate) = is_candidate.get_mut(*member) {
                *candidate = true;
            }
        }
        let others = set.iter().enumerate().flat_map(|(other, priority)| {
            priority.members.iter().enumerate().map(move |(index, member)| (other, index, member))
        });
        let others = others.filter(|(other, index, _)| *other != nth || is_candidate.get(*index) == Some(&false));
        let passed_over = others.take(MOST_PASSED_OVER).map(|(other, _, member)| {
            let because = match member.health {
                Health::Healthy if other != nth => format!("in priority {other}"),
                Health::Healthy => "in another locality".to_owned(),
                Health::Degraded | Health::Unhealthy => member.fault.to_owned(),
            };
            (*member, because)
        });
        let passed_over = passed_over.collect();
        let reason = Reason::Balanced { count: members.len(), panics, priority, after };
        Some(Picks { hosts, how, why: Why { before: String::new(), reason }, passed_over })
    }
}

/// The priority that a hash leads to, by its last two digits.
fn by_percent(loads: &Loads, hash: u64) -> Option<usize> {
    let mut sum = 0;
    loads.healthy.iter().enumerate().chain(loads.degraded.iter().enumerate()).find_map(|(nth, load)| {
        sum += load;
        (hash % 100 < sum).then_some(nth)
    })
}

/// As many alternatives as an explanation lists.
const MOST_PASSED_OVER: usize = 5;

fn health_of(availability: Availability) -> Health {
    match availability {
        Availability::Healthy => Health::Healthy,
        Availability::Degraded => Health::Degraded,
    }
}

fn indices(priority: &Priority<'_>, usable: impl Fn(&Member<'_>) -> bool) -> Vec<usize> {
    priority.members.iter().enumerate().filter(|(_, member)| usable(member)).map(|(nth, _)| nth).collect()
}

/// Weight of a locality times how much of it is usable (semantics §6.4).
fn effective_weight(priority: &Priority<'_>, group: &Group, wanted: Health) -> f64 {
    let members = || group.members.iter().filter_map(|nth| priority.members.get(*nth));
    let counted = members().filter(|member| !member.excluded).count();
    if counted == 0 || !priority.is_weighted {
        return 0.0;
    }
    let usable = members().filter(|member| member.health == wanted).count();
    let available = priority.overprovisioning as f64 / 100.0 * (usable as f64 / counted as f64);
    group.weight as f64 * available.min(1.0)
}

/// What of a host is hashed: metadata first, then its name or address.
fn hash_key(member: &Member<'_>, use_hostname: bool) -> String {
    let lb = member.metadata.and_then(|metadata| metadata.get("envoy.lb"));
    match lb.and_then(|lb| lb.get("hash_key")).and_then(serde_json::Value::as_str) {
        Some(key) if !key.is_empty() => key.to_owned(),
        _ if use_hostname => member.hostname.to_owned(),
        _ => member.host_address().to_string(),
    }
}
