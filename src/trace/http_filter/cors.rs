//! CORS: answers preflight requests (semantics §5.5).

use super::{Call, LocalReply, Verdict};
use crate::dump::type_of;
use crate::proto::envoy::config::route::v3::CorsPolicy as RoutePolicy;
use crate::proto::envoy::config::route::v3::cors_policy::EnabledSpecifier;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::extensions::filters::http::cors::v3::CorsPolicy;
use crate::trace::context::Stream;
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::matcher::string::string_matches;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// Only a preflight on a route that forwards is ever answered; the request it precedes never is.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let origin = stream.headers.get("origin").unwrap_or_default();
    let asked = stream.headers.get("access-control-request-method").unwrap_or_default();
    if stream.headers.method() != "OPTIONS" || origin.is_empty() || asked.is_empty() {
        return Verdict::Continue;
    }
    let policies = policies(call, walk);
    // The most specific policy says whether it is on; each other setting comes from the most specific that has it.
    let Some(first) = policies.first() else { return Verdict::Continue };
    if let Some(enabled) = &first.filter_enabled
        && !runtime_fraction(call.cx, walk, enabled)
    {
        return Verdict::Continue;
    }
    let origins = policies.iter().map(|policy| &policy.allow_origin_string_match).find(|origins| !origins.is_empty());
    let allowed = origins
        .into_iter()
        .flatten()
        .any(|allowed| string_matches(call.cx, walk, allowed, "*") || string_matches(call.cx, walk, allowed, origin));
    let forwards = policies.iter().find_map(|policy| policy.forward_not_matching_preflights).is_none_or(|v| v.value);
    if !allowed && forwards {
        walk.step(
            call.step("lets the preflight pass", format!("origin {origin} is not allowed, so the upstream answers")),
        );
        return Verdict::Continue;
    }
    let why = if allowed {
        format!("preflight of origin {origin}, which is allowed")
    } else {
        format!("preflight of origin {origin}, which is not allowed and not forwarded")
    };
    walk.step(call.step("replies 200", why.clone()));
    Verdict::Reply(LocalReply::new(200, "cors_response", Disposition::FilterReply, why))
}

/// The policies of all levels, the most specific first; those in the route's own fields only if no level has one.
fn policies(call: &Call<'_>, walk: &mut Walk) -> Vec<CorsPolicy> {
    let Some(selected) = call.selected else { return Vec::new() };
    let Some(Action::Route(action)) = selected.route.as_ref().and_then(|route| route.action.as_ref()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for any in call.levels.configs() {
        match type_of(any).as_ref() {
            "envoy.extensions.filters.http.cors.v3.CorsPolicy" => {
                found.extend(call.read::<CorsPolicy>(walk, any).map(|policy| policy.as_ref().clone()));
            }
            "envoy.config.route.v3.CorsPolicy" => {
                found.extend(call.read::<RoutePolicy>(walk, any).map(|policy| of_route(&policy)));
            }
            _ => {}
        }
    }
    if found.is_empty() {
        let vhost = selected.vhost.and_then(|vhost| vhost.cors.as_ref());
        found.extend(action.cors.iter().chain(vhost).map(of_route));
    }
    found
}

fn of_route(policy: &RoutePolicy) -> CorsPolicy {
    CorsPolicy {
        allow_origin_string_match: policy.allow_origin_string_match.clone(),
        filter_enabled: policy
            .enabled_specifier
            .as_ref()
            .map(|EnabledSpecifier::FilterEnabled(enabled)| enabled.clone()),
        forward_not_matching_preflights: policy.forward_not_matching_preflights,
        ..CorsPolicy::default()
    }
}
