//! Role-based access control: the engine behind the network and the HTTP filter (semantics §3.3, §5.1).

mod condition;
mod describe;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::context::{Context, Stream, Subject};
use super::matcher::{cel, tree};
use super::outcome::{Rejected, Step};
use super::request::{Connection, Headers};
use super::version::Rule;
use super::walk::Walk;
use crate::dump::type_of;
use crate::proto::Struct;
use crate::proto::envoy::config::rbac::v3 as pb;
use crate::proto::envoy::config::rbac::v3::rbac::Action;
use crate::proto::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use crate::proto::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use crate::proto::xds::r#type::matcher::v3::Matcher;
use condition::Conditions;
use describe::{because, permission_text, principal_text};

/// Policies named in a step, at most: the first of many says enough.
const MAX_NAMED: usize = 5;

/// Decides a connection; gives the connection termination details if it is denied. Shadow rules leave their result in
/// the connection's dynamic metadata.
pub(crate) fn network(
    cx: &Context<'_>,
    walk: &mut Walk,
    config: &NetworkRbac,
    connection: &mut Connection,
) -> Option<String> {
    let seen = Seen { connection, stream: None, headers: &Headers::default(), route: Route::default() };
    let shadow = Rules { rules: config.shadow_rules.as_ref(), matcher: config.shadow_matcher.as_ref() };
    let shadow = shadow.decide(cx, walk, &seen);
    let enforced = Rules { rules: config.rules.as_ref(), matcher: config.matcher.as_ref() };
    let enforced = enforced.decide(cx, walk, &seen);
    if let Some(decision) = &shadow {
        walk.step(decision.step("network filter", "rbac (shadow)"));
        let mut noted = Map::new();
        decision.note(&format!("{}shadow", config.shadow_rules_stat_prefix), &mut noted);
        connection.metadata.entry(NETWORK_METADATA.to_owned()).or_default().fields.extend(noted);
    }
    let decision = enforced?;
    walk.step(decision.step("network filter", "rbac"));
    (!decision.allowed).then(|| decision.details())
}

/// Decides a request; gives the response code details if it is denied. Shadow rules leave their result in the
/// request's dynamic metadata.
pub(crate) fn http(
    cx: &Context<'_>,
    walk: &mut Walk,
    filter: &str,
    config: &HttpRbac,
    stream: &mut Stream,
    route: Route<'_>,
) -> Option<Denial> {
    let seen = Seen { connection: &stream.connection, stream: Some(stream), headers: &stream.headers, route };
    let shadow = Rules { rules: config.shadow_rules.as_ref(), matcher: config.shadow_matcher.as_ref() };
    let shadow = shadow.decide(cx, walk, &seen);
    let enforced = Rules { rules: config.rules.as_ref(), matcher: config.matcher.as_ref() };
    let enforced = enforced.decide(cx, walk, &seen);
    let mut noted = Map::new();
    if let Some(decision) = &shadow {
        walk.step(decision.step("http filter", &format!("{filter} (shadow)")));
        decision.note(&format!("{}shadow", config.shadow_rules_stat_prefix), &mut noted);
    }
    if let Some(decision) = &enforced {
        walk.step(decision.step("http filter", filter));
        decision.note(&format!("{}enforced", config.rules_stat_prefix), &mut noted);
    }
    if !noted.is_empty() {
        stream.metadata.entry(METADATA.to_owned()).or_default().fields.extend(noted);
    }
    let decision = enforced.filter(|decision| !decision.allowed)?;
    let names_policy = cx.follows(Rule::RbacDetailsNamePolicy);
    let details = if names_policy { decision.details() } else { "rbac_access_denied".to_owned() };
    Some(Denial { details, why: decision.why })
}

/// Namespaces of the dynamic metadata that the filters write.
const METADATA: &str = "envoy.filters.http.rbac";
const NETWORK_METADATA: &str = "envoy.filters.network.rbac";

/// A denied request.
pub(crate) struct Denial {
    /// Response code details.
    pub(crate) details: String,
    /// What led to it.
    pub(crate) why: String,
}

/// What an engine looks at.
struct Seen<'a> {
    connection: &'a Connection,
    stream: Option<&'a Stream>,
    /// Empty on a connection.
    headers: &'a Headers,
    route: Route<'a>,
}

/// What an engine may ask about the route of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Route<'a> {
    /// Its metadata; `None` without a route.
    pub(crate) metadata: Option<&'a BTreeMap<String, Struct>>,
    /// Whether it was chosen without regard to path parameters.
    pub(crate) ignores_path_parameters: bool,
}

/// An engine in one of its two forms; without any it decides nothing.
struct Rules<'a> {
    rules: Option<&'a pb::Rbac>,
    matcher: Option<&'a Matcher>,
}

/// What an engine says.
struct Decision {
    allowed: bool,
    action: Action,
    policy: Option<String>,
    why: String,
    rejected: Vec<Rejected>,
}

impl Rules<'_> {
    fn decide(&self, cx: &Context<'_>, walk: &mut Walk, seen: &Seen<'_>) -> Option<Decision> {
        match (self.matcher, self.rules) {
            (Some(matcher), _) => Some(by_matcher(cx, walk, matcher, seen)),
            (None, Some(rules)) => Some(by_policies(cx, walk, rules, seen)),
            (None, None) => None,
        }
    }
}

