//! A cluster's load balancing policy, whichever of Envoy's three ways it is written in.

use std::sync::Arc;

use super::hash::{MaglevTable, Ring};
use crate::dump::type_of;
use crate::proto::Any;
use crate::proto::Message;
use crate::proto::Struct;
use crate::proto::envoy::config::cluster::v3::cluster::common_lb_config::LocalityConfigSpecifier;
use crate::proto::envoy::config::cluster::v3::cluster::lb_subset_config::LbSubsetSelector;
use crate::proto::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy, LbSubsetConfig};
use crate::proto::envoy::config::cluster::v3::{Cluster, LoadBalancingPolicy};
use crate::proto::envoy::config::route::v3::route_action::HashPolicy;
use crate::proto::envoy::extensions::load_balancing_policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin;
use crate::proto::envoy::extensions::load_balancing_policies::common::v3::{
    ConsistentHashingLbConfig, LocalityLbConfig, locality_lb_config,
};
use crate::proto::envoy::extensions::load_balancing_policies::least_request::v3::LeastRequest;
use crate::proto::envoy::extensions::load_balancing_policies::maglev::v3::Maglev;
use crate::proto::envoy::extensions::load_balancing_policies::override_host::v3::OverrideHost;
use crate::proto::envoy::extensions::load_balancing_policies::override_host::v3::override_host::OverrideHostSource;
use crate::proto::envoy::extensions::load_balancing_policies::random::v3::Random;
use crate::proto::envoy::extensions::load_balancing_policies::ring_hash::v3::RingHash;
use crate::proto::envoy::extensions::load_balancing_policies::ring_hash::v3::ring_hash::HashFunction;
use crate::proto::envoy::extensions::load_balancing_policies::round_robin::v3::RoundRobin;
use crate::proto::envoy::extensions::load_balancing_policies::subset::v3::Subset;
use crate::proto::envoy::extensions::load_balancing_policies::wrr_locality::v3::WrrLocality;

use crate::trace::context::Context;

/// How a host of a cluster is chosen.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) picker: Picker,
    pub(super) locality: LocalityMode,
    /// Percent of usable hosts below which all are used.
    pub(super) panic_threshold: u64,
    pub(super) subset: Option<SubsetConfig>,
    /// Where a host can be asked for by address, before anything else.
    pub(super) overrides: Vec<OverrideHostSource>,
}

/// How one of several hosts is chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Picker {
    RoundRobin,
    LeastRequest,
    /// Doesn't look at weights.
    Random,
    ClientSideWeighted,
    RingHash(Ring, Hashing),
    Maglev(MaglevTable, Hashing),
    /// The cluster brings its own: it has no say in which of several hosts it is.
    ClusterProvided,
    /// An extension that isn't known here, by its type.
    Unknown(String),
}

impl Picker {
    /// Its name in an explanation.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::RoundRobin => "round robin",
            Self::LeastRequest => "least request",
            Self::Random => "random",
            Self::ClientSideWeighted => "client-side weighted round robin",
            Self::RingHash(..) => "ring hash",
            Self::Maglev(..) => "maglev",
            Self::ClusterProvided => "the cluster's own balancing",
            Self::Unknown(kind) => kind,
        }
    }
}

/// What consistent hashing has in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Hashing {
    pub(super) use_hostname: bool,
    /// Takes the place of the route's, if the policy has one.
    pub(super) policy: Vec<HashPolicy>,
}

/// How localities take part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum LocalityMode {
    /// By their weights.
    Weighted,
    /// Prefer the proxy's own; only with a local cluster in the bootstrap.
    ZoneAware(ZoneAware),
    /// Not at all.
    None,
}

/// Settings of zone-aware balancing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ZoneAware {
    pub(super) routing_enabled: u64,
    pub(super) min_cluster_size: u64,
    pub(super) fail_on_panic: bool,
    pub(super) force_local: bool,
    /// Healthy hosts that the own locality needs to get everything.
    pub(super) force_local_from: Option<u64>,
    pub(super) by_weight: bool,
}

impl Default for ZoneAware {
    fn default() -> Self {
        Self {
            routing_enabled: 100,
            min_cluster_size: 6,
            fail_on_panic: false,
            force_local: false,
            force_local_from: None,
            by_weight: false,
        }
    }
}

