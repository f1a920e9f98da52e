//! Metadata, value, filter state and path matchers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::cidr;
use super::string::string_matches;
use crate::proto::Struct;
use crate::proto::envoy::r#type::matcher::v3 as pb;
use crate::trace::context::Context;
use crate::trace::request::path_only;
use crate::trace::walk::Walk;

/// Deepest nesting of `or_match` and `list_match` that is followed.
const MAX_DEPTH: u32 = 32;

/// Whether a metadata matcher takes metadata by filter namespace.
pub(crate) fn metadata_matches(
    cx: &Context<'_>,
    walk: &mut Walk,
    m: &pb::MetadataMatcher,
    metadata: &BTreeMap<String, Struct>,
) -> bool {
    use pb::metadata_matcher::path_segment::Segment;
    let keys = m.path.iter().filter_map(|segment| segment.segment.as_ref()).map(|Segment::Key(key)| key.as_str());
    let value = lookup(metadata, &m.filter, keys);
    let matched = m.value.as_ref().is_some_and(|matcher| value_matches(cx, walk, matcher, value));
    matched != m.invert
}

/// The value at a path of a namespace; `None` if a step of the path isn't there, or isn't an object.
pub(crate) fn lookup<'a, 'k>(
    metadata: &'a BTreeMap<String, Struct>,
    namespace: &str,
    path: impl IntoIterator<Item = &'k str>,
) -> Option<&'a Value> {
    let mut path = path.into_iter();
    let first = metadata.get(namespace)?.get(path.next()?)?;
    path.try_fold(first, |value, key| value.as_object()?.get(key))
}

/// Whether a value matcher takes a value; `None` is a value that isn't there.
pub(crate) fn value_matches(cx: &Context<'_>, walk: &mut Walk, m: &pb::ValueMatcher, value: Option<&Value>) -> bool {
    value_matches_at(cx, walk, m, value, MAX_DEPTH)
}

fn value_matches_at(
    cx: &Context<'_>,
    walk: &mut Walk,
    m: &pb::ValueMatcher,
    value: Option<&Value>,
    depth: u32,
) -> bool {
    use pb::double_matcher::MatchPattern as Double;
    use pb::list_matcher::MatchPattern as List;
    use pb::value_matcher::MatchPattern;
    let Some(deeper) = depth.checked_sub(1) else {
        return walk.assume_bool(&format!("a value matcher nested deeper than {MAX_DEPTH}: does it match?"));
    };
    match &m.match_pattern {
        Some(MatchPattern::NullMatch(_)) => value.is_some_and(Value::is_null),
        Some(MatchPattern::DoubleMatch(double)) => {
            let Some(number) = value.and_then(Value::as_f64) else { return false };
            match &double.match_pattern {
                Some(Double::Range(range)) => range.start <= number && number < range.end,
                Some(Double::Exact(exact)) => *exact == number,
                None => false,
            }
        }
        Some(MatchPattern::StringMatch(matcher)) => {
            value.and_then(Value::as_str).is_some_and(|text| string_matches(cx, walk, matcher, text))
        }
        Some(MatchPattern::BoolMatch(wanted)) => value.and_then(Value::as_bool) == Some(*wanted),
        Some(MatchPattern::PresentMatch(wanted)) => value.is_some() == *wanted,
        Some(MatchPattern::ListMatch(list)) => {
            let (Some(Value::Array(values)), Some(List::OneOf(matcher))) = (value, &list.match_pattern) else {
                return false;
            };
            values.iter().any(|value| value_matches_at(cx, walk, matcher, Some(value), deeper))
        }
        Some(MatchPattern::OrMatch(or)) => {
            or.value_matchers.iter().any(|matcher| value_matches_at(cx, walk, matcher, value, deeper))
        }
        None => walk.assume_bool("a value matcher of unknown kind: does it match?"),
    }
}

/// Whether a filter state matcher takes the object of its key, which `value` is in its text form.
pub(crate) fn filter_state_matches(
    cx: &Context<'_>,
    walk: &mut Walk,
    m: &pb::FilterStateMatcher,
    value: Option<&str>,
) -> bool {
    use pb::filter_state_matcher::Matcher;
    if value.is_none() && is_set_elsewhere(&m.key) {
        return walk.assume_bool(&format!("filter state {:?}, which an extension may set: does it match?", m.key));
    }
    let Some(value) = value else { return false };
    match &m.matcher {
        Some(Matcher::StringMatch(matcher)) => string_matches(cx, walk, matcher, value),
        Some(Matcher::AddressMatch(addresses)) => {
            let ip = value.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| value.parse::<IpAddr>());
            ip.is_ok_and(|ip| {
                addresses.ranges.iter().any(|range| cidr::xds_contains(range, ip)) != addresses.invert_match
            })
        }
        None => walk.assume_bool(&format!("a matcher of unknown kind on filter state {:?}: does it match?", m.key)),
    }
}

/// Keys that Wasm modules and Istio's peer metadata filters set from what they learn at run time, and the one for the
/// proxy's own identity, which stands in a certificate that the dump needn't hold.
pub(crate) fn is_set_elsewhere(key: &str) -> bool {
    key.starts_with("wasm.") || matches!(key, "downstream_peer" | "upstream_peer" | "io.istio.local_principal")
}

/// Whether a path matcher takes a path, query and fragment left aside.
pub(crate) fn path_matches(cx: &Context<'_>, walk: &mut Walk, m: &pb::PathMatcher, path: &str) -> bool {
    match &m.rule {
        Some(pb::path_matcher::Rule::Path(matcher)) => string_matches(cx, walk, matcher, path_only(path)),
        None => walk.assume_bool("a path matcher of unknown kind: does it match?"),
    }
}
