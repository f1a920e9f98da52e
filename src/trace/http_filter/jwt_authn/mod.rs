//! JWT authentication (semantics §5.2).
//!
//! What a token says can be read without a key, so missing and malformed tokens, issuers and audiences are certain.
//! Signatures are not verified and there is no clock: where only they are left, both answers are followed.

mod location;
mod requirement;
mod rule;
mod token;

use serde_json::{Map, Value};

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::per_route_config::RequirementSpecifier;
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::requirement_rule::RequirementType;
use crate::proto::envoy::extensions::filters::http::jwt_authn::v3::{
    JwtAuthentication, JwtRequirement, PerRouteConfig,
};
use crate::trace::context::Stream;
use crate::trace::outcome::Disposition;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;
use requirement::{Outcome, Requirements};

/// Namespace of the dynamic metadata that payloads are put into.
const METADATA: &str = "envoy.filters.http.jwt_authn";

pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<JwtAuthentication>(walk) else { return Verdict::Continue };
    if call.cx.follows(Rule::JwtSanitizesEveryHeader) {
        for provider in config.providers.values() {
            requirement::sanitize(&mut stream.headers, provider);
        }
    }
    if config.bypass_cors_preflight && is_preflight(stream) {
        walk.step(call.step("lets pass", "a CORS preflight needs no token"));
        return Verdict::Continue;
    }
    let requirement = match requirement(call, walk, &config, stream) {
        Ok(Some(requirement)) => requirement,
        Ok(None) => return Verdict::Continue,
        Err(unknown) => {
            let why = format!("the route asks for requirement {unknown}, which doesn't exist");
            walk.step(call.step("replies 403", why.clone()));
            return Verdict::Reply(LocalReply::new(403, details(&why), Disposition::AuthnDenied, why));
        }
    };
    let requirements = Requirements { cx: call.cx, filter: call.name, config: &config };
    let checked = requirements.check(walk, &requirement, stream);
    match checked {
        Outcome::Passed(accepted) => {
            let mut anew = false;
            for token in &accepted {
                anew |= token.apply(call.cx, stream);
            }
            let payloads: Map<String, Value> = accepted.iter().flat_map(|token| token.metadata()).collect();
            if !payloads.is_empty() {
                stream.metadata.entry(METADATA.to_owned()).or_default().fields.extend(payloads);
            }
            let why = match accepted.as_slice() {
                [] => "no token is needed".to_owned(),
                tokens => {
                    let issuers: Vec<&str> = tokens.iter().map(|token| token.provider_name.as_str()).collect();
                    format!("token accepted by provider {}", issuers.join(", "))
                }
            };
            walk.step(call.step("lets pass", why));
            if anew { Verdict::ContinueWithNewRoute } else { Verdict::Continue }
        }
        Outcome::Failed(failure) => {
            let status = if failure.is_audience { 403 } else { 401 };
            walk.step(call.step(&format!("replies {status}"), failure.reason.clone()));
            Verdict::Reply(LocalReply::new(status, details(&failure.reason), Disposition::AuthnDenied, failure.reason))
        }
    }
}

fn details(reason: &str) -> String {
    format!("jwt_authn_access_denied{{{}}}", reason.replace(' ', "_"))
}

fn is_preflight(stream: &Stream) -> bool {
    let has = |name: &str| stream.headers.get(name).is_some_and(|value| !value.is_empty());
    stream.headers.method() == "OPTIONS" && has("origin") && has("access-control-request-method")
}

/// The requirement that applies: the route's, else that of the first rule that matches, else by filter state. The
/// error is the name of one that doesn't exist.
fn requirement(
    call: &Call<'_>,
    walk: &mut Walk,
    config: &JwtAuthentication,
    stream: &Stream,
) -> Result<Option<JwtRequirement>, String> {
    let per_route =
        call.overriding::<PerRouteConfig>(walk, "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig");
    match per_route.as_ref().and_then(|per_route| per_route.requirement_specifier.as_ref()) {
        Some(RequirementSpecifier::Disabled(true)) => {
            walk.step(call.step("is off", "the route disables it"));
            return Ok(None);
        }
        Some(RequirementSpecifier::RequirementName(name)) => {
            return config.requirement_map.get(name).cloned().map(Some).ok_or_else(|| name.clone());
        }
        Some(RequirementSpecifier::Disabled(false)) | None => {}
    }
    for entry in &config.rules {
        if !entry.r#match.as_ref().is_none_or(|criteria| rule::matches(call.cx, walk, criteria, stream)) {
            continue;
        }
        return Ok(match &entry.requirement_type {
            Some(RequirementType::Requires(requirement)) => Some(requirement.clone()),
            Some(RequirementType::RequirementName(name)) => config.requirement_map.get(name).cloned(),
            None => None,
        });
    }
    let by_state = config.filter_state_rules.as_ref().and_then(|rules| {
        let value = stream.filter_state(&rules.name)?;
        rules.requires.get(value).cloned()
    });
    Ok(by_state)
}

#[cfg(test)]
mod tests;
