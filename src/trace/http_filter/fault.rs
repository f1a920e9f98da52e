//! Fault injection: delays and aborts (semantics §5.4).

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::extensions::filters::common::fault::v3::FaultDelay;
use crate::proto::envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier as DelayKind;
use crate::proto::envoy::extensions::filters::http::fault::v3::fault_abort::ErrorType;
use crate::proto::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault};
use crate::proto::envoy::r#type::v3::FractionalPercent;
use crate::trace::context::Stream;
use crate::trace::matcher::fraction;
use crate::trace::matcher::header::header_matches;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// Runs also where no route matches. A delay comes first, an abort may follow it.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let overriding = call.overriding::<HttpFault>(walk, "envoy.extensions.filters.http.fault.v3.HTTPFault");
    let Some(fault) = overriding.or_else(|| call.own::<HttpFault>(walk)) else { return Verdict::Continue };
    if !applies(call, walk, &fault, stream) {
        return Verdict::Continue;
    }
    if let Some(delay) = &fault.delay
        && delays(call, walk, &fault, delay, stream)
    {
        walk.outcome.flags.insert("DI");
        walk.step(call.step("delays the request", "fault injection"));
    }
    let Some(abort) = &fault.abort else { return Verdict::Continue };
    let Some((status, source)) = status(call, &fault, abort, stream) else { return Verdict::Continue };
    let percentage =
        abort.percentage.map(|percentage| limited(percentage, abort_is_by_header(abort), ABORT_SHARE, stream));
    let key = runtime_key(&fault.abort_percent_runtime, "fault.http.abort.abort_percent");
    if !happens(call, walk, key, percentage.as_ref()) {
        return Verdict::Continue;
    }
    let why = format!("fault injection aborts with {status} ({source})");
    walk.step(call.step(&format!("replies {status}"), why.clone()));
    Verdict::Reply(LocalReply::new(status, "fault_filter_abort", Disposition::FilterReply, why).flagged("FI"))
}

const ABORT_SHARE: &str = "x-envoy-fault-abort-request-percentage";
const DELAY_SHARE: &str = "x-envoy-fault-delay-request-percentage";

fn applies(call: &Call<'_>, walk: &mut Walk, fault: &HttpFault, stream: &Stream) -> bool {
    // How many faults are active isn't known, but none is the least.
    if fault.max_active_faults.is_some_and(|most| most.value == 0) {
        return false;
    }
    if !fault.upstream_cluster.is_empty() {
        let forwards = call.selected.filter(|selected| {
            selected.route.as_ref().is_some_and(|route| matches!(route.action, Some(Action::Route(_))))
        });
        if forwards.and_then(|selected| selected.cluster.as_deref()) != Some(&fault.upstream_cluster) {
            return false;
        }
    }
    if !fault.downstream_nodes.is_empty() {
        let node = stream.headers.get("x-envoy-downstream-service-node");
        if !node.is_some_and(|node| fault.downstream_nodes.iter().any(|listed| listed == node)) {
            return false;
        }
    }
    fault.headers.iter().all(|matcher| header_matches(call.cx, walk, matcher, &stream.headers))
}

fn delays(call: &Call<'_>, walk: &mut Walk, fault: &HttpFault, delay: &FaultDelay, stream: &Stream) -> bool {
    let (takes_time, by_header) = match &delay.fault_delay_secifier {
        Some(DelayKind::FixedDelay(duration)) => (duration.seconds > 0 || duration.nanos > 0, false),
        Some(DelayKind::HeaderDelay(_)) => {
            let asked = stream.headers.get("x-envoy-fault-delay-request").and_then(|text| text.parse::<u64>().ok());
            (asked.is_some_and(|ms| ms > 0), true)
        }
        None => (false, false),
    };
    if !takes_time {
        return false;
    }
    let percentage = delay.percentage.map(|percentage| limited(percentage, by_header, DELAY_SHARE, stream));
    let key = runtime_key(&fault.delay_percent_runtime, "fault.http.delay.fixed_delay_percent");
    happens(call, walk, key, percentage.as_ref())
}

/// Status of an abort and what it comes from; `None` if a header is to give it and doesn't.
fn status(call: &Call<'_>, fault: &HttpFault, abort: &FaultAbort, stream: &Stream) -> Option<(u16, &'static str)> {
    match abort.error_type.as_ref()? {
        ErrorType::HttpStatus(status) => {
            let key = runtime_key(&fault.abort_http_status_runtime, "fault.http.abort.http_status");
            let set = call.cx.runtime(key).and_then(serde_json::Value::as_u64);
            let status = set.unwrap_or(u64::from(*status));
            Some((u16::try_from(status).ok()?, if set.is_some() { "runtime" } else { "configured" }))
        }
        // A gRPC status travels with HTTP 200.
        ErrorType::GrpcStatus(_) => Some((200, "a gRPC status")),
        ErrorType::HeaderAbort(_) => {
            let http = stream.headers.get("x-envoy-fault-abort-request").and_then(|text| text.parse::<u16>().ok());
            if let Some(status) = http.filter(|status| (200..600).contains(status)) {
                return Some((status, "header x-envoy-fault-abort-request"));
            }
            let grpc = stream.headers.get("x-envoy-fault-abort-grpc-request").and_then(|text| text.parse::<u64>().ok());
            grpc.map(|_| (200, "header x-envoy-fault-abort-grpc-request"))
        }
    }
}

fn abort_is_by_header(abort: &FaultAbort) -> bool {
    matches!(abort.error_type, Some(ErrorType::HeaderAbort(_)))
}

/// A share that a header may lower, not raise.
fn limited(percentage: FractionalPercent, by_header: bool, header: &str, stream: &Stream) -> FractionalPercent {
    let asked = stream.headers.get(header).filter(|_| by_header).and_then(|text| text.parse::<u32>().ok());
    FractionalPercent { numerator: asked.map_or(percentage.numerator, |n| n.min(percentage.numerator)), ..percentage }
}

fn runtime_key<'k>(configured: &'k str, default: &'k str) -> &'k str {
    if configured.is_empty() { default } else { configured }
}

/// A share under a runtime key. A key that nobody configured is taken as unset even if a layer is out of sight.
fn happens(call: &Call<'_>, walk: &mut Walk, key: &str, percentage: Option<&FractionalPercent>) -> bool {
    let default = percentage.map_or(0.0, fraction::share);
    let share = fraction::runtime_share(call.cx, key, percentage).unwrap_or(default);
    fraction::happens(walk, share)
}
