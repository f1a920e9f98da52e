//! References by shape of a resource's text, as edges: services of filters, secrets, config sources.

use super::fragment::{Fragment, Target};
use super::node::{EdgeKind, NodeKind};
use crate::dump::{Reference, ReferenceTarget};

/// Messages whose routes are followed by [`references`](crate::dump::references) alone.
const OTHER_PROXIES: [&str; 6] =
    ["redis_proxy", "thrift_proxy", "dubbo_proxy", "udp_proxy", "generic_proxy", "meta_protocol_proxy"];

/// Which side of a connection the TLS contexts of a resource are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Of a listener.
    Downstream,
    /// Of a cluster.
    Upstream,
}

/// Adds the references; `from` says which node of the fragment the object at a JSON path belongs to.
pub(super) fn add(fragment: &mut Fragment, found: Vec<Reference>, side: Side, from: impl Fn(&str) -> usize) {
    for reference in found {
        if reference.name == "_" && reference.message.contains(".wasm.") {
            // Istio's agent fetches the module itself and names no cluster.
            continue;
        }
        let (kind, target) = match reference.target {
            ReferenceTarget::Secret => (secret(&reference, side), NodeKind::Secret),
            ReferenceTarget::ServiceCluster => (service(&reference), NodeKind::Cluster),
            ReferenceTarget::ConfigCluster => (EdgeKind::ConfigSource, NodeKind::Cluster),
            ReferenceTarget::RouteCluster if OTHER_PROXIES.iter().any(|proxy| reference.message.contains(proxy)) => {
                let mirror = reference.path.contains("mirror_polic");
                (if mirror { EdgeKind::Mirror } else { EdgeKind::Proxy }, NodeKind::Cluster)
            }
            ReferenceTarget::RouteCluster => continue,
        };
        fragment.link(from(&reference.path), kind, Target::Named(target, reference.name));
    }
}

fn secret(reference: &Reference, side: Side) -> EdgeKind {
    let member = reference.path.rsplit('.').next().unwrap_or_default();
    if member.contains("validation_context") {
        EdgeKind::Validation
    } else if member.contains("tls_certificate") && side == Side::Downstream {
        EdgeKind::ServerCertificate
    } else if member.contains("tls_certificate") {
        EdgeKind::ClientCertificate
    } else {
        EdgeKind::Secret
    }
}

/// The message says what the service is for; in API v2, where there may be none, the members on the way do.
fn service(reference: &Reference) -> EdgeKind {
    let (message, path) = (reference.message.as_str(), reference.path.as_str());
    if message.contains(".ext_authz.") {
        EdgeKind::ExtAuthz
    } else if message.contains(".ext_proc.") {
        EdgeKind::ExtProc
    } else if message.contains(".ratelimit.") || message.contains(".rate_limit") || path.contains("rate_limit_service")
    {
        EdgeKind::RateLimit
    } else if message.contains(".jwt_authn.") || path.contains("remote_jwks") {
        EdgeKind::Jwks
    } else if message.contains("access_loggers") || message.contains(".accesslog.") || path.contains("access_log") {
        EdgeKind::AccessLog
    } else if message.contains(".trace.") || path.contains(".tracing.") {
        EdgeKind::Tracing
    } else {
        EdgeKind::Service
    }
}
