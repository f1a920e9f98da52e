//! Health checks that this proxy answers by itself.

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::admin::v3::server_info::State;
use crate::proto::envoy::extensions::filters::http::health_check::v3::HealthCheck;
use crate::trace::context::Stream;
use crate::trace::matcher::header::header_matches;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// In pass-through mode only a proxy that was told to fail answers, or a cached answer.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<HealthCheck>(walk) else { return Verdict::Continue };
    if !config.headers.iter().all(|matcher| header_matches(call.cx, walk, matcher, &stream.headers)) {
        return Verdict::Continue;
    }
    let fails = call.cx.proxy.server_info().is_some_and(|info| info.state() == State::Draining);
    let passes_through = config.pass_through_mode.is_none_or(|mode| mode.value);
    if fails {
        let why = "this proxy was told to fail its health check (/healthcheck/fail)".to_owned();
        walk.step(call.step("replies 503", why.clone()));
        let reply = LocalReply::new(503, "health_check_failed", Disposition::FilterReply, why);
        return Verdict::Reply(reply.flagged("LH"));
    }
    if passes_through {
        if config.cache_time.is_some() {
            walk.missing(format!("http filter {}: a cached answer of an earlier health check", call.name));
        }
        return Verdict::Continue;
    }
    for (cluster, least) in &config.cluster_min_healthy_percentages {
        let fault = if call.cx.proxy.cluster(cluster).is_none() {
            Some(("health_check_failed_no_cluster_found", format!("there is no cluster {cluster}")))
        } else if least.value <= 0.0
            || walk.assume_bool(&format!("whether {}% of the hosts of cluster {cluster} are healthy", least.value))
        {
            None
        } else {
            Some(("health_check_failed_cluster_unhealthy", format!("too few hosts of cluster {cluster} are healthy")))
        };
        if let Some((details, why)) = fault {
            walk.step(call.step("replies 503", why.clone()));
            return Verdict::Reply(LocalReply::new(503, details, Disposition::FilterReply, why).flagged("LH"));
        }
    }
    let why = "it is a health check, which this proxy answers by itself".to_owned();
    walk.step(call.step("replies 200", why.clone()));
    Verdict::Reply(LocalReply::new(200, "health_check_ok", Disposition::FilterReply, why))
}
