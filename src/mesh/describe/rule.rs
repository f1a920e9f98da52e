//! DestinationRules.

use super::Labels;
use super::data::{DestinationRuleDescription, PortPolicy, TrafficDescription};
use crate::dump::kubernetes::{DestinationRule, Held, selects};

/// Which subsets of the service's rule have the pods.
#[derive(Debug, Clone, Default)]
pub(super) struct Subsets {
    /// `name` and namespace of the rule, if there is one.
    pub(super) rule: Option<(String, String)>,
    pub(super) matching: Vec<String>,
    pub(super) other: Vec<String>,
    /// Whether there is a rule that isn't in the input.
    pub(super) is_unknown: bool,
}

impl Subsets {
    pub(super) fn of(rule: Held<'_, DestinationRule>, pods: &[&Labels]) -> Self {
        let has_pod = |labels: &Labels| pods.iter().any(|pod| selects(labels, pod));
        let subsets = &rule.spec.spec.subsets;
        let (matching, other): (Vec<_>, Vec<_>) = subsets.iter().partition(|subset| has_pod(&subset.labels));
        let names = |subsets: Vec<&crate::dump::kubernetes::Subset>| {
            subsets.into_iter().map(|subset| subset.name.clone()).collect()
        };
        Self {
            rule: Some((rule.name().to_owned(), rule.namespace().to_owned())),
            matching: names(matching),
            other: names(other),
            is_unknown: false,
        }
    }
}

pub(super) fn describe(rule: Held<'_, DestinationRule>, subsets: &Subsets) -> DestinationRuleDescription {
    let spec = &rule.spec.spec;
    let mode = |tls: &crate::dump::kubernetes::TlsSettings| tls.mode.clone().unwrap_or_else(|| "DISABLE".to_owned());
    let traffic_policy = spec.traffic_policy.as_ref().map(|policy| TrafficDescription {
        tls_mode: policy.tls.as_ref().map(mode),
        policies: parts([
            policy.load_balancer.is_some(),
            policy.connection_pool.is_some(),
            policy.outlier_detection.is_some(),
        ]),
        ports: policy
            .port_level_settings
            .iter()
            .map(|port| PortPolicy {
                port: port.port.number,
                tls_mode: port.tls.as_ref().map(mode),
                policies: parts([
                    port.load_balancer.is_some(),
                    port.connection_pool.is_some(),
                    port.outlier_detection.is_some(),
                ]),
            })
            .collect(),
    });
    DestinationRuleDescription {
        name: rule.name().to_owned(),
        namespace: rule.namespace().to_owned(),
        is_found: true,
        host: spec.host.clone(),
        matching_subsets: subsets.matching.clone(),
        other_subsets: subsets.other.clone(),
        traffic_policy,
    }
}

fn parts(are_set: [bool; 3]) -> Vec<&'static str> {
    const NAMES: [&str; 3] = ["load balancer", "connection pool", "outlier detection"];
    NAMES.into_iter().zip(are_set).filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
}
