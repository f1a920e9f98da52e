//! Which authorization policies a proxy enforces, by the names that Istio gives their rules (spec/istioctl.md §1.13).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::Listing;
use crate::dump::{Proxy, State, decode_any, type_of};
use crate::proto::Any;
use crate::proto::envoy::config::listener::v3::filter::ConfigType;
use crate::proto::envoy::config::rbac::v3::Rbac as Rules;
use crate::proto::envoy::config::rbac::v3::rbac::Action;
use crate::proto::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType as HttpConfigType;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter,
};
use crate::proto::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;

/// What istioctl calls a filter without any policy: it matches nothing.
const NOTHING: &str = "_anonymous_match_nothing_";

const HTTP_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const NETWORK_RBAC: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";
const HTTP_RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";

/// Rules that ask an external server are kept in shadow, under keys that begin like this.
const CUSTOM: &str = "istio-ext-authz-";

/// One policy under one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// `DENY`, `ALLOW`, `LOG` or `CUSTOM`.
    pub action: &'static str,
    /// `<name>.<namespace>`, or the whole key if it isn't of Istio's form; for istioctl that is empty.
    pub policy: String,
    /// Number of its rules, under whatever action.
    pub rules: usize,
}

/// Policies of the listeners that xDS delivered, or `None` if there is no such listener. As istioctl has them, a filter
/// that enforces nothing counts as one that allows nothing, and keys that aren't of Istio's form have no name.
#[must_use]
pub fn authorization_policies(proxy: &Proxy, as_istioctl: bool) -> Option<Listing<PolicyRow>> {
    let is_listed = |state: State| matches!(state, State::Active);
    let mut listeners: Vec<_> = proxy.listeners().iter().filter(|listener| is_listed(listener.state)).collect();
    if listeners.is_empty() {
        return None;
    }
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = Found { as_istioctl, ..Found::default() };
    for resource in listeners {
        let listener = match resource.get() {
            Ok(listener) => listener,
            Err(error) => {
                found.warnings.push(format!("listener {:?} is left out: {error}", resource.name));
                continue;
            }
        };
        // istioctl passes over the default chain.
        let default = listener.default_filter_chain.as_ref().filter(|_| !as_istioctl);
        for filter in listener.filter_chains.iter().chain(default).flat_map(|chain| &chain.filters) {
            let Some(ConfigType::TypedConfig(config)) = &filter.config_type else {
                if filter.name == "envoy.filters.network.rbac" {
                    found.add(None, None);
                }
                continue;
            };
            let kind = if as_istioctl { String::new() } else { type_of(config).into_owned() };
            match (filter.name.as_str(), kind.as_str()) {
                (_, HTTP_MANAGER)
                | ("envoy.filters.network.http_connection_manager" | "envoy.http_connection_manager", "") => {
                    found.http(config);
                }
                (_, NETWORK_RBAC) | ("envoy.filters.network.rbac", "") => found.network(config),
                _ => {}
            }
        }
    }
    Some(found.listing())
}

#[derive(Default)]
struct Found {
    as_istioctl: bool,
    /// Policies by action.
    policies: BTreeMap<Group, BTreeSet<String>>,
    /// Rules by policy.
    rules: BTreeMap<String, BTreeSet<String>>,
    warnings: Vec<String>,
}

/// Actions in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Deny,
    Allow,
    Log,
    Custom,
}

impl Group {
    fn of(action: Action) -> Self {
        match action {
            Action::Allow => Self::Allow,
            Action::Deny => Self::Deny,
            Action::Log => Self::Log,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::Allow => "ALLOW",
            Self::Log => "LOG",
            Self::Custom => "CUSTOM",
        }
    }
}

