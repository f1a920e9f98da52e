use serde_json::json;

use super::fixture::{Sent, replies, replies_of};

fn http(filter: &str) -> String {
    format!("envoy.extensions.filters.http.{filter}")
}

#[test]
fn faults_abort_with_or_without_a_route() {
    let fault = |percentage: u32| json!({"abort": {"http_status": 418, "percentage": {"numerator": percentage}}});
    let of = |config, sent: &Sent<'_>| replies(&http("fault.v3.HTTPFault"), config, sent);
    assert_eq!(of(fault(100), &Sent::default()), ["418 fault_filter_abort"]);
    assert_eq!(of(fault(0), &Sent::default()), ["continue"]);
    assert_eq!(of(fault(50), &Sent::default()), ["418 fault_filter_abort", "continue"]);
    assert_eq!(of(fault(100), &Sent { route: None, ..Sent::default() }), ["418 fault_filter_abort"]);
    let mut other = fault(100);
    other["upstream_cluster"] = json!("other");
    assert_eq!(of(other, &Sent::default()), ["continue"]);
    let by_header = json!({"abort": {"header_abort": {}, "percentage": {"numerator": 100}}});
    assert_eq!(of(by_header.clone(), &Sent::default()), ["continue"]);
    let headers = &[("x-envoy-fault-abort-request", "429")];
    assert_eq!(of(by_header, &Sent { headers, ..Sent::default() }), ["429 fault_filter_abort"]);
    let over = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"});
    assert_eq!(of(fault(100), &Sent { over: Some(over), ..Sent::default() }), ["continue"]);
}

#[test]
fn cors_answers_preflights_of_allowed_origins() {
    let over = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": "http://o"}],
    });
    let of = |over: Option<serde_json::Value>, method: &str, origin: &str| {
        let headers = &[("origin", origin), ("access-control-request-method", "GET")];
        replies(&http("cors.v3.Cors"), json!({}), &Sent { method, headers, over, ..Sent::default() })
    };
    assert_eq!(of(Some(over.clone()), "OPTIONS", "http://o"), ["200 cors_response"]);
    assert_eq!(of(Some(over.clone()), "GET", "http://o"), ["continue"]);
    assert_eq!(of(Some(over.clone()), "OPTIONS", "http://x"), ["continue"]);
    assert_eq!(of(None, "OPTIONS", "http://o"), ["continue"]);
    let mut kept = over;
    kept["forward_not_matching_preflights"] = json!(false);
    assert_eq!(of(Some(kept), "OPTIONS", "http://x"), ["200 cors_response"]);
}

#[test]
fn csrf_wants_the_target_as_origin() {
    let config =
        json!({"filter_enabled": {"default_value": {"numerator": 100}}, "additional_origins": [{"exact": "ok"}]});
    let of = |method: &str, headers: &[(&str, &str)]| {
        replies(&http("csrf.v3.CsrfPolicy"), config.clone(), &Sent { method, headers, ..Sent::default() })
    };
    assert_eq!(of("GET", &[]), ["continue"]);
    assert_eq!(of("POST", &[]), ["403 csrf_origin_mismatch"]);
    assert_eq!(of("POST", &[("origin", "https://example.com")]), ["continue"]);
    assert_eq!(of("POST", &[("referer", "https://example.com/x?y")]), ["continue"]);
    assert_eq!(of("POST", &[("origin", "https://ok")]), ["continue"]);
    assert_eq!(of("POST", &[("origin", "https://evil")]), ["403 csrf_origin_mismatch"]);
}

#[test]
fn local_rate_limits_count_over_a_batch() {
    let full = json!({"default_value": {"numerator": 100}});
    let config = |interval: &str| {
        json!({
            "token_bucket": {"max_tokens": 2, "fill_interval": interval},
            "filter_enabled": full, "filter_enforced": full,
        })
    };
    let of = |config| {
        replies_of(
            &[&Sent::default(), &Sent::default(), &Sent::default()],
            &http("local_ratelimit.v3.LocalRateLimit"),
            config,
        )
    };
    assert_eq!(of(config("1000s")), [["continue"], ["continue"], ["429 local_rate_limited"]]);
    let soon = of(config("1s"));
    assert_eq!(soon[2], ["429 local_rate_limited", "continue"]);
    let mut lenient = config("1000s");
    lenient["filter_enforced"] = json!({});
    assert_eq!(of(lenient), [["continue"], ["continue"], ["continue"]]);
}

#[test]
fn local_rate_limit_descriptors_have_buckets_of_their_own() {
    let full = json!({"default_value": {"numerator": 100}});
    let config = json!({
        "filter_enabled": full, "filter_enforced": full,
        "descriptors": [{
            "entries": [{"key": "who", "value": "a"}],
            "token_bucket": {"max_tokens": 1, "fill_interval": "1000s"},
        }],
        "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-who", "descriptor_key": "who"}}]}],
    });
    let who = |name: &'static str| Sent {
        headers: if name == "a" { &[("x-who", "a")] } else { &[("x-who", "b")] },
        ..Sent::default()
    };
    let batch = [&who("a"), &who("b"), &who("a"), &who("b")];
    assert_eq!(
        replies_of(&batch, &http("local_ratelimit.v3.LocalRateLimit"), config),
        [["continue"], ["continue"], ["429 local_rate_limited"], ["continue"]]
    );
}

