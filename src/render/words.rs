//! Outcomes in plain words.

use crate::trace::{Disposition, Outcome, Unknown};

/// Stable name of a disposition, as it stands in JSON.
pub(super) fn disposition(disposition: Option<Disposition>) -> &'static str {
    match disposition {
        None => "unfinished",
        Some(Disposition::NoListener) => "no_listener",
        Some(Disposition::NoFilterChain) => "no_filter_chain",
        Some(Disposition::TlsMismatch) => "tls_mismatch",
        Some(Disposition::ProtocolMismatch) => "protocol_mismatch",
        Some(Disposition::BadRequest) => "bad_request",
        Some(Disposition::NoRouteConfig) => "no_route_config",
        Some(Disposition::NoVirtualHost) => "no_virtual_host",
        Some(Disposition::NoRoute) => "no_route",
        Some(Disposition::RbacDenied) => "rbac_denied",
        Some(Disposition::AuthnDenied) => "authn_denied",
        Some(Disposition::FilterReply) => "filter_reply",
        Some(Disposition::Redirect) => "redirect",
        Some(Disposition::DirectResponse) => "direct_response",
        Some(Disposition::NoCluster) => "no_cluster",
        Some(Disposition::BlackHole) => "black_hole",
        Some(Disposition::NoHealthyEndpoint) => "no_healthy_endpoint",
        Some(Disposition::Overflow) => "overflow",
        Some(Disposition::ConnectFailure) => "connect_failure",
        Some(Disposition::PassthroughOriginalDst) => "passthrough_original_dst",
        Some(Disposition::Endpoint) => "endpoint",
        Some(Disposition::Loop) => "loop",
        Some(Disposition::NotInForce) => "not_in_force",
        Some(Disposition::InsufficientInfo) => "insufficient_info",
    }
}

/// What happens to the request, in one sentence.
pub(super) fn explain(outcome: &Outcome) -> String {
    let cluster = outcome.cluster.as_deref().map(|name| format!(" of cluster {name}")).unwrap_or_default();
    let in_cluster = outcome.cluster.as_deref().unwrap_or("its cluster");
    let host = outcome.upstream_host.as_deref().unwrap_or("an endpoint");
    let listener = outcome.listener.as_deref().unwrap_or("without a name");
    let authority = "the request's host";
    let with_status = outcome.status.map(|status| format!(" with {status}")).unwrap_or_default();
    match outcome.disposition {
        None => "the trace didn't finish".to_owned(),
        Some(Disposition::NoListener) => {
            "the connection is refused: the proxy listens nowhere that would take it".to_owned()
        }
        Some(Disposition::NoFilterChain) => {
            format!("the connection is closed: no filter chain of listener {listener} matches it")
        }
        Some(Disposition::TlsMismatch) => "the connection fails in the TLS handshake".to_owned(),
        Some(Disposition::ProtocolMismatch) => {
            "the connection is closed: its bytes aren't of the protocol that the filter chain reads".to_owned()
        }
        Some(Disposition::BadRequest) => {
            format!("rejected{with_status} before routing: Envoy doesn't accept the request as sent")
        }
        Some(Disposition::NoRouteConfig) => {
            format!("answered{with_status}: the listener's route configuration isn't there")
        }
        Some(Disposition::NoVirtualHost) => {
            format!("answered{with_status}: no virtual host has {authority} as a domain")
        }
        Some(Disposition::NoRoute) => match outcome.vhost.as_deref() {
            Some(vhost) => format!("answered{with_status}: no route of virtual host {vhost} matches"),
            None => format!("answered{with_status}: no route matches"),
        },
        Some(Disposition::RbacDenied) if outcome.status.is_none() => {
            "the connection is closed: an authorization policy denies it".to_owned()
        }
        Some(Disposition::RbacDenied) => format!("denied{with_status} by an authorization policy"),
        Some(Disposition::AuthnDenied) if outcome.details.as_deref() == Some("ext_authz_denied") => {
            format!("denied{with_status} by the authorization server")
        }
        Some(Disposition::AuthnDenied) if outcome.details.as_deref() == Some("ext_authz_error") => {
            format!("denied{with_status}: the authorization server couldn't be asked")
        }
        Some(Disposition::AuthnDenied) => format!("denied{with_status}: the client doesn't prove who it is"),
        Some(Disposition::FilterReply) => {
            format!("answered{with_status} by a filter of this proxy; no upstream sees it")
        }
        Some(Disposition::Redirect) => match outcome.location.as_deref() {
            Some(location) => format!("redirected{with_status} to {location}"),
            None => format!("redirected{with_status}"),
        },
        Some(Disposition::DirectResponse) => format!("answered{with_status} by the route itself; no upstream sees it"),
        Some(Disposition::NoCluster) => {
            format!("answered{with_status}: the route's cluster doesn't exist in this proxy")
        }
        Some(Disposition::BlackHole) => format!("dropped: cluster {in_cluster} is there to hold no endpoint"),
        Some(Disposition::NoHealthyEndpoint) if outcome.status.is_none() => {
            format!("the connection is closed: no endpoint{cluster} is usable")
        }
        Some(Disposition::NoHealthyEndpoint) => format!("answered{with_status}: no endpoint{cluster} is usable"),
        Some(Disposition::Overflow) => format!("answered{with_status}: a circuit breaker{cluster} is open"),
        Some(Disposition::ConnectFailure) => format!("the connection to {host}{cluster} is bound to fail"),
        Some(Disposition::PassthroughOriginalDst) => {
            format!("passed on to where the client was going: {host}, by cluster {in_cluster}")
        }
        Some(Disposition::Endpoint) => match outcome.status {
            Some(status @ 400..) => format!("delivered to {host}{cluster}, which answers {status}"),
            _ => format!("delivered to {host}{cluster}"),
        },
        Some(Disposition::Loop) => "caught in a loop: the request comes back to a listener it has passed".to_owned(),
        Some(Disposition::NotInForce) => {
            "not served: the configuration that would serve it is there, but warming or rejected".to_owned()
        }
        Some(Disposition::InsufficientInfo) => "not known: the input doesn't hold enough to go on".to_owned(),
    }
}

