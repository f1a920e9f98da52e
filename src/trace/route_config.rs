//! Which route configuration an HTTP connection manager uses: inline, by RDS name, or by scope (semantics §3.1).

use std::sync::Arc;

use super::context::{Context, Stream};
use super::outcome::Step;
use super::path::port_start;
use super::unmodelled;
use super::walk::Walk;
use crate::dump::{Kind, Origin, RouteTable, State, VirtualHostEntry};
use crate::proto::envoy::config::route::v3::scoped_route_configuration::key::fragment::Type as FragmentValue;
use crate::proto::envoy::config::route::v3::{RouteConfiguration, ScopedRouteConfiguration};
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::scoped_routes::ConfigSpecifier;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::scoped_routes::scope_key_builder::FragmentBuilder;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::scoped_routes::scope_key_builder::fragment_builder::Type as BuilderType;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::scoped_routes::scope_key_builder::fragment_builder::header_value_extractor::ExtractType;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::{HttpConnectionManager, ScopedRoutes};

/// What the look-up of a route configuration gives.
pub(crate) enum Located<'a> {
    Table(Box<Table<'a>>),
    /// There is none: Envoy answers 404.
    Missing {
        details: &'static str,
        why: String,
    },
    /// This file doesn't say; the reason is recorded.
    Unknown,
}

/// A route configuration in use.
pub(crate) struct Table<'a> {
    routes: Routes<'a>,
    origin: Origin,
    /// The step that explains it.
    pub(crate) step: Step,
}

enum Routes<'a> {
    OfProxy(&'a RouteTable),
    Inline(Arc<RouteTable>),
}

impl Table<'_> {
    pub(crate) fn routes(&self) -> &RouteTable {
        match &self.routes {
            Routes::OfProxy(table) => table,
            Routes::Inline(table) => table,
        }
    }

    pub(crate) fn config(&self) -> &RouteConfiguration {
        &self.routes().config
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// What virtual hosts are chosen by: the authority, or the header that takes its place. `None` if the request has
    /// none.
    pub(crate) fn host_for_matching(&self, stream: &Stream) -> Option<String> {
        let config = self.config();
        let header = if config.vhost_header.is_empty() { ":authority" } else { &config.vhost_header };
        let host = stream.headers.get(header)?;
        let end = if config.ignore_port_in_host_matching { port_start(host) } else { None };
        Some(host.get(..end.unwrap_or(host.len())).unwrap_or_default().to_owned())
    }

    /// The virtual host of a request, and the domain that led there.
    pub(crate) fn lookup(&self, cx: &Context<'_>, stream: &Stream) -> Option<(&VirtualHostEntry, String)> {
        let found = cx.cache.domains(self.routes()).find(self.routes(), self.host_for_matching(stream).as_deref())?;
        Some((self.routes().virtual_hosts.get(found.index)?, found.domain))
    }

    /// The virtual host alone.
    pub(crate) fn virtual_host(&self, cx: &Context<'_>, stream: &Stream) -> Option<&VirtualHostEntry> {
        self.lookup(cx, stream).map(|(host, _)| host)
    }
}

/// Finds the route configuration of a manager; `origin` is the manager's.
pub(crate) fn locate<'a>(
    cx: &Context<'a>,
    walk: &mut Walk,
    hcm: &HttpConnectionManager,
    origin: &Origin,
    stream: &Stream,
) -> Located<'a> {
    match &hcm.route_specifier {
        Some(RouteSpecifier::RouteConfig(config)) => {
            inline(cx, config, origin.clone().within(".typed_config.route_config"), "it stands in the listener")
        }
        Some(RouteSpecifier::Rds(rds)) => by_name(cx, walk, &rds.route_config_name, "the listener asks for it by RDS"),
        Some(RouteSpecifier::ScopedRoutes(scoped)) => by_scope(cx, walk, scoped, origin, stream),
        None => Located::Missing {
            details: "route_configuration_not_found",
            why: "the manager has no routes at all".to_owned(),
        },
    }
}

fn inline<'a>(cx: &Context<'a>, config: &RouteConfiguration, origin: Origin, why: &str) -> Located<'a> {
    let step = Step::new("route configuration", shown(&config.name), why).at(Some(origin.clone()));
    Located::Table(Box::new(Table { routes: Routes::Inline(cx.cache.table(config)), origin, step }))
}

fn shown(name: &str) -> &str {
    if name.is_empty() { "(no name)" } else { name }
}

