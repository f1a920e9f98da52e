//! Which connections a listener's `filter_chain_matcher` leads to a filter chain, as istioctl writes it
//! (spec/istioctl.md §1.2, `--waypoint`).

use crate::dump::{decode_any, string_value};
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::{MatchMap, TreeType};
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherTree, MatcherType, OnMatch, on_match};
use crate::proto::xds::r#type::matcher::v3::{IpMatcher, Matcher};

/// Matchers within matchers.
const MAX_DEPTH: usize = 32;

/// The ways through a matcher to a chain, in a fixed order: `ip=10.0.0.1 -> port=80`.
pub(super) fn paths(matcher: &Matcher, chain: &str) -> Vec<String> {
    let mut found = Vec::new();
    match matcher.on_no_match.as_deref().and_then(|otherwise| otherwise.on_match.as_ref()) {
        Some(on_match::OnMatch::Action(action)) if names(action, chain) => return vec!["UNMATCHED".to_owned()],
        Some(on_match::OnMatch::Matcher(inner)) => walk(inner, chain, &[], 0, &mut found),
        _ => walk(matcher, chain, &[], 0, &mut found),
    }
    found.sort();
    found
}

fn walk(matcher: &Matcher, chain: &str, before: &[String], depth: usize, found: &mut Vec<String>) {
    if let Some(MatcherType::MatcherTree(tree)) = &matcher.matcher_type {
        for (key, next) in branches(tree) {
            let way: Vec<String> = before.iter().cloned().chain([key]).collect();
            match &next.on_match {
                Some(on_match::OnMatch::Action(action)) if names(action, chain) => found.push(way.join(" -> ")),
                Some(on_match::OnMatch::Matcher(inner)) if depth < MAX_DEPTH => {
                    walk(inner, chain, &way, depth + 1, found);
                }
                _ => {}
            }
        }
    }
    let otherwise = matcher.on_no_match.as_deref().and_then(|otherwise| otherwise.on_match.as_ref());
    if let Some(on_match::OnMatch::Action(action)) = otherwise
        && names(action, chain)
    {
        found.push(before.iter().map(String::as_str).chain(["ANY"]).collect::<Vec<_>>().join(" -> "));
    }
}

/// What a tree looks its input up in, each with what follows.
fn branches(tree: &MatcherTree) -> Vec<(String, OnMatch)> {
    let input = tree.input.as_ref().map(|input| input.name.as_str()).unwrap_or_default();
    let of_map = |map: &MatchMap, sign: &str| -> Vec<(String, OnMatch)> {
        let mut branches: Vec<_> =
            map.map.iter().map(|(key, next)| (format!("{input}{sign}{key}"), next.clone())).collect();
        branches.sort_by(|a, b| a.0.cmp(&b.0));
        branches
    };
    match &tree.tree_type {
        Some(TreeType::ExactMatchMap(map)) => of_map(map, "="),
        Some(TreeType::PrefixMatchMap(map)) => of_map(map, "^"),
        Some(TreeType::CustomMatch(custom)) => {
            let ranges = custom.typed_config.as_ref().and_then(|any| decode_any::<IpMatcher>(any).ok());
            let ranges = ranges.unwrap_or_default().range_matchers;
            let branches = ranges.into_iter().filter_map(|matcher| {
                let next = matcher.on_match?;
                Some(matcher.ranges.into_iter().map(move |range| {
                    let len = range.prefix_len.map_or(0, |len| len.value);
                    let is_one = len == if range.address_prefix.contains(':') { 128 } else { 32 };
                    let len = if is_one { String::new() } else { format!("/{len}") };
                    (format!("{input}={}{len}", range.address_prefix), next.clone())
                }))
            });
            branches.flatten().collect()
        }
        None => Vec::new(),
    }
}

/// What leads to a chain in words: each way there, also those that istioctl doesn't see.
pub(super) fn describe(matcher: &Matcher, chain: &str) -> String {
    let mut walk = Ways { chain, found: Vec::new(), is_whole: true };
    walk.add(matcher, &[], 0);
    match (walk.found.is_empty(), walk.is_whole) {
        (true, true) => "NONE".to_owned(),
        (true, false) => "by a matcher".to_owned(),
        (false, true) => walk.found.join(" | "),
        (false, false) => format!("{} | by a matcher", walk.found.join(" | ")),
    }
}

