//! Route configurations, scopes, virtual hosts and routes, and the clusters that they name.

use rayon::prelude::*;

use super::fragment::{Fragment, Target};
use super::node::{EdgeKind, Node, NodeKind, Presence};
use super::service::{self, Side};
use crate::dump::{Origin, Proxy, Resource, decode_any, references, type_of};
use crate::proto::envoy::config::route::v3::route_action::{ClusterSpecifier, RequestMirrorPolicy};
use crate::proto::envoy::config::route::v3::route_match::PathSpecifier;
use crate::proto::envoy::config::route::v3::{
    ClusterSpecifierPlugin, Route, RouteAction, RouteConfiguration, RouteList, RouteMatch, ScopedRouteConfiguration,
    VirtualHost, route,
};
use crate::proto::xds::core::v3::TypedExtensionConfig;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use crate::proto::xds::r#type::matcher::v3::{IpMatcher, Matcher, ServerNameMatcher};

/// Matchers in matchers beyond this depth are not followed; Envoy's own limit is far lower.
const MAX_DEPTH: usize = 64;

/// A route configuration of the dump, its virtual hosts decoded in parallel and dropped again.
pub(super) fn resource_fragment(proxy: &Proxy, resource: &Resource<RouteConfiguration>) -> Fragment {
    let presence = Presence::Held(resource.state);
    let origin = resource.origin();
    let Some(Ok(table)) = proxy.table_of(resource) else {
        return Fragment::of(Node::new(NodeKind::RouteConfiguration, resource.name.as_str(), presence, Some(origin)));
    };
    let mut fragment = shell(&resource.name, &table.config, presence, &origin);
    let hosts: Vec<Fragment> = table
        .virtual_hosts
        .par_iter()
        .with_min_len(16)
        .enumerate()
        .map(|(nth, entry)| {
            let origin = entry.origin().unwrap_or_else(|| origin.clone().within(&format!(".virtual_hosts[{nth}]")));
            let mut part = match entry.decode() {
                Ok(host) => virtual_host(&resource.name, &host, presence, &origin),
                Err(_) => {
                    let name = format!("{}/{}", resource.name, entry.name);
                    Fragment::of(Node::new(NodeKind::VirtualHost, name, presence, Some(origin)))
                }
            };
            service::add(&mut part, references(entry.raw()), Side::Downstream, |_| 0);
            part
        })
        .collect();
    for host in hosts {
        fragment.append(0, EdgeKind::Part, host);
    }
    fragment
}

/// An inline route configuration.
pub(super) fn fragment(name: &str, config: &RouteConfiguration, presence: Presence, origin: &Origin) -> Fragment {
    let mut fragment = shell(name, config, presence, origin);
    for (nth, host) in config.virtual_hosts.iter().enumerate() {
        let origin = origin.clone().within(&format!(".virtual_hosts[{nth}]"));
        fragment.append(0, EdgeKind::Part, virtual_host(name, host, presence, &origin));
    }
    fragment
}

fn shell(name: &str, config: &RouteConfiguration, presence: Presence, origin: &Origin) -> Fragment {
    let node = Node::new(NodeKind::RouteConfiguration, name, presence, Some(origin.clone()));
    let mut fragment = Fragment::of(node);
    mirrors(&mut fragment, 0, &config.request_mirror_policies);
    for plugin in &config.cluster_specifier_plugins {
        link_plugin(&mut fragment, 0, plugin);
    }
    fragment
}

/// A scope: the route configuration that its requests use.
pub(super) fn scope(name: &str, scope: &ScopedRouteConfiguration, presence: Presence, origin: &Origin) -> Fragment {
    let mut fragment = Fragment::of(Node::new(NodeKind::ScopedRoute, name, presence, Some(origin.clone())));
    if let Some(config) = &scope.route_configuration {
        let name = if config.name.is_empty() { name } else { &config.name };
        let part = self::fragment(name, config, presence, &origin.clone().within(".route_configuration"));
        fragment.append(0, EdgeKind::Inline, part);
    } else {
        let name = scope.route_configuration_name.clone();
        fragment.link(0, EdgeKind::Rds, Target::Named(NodeKind::RouteConfiguration, name));
    }
    fragment
}