fn by_name<'a>(cx: &Context<'a>, walk: &mut Walk, name: &str, why: &str) -> Located<'a> {
    let Some((resource, table)) = cx.proxy.route_table(name) else {
        if !cx.proxy.has_section(Kind::Route) {
            walk.missing(format!("route configuration {name}: this file has no routes section"));
            return Located::Unknown;
        }
        let waits = cx.proxy.routes().iter().any(|route| route.name == name && route.state == State::Warming);
        let state = if waits { "is warming" } else { "isn't in this file: RDS hasn't delivered it" };
        return Located::Missing {
            // The connection manager has an empty table then.
            details: "route_not_found",
            why: format!("route configuration {name} {state}"),
        };
    };
    match table {
        Ok(table) => {
            let step = Step::new("route configuration", shown(name), why).at(Some(resource.origin()));
            unmodelled::in_routes(walk, table, &resource.origin());
            Located::Table(Box::new(Table { routes: Routes::OfProxy(table), origin: resource.origin(), step }))
        }
        Err(error) => {
            walk.missing(format!("route configuration {name}: {error}"));
            Located::Unknown
        }
    }
}

fn by_scope<'a>(
    cx: &Context<'a>,
    walk: &mut Walk,
    scoped: &ScopedRoutes,
    origin: &Origin,
    stream: &Stream,
) -> Located<'a> {
    let fragments = scoped.scope_key_builder.as_ref().map(|builder| builder.fragments.as_slice()).unwrap_or_default();
    let key: Option<Vec<String>> = fragments.iter().map(|fragment| fragment_of(fragment, stream)).collect();
    let none = |why: String| Located::Missing { details: "route_not_found", why };
    let Some(key) = key else {
        return none("the request has no scope key: a header that it is built from is missing".to_owned());
    };
    let shown_key = key.join(", ");
    match &scoped.config_specifier {
        Some(ConfigSpecifier::ScopedRouteConfigurationsList(list)) => {
            let found = list.scoped_route_configurations.iter().enumerate().find(|(_, scope)| has_key(scope, &key));
            let Some((index, scope)) = found else { return none(format!("no scope has the key {shown_key}")) };
            let origin = origin.clone().within(&format!(
                ".typed_config.scoped_routes.scoped_route_configurations_list.scoped_route_configurations[{index}]"
            ));
            of_scope(cx, walk, scope, origin, &shown_key)
        }
        Some(ConfigSpecifier::ScopedRds(_)) => {
            if !cx.proxy.has_section(Kind::ScopedRoute) {
                walk.missing("scoped routes: this file has no scoped routes section");
                return Located::Unknown;
            }
            let found =
                cx.proxy.scoped_routes().iter().filter(|resource| resource.state.is_in_force()).find_map(|resource| {
                    resource.get().ok().filter(|scope| has_key(scope, &key)).map(|scope| (resource, scope))
                });
            let Some((resource, scope)) = found else { return none(format!("no scope has the key {shown_key}")) };
            of_scope(cx, walk, scope, resource.origin(), &shown_key)
        }
        None => none("the manager has scoped routes without any scope".to_owned()),
    }
}

fn of_scope<'a>(
    cx: &Context<'a>,
    walk: &mut Walk,
    scope: &ScopedRouteConfiguration,
    origin: Origin,
    key: &str,
) -> Located<'a> {
    let why = format!("scope {} has the key {key}", scope.name);
    match &scope.route_configuration {
        Some(config) => inline(cx, config, origin.within(".route_configuration"), &why),
        None => {
            if scope.on_demand && cx.proxy.route_table(&scope.route_configuration_name).is_none() {
                walk.missing(format!("scope {} is loaded on demand", scope.name));
            }
            by_name(cx, walk, &scope.route_configuration_name, &why)
        }
    }
}

fn has_key(scope: &ScopedRouteConfiguration, key: &[String]) -> bool {
    let fragments = scope.key.as_ref().map(|key| key.fragments.as_slice()).unwrap_or_default();
    fragments.len() == key.len()
        && fragments.iter().zip(key).all(|(fragment, wanted)| match &fragment.r#type {
            Some(FragmentValue::StringKey(text)) => text == wanted,
            None => false,
        })
}

/// The part of a scope key that one header gives; `None` if it gives none.
fn fragment_of(fragment: &FragmentBuilder, stream: &Stream) -> Option<String> {
    let Some(BuilderType::HeaderValueExtractor(extractor)) = &fragment.r#type else { return None };
    let value = stream.headers.get(&extractor.name)?;
    let elements: Vec<&str> = if extractor.element_separator.is_empty() {
        vec![value]
    } else {
        value.split(extractor.element_separator.as_str()).collect()
    };
    match extractor.extract_type.as_ref()? {
        ExtractType::Index(index) => elements.get(usize::try_from(*index).ok()?).map(|text| (*text).to_owned()),
        ExtractType::Element(element) => elements.iter().find_map(|text| {
            let (key, value) = text.split_once(element.separator.as_str())?;
            (key == element.key).then(|| value.to_owned())
        }),
    }
}
