//! String matchers, Envoy's and xDS's.

use crate::proto::envoy::r#type::matcher::v3 as pb;
use crate::proto::xds;
use crate::trace::context::Context;
use crate::trace::octets;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Whether a string matcher takes a value (semantics §4.4, "StringMatcher").
pub(crate) fn string_matches(cx: &Context<'_>, walk: &mut Walk, m: &pb::StringMatcher, value: &str) -> bool {
    use pb::string_matcher::MatchPattern;
    let pattern = match &m.match_pattern {
        Some(MatchPattern::Exact(text)) => Pattern::Exact(text),
        Some(MatchPattern::Prefix(text)) => Pattern::Prefix(text),
        Some(MatchPattern::Suffix(text)) => Pattern::Suffix(text),
        Some(MatchPattern::Contains(text)) => Pattern::Contains(text),
        Some(MatchPattern::SafeRegex(regex)) => Pattern::Regex(&regex.regex),
        Some(MatchPattern::Custom(custom)) => Pattern::Custom(&custom.name),
        None => Pattern::Unread,
    };
    pattern.matches(cx, walk, m.ignore_case, value)
}

/// As [`string_matches`] for the matcher of the xDS matcher API.
pub(crate) fn xds_string_matches(
    cx: &Context<'_>,
    walk: &mut Walk,
    m: &xds::r#type::matcher::v3::StringMatcher,
    value: &str,
) -> bool {
    use xds::r#type::matcher::v3::string_matcher::MatchPattern;
    let pattern = match &m.match_pattern {
        Some(MatchPattern::Exact(text)) => Pattern::Exact(text),
        Some(MatchPattern::Prefix(text)) => Pattern::Prefix(text),
        Some(MatchPattern::Suffix(text)) => Pattern::Suffix(text),
        Some(MatchPattern::Contains(text)) => Pattern::Contains(text),
        Some(MatchPattern::SafeRegex(regex)) => Pattern::Regex(&regex.regex),
        Some(MatchPattern::Custom(custom)) => Pattern::Custom(&custom.name),
        None => Pattern::Unread,
    };
    pattern.matches(cx, walk, m.ignore_case, value)
}

/// Whether a regular expression takes the whole of a value; assumed both ways if it can't be evaluated here.
pub(crate) fn regex_matches(cx: &Context<'_>, walk: &mut Walk, pattern: &str, value: &str) -> bool {
    let unread = |reason: String| format!("{reason}: does it match {value:?}?");
    if value.is_ascii() {
        return cx.cache.pattern(pattern).is_match(value).unwrap_or_else(|reason| walk.assume_bool(&unread(reason)));
    }
    cx.settle(
        walk,
        Rule::RegexReadsBytes,
        // What isn't UTF-8 matches nothing, but RE2 reads surrogates.
        |walk| {
            if octets::has_surrogates(value) {
                return walk.assume_bool(&format!("does {pattern:?} match {value:?}, which has a surrogate in it?"));
            }
            let matches = cx.cache.pattern(pattern).is_match(value).map(|matches| matches && octets::is_utf8(value));
            matches.unwrap_or_else(|reason| walk.assume_bool(&unread(reason)))
        },
        |walk| {
            let matches = cx.cache.byte_pattern(pattern).is_match(&octets::to_latin1(value));
            matches.unwrap_or_else(|reason| walk.assume_bool(&unread(reason)))
        },
    )
}

/// The matcher in words, for the `why` of a step: `exact "a"`.
pub(crate) fn describe(m: &pb::StringMatcher) -> String {
    use pb::string_matcher::MatchPattern;
    let text = match &m.match_pattern {
        Some(MatchPattern::Exact(text)) => format!("{text:?}"),
        Some(MatchPattern::Prefix(text)) => format!("prefix {text:?}"),
        Some(MatchPattern::Suffix(text)) => format!("suffix {text:?}"),
        Some(MatchPattern::Contains(text)) => format!("text with {text:?} in it"),
        Some(MatchPattern::SafeRegex(regex)) => format!("regex {:?}", regex.regex),
        Some(MatchPattern::Custom(custom)) => format!("string matcher {:?}", custom.name),
        None => "a string matcher that can't be read".to_owned(),
    };
    if m.ignore_case { format!("{text} in any case") } else { text }
}

enum Pattern<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Suffix(&'a str),
    Contains(&'a str),
    Regex(&'a str),
    Custom(&'a str),
    /// Envoy demands a pattern: this one stands in a field that nothing here knows.
    Unread,
}

impl Pattern<'_> {
    fn matches(&self, cx: &Context<'_>, walk: &mut Walk, ignore_case: bool, value: &str) -> bool {
        // Envoy folds ASCII only.
        let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
        match self {
            Self::Exact(text) if ignore_case => text.eq_ignore_ascii_case(value),
            Self::Exact(text) => *text == value,
            Self::Prefix(text) => fold(value).starts_with(&fold(text)),
            Self::Suffix(text) => fold(value).ends_with(&fold(text)),
            Self::Contains(text) => fold(value).contains(&fold(text)),
            Self::Regex(regex) => regex_matches(cx, walk, regex, value),
            Self::Custom(name) => {
                walk.assume_bool(&format!("string matcher extension {name:?}: does it take {value:?}?"))
            }
            Self::Unread => walk.assume_bool(&format!("a string matcher of unknown kind: does it take {value:?}?")),
        }
    }
}
