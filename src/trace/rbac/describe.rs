//! Permissions and principals in words.

use crate::proto::envoy::config::rbac::v3::permission::Rule;
use crate::proto::envoy::config::rbac::v3::principal::Identifier;
use crate::proto::envoy::config::rbac::v3::{Permission, Principal};
use crate::proto::envoy::r#type::matcher::v3::{
    FilterStateMatcher, MetadataMatcher, PathMatcher, filter_state_matcher, metadata_matcher, path_matcher,
    value_matcher,
};
use crate::trace::matcher::{cidr, header, string};

/// Nesting that is spelled out; what is deeper is hinted at.
const MAX_DEPTH: u32 = 4;

/// Conditions named in one reason, at most.
const MAX_NAMED: usize = 4;

/// `what: a, or b, …`
pub(super) fn because(what: &str, conditions: impl ExactSizeIterator<Item = String>) -> String {
    let all = conditions.len();
    let mut named: Vec<String> = conditions.take(MAX_NAMED).collect();
    if all > MAX_NAMED {
        named.push("…".to_owned());
    }
    if named.is_empty() { what.to_owned() } else { format!("{what}: {}", named.join(" or ")) }
}

pub(super) fn permission_text(permission: &Permission) -> String {
    permission_at(permission, MAX_DEPTH)
}

pub(super) fn principal_text(principal: &Principal) -> String {
    principal_at(principal, MAX_DEPTH)
}

fn permission_at(permission: &Permission, depth: u32) -> String {
    let Some(deeper) = depth.checked_sub(1) else { return "…".to_owned() };
    match &permission.rule {
        Some(Rule::AndRules(set)) => joined(" and ", set.rules.iter().map(|rule| permission_at(rule, deeper))),
        Some(Rule::OrRules(set)) => joined(" or ", set.rules.iter().map(|rule| permission_at(rule, deeper))),
        Some(Rule::NotRule(rule)) => format!("not {}", permission_at(rule, deeper)),
        Some(Rule::Any(_)) => "anything".to_owned(),
        Some(Rule::Header(matcher)) => header::describe(matcher),
        Some(Rule::UrlPath(matcher)) => path(matcher),
        Some(Rule::DestinationIp(range)) => format!("destination {}", cidr::describe(range)),
        Some(Rule::DestinationPort(port)) => format!("port {port}"),
        Some(Rule::DestinationPortRange(range)) => format!("port {} to {}", range.start, range.end.saturating_sub(1)),
        Some(Rule::Metadata(matcher)) => metadata(matcher),
        Some(Rule::SourcedMetadata(sourced)) => sourced.metadata_matcher.as_ref().map(metadata).unwrap_or_default(),
        Some(Rule::RequestedServerName(matcher)) => format!("SNI {}", string::describe(matcher)),
        Some(Rule::UriTemplate(extension)) => format!("URI template {}", extension.name),
        Some(Rule::Matcher(extension)) => format!("extension {}", extension.name),
        None => "a condition of unknown kind".to_owned(),
    }
}

fn principal_at(principal: &Principal, depth: u32) -> String {
    let Some(deeper) = depth.checked_sub(1) else { return "…".to_owned() };
    match &principal.identifier {
        Some(Identifier::AndIds(set)) => joined(" and ", set.ids.iter().map(|id| principal_at(id, deeper))),
        Some(Identifier::OrIds(set)) => joined(" or ", set.ids.iter().map(|id| principal_at(id, deeper))),
        Some(Identifier::NotId(id)) => format!("not {}", principal_at(id, deeper)),
        Some(Identifier::Any(_)) => "anyone".to_owned(),
        Some(Identifier::Authenticated(wanted)) => match &wanted.principal_name {
            Some(matcher) => format!("principal {}", string::describe(matcher)),
            None => "any client over TLS".to_owned(),
        },
        Some(Identifier::SourceIp(range)) => format!("source {}", cidr::describe(range)),
        Some(Identifier::DirectRemoteIp(range)) => format!("direct source {}", cidr::describe(range)),
        Some(Identifier::RemoteIp(range)) => format!("client {}", cidr::describe(range)),
        Some(Identifier::Header(matcher)) => header::describe(matcher),
        Some(Identifier::UrlPath(matcher)) => path(matcher),
        Some(Identifier::Metadata(matcher)) => metadata(matcher),
        Some(Identifier::SourcedMetadata(sourced)) => {
            sourced.metadata_matcher.as_ref().map(metadata).unwrap_or_default()
        }
        Some(Identifier::FilterState(matcher)) => filter_state(matcher),
        Some(Identifier::Custom(extension)) => format!("extension {}", extension.name),
        None => "a principal of unknown kind".to_owned(),
    }
}

/// One condition as it is, several in brackets.
fn joined(with: &str, conditions: impl ExactSizeIterator<Item = String>) -> String {
    let all = conditions.len();
    let mut named: Vec<String> = conditions.take(MAX_NAMED).collect();
    if all > MAX_NAMED {
        named.push("…".to_owned());
    }
    match (named.len(), with) {
        (0, " and ") => "anything".to_owned(),
        (0, _) => "nothing".to_owned(),
        (1, _) => named.concat(),
        _ => format!("({})", named.join(with)),
    }
}

fn path(matcher: &PathMatcher) -> String {
    match &matcher.rule {
        Some(path_matcher::Rule::Path(matcher)) => format!("path {}", string::describe(matcher)),
        None => "a path".to_owned(),
    }
}

fn metadata(matcher: &MetadataMatcher) -> String {
    let keys = matcher.path.iter().filter_map(|step| step.segment.as_ref());
    let path: Vec<&str> = keys.map(|metadata_matcher::path_segment::Segment::Key(key)| key.as_str()).collect();
    let value = match matcher.value.as_ref().and_then(|value| value.match_pattern.as_ref()) {
        Some(value_matcher::MatchPattern::StringMatch(matcher)) => format!(" {}", string::describe(matcher)),
        _ => String::new(),
    };
    format!("{}metadata {} {}{value}", if matcher.invert { "not " } else { "" }, matcher.filter, path.join("."))
}

fn filter_state(matcher: &FilterStateMatcher) -> String {
    let value = match &matcher.matcher {
        Some(filter_state_matcher::Matcher::StringMatch(matcher)) => format!(" {}", string::describe(matcher)),
        _ => String::new(),
    };
    // The identity that a waypoint hands on in filter state is the peer's principal.
    let name = if matcher.key == "io.istio.peer_principal" { "principal" } else { &matcher.key };
    format!("{name}{value}")
}
