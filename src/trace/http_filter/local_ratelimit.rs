//! Local rate limits (semantics §5.6).

use std::sync::Arc;

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::config::core::v3::RuntimeFractionalPercent;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::extensions::common::ratelimit::v3::VhRateLimitsOptions;
use crate::proto::envoy::extensions::filters::http::local_ratelimit::v3::LocalRateLimit;
use crate::trace::context::Stream;
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::outcome::Disposition;
use crate::trace::rate_limit::bucket::Bucket;
use crate::trace::rate_limit::descriptor::{Descriptor, Looked};
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

const TYPE: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// Nothing is limited unless it is both enabled and enforced; each configuration has buckets of its own.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let overriding = call.overriding::<LocalRateLimit>(walk, TYPE);
    let Some(config) = overriding.or_else(|| call.own::<LocalRateLimit>(walk)) else { return Verdict::Continue };
    let on = |walk: &mut Walk, share: Option<&RuntimeFractionalPercent>| {
        share.is_some_and(|share| runtime_fraction(call.cx, walk, share))
    };
    if !on(walk, config.filter_enabled.as_ref()) {
        return Verdict::Continue;
    }
    let Err(why) = allows(call, walk, &config, stream) else { return Verdict::Continue };
    if !on(walk, config.filter_enforced.as_ref()) {
        walk.step(call.step("lets pass", format!("over the limit ({why}), but not enforced")));
        return Verdict::Continue;
    }
    let status = config.status.as_ref().and_then(|status| u16::try_from(status.code).ok());
    let status = status.filter(|status| *status >= 400).unwrap_or(429);
    walk.step(call.step(&format!("replies {status}"), why.clone()));
    Verdict::Reply(LocalReply::new(status, "local_rate_limited", Disposition::FilterReply, why).flagged("RL"))
}

/// Takes a token from each bucket that counts the request; the first that has none is the reason.
fn allows(call: &Call<'_>, walk: &mut Walk, config: &Arc<LocalRateLimit>, stream: &Stream) -> Result<(), String> {
    // A connection of its own for each request has full buckets of its own.
    if config.local_rate_limit_per_downstream_connection {
        return Ok(());
    }
    // Decoded configurations are kept as long as the tracer lives, so the address names them.
    let id = format!("{:p}", Arc::as_ptr(config));
    let mut matched: Vec<(Bucket, bool)> = Vec::new();
    if !config.descriptors.is_empty() {
        for descriptor in descriptors(call, walk, config, stream) {
            let found = config.descriptors.iter().enumerate().find(|(_, limit)| {
                limit.entries.len() == descriptor.len()
                    && limit.entries.iter().zip(&descriptor).all(|(entry, (key, value))| {
                        // An entry without a value counts each value by itself.
                        entry.key == *key && (entry.value.is_empty() || entry.value == *value)
                    })
            });
            if let Some((nth, limit)) = found
                && let Some(token_bucket) = &limit.token_bucket
            {
                let bucket = Bucket::new(format!("{id} {nth} {descriptor:?}"), token_bucket);
                matched.extend(bucket.map(|bucket| (bucket, limit.shadow_mode)));
            }
        }
    }
    let counts_all = call.cx.follows(Rule::LocalRateLimitCountsAll);
    if !counts_all {
        matched.truncate(1);
    }
    matched.sort_by(|(a, _), (b, _)| a.rate().total_cmp(&b.rate()));
    let always = counts_all && config.always_consume_default_token_bucket.is_none_or(|always| always.value);
    let default = config.token_bucket.as_ref().filter(|_| matched.is_empty() || always);
    let default = default.and_then(|bucket| Bucket::new(id, bucket)).map(|bucket| (bucket, false));
    let goes_on = call.cx.follows(Rule::ShadowedLimitGoesOn);
    let mut buckets = matched;
    if call.cx.follows(Rule::LocalRateLimitDescriptorsFirst) {
        buckets.extend(default);
    } else {
        buckets.splice(0..0, default);
    }
    for (bucket, shadow) in &buckets {
        let state = bucket.describe(walk, call.session);
        if bucket.take(walk, call.session, 1) {
            continue;
        }
        match (shadow, goes_on) {
            (false, _) => return Err(state),
            (true, true) => {}
            // What is over the limit in shadow mode was not counted further.
            (true, false) => return Ok(()),
        }
    }
    Ok(())
}

/// From the filter's own rate limits, else from those of the route and its virtual host.
fn descriptors(call: &Call<'_>, walk: &mut Walk, config: &LocalRateLimit, stream: &Stream) -> Vec<Descriptor> {
    let looked = Looked { cx: call.cx, stream, selected: call.selected };
    if !config.rate_limits.is_empty() {
        return looked.descriptors(walk, &config.rate_limits, None);
    }
    let Some(selected) = call.selected else { return Vec::new() };
    let Some(Action::Route(action)) = selected.route.as_ref().and_then(|route| route.action.as_ref()) else {
        return Vec::new();
    };
    let of_vhost = selected.vhost.map(|vhost| vhost.rate_limits.as_slice()).unwrap_or_default();
    let includes = action.include_vh_rate_limits.is_some_and(|includes| includes.value)
        || config.vh_rate_limits() == VhRateLimitsOptions::Include;
    let overrides = config.vh_rate_limits() == VhRateLimitsOptions::Override;
    let takes_vhost = includes || (overrides && action.rate_limits.is_empty());
    let limits = action.rate_limits.iter().chain(of_vhost.iter().filter(|_| takes_vhost));
    looked.descriptors(walk, limits, Some(config.stage))
}
