//! Listeners: filter chains, and what their filters refer to.

use super::fragment::{Fragment, Target};
use super::node::{EdgeKind, Node, NodeKind, Presence};
use super::route;
use super::service::{self, Side};
use crate::dump::{Origin, Resource, decode_any, references, type_of};
use crate::proto::Any;
use crate::proto::envoy::config::core::v3::envoy_internal_address::AddressNameSpecifier;
use crate::proto::envoy::config::core::v3::socket_address::PortSpecifier;
use crate::proto::envoy::config::core::v3::{Address, ExtensionConfigSource, address};
use crate::proto::envoy::config::listener::v3::{FilterChain, Listener, filter, listener_filter};
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::scoped_routes::ConfigSpecifier;
use crate::proto::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_filter,
};
use crate::proto::envoy::extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy};

const CONNECTION_MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// A listener, its chains and all that they name.
pub(super) fn fragment(resource: &Resource<Listener>) -> Fragment {
    let presence = Presence::Held(resource.state);
    let origin = resource.origin();
    let node = Node::new(NodeKind::Listener, resource.name.as_str(), presence, Some(origin.clone()));
    let mut fragment = Fragment::of(node);
    let Ok(listener) = resource.decode() else { return fragment };
    if let Some(root) = fragment.nodes.first_mut() {
        root.detail = listener.address.as_ref().map(address_text);
        if root.name.is_empty() {
            // An unnamed listener goes by its address; Envoy makes up a UUID.
            root.name = root.detail.clone().unwrap_or_default().into();
        }
    }

    // Node of each chain by the JSON path that its parts start with.
    let mut chains: Vec<(String, usize)> = Vec::new();
    for (nth, chain) in listener.filter_chains.iter().enumerate() {
        let path = format!(".filter_chains[{nth}]");
        let shared = listener.filter_chains.iter().filter(|other| other.name == chain.name).count() > 1;
        let name = if chain.name.is_empty() || shared { nth.to_string() } else { chain.name.clone() };
        let index = add_chain(&mut fragment, chain, &name, presence, &origin.clone().within(&path));
        chains.push((path, index));
    }
    if let Some(chain) = &listener.default_filter_chain {
        let path = ".default_filter_chain";
        let index = add_chain(&mut fragment, chain, "default", presence, &origin.clone().within(path));
        chains.push((path.to_owned(), index));
    }
    if let Some(any) = listener.api_listener.as_ref().and_then(|api| api.api_listener.as_ref()) {
        connection_manager(&mut fragment, 0, any, presence, &origin.clone().within(".api_listener.api_listener"));
    }
    for filter in &listener.listener_filters {
        if let Some(listener_filter::ConfigType::ConfigDiscovery(source)) = &filter.config_type {
            discovery(&mut fragment, 0, &filter.name, source);
        }
    }
    let found = references(resource.raw());
    service::add(&mut fragment, found, Side::Downstream, |path| {
        let part = |chain: &str| path.strip_prefix(chain).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        chains.iter().find(|(chain, _)| part(chain)).map_or(0, |(_, index)| *index)
    });
    fragment
}

fn add_chain(fragment: &mut Fragment, chain: &FilterChain, name: &str, presence: Presence, origin: &Origin) -> usize {
    let name = format!("{}/{name}", fragment.name(0));
    let filters: Vec<_> = chain.filters.iter().map(|filter| short(&filter.name)).collect();
    let node = Node::new(NodeKind::FilterChain, name, presence, Some(origin.clone())).with_detail(filters.join(", "));
    let index = fragment.add(0, EdgeKind::Part, node);
    for (nth, filter) in chain.filters.iter().enumerate() {
        let origin = || origin.clone().within(&format!(".filters[{nth}].typed_config"));
        match &filter.config_type {
            Some(filter::ConfigType::TypedConfig(any)) => match type_of(any).as_ref() {
                CONNECTION_MANAGER => connection_manager(fragment, index, any, presence, &origin()),
                TCP_PROXY => tcp_proxy(fragment, index, any),
                // The rest is found by shape.
                _ => {}
            },
            Some(filter::ConfigType::ConfigDiscovery(source)) => discovery(fragment, index, &filter.name, source),
            None => {}
        }
    }
    index
}

