//! The way of a request to a waypoint: its client sends it in a tunnel (HBONE), to an address that the waypoint stands for.

use std::net::{IpAddr, SocketAddr};

use super::context::Context;
use super::destination::{self, Derived};
use super::listener;
use super::outcome::Step;
use super::request::{ClientTls, Protocol, Request};
use crate::proto::envoy::config::listener::v3::Listener;
use crate::proto::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use crate::proto::xds::r#type::matcher::v3::matcher::{MatcherType, OnMatch, on_match};
use crate::proto::xds::r#type::matcher::v3::{IpMatcher, Matcher};

/// Where Istio's waypoints take tunnels.
const TUNNEL_PORT: u16 = 15008;
/// The internal listener behind it, by the name that istiod gives it.
const INSIDE: &str = "main_internal";
/// Matchers of addresses and ports nest once; a hostile one must not exhaust the stack.
const MAX_DEPTH: u32 = 8;

/// A CONNECT with the request in its tunnel, if this is a waypoint and the host one of its services.
///
/// The identity is that of the tunnel's client; what is inside is plain text then.
pub(crate) fn derive(cx: &Context<'_>, request: &Request, host: &str, port: u16) -> Option<Derived> {
    let takes = |port: u16| listener::places(cx).on_port(port).any(|place| place.is_bound);
    if takes(port) || !takes(TUNNEL_PORT) {
        return None;
    }
    let inside = listener::internal(cx, INSIDE)?;
    let (ip, why) = address(cx, inside.listener, host, port)?;
    let own = destination::own_address(cx).unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let certificate = request.tls.as_ref().and_then(|tls| tls.certificate.clone());
    let mut tunnelled = request.clone();
    tunnelled.tls.take_if(|_| certificate.is_some());
    let target = SocketAddr::new(ip, port).to_string();
    let tunnel = Request {
        id: request.id.clone(),
        protocol: Protocol::Http2,
        connect: Some(SocketAddr::new(own, TUNNEL_PORT)),
        source: request.source,
        source_port: request.source_port,
        tls: Some(ClientTls { sni: None, alpn: vec!["h2".to_owned()], certificate }),
        method: "CONNECT".to_owned(),
        authority: Some(target.clone()),
        tunnelled: Some(Box::new(tunnelled)),
        ..Request::get("")
    };
    let why = format!("{why}; requests come to a waypoint in a tunnel to port {TUNNEL_PORT}");
    let step = Step::new("destination", target, why).at(Some(inside.resource.origin()));
    Some(Derived { request: tunnel, steps: vec![step], stands_for: None })
}

/// The address of the host: itself, or the one from which the listener goes to the service's chain.
fn address(cx: &Context<'_>, inside: &Listener, host: &str, port: u16) -> Option<(IpAddr, String)> {
    if let Ok(ip) = host.parse() {
        return Some((ip, "the URL names the address".to_owned()));
    }
    let namespace = destination::namespace(cx);
    let serves = |name: &str| {
        let mut parts = name.split('|');
        parts.next() == Some("inbound-vip")
            && parts.next().is_some_and(|part| part.parse() == Ok(port))
            && destination::service_of(name).is_some_and(|fqdn| destination::is_called(fqdn, host, namespace))
    };
    let name = inside.filter_chains.iter().map(|chain| &chain.name).find(|name| serves(name))?;
    let ip = address_of_chain(cx, inside.filter_chain_matcher.as_ref()?, name)?;
    Some((ip, format!("listener {INSIDE} takes this address and port to its chain {name}")))
}

/// The address from which a matcher of addresses leads to a chain.
fn address_of_chain(cx: &Context<'_>, matcher: &Matcher, chain: &str) -> Option<IpAddr> {
    let Some(MatcherType::MatcherTree(tree)) = &matcher.matcher_type else { return None };
    let Some(TreeType::CustomMatch(custom)) = &tree.tree_type else { return None };
    let addresses = cx.cache.decode::<IpMatcher>(custom.typed_config.as_ref()?).ok()?;
    let found = addresses.range_matchers.iter().find(|entry| leads_to(entry.on_match.as_ref(), chain, MAX_DEPTH))?;
    found.ranges.first()?.address_prefix.parse().ok()
}

fn leads_to(on_match: Option<&OnMatch>, chain: &str, depth: u32) -> bool {
    let (Some(on_match), Some(deeper)) = (on_match.and_then(|m| m.on_match.as_ref()), depth.checked_sub(1)) else {
        return false;
    };
    match on_match {
        on_match::OnMatch::Action(action) => action.name == chain,
        on_match::OnMatch::Matcher(matcher) => match &matcher.matcher_type {
            Some(MatcherType::MatcherTree(tree)) => match &tree.tree_type {
                Some(TreeType::ExactMatchMap(branches)) => {
                    branches.map.values().any(|branch| leads_to(Some(branch), chain, deeper))
                }
                _ => false,
            },
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::trace::assume::Assumptions;
    use crate::trace::cache::Cache;
    use crate::trace::matcher::fixture::proxy_of;
    use crate::trace::request::ClientCertificate;

    #[test]
    fn a_service_of_the_waypoint_is_called_in_a_tunnel() {
        let chain = "inbound-vip|8080|http|inventory.stock.svc.cluster.local";
        let input = |name: &str| {
            let kind = format!("type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.{name}");
            json!({"name": "input", "typed_config": {"@type": kind}})
        };
        let ports = json!({"8080": {"action": {"name": chain}}});
        let of_port = json!({"matcher": {"matcher_tree": {
            "input": input("DestinationPortInput"), "exact_match_map": {"map": ports},
        }}});
        let addresses = json!({"name": "ip", "typed_config": {
            "@type": "type.googleapis.com/xds.type.matcher.v3.IPMatcher",
            "range_matchers": [{"ranges": [{"address_prefix": "10.96.4.10", "prefix_len": 32}], "on_match": of_port}],
        }});
        let matcher = json!({"matcher_tree": {"input": input("DestinationIPInput"), "custom_match": addresses}});
        let entry = json!({"name": "connect_terminate",
            "address": {"socket_address": {"address": "0.0.0.0", "port_value": TUNNEL_PORT}}});
        let inside = json!({"name": INSIDE, "internal_listener": {}, "filter_chain_matcher": matcher,
            "filter_chains": [{"name": chain}]});
        let (proxy, cache, assumptions) = (proxy_of(&[entry, inside], &[]), Cache::default(), Assumptions::default());
        let cx = Context { proxy: &proxy, cache: &cache, assumptions: &assumptions };

        let certificate = Some(ClientCertificate { uri_sans: vec!["spiffe://a".to_owned()], ..Default::default() });
        let tls = Some(ClientTls { certificate: certificate.clone(), ..ClientTls::default() });
        let request = Request { authority: Some("inventory.stock:8080".to_owned()), tls, ..Request::get("/x") };
        let derived = derive(&cx, &request, "inventory.stock", 8080).unwrap().request;
        assert_eq!((derived.method.as_str(), derived.authority.as_deref()), ("CONNECT", Some("10.96.4.10:8080")));
        assert_eq!(derived.connect.unwrap().port(), TUNNEL_PORT);
        assert_eq!(derived.tls.unwrap().certificate, certificate);
        assert_eq!(*derived.tunnelled.unwrap(), Request { tls: None, ..request.clone() });
        assert!(derive(&cx, &request, "inventory.stock", 81).is_none());
        assert!(derive(&cx, &request, "other.stock", 8080).is_none());
        assert!(derive(&cx, &request, "10.96.4.10", TUNNEL_PORT).is_none());
    }
}