struct Ways<'c> {
    chain: &'c str,
    found: Vec<String>,
    /// Whether every way was followed.
    is_whole: bool,
}

impl Ways<'_> {
    fn add(&mut self, matcher: &Matcher, before: &[String], depth: usize) {
        match &matcher.matcher_type {
            Some(MatcherType::MatcherTree(tree)) => {
                let is_ip = |custom: &TypedExtensionConfig| {
                    custom.typed_config.as_ref().is_some_and(|any| any.type_name().ends_with(".IPMatcher"))
                };
                self.is_whole &= !matches!(&tree.tree_type, Some(TreeType::CustomMatch(custom)) if !is_ip(custom));
                for (key, next) in branches(tree) {
                    self.follow(Some(&next), key, before, depth);
                }
            }
            Some(MatcherType::MatcherList(_)) => self.is_whole = false,
            None => {}
        }
        self.follow(matcher.on_no_match.as_deref(), "otherwise".to_owned(), before, depth);
    }

    fn follow(&mut self, next: Option<&OnMatch>, key: String, before: &[String], depth: usize) {
        let way: Vec<String> = before.iter().cloned().chain([key]).collect();
        match next.and_then(|next| next.on_match.as_ref()) {
            Some(on_match::OnMatch::Action(action)) if names(action, self.chain) => self.found.push(way.join(" -> ")),
            Some(on_match::OnMatch::Matcher(inner)) if depth < MAX_DEPTH => self.add(inner, &way, depth + 1),
            Some(on_match::OnMatch::Matcher(_)) => self.is_whole = false,
            _ => {}
        }
    }
}

/// Whether an action leads to a chain.
fn names(action: &TypedExtensionConfig, chain: &str) -> bool {
    let name = action.typed_config.as_ref().and_then(string_value);
    name.as_deref().unwrap_or(&action.name) == chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(json: &str) -> Matcher {
        serde_json::from_str(json).unwrap()
    }

    fn to(chain: &str) -> String {
        let any = format!(r#"{{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "{chain}"}}"#);
        format!(r#"{{"action": {{"name": "{chain}", "typed_config": {any}}}}}"#)
    }

    #[test]
    fn each_way_to_a_chain_is_told() {
        let ports = format!(
            r#"{{"matcher_tree": {{"input": {{"name": "port"}}, "exact_match_map": {{"map": {{"80": {a}, "81": {b}}}}}}},
                "on_no_match": {c}}}"#,
            a = to("a"),
            b = to("b"),
            c = to("c")
        );
        let ranges = format!(
            r#"{{"name": "ip", "typed_config": {{"@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher",
                "range_matchers": [
                    {{"ranges": [{{"address_prefix": "10.0.0.1", "prefix_len": 32}}], "on_match": {{"matcher": {ports}}}}},
                    {{"ranges": [{{"address_prefix": "::", "prefix_len": 0}}], "on_match": {a}}}]}}}}"#,
            a = to("a")
        );
        let tree = matcher(&format!(
            r#"{{"matcher_tree": {{"input": {{"name": "ip"}}, "custom_match": {ranges}}}, "on_no_match": {}}}"#,
            to("d")
        ));
        let check = |chain: &str, istioctl: &[&str], ours: &str| {
            assert_eq!(paths(&tree, chain), istioctl, "{chain}");
            assert_eq!(describe(&tree, chain), ours);
        };
        check("a", &["ip=10.0.0.1 -> port=80", "ip=::/0"], "ip=10.0.0.1 -> port=80 | ip=::/0");
        check("b", &["ip=10.0.0.1 -> port=81"], "ip=10.0.0.1 -> port=81");
        check("c", &["ip=10.0.0.1 -> ANY"], "ip=10.0.0.1 -> otherwise");
        check("d", &["UNMATCHED"], "otherwise");
        check("e", &[], "NONE");
    }

    #[test]
    fn what_is_not_followed_is_not_denied() {
        assert_eq!(describe(&matcher(r#"{"matcher_list": {}}"#), "a"), "by a matcher");
        let custom = r#"{"matcher_tree": {"input": {"name": "x"}, "custom_match": {"name": "y"}}}"#;
        assert_eq!(describe(&matcher(custom), "a"), "by a matcher");
    }
}
