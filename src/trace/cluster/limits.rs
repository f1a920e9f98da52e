//! What makes a cluster refuse a request whatever its hosts: maintenance mode, drop_overloads, circuit breakers of 0.
//!
//! Requests are looked at one by one, so a limit that leaves room for one refuses none (semantics §6.6).

use super::Failure;
use super::policy::number;
use crate::proto::envoy::config::cluster::v3::Cluster;
use crate::proto::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use crate::proto::envoy::config::core::v3::RoutingPriority;
use crate::proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use crate::trace::context::Context;
use crate::trace::matcher::fraction::{happens, share};
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// Whether a share of HTTP requests, or all, is refused before a host is chosen.
pub(super) fn refused(
    cx: &Context<'_>,
    walk: &mut Walk,
    cluster: &Cluster,
    assignment: Option<&ClusterLoadAssignment>,
) -> Option<Failure> {
    let key = format!("upstream.maintenance_mode.{}", cluster.name);
    let percent = cx.runtime(&key).and_then(number).unwrap_or_default().min(100);
    if percent > 0 && happens(walk, percent as f64 / 100.0) {
        return Some(Failure {
            disposition: Disposition::Overflow,
            flags: vec!["UO"],
            details: "maintenance_mode",
            host: None,
            why: format!("runtime key {key} is {percent}"),
            retriable: false,
        });
    }
    let drops = assignment.and_then(|assignment| assignment.policy.as_ref()).map(|policy| &policy.drop_overloads);
    let dropped = drops.into_iter().flatten().filter_map(|drop| drop.drop_percentage.as_ref()).map(share).next();
    let limit = cx.runtime("load_balancing_policy.drop_overload_limit").and_then(number).unwrap_or(100);
    let dropped = dropped.unwrap_or_default().min(limit as f64 / 100.0);
    if dropped > 0.0 && happens(walk, dropped) {
        let (flag, details) =
            if dropped >= 1.0 { ("UDO", "unconditional_drop_overload") } else { ("DO", "drop_overload") };
        return Some(Failure {
            disposition: Disposition::Overflow,
            flags: vec![flag],
            details,
            host: None,
            why: format!("drop_overloads of the load assignment drops {} %", dropped * 100.0),
            retriable: false,
        });
    }
    None
}

/// Whether a circuit breaker of the cluster refuses a connection of a TCP proxy before a host is chosen.
pub(super) fn refuses_connection(cx: &Context<'_>, cluster: &Cluster) -> Option<Failure> {
    let name = "max_connections";
    (limit(cx, cluster, RoutingPriority::Default, name) == 0).then(|| overflow(RoutingPriority::Default, name))
}

/// Whether a circuit breaker of the host's cluster refuses a first request (HTTP) or connection (TCP).
///
/// `max_connections` isn't among them: a pool always opens its first connection.
pub(super) fn refuses_host(
    cx: &Context<'_>,
    cluster: &Cluster,
    priority: RoutingPriority,
    is_http: bool,
    host: &str,
) -> Option<Failure> {
    let is_zero = |name: &str| limit(cx, cluster, priority, name) == 0;
    if is_http && is_zero("max_connection_pools") {
        let why = "max_connection_pools of the circuit breaker is 0".to_owned();
        return Some(Failure::no_healthy_upstream(why));
    }
    if is_zero("max_pending_requests") {
        let failure = overflow(priority, "max_pending_requests");
        // A TCP proxy counts it as an attempt that failed.
        return Some(if is_http { failure } else { Failure { flags: vec!["URX"], details: "", ..failure } });
    }
    // By then the request has a connection, so the host is logged.
    let refuses = is_http && is_zero("max_requests");
    refuses.then(|| Failure { host: Some(host.to_owned()), ..overflow(priority, "max_requests") })
}

fn overflow(priority: RoutingPriority, name: &str) -> Failure {
    Failure {
        disposition: Disposition::Overflow,
        flags: vec!["UO"],
        details: "upstream_reset_before_response_started",
        host: None,
        why: format!("{name} of the circuit breaker for priority {} is 0", priority.as_str_name()),
        retriable: false,
    }
}

/// Whether a request of this priority may be retried at all.
pub(crate) fn allows_retry(cx: &Context<'_>, cluster: &str, priority: RoutingPriority) -> bool {
    let Some(Ok(cluster)) = cx.proxy.cluster(cluster).map(|resource| resource.get()) else { return true };
    match thresholds(cluster, priority).and_then(|thresholds| thresholds.retry_budget.as_ref()) {
        // A budget allows some retries at once, if only these.
        Some(budget) => {
            budget.min_retry_concurrency.is_none_or(|min| min.value > 0)
                || budget.budget_percent.is_none_or(|percent| percent.value > 0.0)
        }
        None => limit(cx, cluster, priority, "max_retries") > 0,
    }
}

fn thresholds(cluster: &Cluster, priority: RoutingPriority) -> Option<&Thresholds> {
    let breakers = cluster.circuit_breakers.as_ref()?;
    breakers.thresholds.iter().find(|thresholds| thresholds.priority() == priority)
}

fn limit(cx: &Context<'_>, cluster: &Cluster, priority: RoutingPriority, name: &str) -> u64 {
    let level = if priority == RoutingPriority::High { "high" } else { "default" };
    let runtime = cx.runtime(&format!("circuit_breakers.{}.{level}.{name}", cluster.name)).and_then(number);
    let thresholds = thresholds(cluster, priority);
    let configured = match name {
        "max_connections" => thresholds.and_then(|thresholds| thresholds.max_connections),
        "max_pending_requests" => thresholds.and_then(|thresholds| thresholds.max_pending_requests),
        "max_requests" => thresholds.and_then(|thresholds| thresholds.max_requests),
        "max_retries" => thresholds.and_then(|thresholds| thresholds.max_retries),
        "max_connection_pools" => thresholds.and_then(|thresholds| thresholds.max_connection_pools),
        _ => None,
    };
    let default = match name {
        "max_retries" => 3,
        "max_connection_pools" => u64::MAX,
        _ => 1024,
    };
    runtime.unwrap_or(configured.map_or(default, |limit| u64::from(limit.value)))
}
