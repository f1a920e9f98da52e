//! Subset load balancing: which hosts a request's metadata leaves (semantics §6.5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::balance::{Chooser, How, Picks, Why};
use super::hosts::{Group, Member, Priority};
use super::policy::{Fallback, Selector, SelectorFallback, SubsetConfig};
use super::transport_socket::{labels_match, same};
use crate::proto::Struct;
use crate::trace::walk::Walk;

/// What a request asks for, by key.
pub(super) type Criteria = BTreeMap<String, Value>;

const NAMESPACE: &str = "envoy.lb";
const FALLBACK_LIST: &str = "fallback_list";

/// A fallback to fewer keys starts over; Envoy demands that the keys become fewer each time.
const MAX_ROUNDS: u32 = 16;

/// Chooses a host among the subset that `criteria` names, or by the fallback policies.
pub(super) fn choose<'h>(
    walk: &mut Walk,
    config: &SubsetConfig,
    chooser: &Chooser<'_>,
    set: &[Priority<'h>],
    mut criteria: Criteria,
) -> Option<Picks<'h>> {
    let fallbacks = if config.fallback_list { criteria.remove(FALLBACK_LIST) } else { None };
    let subsets = Subsets { config, chooser, set };
    match fallbacks.as_ref().and_then(Value::as_array).filter(|list| !list.is_empty()) {
        None => subsets.round(walk, &criteria, 0),
        Some(list) => list.iter().find_map(|more| {
            let mut criteria = criteria.clone();
            criteria.extend(more.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())));
            subsets.round(walk, &criteria, 0)
        }),
    }
}

struct Subsets<'a, 'h> {
    config: &'a SubsetConfig,
    chooser: &'a Chooser<'a>,
    set: &'a [Priority<'h>],
}

