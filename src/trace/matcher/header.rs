//! Header and cookie matchers.

use crate::proto::envoy::config::route::v3::{CookieMatcher, HeaderMatcher, header_matcher::HeaderMatchSpecifier};
use crate::trace::context::Context;
use crate::trace::matcher::string::{describe as describe_string, regex_matches, string_matches};
use crate::trace::request::Headers;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Whether a header matcher of a route, filter or retry policy takes the request's headers (semantics §4.4).
pub(crate) fn header_matches(cx: &Context<'_>, walk: &mut Walk, m: &HeaderMatcher, headers: &Headers) -> bool {
    matches(cx, walk, m, headers, Rule::MatchesHeadersIndividually)
}

/// As [`header_matches`] inside RBAC, which reads repeated headers one by one since an earlier release.
pub(crate) fn rbac_header_matches(cx: &Context<'_>, walk: &mut Walk, m: &HeaderMatcher, headers: &Headers) -> bool {
    matches(cx, walk, m, headers, Rule::RbacMatchesHeadersIndividually)
}

/// Whether a cookie matcher takes the request's cookies: the first cookie of the name, missing counts as no match.
pub(crate) fn cookie_matches(cx: &Context<'_>, walk: &mut Walk, m: &CookieMatcher, headers: &Headers) -> bool {
    let matched = match (cookie(headers, &m.name), &m.string_match) {
        (Some(value), Some(matcher)) => string_matches(cx, walk, matcher, value),
        (found, None) => found.is_some(),
        (None, Some(_)) => false,
    };
    matched != m.invert_match
}

/// Value of the first cookie of a name; double quotes around a value are not part of it.
pub(crate) fn cookie<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.all("cookie").flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim_end();
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (key.trim() == name).then_some(unquoted.unwrap_or(value))
    })
}

/// `individually` is the rule by which the values of a repeated header are tested one by one.
fn matches(cx: &Context<'_>, walk: &mut Walk, m: &HeaderMatcher, headers: &Headers, individually: Rule) -> bool {
    let values: Vec<&str> = headers.all(&m.name).collect();
    let present = !values.is_empty() || m.treat_missing_header_as_empty;
    let specifier = match &m.header_match_specifier {
        None => return present != m.invert_match,
        Some(HeaderMatchSpecifier::PresentMatch(wanted)) => {
            let wanted = *wanted || !cx.follows(Rule::PresentMatchHasValue);
            return (present == wanted) != m.invert_match;
        }
        Some(specifier) => specifier,
    };
    let matched = match values.as_slice() {
        // A missing header fails the test, inverted or not.
        [] if !present => return false,
        [] => value_matches(cx, walk, specifier, ""),
        [value] => value_matches(cx, walk, specifier, value),
        [first, ..] if !cx.follows(Rule::MatchesAllHeaderValues) && !is_joined_anyway(&m.name) => {
            value_matches(cx, walk, specifier, first)
        }
        several => cx.settle(
            walk,
            individually,
            |walk| value_matches(cx, walk, specifier, &several.join(",")),
            |walk| several.iter().any(|value| value_matches(cx, walk, specifier, value)),
        ),
    };
    matched != m.invert_match
}

/// Headers that Envoy keeps as one value whenever it reads a request, and so has always matched as one.
fn is_joined_anyway(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-envoy-")
        || name.starts_with("x-forwarded-")
        || matches!(
            name.as_str(),
            "accept"
                | "accept-encoding"
                | "access-control-request-method"
                | "authorization"
                | "connection"
                | "content-type"
                | "cookie"
                | "expect"
                | "grpc-timeout"
                | "host"
                | "origin"
                | "referer"
                | "te"
                | "upgrade"
                | "user-agent"
                | "via"
                | "x-request-id"
        )
}

