//! The names by which lists, elements and resources are known.

use std::borrow::Cow;

use crate::dump::kind::{Kind, State};
use crate::proto::describe;

/// A member that is a list of resources: name, kind, state, and the member of an element that holds the resource
/// (empty where states do).
pub(super) type ListForm = (&'static str, Kind, State, &'static str);

const LISTS: &[ListForm] = &[
    ("static_listeners", Kind::Listener, State::Static, "listener"),
    ("dynamic_listeners", Kind::Listener, State::Active, ""),
    ("dynamic_active_listeners", Kind::Listener, State::Active, "listener"),
    ("dynamic_warming_listeners", Kind::Listener, State::Warming, "listener"),
    ("dynamic_draining_listeners", Kind::Listener, State::Draining, "listener"),
    ("static_route_configs", Kind::Route, State::Static, "route_config"),
    ("dynamic_route_configs", Kind::Route, State::Active, "route_config"),
    ("inline_scoped_route_configs", Kind::ScopedRoute, State::Static, "scoped_route_configs"),
    ("dynamic_scoped_route_configs", Kind::ScopedRoute, State::Active, "scoped_route_configs"),
    ("static_clusters", Kind::Cluster, State::Static, "cluster"),
    ("dynamic_active_clusters", Kind::Cluster, State::Active, "cluster"),
    ("dynamic_warming_clusters", Kind::Cluster, State::Warming, "cluster"),
    ("static_endpoint_configs", Kind::Endpoint, State::Static, "endpoint_config"),
    ("dynamic_endpoint_configs", Kind::Endpoint, State::Active, "endpoint_config"),
    ("static_secrets", Kind::Secret, State::Static, "secret"),
    ("dynamic_active_secrets", Kind::Secret, State::Active, "secret"),
    ("dynamic_warming_secrets", Kind::Secret, State::Warming, "secret"),
    ("ecds_filters", Kind::Ecds, State::Active, "ecds_filter"),
];

/// Elements of `?resource=` by the end of their type, each with the list that they come from (warming and active are
/// one type).
const ELEMENTS: &[(&str, &str)] = &[
    ("StaticListener", "static_listeners"),
    ("DynamicListener", "dynamic_listeners"),
    ("StaticRouteConfig", "static_route_configs"),
    ("DynamicRouteConfig", "dynamic_route_configs"),
    ("InlineScopedRouteConfigs", "inline_scoped_route_configs"),
    ("DynamicScopedRouteConfigs", "dynamic_scoped_route_configs"),
    ("StaticCluster", "static_clusters"),
    ("DynamicCluster", "dynamic_active_clusters"),
    ("StaticEndpointConfig", "static_endpoint_configs"),
    ("DynamicEndpointConfig", "dynamic_endpoint_configs"),
    ("StaticSecret", "static_secrets"),
    ("DynamicSecret", "dynamic_active_secrets"),
    ("EcdsFilterConfig", "ecds_filters"),
];

/// Sections by the end of their type.
const SECTIONS: &[(&str, Kind)] = &[
    ("ListenersConfigDump", Kind::Listener),
    ("RoutesConfigDump", Kind::Route),
    ("ScopedRoutesConfigDump", Kind::ScopedRoute),
    ("ClustersConfigDump", Kind::Cluster),
    ("EndpointsConfigDump", Kind::Endpoint),
    ("SecretsConfigDump", Kind::Secret),
    ("EcdsConfigDump", Kind::Ecds),
];

/// Kinds that a resource without a type may be, the likelier first, and members that v2 had and v3 hasn't.
const RESOURCES: &[(Kind, &[&str])] = &[
    (Kind::Listener, &[]),
    (Kind::Route, &[]),
    (Kind::Cluster, &["hosts", "tls_context"]),
    (Kind::Endpoint, &[]),
    (Kind::Secret, &[]),
    (Kind::ScopedRoute, &[]),
];

pub(super) fn list(name: &str) -> Option<&'static ListForm> {
    LISTS.iter().find(|(list, ..)| *list == name)
}

/// Members that only a bootstrap has.
pub(super) fn is_bootstrap(name: &str) -> bool {
    matches!(name, "static_resources" | "dynamic_resources" | "admin" | "node" | "layered_runtime" | "cluster_manager")
}

/// Kind of a section's type; `None` for a type that is no section, `Some(None)` for one that holds no resources.
pub(super) fn section(url: &str) -> Option<Option<Kind>> {
    let name = url.rsplit('.').next()?;
    let kind = SECTIONS.iter().find(|(section, _)| *section == name).map(|(_, kind)| *kind);
    (kind.is_some() || name.ends_with("ConfigDump")).then_some(kind)
}

/// The list that elements of this type come from.
pub(super) fn list_of_element(url: &str) -> Option<&'static ListForm> {
    let (section, name) = url.rsplit_once('.')?;
    if !section.ends_with("ConfigDump") {
        return None;
    }
    let (_, name) = ELEMENTS.iter().find(|(element, _)| *element == name)?;
    list(name)
}

/// Kind of a resource's type, of v2 or v3.
pub(super) fn kind_of_type(url: &str) -> Option<Kind> {
    let name = url.rsplit('/').next()?;
    let name = crate::dump::legacy::lift_type(name).map_or(Cow::Borrowed(name), Cow::Owned);
    let kinds =
        [Kind::Listener, Kind::Route, Kind::Cluster, Kind::Endpoint, Kind::Secret, Kind::ScopedRoute, Kind::Ecds];
    kinds.into_iter().find(|kind| kind.message() == name)
}

/// The kind that has most of these members, in snake_case.
pub(super) fn kind_of_members(keys: &[String]) -> Option<Kind> {
    let known = |kind: Kind, old: &[&str]| {
        keys.iter().filter(|key| old.contains(&key.as_str()) || describe::field(kind.message(), key).is_some()).count()
    };
    // A name alone says nothing.
    if keys.iter().all(|key| key == "name") {
        return None;
    }
    let counted = RESOURCES.iter().map(|(kind, old)| (known(*kind, old), *kind));
    let best = counted.rev().max_by_key(|(count, _)| *count)?;
    // Other objects share a word or two with some resource.
    (best.0 * 2 > keys.len()).then_some(best.1)
}
