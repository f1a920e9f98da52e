//! External authorization of connections.

use super::Denial;
use crate::proto::envoy::config::core::v3::grpc_service::TargetSpecifier;
use crate::proto::envoy::extensions::filters::network::ext_authz::v3::ExtAuthz;
use crate::trace::assume::Question;
use crate::trace::cluster::unreachable;
use crate::trace::context::Context;
use crate::trace::matcher::metadata::metadata_matches;
use crate::trace::outcome::{Disposition, Step};
use crate::trace::request::Connection;
use crate::trace::walk::Walk;

/// Decides at the first byte. What the server says isn't in any dump, but whether it is asked, and can be, is.
pub(crate) fn on_data(cx: &Context<'_>, walk: &mut Walk, config: &ExtAuthz, connection: &Connection) -> Option<Denial> {
    let matcher = config.filter_enabled_metadata.as_ref();
    if !matcher.is_none_or(|matcher| metadata_matches(cx, walk, matcher, &connection.metadata)) {
        walk.step(Step::new("network filter", "ext_authz is off", "its metadata says so"));
        return None;
    }
    let denial = |details| {
        Some(Denial {
            termination: None,
            details: Some(details),
            flag: Some("UAEX"),
            disposition: Disposition::AuthnDenied,
        })
    };
    let target = config.grpc_service.as_ref().and_then(|service| service.target_specifier.as_ref());
    let (cluster, name) = match target {
        Some(TargetSpecifier::EnvoyGrpc(grpc)) => (Some(grpc.cluster_name.as_str()), grpc.cluster_name.as_str()),
        Some(TargetSpecifier::GoogleGrpc(google)) => (None, google.target_uri.as_str()),
        None => (None, "an unknown server"),
    };
    if let Some(why) = cluster.and_then(|cluster| unreachable(cx, cluster, connection)) {
        if config.failure_mode_allow {
            walk.step(Step::new("network filter", "ext_authz allows", format!("{why}, which allows")));
            return None;
        }
        walk.step(Step::new("network filter", "ext_authz closes the connection", why));
        return denial("ext_authz_error");
    }
    let answers = if config.failure_mode_allow { &["allow|error", "deny"][..] } else { &["allow", "deny", "error"] };
    let what = format!("ext_authz decision of {name} on the connection");
    let (chosen, why, denied) = match walk.ask(&Question { what: &what, keys: &["ext_authz"], answers }) {
        0 => ("ext_authz allows", format!("if {name} says so"), None),
        1 => ("ext_authz closes the connection", format!("{name} denies it"), denial("ext_authz_denied")),
        _ => ("ext_authz closes the connection", format!("{name} fails or isn't reached"), denial("ext_authz_error")),
    };
    walk.step(Step::new("network filter", chosen, why));
    denied
}
