use serde_json::json;

use super::token::Token;
use crate::trace::http_filter::fixture::{Sent, replies};

const FILTER: &str = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";

// {"alg":"HS256","kid":"1"} . {"iss":"oracle","aud":"me","scope":"a b"} . "x"
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJvcmFjbGUiLCJhdWQiOiJtZSIsInNjb3BlIjoiYSBiIn0.eA";

#[track_caller]
fn check(requires: serde_json::Value, provider: serde_json::Value, authorization: Option<&str>, expected: &[&str]) {
    let mut provider = provider;
    provider["issuer"] = json!("oracle");
    provider["local_jwks"] =
        json!({"inline_string": r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256","kid":"1"}]}"#});
    let config = json!({"providers": {"p": provider}, "rules": [{"match": {"prefix": "/"}, "requires": requires}]});
    let headers: Vec<(&str, &str)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    assert_eq!(replies(FILTER, config, &Sent { headers: &headers, ..Sent::default() }), expected);
}

#[test]
fn missing_and_malformed_tokens_are_certain() {
    let p = || json!({"provider_name": "p"});
    check(p(), json!({}), None, &["401 jwt_authn_access_denied{Jwt_is_missing}"]);
    check(p(), json!({}), Some("Basic x"), &["401 jwt_authn_access_denied{Jwt_is_missing}"]);
    check(
        p(),
        json!({}),
        Some("Bearer abc"),
        &[
            "401 jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}",
        ],
    );
    check(
        p(),
        json!({}),
        Some("Bearer a.b.c"),
        &["401 jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}"],
    );
    check(json!({"allow_missing": {}}), json!({}), None, &["continue"]);
    check(
        json!({"requires_any": {"requirements": [p(), {"allow_missing": {}}]}}),
        json!({}),
        Some("Bearer a.b.c"),
        &["401 jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}"],
    );
    check(json!({"allow_missing_or_failed": {}}), json!({}), Some("Bearer a.b.c"), &["continue"]);
    check(json!({}), json!({}), None, &["continue"]);
}

#[test]
fn a_well_formed_token_may_or_may_not_verify() {
    let bearer = format!("Bearer {TOKEN}");
    let p = || json!({"provider_name": "p"});
    let fails = "401 jwt_authn_access_denied{Jwt_verification_fails}";
    check(p(), json!({}), Some(&bearer), &[fails, "continue"]);
    check(p(), json!({"audiences": ["me"]}), Some(&bearer), &[fails, "continue"]);
    check(
        p(),
        json!({"audiences": ["you"]}),
        Some(&bearer),
        &["403 jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}"],
    );
}

#[test]
fn a_token_says_who_and_for_whom() {
    let token = Token::parse(TOKEN).unwrap();
    assert_eq!((token.issuer.as_str(), token.audiences.as_slice()), ("oracle", ["me".to_owned()].as_slice()));
    assert_eq!(Token::parse("a..b").unwrap_err(), Token::parse("a").unwrap_err());
}
