//! HTTP/1.0, end to end (measured on 1.40): what the codec, the inspector and the connection manager make of it.

use serde_json::{Value, json};

use crate::trace::matcher::fixture::proxy_of;
use crate::trace::outcome::Outcome;
use crate::trace::request::{Protocol, Request};
use crate::trace::tracer::Tracer;

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters";

fn chain(name: &str, alpn: &str, options: &Value) -> Value {
    json!({"name": name, "filter_chain_match": {"application_protocols": [alpn]}, "filters": [{
        "name": "hcm",
        "typed_config": {
            "@type": format!("{TYPE}.network.http_connection_manager.v3.HttpConnectionManager"),
            "http_protocol_options": options,
            "http_filters": [{"name": "envoy.filters.http.router"}],
            "route_config": {"name": "rc", "virtual_hosts": [
                {"name": "old", "domains": ["old.host"], "routes": [
                    {"match": {"prefix": "/"}, "direct_response": {"status": 418}},
                ]},
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]},
            ]},
        },
    }]})
}

fn trace(options: &Value, protocol: Protocol, authority: Option<&str>) -> Outcome {
    let listener = json!({
        "name": "l",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "listener_filters": [{"name": "envoy.filters.listener.http_inspector"}],
        "filter_chains": [chain("ten", "http/1.0", options), chain("eleven", "http/1.1", options)],
    });
    let connect = Some("10.0.0.1:80".parse().unwrap());
    let authority = authority.map(str::to_owned);
    let request = Request { protocol, authority, connect, ..Request::get("/") };
    let proxy = proxy_of(&[listener], &[]);
    let trace = Tracer::new(&proxy).trace(&request);
    assert_eq!((trace.branches.len(), trace.unknown.len()), (1, 0), "{:?}", trace.unknown);
    trace.branches[0].outcome.clone()
}

fn told(outcome: &Outcome) -> (Option<u16>, Option<&str>, Option<&str>) {
    (outcome.status, outcome.details.as_deref(), outcome.filter_chain.as_deref())
}

#[test]
fn it_is_refused_unless_accepted() {
    let refused = trace(&json!({}), Protocol::Http10, Some("h"));
    assert_eq!(told(&refused), (Some(426), Some("low_version"), Some("ten")));
    assert_eq!(refused.flags.into_iter().collect::<Vec<_>>(), ["DPE"]);
    let accepted = trace(&json!({"accept_http_10": true}), Protocol::Http10, Some("h"));
    assert_eq!(told(&accepted), (Some(200), Some("direct_response"), Some("ten")));
}

#[test]
fn a_host_may_be_taken_in_place_of_none() {
    let options = json!({"accept_http_10": true, "default_host_for_http_10": "old.host"});
    assert_eq!(trace(&options, Protocol::Http10, None).status, Some(418));
    assert_eq!(trace(&options, Protocol::Http10, Some("h")).status, Some(200));
    let missing = (Some(400), Some("missing_host_header"), Some("eleven"));
    assert_eq!(told(&trace(&options, Protocol::Http1, None)), missing);
    let without = trace(&json!({"accept_http_10": true}), Protocol::Http10, None);
    assert_eq!(told(&without), (Some(400), Some("missing_host_header"), Some("ten")));
}
