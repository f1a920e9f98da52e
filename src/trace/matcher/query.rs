//! Query parameter matchers.

use std::collections::BTreeMap;

use crate::proto::envoy::config::route::v3::{
    QueryParameterMatcher, query_parameter_matcher::QueryParameterMatchSpecifier,
};
use crate::trace::context::Context;
use crate::trace::matcher::string::string_matches;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Whether a query parameter matcher takes a path with query: the first value of the key, neither percent- nor
/// plus-decoded (semantics §4.4).
pub(crate) fn query_matches(cx: &Context<'_>, walk: &mut Walk, m: &QueryParameterMatcher, path: &str) -> bool {
    let value = parameter(path, &m.name);
    match &m.query_parameter_match_specifier {
        None => value.is_some(),
        Some(QueryParameterMatchSpecifier::PresentMatch(wanted)) => {
            value.is_some() == (*wanted || !cx.follows(Rule::QueryPresentMatchHasValue))
        }
        Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
            value.is_some_and(|value| string_matches(cx, walk, matcher, value))
        }
    }
}

/// First value of a query parameter as it stands in the path; a key without `=` has the empty value.
pub(crate) fn parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    parameters(path).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// First value of a query parameter with keys and values percent-decoded, as filters read it.
pub(crate) fn decoded_parameter(path: &str, name: &str) -> Option<String> {
    parameters(path).find(|(key, _)| percent_decode(key) == name).map(|(_, value)| percent_decode(value))
}

/// Keys and values of the query in order, as written.
pub(crate) fn parameters(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = path.split('#').next().and_then(|path| path.split_once('?')).map(|(_, query)| query);
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Keys with their values, percent-decoded; Envoy keeps them in the order of keys.
pub(crate) fn decoded_parameters(path: &str) -> BTreeMap<String, Vec<String>> {
    let mut decoded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in parameters(path) {
        decoded.entry(percent_decode(key)).or_default().push(percent_decode(value));
    }
    decoded
}

/// The path with its query written anew, as Envoy does after changing it: without encoding.
pub(crate) fn with_parameters(path: &str, parameters: &BTreeMap<String, Vec<String>>) -> String {
    let pairs: Vec<String> =
        parameters.iter().flat_map(|(key, values)| values.iter().map(move |value| format!("{key}={value}"))).collect();
    let before = path.split('?').next().unwrap_or_default();
    if pairs.is_empty() { before.to_owned() } else { format!("{before}?{}", pairs.join("&")) }
}

/// Undoes percent-encoding; what isn't a valid escape stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digit = |nth: usize| tail.get(nth).and_then(|c| char::from(*c).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.extend(u8::try_from(high * 16 + low));
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes what isn't unreserved in a URL.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::matcher::fixture::{answer, message, proxy};

    #[track_caller]
    fn check(matcher: serde_json::Value, path: &str, expected: bool) {
        let matcher = message(matcher);
        assert_eq!(answer(&proxy(40), |cx, walk| query_matches(cx, walk, &matcher, path)), expected, "{path}");
    }

    #[test]
    fn parameters_are_compared_raw_and_the_first_counts() {
        let exact = |text: &str| json!({"name": "q", "string_match": {"exact": text}});
        check(exact("1"), "/?q=1&q=2", true);
        check(exact("2"), "/?q=1&q=2", false);
        check(exact("a b"), "/?q=a%20b", false);
        check(exact("a+b"), "/?q=a+b", true);
        check(exact(""), "/?q", true);
        check(exact(""), "/?q=", true);
        check(exact(""), "/", false);
        check(exact("1=2"), "/?q=1=2", true);
        check(json!({"name": "q", "present_match": true}), "/?q", true);
        check(json!({"name": "q"}), "/?p=q", false);
    }

    #[test]
    fn decoding_leaves_what_is_no_escape() {
        assert_eq!(percent_decode("a%20b%2"), "a b%2");
        assert_eq!(percent_decode("%zz%E4"), "%zz\u{fffd}");
        assert_eq!(decoded_parameter("/?%71=%31", "q").as_deref(), Some("1"));
    }
}