#[test]
fn ext_authz_is_asked_only_where_a_route_matched() {
    let config = json!({"http_service": {"server_uri": {"uri": "http://authz", "cluster": "none"}}});
    let of = |config: serde_json::Value, sent: &Sent<'_>| replies(&http("ext_authz.v3.ExtAuthz"), config, sent);
    assert_eq!(of(config.clone(), &Sent { route: None, ..Sent::default() }), ["continue"]);
    let over = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": true});
    assert_eq!(of(config, &Sent { over: Some(over), ..Sent::default() }), ["continue"]);
    let google = json!({"grpc_service": {"google_grpc": {"target_uri": "authz:1"}}, "status_on_error": {"code": "ServiceUnavailable"}});
    assert_eq!(of(google, &Sent::default()), ["403 ext_authz_denied", "503 ext_authz_error", "continue"]);
}

#[test]
fn an_override_may_switch_a_filter_off() {
    let over = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
    let config = json!({"rules": {}});
    let of = |over| replies(&http("rbac.v3.RBAC"), config.clone(), &Sent { over, ..Sent::default() });
    assert_eq!(of(None), ["403 rbac_access_denied_matched_policy[none]"]);
    assert_eq!(of(Some(over)), ["continue"]);
    let empty = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"});
    assert_eq!(of(Some(empty)), ["continue"]);
}

#[test]
fn passwords_and_keys_are_known_only_where_they_are_shown() {
    let basic = |header: Option<&str>| {
        let headers: Vec<(&str, &str)> = header.map(|value| ("authorization", value)).into_iter().collect();
        let config = json!({"users": {"inline_string": "[redacted]"}});
        replies(&http("basic_auth.v3.BasicAuth"), config, &Sent { headers: &headers, ..Sent::default() })
    };
    assert_eq!(basic(None), ["401 no_credential_for_basic_auth"]);
    assert_eq!(basic(Some("Bearer x")), ["401 invalid_scheme_for_basic_auth"]);
    assert_eq!(basic(Some("Basic YWxpY2U=")), ["401 invalid_format_for_basic_auth"]);
    assert_eq!(basic(Some("Basic YWxpY2U6cHc=")), ["401 invalid_credential_for_basic_auth", "continue"]);
    let config = json!({"credentials": [{"key": "[redacted]", "client": "a"}], "key_sources": [{"query": "key"}]});
    let key =
        |path: &str| replies(&http("api_key_auth.v3.ApiKeyAuth"), config.clone(), &Sent { path, ..Sent::default() });
    assert_eq!(key("/"), ["401 missing_api_key"]);
    assert_eq!(key("/?key=k"), ["401 unknown_api_key", "continue"]);
}

#[test]
fn health_checks_are_answered_unless_passed_through() {
    let config = |passes: bool| json!({"pass_through_mode": passes, "headers": [{"name": ":path", "string_match": {"exact": "/hc"}}]});
    let of =
        |config, path: &str| replies(&http("health_check.v3.HealthCheck"), config, &Sent { path, ..Sent::default() });
    assert_eq!(of(config(false), "/hc"), ["200 health_check_ok"]);
    assert_eq!(of(config(false), "/x"), ["continue"]);
    assert_eq!(of(config(true), "/hc"), ["continue"]);
    let mut by_cluster = config(false);
    by_cluster["cluster_min_healthy_percentages"] = json!({"nobody": {"value": 10}});
    assert_eq!(of(by_cluster, "/hc"), ["503 health_check_failed_no_cluster_found"]);
}

#[test]
fn a_matcher_skips_or_chooses_a_filter() {
    let input = json!({"name": "h", "typed_config": {
        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-a"}});
    let fault = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 418, "percentage": {"numerator": 100}}});
    let with = |inner: &serde_json::Value, action: &serde_json::Value| {
        json!({
            "extension_config": {"name": "inner", "typed_config": inner},
            "xds_matcher": {"matcher_tree": {"input": input, "exact_match_map": {"map": {
                "a": {"action": {"name": "act", "typed_config": action}}}}}},
        })
    };
    let of = |config: serde_json::Value, value: &str| {
        let headers = &[("x-a", value)];
        let kind = "envoy.extensions.common.matching.v3.ExtensionWithMatcher";
        replies(kind, config, &Sent { headers, ..Sent::default() })
    };
    let skip = json!({"@type": "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"});
    assert_eq!(of(with(&fault, &skip), "a"), ["continue"]);
    assert_eq!(of(with(&fault, &skip), "b"), ["418 fault_filter_abort"]);
    let composite = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite"});
    let execute = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction",
        "typed_config": {"name": "fault", "typed_config": fault}});
    assert_eq!(of(with(&composite, &execute), "a"), ["418 fault_filter_abort"]);
    assert_eq!(of(with(&composite, &execute), "b"), ["continue"]);
}