fn virtual_host(config: &str, host: &VirtualHost, presence: Presence, origin: &Origin) -> Fragment {
    let name = format!("{config}/{}", host.name);
    let node = Node::new(NodeKind::VirtualHost, name.as_str(), presence, Some(origin.clone()));
    let mut fragment = Fragment::of(node.with_detail(domains(&host.domains)));
    mirrors(&mut fragment, 0, &host.request_mirror_policies);
    for (nth, route) in host.routes.iter().enumerate() {
        let origin = origin.clone().within(&format!(".routes[{nth}]"));
        add_route(&mut fragment, format!("{name}/{nth}"), route, presence, origin);
    }
    if let Some(matcher) = &host.matcher {
        let mut routes = Vec::new();
        collect(matcher, &mut routes, 0);
        for (nth, route) in routes.iter().enumerate() {
            let origin = origin.clone().within(".matcher");
            add_route(&mut fragment, format!("{name}/m{nth}"), route, presence, origin);
        }
    }
    fragment
}

fn domains(domains: &[String]) -> String {
    match domains {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// Routes of a matcher tree, in its order.
fn collect(matcher: &Matcher, routes: &mut Vec<Route>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match &matcher.matcher_type {
        Some(MatcherType::MatcherList(list)) => {
            for field in &list.matchers {
                collect_match(field.on_match.as_ref(), routes, depth);
            }
        }
        Some(MatcherType::MatcherTree(tree)) => match &tree.tree_type {
            Some(TreeType::ExactMatchMap(map) | TreeType::PrefixMatchMap(map)) => {
                for on_match in map.map.values() {
                    collect_match(Some(on_match), routes, depth);
                }
            }
            Some(TreeType::CustomMatch(custom)) => collect_custom(custom, routes, depth),
            None => {}
        },
        None => {}
    }
    collect_match(matcher.on_no_match.as_deref(), routes, depth);
}

fn collect_custom(custom: &TypedExtensionConfig, routes: &mut Vec<Route>, depth: usize) {
    let Some(any) = &custom.typed_config else { return };
    match type_of(any).as_ref() {
        "xds.type.matcher.v3.IPMatcher" => {
            for range in decode_any::<IpMatcher>(any).map(|matcher| matcher.range_matchers).unwrap_or_default() {
                collect_match(range.on_match.as_ref(), routes, depth);
            }
        }
        "xds.type.matcher.v3.ServerNameMatcher" => {
            for domain in
                decode_any::<ServerNameMatcher>(any).map(|matcher| matcher.domain_matchers).unwrap_or_default()
            {
                collect_match(domain.on_match.as_ref(), routes, depth);
            }
        }
        _ => {}
    }
}

fn collect_match(on_match: Option<&OnMatch>, routes: &mut Vec<Route>, depth: usize) {
    match on_match.and_then(|on_match| on_match.on_match.as_ref()) {
        Some(on_match::OnMatch::Matcher(matcher)) => collect(matcher, routes, depth + 1),
        Some(on_match::OnMatch::Action(action)) => {
            let Some(any) = &action.typed_config else { return };
            match type_of(any).as_ref() {
                "envoy.config.route.v3.Route" => routes.extend(decode_any::<Route>(any)),
                "envoy.config.route.v3.RouteList" => {
                    routes.extend(decode_any::<RouteList>(any).map(|list| list.routes).unwrap_or_default());
                }
                _ => {}
            }
        }
        None => {}
    }
}

fn add_route(fragment: &mut Fragment, name: String, route: &Route, presence: Presence, origin: Origin) {
    let detail = route.r#match.as_ref().map(match_text).unwrap_or_default();
    let (detail, action) = match &route.action {
        Some(route::Action::Route(action)) => (detail, Some(action)),
        Some(route::Action::Redirect(_)) => (format!("{detail}, redirect"), None),
        Some(route::Action::DirectResponse(response)) => {
            (format!("{detail}, direct response {}", response.status), None)
        }
        Some(route::Action::FilterAction(_) | route::Action::NonForwardingAction(_)) | None => (detail, None),
    };
    let node = Node::new(NodeKind::Route, name, presence, Some(origin)).with_detail(detail);
    let index = fragment.add(0, EdgeKind::Part, node);
    if let Some(action) = action {
        add_action(fragment, index, action);
    }
}

fn add_action(fragment: &mut Fragment, from: usize, action: &RouteAction) {
    let cluster = |name: &str| Target::Named(NodeKind::Cluster, name.to_owned());
    let by_header = |header: &str| Target::Dynamic(NodeKind::Cluster, format!("header {header}"));
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => fragment.link(from, EdgeKind::Cluster, cluster(name)),
        Some(ClusterSpecifier::ClusterHeader(header)) => {
            fragment.link(from, EdgeKind::ClusterHeader, by_header(header));
        }
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            for one in &weighted.clusters {
                let kind = EdgeKind::WeightedCluster(one.weight.as_ref().map_or(0, |weight| weight.value));
                let target = if one.name.is_empty() { by_header(&one.cluster_header) } else { cluster(&one.name) };
                fragment.link(from, kind, target);
            }
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(name)) => {
            let target = Target::Dynamic(NodeKind::Cluster, format!("plugin {name}"));
            fragment.link(from, EdgeKind::ClusterPlugin, target);
        }
        Some(ClusterSpecifier::InlineClusterSpecifierPlugin(plugin)) => link_plugin(fragment, from, plugin),
        None => {}
    }
    mirrors(fragment, from, &action.request_mirror_policies);
}