/// Subset load balancing (semantics §6.5).
#[derive(Debug, Clone, Default)]
pub(super) struct SubsetConfig {
    pub(super) fallback: Fallback,
    pub(super) default_subset: Struct,
    pub(super) selectors: Vec<Selector>,
    pub(super) locality_weight_aware: bool,
    pub(super) scale_locality_weight: bool,
    pub(super) panic_mode_any: bool,
    pub(super) list_as_any: bool,
    /// Whether `fallback_list` of the criteria is tried entry by entry.
    pub(super) fallback_list: bool,
    pub(super) allow_redundant_keys: bool,
}

/// What happens when there is no subset for a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fallback {
    #[default]
    Nothing,
    AnyEndpoint,
    DefaultSubset,
}

/// One kind of subset.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    /// Sorted, without repetition.
    pub(super) keys: Vec<String>,
    pub(super) fallback: SelectorFallback,
    pub(super) single_host: bool,
}

/// What happens when a selector's keys match but no host has the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SelectorFallback {
    NotDefined,
    Policy(Fallback),
    KeysSubset(Vec<String>),
}

/// Reads the policy of a cluster; an error names what can't be read.
pub(super) fn of_cluster(cx: &Context<'_>, cluster: &Cluster) -> Result<Policy, String> {
    let panic_threshold = panic_threshold(cx, cluster);
    let mut policy = Policy {
        picker: Picker::RoundRobin,
        locality: LocalityMode::ZoneAware(ZoneAware::default()),
        panic_threshold,
        subset: None,
        overrides: Vec::new(),
    };
    match cluster.load_balancing_policy.as_ref() {
        Some(extension) => read_extension(cx, extension, &mut policy, 0)?,
        None => read_legacy(cluster, &mut policy),
    }
    Ok(policy)
}

/// `healthy_panic_threshold`, 50 by default, unless the runtime says otherwise for all clusters.
fn panic_threshold(cx: &Context<'_>, cluster: &Cluster) -> u64 {
    let configured = cluster.common_lb_config.as_ref().and_then(|config| config.healthy_panic_threshold.as_ref());
    let configured = configured.map_or(50, |percent| percent.value.clamp(0.0, 100.0).round() as u64);
    let runtime = cx.runtime("upstream.healthy_panic_threshold").and_then(number);
    runtime.unwrap_or(configured).min(100)
}