impl<'h> Subsets<'_, 'h> {
    fn round(&self, walk: &mut Walk, criteria: &Criteria, round: u32) -> Option<Picks<'h>> {
        let mut criteria = criteria.clone();
        if self.config.allow_redundant_keys {
            let fitting = self.config.selectors.iter().find(|s| s.keys.iter().all(|key| criteria.contains_key(key)));
            if let Some(selector) = fitting {
                criteria.retain(|key, _| selector.keys.contains(key));
            }
        }
        let belongs = |member: &Member<'_>| self.selector_of(member, &criteria).is_some();
        let mut members = self.set.iter().flat_map(|priority| &priority.members);
        // The first host makes the subset, with what its selector says of it.
        if let Some(selector) = members.find_map(|member| self.selector_of(member, &criteria)) {
            if selector.single_host {
                return self.single(&belongs, &criteria);
            }
            // Healthy or not, a subset with hosts is the subset.
            let pick = self.chooser.choose(walk, &self.subset(belongs))?;
            return Some(self.say(pick, format!("subset {}", describe(&criteria))));
        }
        match self.selector_fallback(&criteria) {
            SelectorFallback::NotDefined => {}
            SelectorFallback::Policy(policy) => {
                let pick = self.fall_back(walk, policy)?;
                return Some(self.say(pick, format!("no subset {}: the selector's fallback", describe(&criteria))));
            }
            SelectorFallback::KeysSubset(keys) if round < MAX_ROUNDS => {
                criteria.retain(|key, _| keys.contains(key));
                return self.round(walk, &criteria, round + 1);
            }
            SelectorFallback::KeysSubset(_) => return None,
        }
        if self.config.fallback == Fallback::Nothing {
            return None;
        }
        let why = match (criteria.is_empty(), self.config.fallback) {
            (true, Fallback::DefaultSubset) => "the route asks for no subset: the default subset".to_owned(),
            (true, _) => "the route asks for no subset: any endpoint".to_owned(),
            (false, _) => format!("no subset {}: the cluster's fallback", describe(&criteria)),
        };
        if let Some(pick) = self.fall_back(walk, self.config.fallback) {
            return Some(self.say(pick, why));
        }
        if !self.config.panic_mode_any {
            return None;
        }
        let pick = self.fall_back(walk, Fallback::AnyEndpoint)?;
        Some(self.say(pick, "the fallback subset is empty, and panic_mode_any takes any endpoint".to_owned()))
    }

    fn say(&self, picks: Picks<'h>, what: String) -> Picks<'h> {
        Picks { why: picks.why.after(&what), ..picks }
    }

    fn fall_back(&self, walk: &mut Walk, policy: Fallback) -> Option<Picks<'h>> {
        match policy {
            Fallback::Nothing => None,
            Fallback::AnyEndpoint => self.chooser.choose(walk, &self.subset(|_| true)),
            Fallback::DefaultSubset => {
                let labels = &self.config.default_subset.fields;
                let subset = self.subset(|member| labels_match(labels, metadata(member), self.config.list_as_any));
                self.chooser.choose(walk, &subset)
            }
        }
    }

    /// The fallback of the selector with exactly these keys. Envoy keeps selectors in a tree: one whose keys are the
    /// first ones of a selector before it finds its place taken, and its fallback is lost.
    fn selector_fallback(&self, criteria: &Criteria) -> SelectorFallback {
        let mut seen: BTreeSet<&[String]> = BTreeSet::new();
        for selector in &self.config.selectors {
            let is_asked_for = selector.keys.iter().eq(criteria.keys());
            for len in 1..=selector.keys.len() {
                let is_new = seen.insert(selector.keys.get(..len).unwrap_or_default());
                if is_new && is_asked_for && len == selector.keys.len() {
                    return selector.fallback.clone();
                }
            }
        }
        SelectorFallback::NotDefined
    }

    /// The selector by which a host is in the subset of exactly these criteria.
    fn selector_of(&self, member: &Member<'_>, criteria: &Criteria) -> Option<&Selector> {
        if criteria.is_empty() {
            return None;
        }
        let metadata = metadata(member)?;
        self.config.selectors.iter().find(|selector| self.is_in(metadata, selector, criteria))
    }

    /// Whether a selector puts a host into the subset of exactly these criteria; lists may stand for any of their values.
    /// An empty list loses the keys before it, as it does in Envoy.
    fn is_in(&self, metadata: &Struct, selector: &Selector, criteria: &Criteria) -> bool {
        let (mut keys, mut fits) = (0, true);
        for key in &selector.keys {
            let Some(value) = metadata.get(key) else { return false };
            let values = match value {
                Value::Array(values) if self.config.list_as_any => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            if values.is_empty() {
                (keys, fits) = (0, true);
                continue;
            }
            keys += 1;
            fits &= criteria.get(key).is_some_and(|wanted| values.iter().any(|value| same(value, wanted)));
        }
        fits && keys == criteria.len()
    }

    /// A subset of one host: the first of the first priority that has one, healthy or not. The dump keeps the order of
    /// hosts within a locality only.
    fn single(&self, belongs: &dyn Fn(&Member<'_>) -> bool, criteria: &Criteria) -> Option<Picks<'h>> {
        let firsts = |priority: &Priority<'h>| -> Vec<Member<'h>> {
            let of_group = |group: &Group| {
                let mut members = group.members.iter().filter_map(|nth| priority.members.get(*nth).copied());
                members.find(|member| belongs(member))
            };
            priority.groups.iter().filter_map(of_group).collect()
        };
        let hosts = self.set.iter().map(firsts).find(|hosts| !hosts.is_empty())?;
        let key = format!("single_host_per_subset {} of cluster {}", describe(criteria), self.chooser.name);
        let how = if hosts.len() > 1 { How::Undecided(key) } else { How::Only };
        let why = format!("subset {}, of which single_host_per_subset makes one host", describe(criteria));
        Some(Picks { hosts, how, why: Why::text(why), passed_over: Vec::new() })
    }

    fn subset(&self, keep: impl Fn(&Member<'_>) -> bool) -> Vec<Priority<'h>> {
        let narrowed = self.set.iter().map(|priority| {
            let mut subset = priority.filter(&keep);
            subset.is_weighted = priority.is_weighted && self.config.locality_weight_aware;
            if self.config.scale_locality_weight {
                for (scaled, original) in subset.groups.iter_mut().zip(&priority.groups) {
                    let part = (scaled.weight * scaled.members.len() as u64) as f64;
                    scaled.weight = if original.members.is_empty() {
                        0
                    } else {
                        (part / original.members.len() as f64).round() as u64
                    };
                }
            }
            subset
        });
        narrowed.collect()
    }
}

fn metadata<'m>(member: &Member<'m>) -> Option<&'m Struct> {
    member.metadata?.get(NAMESPACE)
}

/// `{version=v1}`
fn describe(criteria: &Criteria) -> String {
    let pairs: Vec<String> = criteria
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
