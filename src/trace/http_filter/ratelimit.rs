//! Global rate limits: a service counts (semantics §5.6).

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::config::core::v3::grpc_service::TargetSpecifier;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::extensions::filters::http::ratelimit::v3::rate_limit_per_route::{
    OverrideOptions, VhRateLimitsOptions,
};
use crate::proto::envoy::extensions::filters::http::ratelimit::v3::{RateLimit, RateLimitPerRoute};
use crate::trace::assume::Question;
use crate::trace::cluster::unreachable;
use crate::trace::context::Stream;
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::outcome::Disposition;
use crate::trace::rate_limit::descriptor::{Descriptor, Looked};
use crate::trace::walk::Walk;

/// The service is asked only if a descriptor comes of the request; what it counted before isn't in any dump.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<RateLimit>(walk) else { return Verdict::Continue };
    match config.request_type.as_str() {
        "internal" if !stream.is_internal => return Verdict::Continue,
        "external" if stream.is_internal => return Verdict::Continue,
        _ => {}
    }
    let enabled = config.filter_enabled.as_ref().is_none_or(|share| runtime_fraction(call.cx, walk, share));
    if !enabled || !call.cx.guard("ratelimit.http_filter_enabled", true) {
        return Verdict::Continue;
    }
    let descriptors = descriptors(call, walk, &config, stream);
    if descriptors.is_empty() {
        return Verdict::Continue;
    }
    let service = config.rate_limit_service.as_ref().and_then(|service| service.grpc_service.as_ref());
    let cluster = match service.and_then(|service| service.target_specifier.as_ref()) {
        Some(TargetSpecifier::EnvoyGrpc(grpc)) => Some(grpc.cluster_name.as_str()),
        _ => None,
    };
    if let Some(why) = cluster.and_then(|cluster| unreachable(call.cx, cluster, &stream.connection)) {
        return failed(call, walk, &config, why);
    }
    let name = cluster.unwrap_or("the service");
    let asked: Vec<String> = descriptors.iter().map(describe).collect();
    let answers =
        if config.failure_mode_deny { &["ok", "over_limit", "error"][..] } else { &["ok|error", "over_limit"] };
    let what = format!("rate limit decision of {name} on {}", asked.join(" and "));
    match walk.ask(&Question { what: &what, keys: &[call.name, "ratelimit"], answers }) {
        0 => {
            walk.step(call.step("lets pass", format!("if {name} says so")));
            Verdict::Continue
        }
        1 => {
            let status = config.rate_limited_status.as_ref().and_then(|status| u16::try_from(status.code).ok());
            let status = status.filter(|status| *status >= 400).unwrap_or(429);
            let enforced = config.filter_enforced.as_ref().is_none_or(|share| runtime_fraction(call.cx, walk, share));
            if !enforced || !call.cx.guard("ratelimit.http_filter_enforcing", true) {
                return Verdict::Continue;
            }
            let why = format!("{name} says that the limit is reached");
            walk.step(call.step(&format!("replies {status}"), why.clone()));
            Verdict::Reply(LocalReply::new(status, "request_rate_limited", Disposition::FilterReply, why).flagged("RL"))
        }
        _ => failed(call, walk, &config, format!("{name} fails or isn't reached")),
    }
}

/// The service can't be asked.
fn failed(call: &Call<'_>, walk: &mut Walk, config: &RateLimit, why: String) -> Verdict {
    if !config.failure_mode_deny {
        walk.step(call.step("lets pass", format!("{why}, and failure_mode_deny is off")));
        return Verdict::Continue;
    }
    let status = config.status_on_error.as_ref().and_then(|status| u16::try_from(status.code).ok());
    let status = status.filter(|status| *status > 0).unwrap_or(500);
    walk.step(call.step(&format!("replies {status}"), why.clone()));
    Verdict::Reply(LocalReply::new(status, "rate_limiter_error", Disposition::FilterReply, why).flagged("RLSE"))
}

fn describe(descriptor: &Descriptor) -> String {
    let entries: Vec<String> = descriptor.iter().map(|(key, value)| format!("{key}={value}")).collect();
    entries.join(",")
}

fn descriptors(call: &Call<'_>, walk: &mut Walk, config: &RateLimit, stream: &Stream) -> Vec<Descriptor> {
    let Some(selected) = call.selected else { return Vec::new() };
    let Some(Action::Route(action)) = selected.route.as_ref().and_then(|route| route.action.as_ref()) else {
        return Vec::new();
    };
    let looked = Looked { cx: call.cx, stream, selected: call.selected };
    let per_route = call
        .overriding::<RateLimitPerRoute>(walk, "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute")
        .unwrap_or_default();
    if !per_route.rate_limits.is_empty() {
        return looked.descriptors(walk, &per_route.rate_limits, None);
    }
    if !config.rate_limits.is_empty() {
        return looked.descriptors(walk, &config.rate_limits, None);
    }
    let of_vhost = selected.vhost.map(|vhost| vhost.rate_limits.as_slice()).unwrap_or_default();
    let (takes_route, takes_vhost) = match per_route.override_option() {
        OverrideOptions::IgnorePolicy => (false, false),
        OverrideOptions::OverridePolicy => (true, action.rate_limits.is_empty()),
        OverrideOptions::IncludePolicy => (true, true),
        OverrideOptions::Default => {
            let included = action.include_vh_rate_limits.is_some_and(|includes| includes.value);
            let takes_vhost = included
                || match per_route.vh_rate_limits() {
                    VhRateLimitsOptions::Override => action.rate_limits.is_empty(),
                    VhRateLimitsOptions::Include => true,
                    VhRateLimitsOptions::Ignore => false,
                };
            (true, takes_vhost)
        }
    };
    let limits = action.rate_limits.iter().filter(|_| takes_route).chain(of_vhost.iter().filter(|_| takes_vhost));
    looked.descriptors(walk, limits, Some(config.stage))
}
