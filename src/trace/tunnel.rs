//! CONNECT that ends at this proxy: what the tunnel carries goes on into an internal listener (HBONE).

use super::context::Stream;
use super::inspect::Bytes;
use super::network::{self, Hop};
use super::outcome::Outcome;
use super::request::{Connection, Protocol, Request};
use super::tcp;
use super::walk::Walk;
use crate::proto::envoy::config::route::v3::RouteAction;

/// Whether this is a CONNECT of which the route takes the bytes out (`connect_config`), in place of passing it on.
pub(crate) fn ends_here(action: &RouteAction, stream: &Stream) -> bool {
    stream.headers.method() == "CONNECT"
        && action.upgrade_configs.iter().any(|u| u.upgrade_type == "CONNECT" && u.connect_config.is_some())
}

/// Follows what a CONNECT carries into the listener behind it.
///
/// The client is told 200 as soon as the connection to that listener stands, whatever comes after; without a filter chain
/// it stands only while a listener filter waits for bytes (measured on 1.40). Of a request inside, the answer is how
/// that one ends.
pub(crate) fn follow(hop: &Hop<'_>, walk: &mut Walk, listener: &str, next: Connection) {
    let request = hop.bytes.request();
    let inside = match &request.tunnelled {
        Some(inside) => (**inside).clone(),
        None => Request { id: request.id.clone(), protocol: Protocol::Tcp, ..Request::get("") },
    };
    let inner = Hop { bytes: Bytes::Internal(&inside, inside.tls.is_some()), depth: hop.depth + 1, ..*hop };
    if request.tunnelled.is_some() {
        walk.outcome = Outcome::default();
        network::enter_internal(&inner, walk, listener, next);
        return;
    }
    let mut stands = true;
    tcp::http_result(walk, |walk| stands = network::enter_internal(&inner, walk, listener, next));
    let is_read = walk.outcome.status.is_some();
    walk.outcome.status = Some(200);
    walk.outcome.upstream_path = None;
    walk.outcome.upstream_authority = None;
    match walk.outcome.disposition {
        _ if !stands => {
            walk.outcome.status = Some(503);
            walk.outcome.flags.insert("UF");
            walk.outcome.details = Some("upstream_reset_before_response_started".to_owned());
        }
        Some(disposition) if !disposition.is_delivered() && !is_read => {
            walk.outcome.flags.insert("UC");
            walk.outcome.details = Some("upstream_reset_after_response_started".to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::trace::Tracer;
    use crate::trace::matcher::fixture::proxy_of;

    const TYPE: &str = "type.googleapis.com/envoy.extensions.filters";

    /// A chain with a connection manager and one route.
    fn http_chain(matched: Value, route: Value, filters: Value) -> Value {
        json!({"filter_chain_match": matched, "filters": [{"name": "hcm", "typed_config": {
            "@type": format!("{TYPE}.network.http_connection_manager.v3.HttpConnectionManager"),
            "upgrade_configs": [{"upgrade_type": "CONNECT"}],
            "http_filters": filters,
            "route_config": {"name": "rc", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]},
        }}]})
    }

    /// Traces a CONNECT to 10.0.0.1 on that port through a listener that hands tunnels on to one with a chain for port 80
    /// and the given listener filters.
    fn trace(port: u16, waits: bool, tunnelled: Option<Request>) -> Outcome {
        let router = json!({"name": "envoy.filters.http.router"});
        let state = json!({"name": "authority", "typed_config": {
            "@type": format!("{TYPE}.http.set_filter_state.v3.Config"),
            "on_request_headers": [{
                "object_key": "envoy.filters.listener.original_dst.local_ip",
                "format_string": {"text_format_source": {"inline_string": "%REQ(:AUTHORITY)%"}},
                "shared_with_upstream": "ONCE",
            }],
        }});
        let connect = json!({"match": {"connect_matcher": {}}, "route": {
            "cluster": "inner", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}],
        }});
        let inside = json!({"match": {"prefix": "/"}, "direct_response": {"status": 418}});
        let mut listener_filters = vec![json!({"name": "envoy.filters.listener.original_dst"})];
        if waits {
            listener_filters.push(json!({"name": "envoy.filters.listener.http_inspector"}));
        }
        let inner = json!({"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "inside"}}}});
        let at = json!({"socket_address": {"address": "0.0.0.0", "port_value": 15008}});
        let outside = json!({
            "name": "outside", "address": at, "filter_chains": [http_chain(json!({}), connect, json!([state, router]))],
        });
        let inside = json!({
            "name": "inside", "internal_listener": {}, "listener_filters": listener_filters,
            "filter_chains": [http_chain(json!({"destination_port": 80}), inside, json!([router]))],
        });
        let assignment = json!({"cluster_name": "inner", "endpoints": [{"lb_endpoints": [inner]}]});
        let cluster = json!({"name": "inner", "type": "STATIC", "load_assignment": assignment});
        let proxy = proxy_of(&[outside, inside], &[cluster]);
        let mut request = Request::get("");
        request.protocol = Protocol::Http2;
        request.method = "CONNECT".to_owned();
        request.authority = Some(format!("10.0.0.1:{port}"));
        request.connect = Some("10.9.9.9:15008".parse().unwrap());
        request.tunnelled = tunnelled.map(Box::new);
        let trace = Tracer::new(&proxy).trace(&request);
        assert_eq!((trace.branches.len(), trace.unknown.len()), (1, 0), "{:?} {:?}", trace.branches, trace.unknown);
        trace.branches[0].outcome.clone()
    }

    fn told(outcome: &Outcome) -> (Option<&str>, Option<u16>, String, Option<&str>) {
        let flags = outcome.flags.iter().copied().collect::<Vec<_>>().join(",");
        (outcome.listener.as_deref(), outcome.status, flags, outcome.details.as_deref())
    }

    #[test]
    fn a_tunnel_opens_whatever_is_inside() {
        // The line inside isn't HTTP: what follows the 200 is that the connection is closed.
        let after = Some("upstream_reset_after_response_started");
        assert_eq!(told(&trace(80, false, None)), (Some("outside"), Some(200), "UC".to_owned(), after));
    }

    #[test]
    fn without_a_filter_chain_it_stands_while_an_inspector_waits() {
        let after = Some("upstream_reset_after_response_started");
        assert_eq!(told(&trace(81, true, None)), (Some("outside"), Some(200), "UC".to_owned(), after));
        let before = Some("upstream_reset_before_response_started");
        assert_eq!(told(&trace(81, false, None)), (Some("outside"), Some(503), "UF".to_owned(), before));
    }

    #[test]
    fn of_a_request_inside_the_answer_is_its_own() {
        let request = Request { authority: Some("a".to_owned()), ..Request::get("/x") };
        let outcome = trace(80, true, Some(request.clone()));
        assert_eq!(told(&outcome), (Some("inside"), Some(418), String::new(), Some("direct_response")));
        assert_eq!(told(&trace(81, true, Some(request))), (Some("inside"), None, "NR".to_owned(), None));
    }
}