/// What to capture or ask where the input doesn't decide, by the words of the reasons.
const SETTLE: &[(&[&str], &str)] = &[
    (
        &["endpoint", "eds", "load assignment"],
        "capture /config_dump?include_eds, and /clusters?format=json beside it in one folder",
    ),
    (
        &["dns", "health", "outlier", "resolve"],
        "put /clusters?format=json of the same moment beside the dump in one folder",
    ),
    (&["runtime"], "put /runtime of the proxy beside the dump in one folder"),
    (
        &["ext_authz", "authorization server"],
        "the decision is the authorization server's: see its log for this request",
    ),
    (
        &["lua", "wasm", "ext_proc", "golang"],
        "code decides there: read it, or ask a proxy with that filter at log level debug",
    ),
    (&["rate limit", "ratelimit"], "the rate limit service decides: see its configuration and log"),
    (&["vhds", "on demand"], "capture the dump again after a request for that host: it is loaded on demand"),
];

pub(super) fn settle(unknown: &[Unknown]) -> Vec<&'static str> {
    let reasons: Vec<String> = unknown.iter().map(|unknown| unknown.what.to_lowercase()).collect();
    let applies = |words: &[&str]| reasons.iter().any(|reason| words.iter().any(|word| reason.contains(word)));
    SETTLE.iter().filter(|(words, _)| applies(words)).map(|(_, what)| *what).collect()
}

/// `503 UH no_healthy_upstream`: status, flags and details as Istio's default access log has them in a row.
pub(super) fn access_log(
    status: Option<u16>,
    flags: Option<&str>,
    details: Option<&str>,
    termination: Option<&str>,
) -> String {
    // A TCP proxy logs code 0, whatever the client read; details are the connection manager's, which gives none with
    // a filter that waits for its configuration.
    let is_http = details.is_some() || flags == Some("NFCF");
    let status = status.filter(|_| is_http).unwrap_or_default();
    format!("{status} {} {} {}", flags.unwrap_or("-"), details.unwrap_or("-"), termination.unwrap_or("-"))
}