fn value_matches(cx: &Context<'_>, walk: &mut Walk, specifier: &HeaderMatchSpecifier, value: &str) -> bool {
    match specifier {
        // The deprecated form takes everything when it is empty; `string_match` does not.
        HeaderMatchSpecifier::ExactMatch(text) => text.is_empty() || text == value,
        HeaderMatchSpecifier::PrefixMatch(text) => value.starts_with(text.as_str()),
        HeaderMatchSpecifier::SuffixMatch(text) => value.ends_with(text.as_str()),
        HeaderMatchSpecifier::ContainsMatch(text) => value.contains(text.as_str()),
        HeaderMatchSpecifier::SafeRegexMatch(regex) => regex_matches(cx, walk, &regex.regex, value),
        HeaderMatchSpecifier::RangeMatch(range) => {
            integer(value).is_some_and(|number| range.start <= number && number < range.end)
        }
        HeaderMatchSpecifier::StringMatch(matcher) => string_matches(cx, walk, matcher, value),
        HeaderMatchSpecifier::PresentMatch(wanted) => *wanted,
    }
}

/// A whole decimal number with an optional sign, as Envoy parses it.
fn integer(text: &str) -> Option<i64> {
    text.trim_matches([' ', '\t']).parse().ok()
}

/// The matcher in words, for the `why` of a step.
pub(crate) fn describe(m: &HeaderMatcher) -> String {
    let name = &m.name;
    let test = match &m.header_match_specifier {
        None | Some(HeaderMatchSpecifier::PresentMatch(true)) => "present".to_owned(),
        Some(HeaderMatchSpecifier::PresentMatch(false)) => "absent".to_owned(),
        Some(HeaderMatchSpecifier::ExactMatch(text)) => format!("{text:?}"),
        Some(HeaderMatchSpecifier::PrefixMatch(text)) => format!("prefix {text:?}"),
        Some(HeaderMatchSpecifier::SuffixMatch(text)) => format!("suffix {text:?}"),
        Some(HeaderMatchSpecifier::ContainsMatch(text)) => format!("text with {text:?} in it"),
        Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => format!("regex {:?}", regex.regex),
        Some(HeaderMatchSpecifier::RangeMatch(range)) => format!("a number in [{}, {})", range.start, range.end),
        Some(HeaderMatchSpecifier::StringMatch(matcher)) => describe_string(matcher),
    };
    format!("header {name} {}{test}", if m.invert_match { "not " } else { "" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::matcher::fixture::{answer, headers, message, proxy, proxy_with};

    /// What Envoy 1.40 does with a header that is missing, `a`, empty, `b`, `xb` and `a`, `7`, `ab`: `Y` where the
    /// matcher took it. One letter for each of plain, treat_missing_header_as_empty, inverted, both.
    #[test]
    fn the_whole_table_is_as_measured() {
        check(json!({}), [".YYYYYY", "YYYYYYY", "Y......", "......."]);
        check(json!({"present_match": true}), [".YYYYYY", "YYYYYYY", "Y......", "......."]);
        check(json!({"present_match": false}), ["Y......", ".......", ".YYYYYY", "YYYYYYY"]);
        check(json!({"string_match": {"exact": "a"}}), [".Y..Y..", ".Y..Y..", "..YY.YY", "Y.YY.YY"]);
        check(json!({"string_match": {"exact": ""}}), ["..Y....", "Y.Y....", ".Y.YYYY", ".Y.YYYY"]);
        check(
            json!({"string_match": {"contains": "B", "ignore_case": true}}),
            ["...YY.Y", "...YY.Y", ".YY..Y.", "YYY..Y."],
        );
        check(json!({"range_match": {"start": "-5", "end": 10}}), [".....Y.", ".....Y.", ".YYYY.Y", "YYYYY.Y"]);
        check(json!({"string_match": {"safe_regex": {"regex": "b?"}}}), ["..YY...", "Y.YY...", ".Y..YYY", ".Y..YYY"]);
        check(json!({"exact_match": ""}), [".YYYYYY", "YYYYYYY", ".......", "......."]);
        check(json!({"prefix_match": "a"}), [".Y..Y.Y", ".Y..Y.Y", "..YY.Y.", "Y.YY.Y."]);
        check(json!({"suffix_match": "b"}), ["...YY.Y", "...YY.Y", ".YY..Y.", "YYY..Y."]);
        check(json!({"contains_match": "b"}), ["...YY.Y", "...YY.Y", ".YY..Y.", "YYY..Y."]);
        check(json!({"safe_regex_match": {"regex": "a"}}), [".Y..Y..", ".Y..Y..", "..YY.YY", "Y.YY.YY"]);
    }

    #[track_caller]
    fn check(specifier: serde_json::Value, rows: [&str; 4]) {
        let proxy = proxy(40);
        let sent: [&[&str]; 7] = [&[], &["a"], &[""], &["b"], &["xb", "a"], &["7"], &["ab"]];
        for (nth, row) in rows.iter().enumerate() {
            let mut text = specifier.clone();
            text["name"] = json!("X-A");
            text["treat_missing_header_as_empty"] = json!(nth % 2 == 1);
            text["invert_match"] = json!(nth >= 2);
            let matcher: HeaderMatcher = message(text.clone());
            let found: String = sent
                .iter()
                .map(|values| headers(&values.iter().map(|value| ("x-a", *value)).collect::<Vec<_>>()))
                .map(|headers| answer(&proxy, |cx, walk| header_matches(cx, walk, &matcher, &headers)))
                .map(|matched| if matched { 'Y' } else { '.' })
                .collect();
            assert_eq!(found, *row, "{text}");
        }
    }

    #[test]
    fn numbers_are_decimal_and_whole() {
        let matcher =
            message(json!({"name": "n", "range_match": {"start": i64::MIN.to_string(), "end": i64::MAX.to_string()}}));
        for (text, expected) in
            [("+7", true), ("-0", true), ("007", true), ("9223372036854775808", false), ("+-1", false), ("+ 1", false)]
        {
            let headers = headers(&[("n", text)]);
            assert_eq!(answer(&proxy(40), |cx, walk| header_matches(cx, walk, &matcher, &headers)), expected, "{text}");
        }
    }

    #[test]
    fn repeated_headers_are_joined_in_old_releases_and_by_runtime() {
        let matcher: HeaderMatcher = message(json!({"name": "x-a", "string_match": {"exact": "1,2"}}));
        let twice = headers(&[("x-a", "1"), ("x-a", "2")]);
        let route = |proxy: &_| answer(proxy, |cx, walk| header_matches(cx, walk, &matcher, &twice));
        let rbac = |proxy: &_| answer(proxy, |cx, walk| rbac_header_matches(cx, walk, &matcher, &twice));
        assert!(!route(&proxy(39)));
        assert!(route(&proxy(38)));
        assert!(!rbac(&proxy(38)));
        assert!(rbac(&proxy(37)));
        assert!(rbac(&proxy(30)));
        let guarded = json!({"envoy.reloadable_features.match_headers_individually": false});
        assert!(route(&proxy_with(40, &guarded, &json!({}))));
    }

    #[test]
    fn the_first_value_alone_counted_before_all_did() {
        let takes = |name: &str, wanted: &str, proxy: &_| {
            let matcher: HeaderMatcher = message(json!({"name": name, "exact_match": wanted}));
            let twice = headers(&[(name, "1"), (name, "2")]);
            answer(proxy, |cx, walk| header_matches(cx, walk, &matcher, &twice))
        };
        assert!(takes("x-a", "1", &proxy(11)));
        assert!(!takes("x-a", "1,2", &proxy(11)));
        assert!(takes("x-a", "1,2", &proxy(16)));
        assert!(takes("x-forwarded-for", "1,2", &proxy(11)));
        let guarded = json!({"envoy.reloadable_features.http_match_on_all_headers": false});
        assert!(takes("x-a", "1", &proxy_with(18, &guarded, &json!({}))));
        assert!(!takes("x-a", "1", &proxy_with(19, &guarded, &json!({}))));
    }

    #[test]
    fn present_match_had_no_value_before() {
        let matcher: HeaderMatcher = message(json!({"name": "x-a", "present_match": false}));
        let takes = |proxy: &_, pairs: &[(&str, &str)]| {
            let headers = headers(pairs);
            answer(proxy, |cx, walk| header_matches(cx, walk, &matcher, &headers))
        };
        assert!(takes(&proxy(19), &[]) && !takes(&proxy(19), &[("x-a", "1")]));
        assert!(!takes(&proxy(18), &[]) && takes(&proxy(18), &[("x-a", "1")]));
    }

    #[test]
    fn a_cookie_is_the_first_of_its_name() {
        let headers = headers(&[("cookie", r#"a=1; b="two"; a=3"#)]);
        assert_eq!(cookie(&headers, "a"), Some("1"));
        assert_eq!(cookie(&headers, "b"), Some("two"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
