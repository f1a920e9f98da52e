//! What istioctl makes of JSON that isn't as Envoy writes it, and what is made of it without its faults.

use super::json::{self, Dialect};
use super::read::{Reader, Rules};
use super::{Document, Form, Output, Query, Verb, answer, write};
use crate::inventory::{ClusterFilter, EndpointFilter};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";

/// A message read by istioctl's rules and printed on one line, or the fault.
fn strict(name: &str, text: &str) -> String {
    let read = json::read(text, Dialect::Json)
        .and_then(|value| Reader::new(text, Rules::Istioctl).named(name, &value))
        .map(|node| write::json(&node).unwrap_or_else(|_| "not found".to_owned()));
    match read {
        Ok(text) => text.split_whitespace().collect(),
        Err(fault) => fault.to_string(),
    }
}

fn lenient(name: &str, text: &str) -> String {
    Document::message(name, text.as_bytes()).unwrap().json(Form::List).split_whitespace().collect()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(strict(CLUSTER, text), expected);
}

#[test]
fn fields_come_in_the_order_of_declaration() {
    check(
        r#"{"lb_policy":"RANDOM","connectTimeout":"0.25s","name":"a","type":"STATIC","respect_dns_ttl":false}"#,
        r#"{"name":"a","type":"STATIC","connectTimeout":"0.250s","lbPolicy":"RANDOM"}"#,
    );
}

#[test]
fn numbers_may_be_texts_and_wrappers_keep_zero() {
    check(
        r#"{"per_connection_buffer_limit_bytes":"0","max_requests_per_connection":1e3}"#,
        r#"{"perConnectionBufferLimitBytes":0,"maxRequestsPerConnection":1000}"#,
    );
    check(r#"{"max_requests_per_connection":-1}"#, "(line 1:32): invalid value for uint32 field value: -1");
}

#[test]
fn what_is_not_known_is_dropped() {
    check(r#"{"lb_policy":"NEW","new":{"a":1},"name":null}"#, "{}");
    check(r#"{"lb_policy":77}"#, r#"{"lbPolicy":77}"#);
}

#[test]
fn a_field_given_twice_is_a_fault() {
    check("{\n  \"lb_policy\": \"RANDOM\",\n  \"lbPolicy\": \"MAGLEV\"}", "(line 3:3): duplicate field \"lbPolicy\"");
    check(
        r#"{"type":"EDS","clusterType":{}}"#,
        "(line 1:15): error parsing \"clusterType\", oneof envoy.config.cluster.v3.Cluster.cluster_discovery_type is already set",
    );
    check(r#"{"metadata":{"filter_metadata":{"a":{"b":1,"b":2}}}}"#, "(line 1:44): duplicate map key \"b\"");
}

#[test]
fn an_unknown_type_is_read_as_another() {
    let any = |body: &str| format!(r#"{{"typed_extension_protocol_options":{{"x":{{"@type":"a/b.C"{body}}}}}}}"#);
    check(&any(r#","anything":[1]"#), "notfound");
    check(&any(r#","type":"STATIC""#), "syntax error (line 1:66): unexpected token \"STATIC\"");
    let known =
        r#"{"upstream_config":{"typed_config":{"seconds":1,"@type":"x/google.protobuf.Duration","value":"1s"}}}"#;
    check(known, r#"{"upstreamConfig":{"typedConfig":{"@type":"x/google.protobuf.Duration","value":"1s"}}}"#);
}

#[test]
fn bad_json_is_told_by_its_place() {
    check("{\n\"é\": }", "syntax error (line 2:6): unexpected token }");
    check("{\"a\": nul}", "syntax error (line 1:7): invalid value nul");
    check("{} x", "syntax error (line 1:4): invalid value x");
    check("{\"a\": [1, 2", "unexpected EOF");
    check(&"[".repeat(5000), "exceeded max recursion depth");
}

#[test]
fn nothing_is_a_fault_without_them() {
    let text = r#"{"lb_policy":"NEW","new":{"a_b":1.0},"type":"EDS","connect_timeout":"soon","name":"a",
        "typed_extension_protocol_options":{"x":{"@type":"a/b.C","some_field":true}}}"#;
    let expected = r#"{"name":"a","type":"EDS","connectTimeout":"soon","lbPolicy":"NEW","typedExtensionProtocolOptions":{"x":{"@type":"a/b.C","some_field":true}},"new":{"a_b":1.0}}"#;
    assert_eq!(lenient(CLUSTER, text), expected);
    // A resource of an older version isn't one of this.
    assert_eq!(
        lenient(CLUSTER, r#"{"@type":"a/envoy.api.v2.Cluster","lb_policy":"X"}"#),
        r#"{"@type":"a/envoy.api.v2.Cluster","lb_policy":"X"}"#
    );
}

#[test]
fn what_steers_a_terminal_is_escaped_without_istioctl() {
    assert_eq!(lenient(CLUSTER, "{\"name\":\"a\u{9b}\"}"), r#"{"name":"a\u009b"}"#);
    check("{\"name\":\"a\u{9b}\"}", "{\"name\":\"a\u{9b}\"}");
}

fn ask(text: &str, verb: Verb, output: Output) -> (String, String, u8) {
    let answer = answer(text.as_bytes(), &Query { verb, output, as_of: None });
    (String::from_utf8(answer.stdout).unwrap(), answer.error.unwrap_or_default(), answer.exit)
}

#[test]
fn errors_are_istioctls() {
    let clusters = || Verb::Clusters(ClusterFilter::default());
    let (out, error, exit) = ask("{}", clusters(), Output::Short);
    let url = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump";
    assert_eq!((out.as_str(), exit), ("", 1));
    assert_eq!(error, format!("Error: config dump has no configuration type {url}"));
    let empty = format!(r#"{{"configs":[{{"@type":"{url}"}}]}}"#);
    assert_eq!(ask(&empty, clusters(), Output::Short).1, "Error: no clusters found");
    let one = format!(r#"{{"configs":[{{"@type":"{url}","static_clusters":[{{"cluster":{{"name":"a"}}}}]}}]}}"#);
    let other = ask(&one, clusters(), Output::Other("xml".to_owned()));
    assert_eq!(other.1, "Error: output format \"xml\" not supported");
    // The cluster says no type, and gets one.
    assert_eq!(ask(&one, clusters(), Output::Json).0, "[\n    {}\n]\n");
    let text = r#"{"cluster_statuses":[{"name":"\u007f","host_statuses":[{}]}]}"#;
    let (out, error, exit) = ask(text, Verb::Endpoints(EndpointFilter::default()), Output::Yaml);
    assert_eq!((out.as_str(), error.as_str(), exit), ("", "Error: yaml: control characters are not allowed", 1));
    assert_eq!(ask("{}", Verb::Endpoints(EndpointFilter::default()), Output::Yaml).0, "[]\n\n");
}
