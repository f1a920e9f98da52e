//! The numbers of the routes inside `virtual_host.matcher`: depth first, members in ascending order of their names.

use crate::dump::{decode_any, type_of};
use crate::proto::envoy::config::route::v3::{Route, RouteList, VirtualHost};
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::{MatchMap, TreeType};
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use crate::proto::xds::r#type::matcher::v3::{IpMatcher, Matcher, ServerNameMatcher};

/// Matchers nest; a hostile one must not exhaust the stack.
const MAX_DEPTH: usize = 32;

/// The number of a route of this virtual host's matcher.
pub(crate) fn number(vhost: &VirtualHost, route: &Route) -> Option<usize> {
    let mut routes = Vec::new();
    collect(vhost.matcher.as_ref()?, &mut routes, 0);
    routes.iter().position(|r| r == route)
}

/// Every route of a matcher, in the order of their numbers.
pub(crate) fn collect(matcher: &Matcher, routes: &mut Vec<Route>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match &matcher.matcher_type {
        Some(MatcherType::MatcherList(list)) => {
            for on_match in list.matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                of_match(on_match, routes, depth);
            }
        }
        Some(MatcherType::MatcherTree(tree)) => match &tree.tree_type {
            Some(TreeType::CustomMatch(custom)) => of_custom(custom, routes, depth),
            Some(TreeType::ExactMatchMap(map) | TreeType::PrefixMatchMap(map)) => of_map(map, routes, depth),
            None => {}
        },
        None => {}
    }
    if let Some(on_match) = &matcher.on_no_match {
        of_match(on_match, routes, depth);
    }
}

fn of_map(map: &MatchMap, routes: &mut Vec<Route>, depth: usize) {
    for on_match in map.map.values() {
        of_match(on_match, routes, depth);
    }
}

fn of_custom(custom: &TypedExtensionConfig, routes: &mut Vec<Route>, depth: usize) {
    let Some(any) = &custom.typed_config else { return };
    match type_of(any).as_ref() {
        "xds.type.matcher.v3.IPMatcher" => {
            let matcher: IpMatcher = decode_any(any).unwrap_or_default();
            for on_match in matcher.range_matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                of_match(on_match, routes, depth);
            }
        }
        "xds.type.matcher.v3.ServerNameMatcher" => {
            let matcher: ServerNameMatcher = decode_any(any).unwrap_or_default();
            for on_match in matcher.domain_matchers.iter().filter_map(|m| m.on_match.as_ref()) {
                of_match(on_match, routes, depth);
            }
        }
        _ => {}
    }
}

fn of_match(on_match: &OnMatch, routes: &mut Vec<Route>, depth: usize) {
    match &on_match.on_match {
        Some(on_match::OnMatch::Matcher(matcher)) => collect(matcher, routes, depth + 1),
        Some(on_match::OnMatch::Action(action)) => {
            let Some(any) = &action.typed_config else { return };
            match type_of(any).as_ref() {
                "envoy.config.route.v3.Route" => routes.extend(decode_any::<Route>(any)),
                "envoy.config.route.v3.RouteList" => {
                    routes.extend(decode_any::<RouteList>(any).unwrap_or_default().routes)
                }
                _ => {}
            }
        }
        None => {}
    }
}