fn link_plugin(fragment: &mut Fragment, from: usize, plugin: &ClusterSpecifierPlugin) {
    let name = plugin.extension.as_ref().map(|extension| extension.name.as_str()).unwrap_or_default();
    fragment.link(from, EdgeKind::ClusterPlugin, Target::Dynamic(NodeKind::Cluster, format!("plugin {name}")));
}

fn mirrors(fragment: &mut Fragment, from: usize, policies: &[RequestMirrorPolicy]) {
    for policy in policies {
        let target = if policy.cluster.is_empty() {
            Target::Dynamic(NodeKind::Cluster, format!("header {}", policy.cluster_header))
        } else {
            Target::Named(NodeKind::Cluster, policy.cluster.clone())
        };
        fragment.link(from, EdgeKind::Mirror, target);
    }
}

/// The match in short: its path, and how much else must hold.
fn match_text(route_match: &RouteMatch) -> String {
    let path = match &route_match.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => format!("prefix {prefix}"),
        Some(PathSpecifier::Path(path)) => format!("path {path}"),
        Some(PathSpecifier::SafeRegex(regex)) => format!("regex {}", regex.regex),
        Some(PathSpecifier::ConnectMatcher(_)) => "CONNECT".to_owned(),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => format!("path prefix {prefix}"),
        Some(PathSpecifier::PathMatchPolicy(policy)) => policy.name.clone(),
        None => String::new(),
    };
    let conditions = route_match.headers.len()
        + route_match.query_parameters.len()
        + route_match.cookies.len()
        + route_match.dynamic_metadata.len()
        + route_match.filter_state.len()
        + usize::from(route_match.runtime_fraction.is_some())
        + usize::from(route_match.grpc.is_some())
        + usize::from(route_match.tls_context.is_some());
    match conditions {
        0 => path,
        1 => format!("{path} and 1 condition"),
        n => format!("{path} and {n} conditions"),
    }
}