/// The first policy in the order of names decides.
fn by_policies(cx: &Context<'_>, walk: &mut Walk, rules: &pb::Rbac, seen: &Seen<'_>) -> Decision {
    let action = rules.action();
    let conditions = Conditions { cx, seen };
    let mut rejected = Vec::new();
    let mut matched = None;
    for (name, policy) in &rules.policies {
        match policy_matches(&conditions, walk, policy) {
            Ok(why) => {
                matched = Some((name.clone(), why));
                break;
            }
            Err(failed) if rejected.len() < MAX_NAMED => {
                rejected.push(Rejected { name: name.clone(), because: failed });
            }
            Err(_) => {}
        }
    }
    let allowed = match action {
        Action::Allow => matched.is_some(),
        Action::Deny => matched.is_none(),
        Action::Log => true,
    };
    let why = match (&matched, action) {
        (Some((_, why)), Action::Log) => format!("it is logged: {why}"),
        (Some((_, why)), _) => why.clone(),
        (None, Action::Allow) if rules.policies.is_empty() => "ALLOW without any policy denies all".to_owned(),
        (None, Action::Allow) => format!("none of the {} ALLOW policies matches", rules.policies.len()),
        (None, Action::Deny) => format!("none of the {} DENY policies matches", rules.policies.len()),
        (None, Action::Log) => format!("none of the {} LOG policies matches", rules.policies.len()),
    };
    Decision { allowed, action, policy: matched.map(|(name, _)| name), why, rejected }
}

/// Why a policy matches, or what it failed.
fn policy_matches(conditions: &Conditions<'_, '_>, walk: &mut Walk, policy: &pb::Policy) -> Result<String, String> {
    let Some(permission) = policy.permissions.iter().find(|permission| conditions.permission(walk, permission)) else {
        return Err(because("no permission matches", policy.permissions.iter().map(permission_text)));
    };
    let Some(principal) = policy.principals.iter().find(|principal| conditions.principal(walk, principal)) else {
        return Err(because("no principal matches", policy.principals.iter().map(principal_text)));
    };
    let checked = policy.checked_condition.as_ref().and_then(|checked| checked.expr.as_ref());
    if let Some(condition) = policy.condition.as_ref().or(checked)
        && !cel::is_true(conditions.cx, walk, condition, conditions.subject())
    {
        return Err("its condition (CEL) is false".to_owned());
    }
    Ok(format!("{} by {}", permission_text(permission), principal_text(principal)))
}

/// The action that the matcher ends in decides; none denies.
fn by_matcher(cx: &Context<'_>, walk: &mut Walk, matcher: &Matcher, seen: &Seen<'_>) -> Decision {
    let nothing = |why: &str| Decision {
        allowed: false,
        action: Action::Allow,
        policy: None,
        why: why.to_owned(),
        rejected: Vec::new(),
    };
    let subject = Subject { connection: seen.connection, stream: seen.stream };
    let Some(found) = tree::evaluate(cx, walk, matcher, subject) else {
        return nothing("the matcher ends in no action, which denies");
    };
    let any = found.typed_config.filter(|any| type_of(any) == "envoy.config.rbac.v3.Action");
    let Some(Ok(action)) = any.map(|any| crate::dump::decode_any::<pb::Action>(&any)) else {
        walk.missing(format!("RBAC action {:?} can't be read", found.name));
        return nothing("the matcher's action can't be read");
    };
    let name = action.name.clone();
    let (allowed, why) = match action.action() {
        Action::Allow => (true, format!("the matcher ends in ALLOW {name}")),
        Action::Deny => (false, format!("the matcher ends in DENY {name}")),
        Action::Log => (true, format!("the matcher ends in LOG {name}")),
    };
    Decision { allowed, action: action.action(), policy: Some(name), why, rejected: Vec::new() }
}

impl Decision {
    fn details(&self) -> String {
        let policy = self.policy.as_deref().filter(|name| !name.is_empty()).unwrap_or("none");
        let id: String = policy.chars().map(|c| if c.is_ascii_whitespace() { '_' } else { c }).collect();
        format!("rbac_access_denied_matched_policy[{id}]")
    }

    fn step(&self, kind: &'static str, filter: &str) -> Step {
        let verb = match (self.allowed, self.action) {
            (_, Action::Log) => "logs",
            (true, _) => "allows",
            (false, _) => "denies",
        };
        let policy = self.policy.as_deref().map(|name| format!(" by policy {name}")).unwrap_or_default();
        Step::new(kind, format!("{filter} {verb}{policy}"), self.why.clone())
            .of(self.policy.as_deref().and_then(istio_object))
            // What a policy failed is of interest where one was needed.
            .not(if self.allowed { Vec::new() } else { self.rejected.clone() })
    }

    /// The result in the terms of the filter's dynamic metadata.
    fn note(&self, prefix: &str, into: &mut Map<String, Value>) {
        if let Some(policy) = self.policy.as_deref().filter(|policy| !policy.is_empty()) {
            into.insert(format!("{prefix}_effective_policy_id"), policy.into());
        }
        into.insert(format!("{prefix}_engine_result"), if self.allowed { "allowed" } else { "denied" }.into());
    }
}

/// The AuthorizationPolicy in a key that istiod makes: `[istio-ext-authz-<provider>-]ns[x]-policy[y]-rule[i]`.
pub(crate) fn istio_object(key: &str) -> Option<String> {
    let (_, rest) = key.split_once("ns[")?;
    let (namespace, rest) = rest.split_once("]-policy[")?;
    let (name, _) = rest.split_once("]-rule[")?;
    Some(format!("AuthorizationPolicy {namespace}/{name}"))
}

#[cfg(test)]
mod tests;