fn connection_manager(fragment: &mut Fragment, from: usize, any: &Any, presence: Presence, origin: &Origin) {
    let Ok(manager) = decode_any::<HttpConnectionManager>(any) else { return };
    for filter in manager.http_filters.iter().chain(manager.upgrade_configs.iter().flat_map(|upgrade| &upgrade.filters))
    {
        if let Some(http_filter::ConfigType::ConfigDiscovery(source)) = &filter.config_type {
            discovery(fragment, from, &filter.name, source);
        }
    }
    match manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) => {
            fragment.link(from, EdgeKind::Rds, Target::Named(NodeKind::RouteConfiguration, rds.route_config_name));
        }
        Some(RouteSpecifier::RouteConfig(config)) => {
            let name = if config.name.is_empty() { fragment.name(from).to_string() } else { config.name.clone() };
            let part = route::fragment(&name, &config, presence, &origin.clone().within(".route_config"));
            fragment.append(from, EdgeKind::Inline, part);
        }
        Some(RouteSpecifier::ScopedRoutes(scoped)) => match scoped.config_specifier {
            Some(ConfigSpecifier::ScopedRouteConfigurationsList(list)) => {
                for (nth, scope) in list.scoped_route_configurations.iter().enumerate() {
                    let part = ".scoped_routes.scoped_route_configurations_list.scoped_route_configurations";
                    let origin = origin.clone().within(&format!("{part}[{nth}]"));
                    fragment.append(from, EdgeKind::Scoped, route::scope(&scope.name, scope, presence, &origin));
                }
            }
            Some(ConfigSpecifier::ScopedRds(_)) | None => {
                fragment.link(from, EdgeKind::Scoped, Target::ScopeSet(scoped.name));
            }
        },
        None => {}
    }
}

fn tcp_proxy(fragment: &mut Fragment, from: usize, any: &Any) {
    let Ok(proxy) = decode_any::<TcpProxy>(any) else { return };
    match proxy.cluster_specifier {
        Some(tcp_proxy::ClusterSpecifier::Cluster(name)) => {
            fragment.link(from, EdgeKind::TcpProxy, Target::Named(NodeKind::Cluster, name));
        }
        Some(tcp_proxy::ClusterSpecifier::WeightedClusters(weighted)) => {
            for one in weighted.clusters {
                let kind = EdgeKind::WeightedTcpProxy(one.weight);
                fragment.link(from, kind, Target::Named(NodeKind::Cluster, one.name));
            }
        }
        None => {}
    }
}

/// A filter by ECDS; a default configuration takes its place until it is there.
fn discovery(fragment: &mut Fragment, from: usize, name: &str, source: &ExtensionConfigSource) {
    let name = name.to_owned();
    let target = if source.default_config.is_some() {
        Target::Optional(NodeKind::Extension, name)
    } else {
        Target::Named(NodeKind::Extension, name)
    };
    fragment.link(from, EdgeKind::Ecds, target);
}

/// A filter's name without the words that all of them start with.
fn short(name: &str) -> &str {
    name.strip_prefix("envoy.filters.network.").or_else(|| name.strip_prefix("envoy.")).unwrap_or(name)
}

/// An address as Envoy prints it: `ip:port`, a path, `envoy://listener/id`.
pub(super) fn address_text(address: &Address) -> String {
    match &address.address {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match &socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => port.to_string(),
                Some(PortSpecifier::NamedPort(port)) => port.clone(),
                None => "0".to_owned(),
            };
            if socket.address.contains(':') {
                format!("[{}]:{port}", socket.address)
            } else {
                format!("{}:{port}", socket.address)
            }
        }
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        Some(address::Address::EnvoyInternalAddress(internal)) => {
            let listener = internal_listener(address).unwrap_or_default();
            format!("envoy://{listener}/{}", internal.endpoint_id)
        }
        None => String::new(),
    }
}

/// The internal listener that an address leads to.
pub(super) fn internal_listener(address: &Address) -> Option<&str> {
    let Some(address::Address::EnvoyInternalAddress(internal)) = &address.address else { return None };
    let AddressNameSpecifier::ServerListenerName(name) = internal.address_name_specifier.as_ref()?;
    Some(name)
}
