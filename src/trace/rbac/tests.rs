use serde_json::{Value as Json, json};

use super::*;
use crate::trace::matcher::fixture::{answers, connection, message, mutual_tls, proxy, stream};

const ANY: &str = r#"{"any": true}"#;

fn any() -> Json {
    serde_json::from_str(ANY).unwrap()
}

fn rules(action: &str, policies: &[(&str, Json, Json)]) -> Json {
    let policies: Map<String, Json> = policies
        .iter()
        .map(|(name, permission, principal)| {
            ((*name).to_owned(), json!({"permissions": [permission], "principals": [principal]}))
        })
        .collect();
    json!({"rules": {"action": action, "policies": policies}})
}

#[track_caller]
fn decide(config: Json, connection: Connection, path: &str, headers: &[(&str, &str)]) -> Option<String> {
    let config: HttpRbac = message(config);
    let (mut found, unknown) = answers(&proxy(40), |cx, walk| {
        let mut stream = stream(connection.clone(), path, headers);
        http(cx, walk, "rbac", &config, &mut stream, Route::default()).map(|denial| denial.details)
    });
    assert_eq!((found.len(), unknown.len()), (1, 0), "{unknown:?}");
    found.pop().unwrap()
}

#[test]
fn allow_needs_a_policy_and_deny_forbids_by_one() {
    let denied = |id: &str| Some(format!("rbac_access_denied_matched_policy[{id}]"));
    assert_eq!(decide(rules("ALLOW", &[]), connection(), "/", &[]), denied("none"));
    assert_eq!(decide(rules("ALLOW", &[("a", any(), any())]), connection(), "/", &[]), None);
    assert_eq!(decide(rules("DENY", &[]), connection(), "/", &[]), None);
    assert_eq!(
        decide(rules("DENY", &[("b c", any(), any()), ("d", any(), any())]), connection(), "/", &[]),
        denied("b_c")
    );
    assert_eq!(decide(rules("LOG", &[("a", any(), any())]), connection(), "/", &[]), None);
    assert_eq!(decide(json!({}), connection(), "/", &[]), None);
    let shadow = rules("DENY", &[("a", any(), any())])["rules"].clone();
    assert_eq!(decide(json!({"shadow_rules": shadow}), connection(), "/", &[]), None);
}

#[test]
fn conditions_look_at_what_envoy_looks_at() {
    let id = "spiffe://cluster.local/ns/default/sa/client";
    let matched = |permission: Json, principal: Json, connection: Connection, headers: &[(&str, &str)]| {
        decide(rules("ALLOW", &[("p", permission, principal)]), connection, "/admin?x=1", headers).is_none()
    };
    let permission = |permission: Json| matched(permission, any(), connection(), &[]);
    let principal = |principal: Json, connection: Connection| matched(any(), principal, connection, &[]);
    assert!(permission(json!({"url_path": {"path": {"exact": "/admin"}}})));
    assert!(!permission(json!({"header": {"name": ":path", "string_match": {"exact": "/admin"}}})));
    assert!(permission(json!({"destination_port": 80})));
    assert!(permission(json!({"destination_port_range": {"start": 80, "end": 81}})));
    assert!(!permission(json!({"destination_port_range": {"start": 1, "end": 80}})));
    assert!(permission(json!({"destination_ip": {"address_prefix": "10.2.0.0", "prefix_len": 16}})));
    assert!(permission(json!({"not_rule": {"requested_server_name": {"exact": "x"}}})));
    assert!(permission(json!({"and_rules": {}})));
    assert!(!permission(json!({"or_rules": {}})));
    assert!(!permission(
        json!({"metadata": {"filter": "f", "path": [{"key": "k"}], "value": {"present_match": true}}})
    ));
    assert!(permission(json!({"uri_template": {"name": "t", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
        "path_template": "/{any}"}}})));
    assert!(!principal(json!({"authenticated": {}}), connection()));
    assert!(principal(json!({"authenticated": {}}), mutual_tls(id)));
    assert!(principal(json!({"authenticated": {"principal_name": {"exact": id}}}), mutual_tls(id)));
    assert!(!principal(json!({"authenticated": {"principal_name": {"prefix": "spiffe://other/"}}}), mutual_tls(id)));
    assert!(principal(json!({"remote_ip": {"address_prefix": "10.1.0.0", "prefix_len": 16}}), connection()));
    assert!(principal(
        json!({"not_id": {"direct_remote_ip": {"address_prefix": "10.2.0.0", "prefix_len": 16}}}),
        connection()
    ));
    assert!(!principal(
        json!({"filter_state": {"key": "io.istio.peer_principal", "string_match": {"exact": id}}}),
        connection()
    ));
    assert!(matched(any(), json!({"header": {"name": "x-b", "present_match": true}}), connection(), &[("x-b", "")]));
}

#[test]
fn shadow_rules_leave_their_result_for_others() {
    let key = "istio-ext-authz-provider-ns[a]-policy[b]-rule[0]";
    let config: HttpRbac = message(json!({
        "shadow_rules": rules("DENY", &[(key, any(), any())])["rules"],
        "shadow_rules_stat_prefix": "istio_ext_authz_",
    }));
    let (found, _) = answers(&proxy(40), |cx, walk| {
        let mut stream = stream(connection(), "/", &[]);
        assert!(http(cx, walk, "rbac", &config, &mut stream, Route::default()).is_none());
        assert_eq!(walk.steps[0].object.as_deref(), Some("AuthorizationPolicy a/b"));
        serde_json::to_string(&stream.metadata["envoy.filters.http.rbac"]).unwrap()
    });
    let expected = format!(
        r#"{{"istio_ext_authz_shadow_effective_policy_id":"{key}","istio_ext_authz_shadow_engine_result":"denied"}}"#
    );
    assert_eq!(found, [expected]);
}

#[test]
fn a_connection_has_no_headers() {
    let header = json!({"header": {"name": ":method", "present_match": true}});
    let config: NetworkRbac = message(rules("ALLOW", &[("p", header.clone(), any())]));
    let decide = |config: &NetworkRbac| answers(&proxy(40), |cx, walk| network(cx, walk, config, &mut connection())).0;
    assert_eq!(decide(&config), [Some("rbac_access_denied_matched_policy[none]".to_owned())]);
    let inverted: NetworkRbac = message(rules("ALLOW", &[("p", json!({"not_rule": header}), any())]));
    assert_eq!(decide(&inverted), [None]);
}

#[test]
fn the_matcher_form_denies_without_an_action() {
    let action = |name: &str, action: &str| {
        json!({"action": {"name": "a", "typed_config": {
            "@type": "type.googleapis.com/envoy.config.rbac.v3.Action", "name": name, "action": action}}})
    };
    let input = json!({"name": "port", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput"}});
    let config = |key: &str| json!({"matcher": {"matcher_tree": {"input": input, "exact_match_map": {"map": {key: action("p", "ALLOW")}}}}});
    assert_eq!(decide(config("80"), connection(), "/", &[]), None);
    assert_eq!(
        decide(config("81"), connection(), "/", &[]).as_deref(),
        Some("rbac_access_denied_matched_policy[none]")
    );
}
