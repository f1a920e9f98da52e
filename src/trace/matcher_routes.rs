//! The numbers of the routes inside `virtual_host.matcher`: depth first, members in ascending order of their names.

use super::context::Context;
use crate::dump::type_of;
use crate::proto::envoy::config::route::v3::{RouteList, VirtualHost};
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::{MatchMap, TreeType};
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use crate::proto::xds::r#type::matcher::v3::{IpMatcher, Matcher, ServerNameMatcher};

/// Matchers nest; a hostile one must not exhaust the stack.
const MAX_DEPTH: usize = 32;

/// The number of a route of this virtual host's matcher: the `nth` of an action's list, 0 for a single one.
///
/// Actions may be equal word for word, so one is told from another by the text that it stands in.
pub(crate) fn number(
    cx: &Context<'_>,
    vhost: &VirtualHost,
    action: &TypedExtensionConfig,
    nth: usize,
) -> Option<usize> {
    let text = action.typed_config.as_ref()?.value.as_ptr();
    let mut numbering = Numbering { cx, text, next: 0, found: None };
    numbering.matcher(vhost.matcher.as_ref()?, 0);
    numbering.found.map(|first| first + nth)
}

struct Numbering<'a> {
    cx: &'a Context<'a>,
    text: *const u8,
    /// Number of the next route.
    next: usize,
    /// Number of the first route of the action looked for.
    found: Option<usize>,
}

impl Numbering<'_> {
    fn matcher(&mut self, matcher: &Matcher, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match &matcher.matcher_type {
            Some(MatcherType::MatcherList(list)) => {
                for on_match in list.matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                    self.on_match(on_match, depth);
                }
            }
            Some(MatcherType::MatcherTree(tree)) => match &tree.tree_type {
                Some(TreeType::CustomMatch(custom)) => self.custom(custom, depth),
                Some(TreeType::ExactMatchMap(map) | TreeType::PrefixMatchMap(map)) => self.map(map, depth),
                None => {}
            },
            None => {}
        }
        if let Some(on_match) = &matcher.on_no_match {
            self.on_match(on_match, depth);
        }
    }

    fn map(&mut self, map: &MatchMap, depth: usize) {
        for on_match in map.map.values() {
            self.on_match(on_match, depth);
        }
    }

    fn custom(&mut self, custom: &TypedExtensionConfig, depth: usize) {
        let Some(any) = &custom.typed_config else { return };
        match type_of(any).as_ref() {
            "xds.type.matcher.v3.IPMatcher" => {
                let matcher = self.cx.cache.decode::<IpMatcher>(any).unwrap_or_default();
                for on_match in matcher.range_matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                    self.on_match(on_match, depth);
                }
            }
            "xds.type.matcher.v3.ServerNameMatcher" => {
                let matcher = self.cx.cache.decode::<ServerNameMatcher>(any).unwrap_or_default();
                for on_match in matcher.domain_matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                    self.on_match(on_match, depth);
                }
            }
            _ => {}
        }
    }

    fn on_match(&mut self, on_match: &OnMatch, depth: usize) {
        match &on_match.on_match {
            Some(on_match::OnMatch::Matcher(matcher)) => self.matcher(matcher, depth + 1),
            Some(on_match::OnMatch::Action(action)) => {
                let Some(any) = &action.typed_config else { return };
                if any.value.as_ptr() == self.text {
                    self.found = Some(self.next);
                }
                self.next += match type_of(any).as_ref() {
                    "envoy.config.route.v3.Route" => 1,
                    "envoy.config.route.v3.RouteList" => {
                        self.cx.cache.decode::<RouteList>(any).map_or(0, |list| list.routes.len())
                    }
                    _ => 0,
                };
            }
            None => {}
        }
    }
}