impl Found {
    fn http(&mut self, config: &Any) {
        let manager: HttpConnectionManager = match decode_any(config) {
            Ok(manager) => manager,
            Err(error) => return self.warnings.push(format!("an HTTP connection manager is left out: {error}")),
        };
        // istioctl knows it by its name, which is free to choose.
        let as_istioctl = self.as_istioctl;
        let is_rbac = |filter: &&HttpFilter| match &filter.config_type {
            Some(HttpConfigType::TypedConfig(config)) if !as_istioctl => type_of(config) == HTTP_RBAC,
            _ => filter.name == "envoy.filters.http.rbac",
        };
        for filter in manager.http_filters.iter().filter(is_rbac) {
            match &filter.config_type {
                Some(HttpConfigType::TypedConfig(config)) => match decode_any::<HttpRbac>(config) {
                    Ok(rbac) if type_of(config) == HTTP_RBAC => {
                        self.add(rbac.rules.as_ref(), rbac.shadow_rules.as_ref());
                    }
                    Ok(_) => self.warnings.push(format!("RBAC filter of type {}", type_of(config))),
                    Err(error) => self.warnings.push(format!("an RBAC filter is left out: {error}")),
                },
                _ => self.add(None, None),
            }
        }
    }

    fn network(&mut self, config: &Any) {
        match decode_any::<NetworkRbac>(config) {
            Ok(rbac) => self.add(rbac.rules.as_ref(), rbac.shadow_rules.as_ref()),
            Err(error) => self.warnings.push(format!("an RBAC filter is left out: {error}")),
        }
    }

    fn add(&mut self, rules: Option<&Rules>, shadow: Option<&Rules>) {
        let action = rules.and_then(|rules| Action::try_from(rules.action).ok()).unwrap_or_default();
        let policies = rules.map(|rules| &rules.policies);
        // Without rules a filter lets everything pass; an action without policies is for nothing: to allow that is to
        // deny everything.
        let is_nothing = if self.as_istioctl {
            policies.is_none_or(BTreeMap::is_empty)
        } else {
            policies.is_some_and(BTreeMap::is_empty)
        };
        if is_nothing {
            self.policies.entry(Group::of(action)).or_default().insert(NOTHING.to_owned());
            self.rules.entry(NOTHING.to_owned()).or_default().insert("0".to_owned());
        }
        for key in policies.into_iter().flat_map(BTreeMap::keys) {
            self.policy(Group::of(action), key);
        }
        let shadow = shadow.into_iter().flat_map(|rules| rules.policies.keys());
        for key in shadow.filter(|key| key.starts_with(CUSTOM)) {
            self.policy(Group::Custom, key);
        }
    }

    fn policy(&mut self, group: Group, key: &str) {
        let (name, rule) = match parse(key) {
            Some((name, rule)) => (Cow::Owned(name), rule),
            None if !self.as_istioctl => (Cow::Borrowed(key), ""),
            None => {
                self.warnings.push(format!("failed to parse policy name: {key}"));
                (Cow::Borrowed(""), "")
            }
        };
        self.policies.entry(group).or_default().insert(name.clone().into_owned());
        self.rules.entry(name.into_owned()).or_default().insert(rule.to_owned());
    }

    fn listing(self) -> Listing<PolicyRow> {
        let Self { policies, rules, warnings, .. } = self;
        let rows = policies.into_iter().flat_map(|(group, names)| names.into_iter().map(move |name| (group, name)));
        let rows = rows.map(|(group, policy)| PolicyRow {
            action: group.name(),
            rules: rules.get(&policy).map_or(0, BTreeSet::len),
            policy,
        });
        Listing { rows: rows.collect(), warnings }
    }
}

/// `<name>.<namespace>` and the rule's id of `ns[<namespace>]-policy[<name>]-rule[<id>]`.
fn parse(key: &str) -> Option<(String, &str)> {
    static FORM: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"ns\[(.+?)\]-policy\[(.+?)\]-rule\[(.+?)\]").ok());
    let captures = FORM.as_ref()?.captures(key)?;
    let part = |nth| captures.get(nth).map_or("", |part| part.as_str());
    Some((format!("{}.{}", part(2), part(1)), part(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_policy_and_rule() {
        assert_eq!(parse("ns[shop]-policy[cart]-rule[0]"), Some(("cart.shop".to_owned(), "0")));
        assert_eq!(parse("istio-ext-authz-ns[a]-policy[b]-rule[12]"), Some(("b.a".to_owned(), "12")));
        assert_eq!(parse("service-admin"), None);
    }
}