/// A whole number of the runtime, however it is written.
pub(super) fn number(value: &serde_json::Value) -> Option<u64> {
    match value {
        serde_json::Value::Number(n) => n.as_u64().or_else(|| n.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn read_legacy(cluster: &Cluster, policy: &mut Policy) {
    let common = cluster.common_lb_config.as_ref();
    let hashing = || Hashing {
        use_hostname: common
            .and_then(|common| common.consistent_hashing_lb_config)
            .is_some_and(|config| config.use_hostname_for_hashing),
        policy: Vec::new(),
    };
    policy.picker = match LbPolicy::try_from(cluster.lb_policy) {
        Ok(LbPolicy::RoundRobin) => Picker::RoundRobin,
        Ok(LbPolicy::LeastRequest) => Picker::LeastRequest,
        Ok(LbPolicy::Random) => Picker::Random,
        Ok(LbPolicy::RingHash) => {
            let mut ring = Ring::default();
            if let Some(LbConfig::RingHashLbConfig(config)) = cluster.lb_config.as_ref() {
                ring.set_sizes(config.minimum_ring_size.map(|v| v.value), config.maximum_ring_size.map(|v| v.value));
                ring.murmur = config.hash_function == 1;
            }
            Picker::RingHash(ring, hashing())
        }
        Ok(LbPolicy::Maglev) => {
            let mut table = MaglevTable::default();
            if let Some(LbConfig::MaglevLbConfig(config)) = cluster.lb_config.as_ref() {
                table.set_size(config.table_size.map(|v| v.value));
            }
            Picker::Maglev(table, hashing())
        }
        Ok(LbPolicy::ClusterProvided) => Picker::ClusterProvided,
        Ok(LbPolicy::LoadBalancingPolicyConfig) | Err(_) => Picker::Unknown(format!("lb_policy {}", cluster.lb_policy)),
    };
    policy.locality = match common.and_then(|common| common.locality_config_specifier.as_ref()) {
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => LocalityMode::Weighted,
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zone)) => LocalityMode::ZoneAware(ZoneAware {
            routing_enabled: zone.routing_enabled.map_or(100, |percent| percent.value.round() as u64),
            min_cluster_size: zone.min_cluster_size.map_or(6, |size| size.value),
            fail_on_panic: zone.fail_traffic_on_panic,
            ..ZoneAware::default()
        }),
        None => LocalityMode::ZoneAware(ZoneAware::default()),
    };
    policy.subset = cluster.lb_subset_config.as_ref().filter(|config| is_subset_enabled(config)).map(legacy_subset);
}

/// Envoy takes a config without selectors as if there were none.
fn is_subset_enabled(config: &LbSubsetConfig) -> bool {
    !config.subset_selectors.is_empty()
}

fn legacy_subset(config: &LbSubsetConfig) -> SubsetConfig {
    SubsetConfig {
        fallback: fallback(config.fallback_policy),
        default_subset: config.default_subset.clone().unwrap_or_default(),
        selectors: config.subset_selectors.iter().map(legacy_selector).collect(),
        locality_weight_aware: config.locality_weight_aware,
        scale_locality_weight: config.scale_locality_weight,
        panic_mode_any: config.panic_mode_any,
        list_as_any: config.list_as_any,
        fallback_list: config.metadata_fallback_policy == 1,
        allow_redundant_keys: false,
    }
}

fn legacy_selector(config: &LbSubsetSelector) -> Selector {
    selector(&config.keys, config.fallback_policy, &config.fallback_keys_subset, config.single_host_per_subset)
}

fn selector(keys: &[String], policy: i32, fallback_keys: &[String], single_host: bool) -> Selector {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let fallback = match policy {
        1..=3 => SelectorFallback::Policy(fallback(policy - 1)),
        4 => SelectorFallback::KeysSubset(fallback_keys.to_vec()),
        _ => SelectorFallback::NotDefined,
    };
    Selector { keys, fallback, single_host }
}

fn fallback(policy: i32) -> Fallback {
    match policy {
        1 => Fallback::AnyEndpoint,
        2 => Fallback::DefaultSubset,
        _ => Fallback::Nothing,
    }
}

/// Policies within policies: wrr_locality, subset and override_host hold others.
const MAX_NESTING: u32 = 8;

const PREFIX: &str = "envoy.extensions.load_balancing_policies.";

/// Envoy takes the first policy of the list that it knows.
fn read_extension(cx: &Context<'_>, list: &LoadBalancingPolicy, policy: &mut Policy, depth: u32) -> Result<(), String> {
    let any =
        list.policies.iter().filter_map(|policy| policy.typed_extension_config.as_ref()?.typed_config.as_ref()).next();
    let Some(any) = any else {
        policy.picker = Picker::Unknown("load balancing policy without a type".to_owned());
        return Ok(());
    };
    let kind = type_of(any);
    let Some(short) = kind.strip_prefix(PREFIX).filter(|_| depth < MAX_NESTING) else {
        policy.picker = Picker::Unknown(kind.into_owned());
        return Ok(());
    };
    match short {
        "round_robin.v3.RoundRobin" => {
            let config = decode::<RoundRobin>(cx, any)?;
            policy.picker = Picker::RoundRobin;
            policy.locality = locality(config.locality_lb_config.as_ref());
        }
        "least_request.v3.LeastRequest" => {
            let config = decode::<LeastRequest>(cx, any)?;
            policy.picker = Picker::LeastRequest;
            policy.locality = locality(config.locality_lb_config.as_ref());
        }
        "random.v3.Random" => {
            let config = decode::<Random>(cx, any)?;
            policy.picker = Picker::Random;
            policy.locality = locality(config.locality_lb_config.as_ref());
        }
        "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin" => {
            decode::<ClientSideWeightedRoundRobin>(cx, any)?;
            policy.picker = Picker::ClientSideWeighted;
        }
        "ring_hash.v3.RingHash" => {
            let config = decode::<RingHash>(cx, any)?;
            let mut ring = Ring::default();
            ring.set_sizes(config.minimum_ring_size.map(|v| v.value), config.maximum_ring_size.map(|v| v.value));
            ring.murmur = config.hash_function() == HashFunction::MurmurHash2;
            let hashing = match config.consistent_hashing_lb_config.as_ref() {
                Some(consistent) => consistent_hashing(consistent),
                None => Hashing { use_hostname: config.use_hostname_for_hashing, policy: Vec::new() },
            };
            policy.picker = Picker::RingHash(ring, hashing);
            policy.locality = hash_locality(config.locality_weighted_lb_config.is_some());
        }
        "maglev.v3.Maglev" => {
            let config = decode::<Maglev>(cx, any)?;
            let mut table = MaglevTable::default();
            table.set_size(config.table_size.map(|v| v.value));
            let hashing = config.consistent_hashing_lb_config.as_ref().map(consistent_hashing).unwrap_or_default();
            policy.picker = Picker::Maglev(table, hashing);
            policy.locality = hash_locality(config.locality_weighted_lb_config.is_some());
        }
        "cluster_provided.v3.ClusterProvided" => policy.picker = Picker::ClusterProvided,
        "wrr_locality.v3.WrrLocality" => {
            let config = decode::<WrrLocality>(cx, any)?;
            read_inner(cx, config.endpoint_picking_policy.as_ref(), policy, depth)?;
            policy.locality = LocalityMode::Weighted;
        }
        "subset.v3.Subset" => {
            let config = decode::<Subset>(cx, any)?;
            read_inner(cx, config.subset_lb_policy.as_ref(), policy, depth)?;
            policy.subset = (!config.subset_selectors.is_empty()).then(|| typed_subset(&config));
        }
        "override_host.v3.OverrideHost" => {
            let config = decode::<OverrideHost>(cx, any)?;
            read_inner(cx, config.fallback_policy.as_ref(), policy, depth)?;
            policy.overrides.clone_from(&config.override_host_sources);
        }
        _ => policy.picker = Picker::Unknown(kind.into_owned()),
    }
    Ok(())
}

fn read_inner(
    cx: &Context<'_>,
    list: Option<&LoadBalancingPolicy>,
    policy: &mut Policy,
    depth: u32,
) -> Result<(), String> {
    match list {
        Some(list) => read_extension(cx, list, policy, depth + 1),
        None => Ok(()),
    }
}

fn decode<T: Message>(cx: &Context<'_>, any: &Any) -> Result<Arc<T>, String> {
    cx.cache.decode::<T>(any)
}

fn typed_subset(config: &Subset) -> SubsetConfig {
    let mut selectors: Vec<Selector> = config
        .subset_selectors
        .iter()
        .map(|s| selector(&s.keys, s.fallback_policy, &s.fallback_keys_subset, s.single_host_per_subset))
        .collect();
    if config.allow_redundant_keys {
        // The longest selector that a request satisfies is to be the first.
        selectors.sort_by_key(|selector| std::cmp::Reverse(selector.keys.len()));
    }
    SubsetConfig {
        fallback: fallback(config.fallback_policy),
        default_subset: config.default_subset.clone().unwrap_or_default(),
        selectors,
        locality_weight_aware: config.locality_weight_aware,
        scale_locality_weight: config.scale_locality_weight,
        panic_mode_any: config.panic_mode_any,
        list_as_any: config.list_as_any,
        fallback_list: config.metadata_fallback_policy == 1,
        allow_redundant_keys: config.allow_redundant_keys,
    }
}

fn consistent_hashing(config: &ConsistentHashingLbConfig) -> Hashing {
    Hashing { use_hostname: config.use_hostname_for_hashing, policy: config.hash_policy.clone() }
}

fn hash_locality(is_weighted: bool) -> LocalityMode {
    if is_weighted { LocalityMode::Weighted } else { LocalityMode::None }
}

fn locality(config: Option<&LocalityLbConfig>) -> LocalityMode {
    use locality_lb_config::LocalityConfigSpecifier as Specifier;
    use locality_lb_config::zone_aware_lb_config::LocalityBasis;
    match config.and_then(|config| config.locality_config_specifier.as_ref()) {
        Some(Specifier::LocalityWeightedLbConfig(_)) => LocalityMode::Weighted,
        Some(Specifier::ZoneAwareLbConfig(zone)) => LocalityMode::ZoneAware(ZoneAware {
            routing_enabled: zone.routing_enabled.map_or(100, |percent| percent.value.round() as u64),
            min_cluster_size: zone.min_cluster_size.map_or(6, |size| size.value),
            fail_on_panic: zone.fail_traffic_on_panic,
            force_local: zone.force_locality_direct_routing,
            force_local_from: zone.force_local_zone.map(|force| force.min_size.map_or(1, |size| u64::from(size.value))),
            by_weight: zone.locality_basis() == LocalityBasis::HealthyHostsWeight,
        }),
        None => LocalityMode::ZoneAware(ZoneAware::default()),
    }
}
