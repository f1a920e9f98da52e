//! Istio's former authentication filter: peers by mutual TLS, origins by token.

use super::{Call, LocalReply, Verdict};
use crate::proto::istio::authentication::v1alpha1::mutual_tls::Mode;
use crate::proto::istio::authentication::v1alpha1::peer_authentication_method::Params;
use crate::proto::istio::envoy::config::filter::http::authn::v2alpha1::FilterConfig;
use crate::trace::context::Stream;
use crate::trace::outcome::Disposition;
use crate::trace::walk::Walk;

/// Permissive mutual TLS takes all; what tokens say comes from the JWT filter before it and isn't followed.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(config) = call.own::<FilterConfig>(walk) else { return Verdict::Continue };
    let Some(policy) = &config.policy else { return Verdict::Continue };
    let connection = &stream.connection;
    let has_identity = connection.tls && connection.peer.is_some();
    let accepted = policy.peers.iter().any(|method| match &method.params {
        Some(Params::Mtls(mtls)) => mtls.allow_tls || mtls.mode() == Mode::Permissive || has_identity,
        Some(Params::Jwt(_)) | None => false,
    });
    if !policy.peers.is_empty() && !policy.peer_is_optional && !accepted {
        let why = "peer authentication wants mutual TLS".to_owned();
        walk.step(call.step("replies 401", why.clone()));
        return Verdict::Reply(LocalReply::new(
            401,
            "istio_authn_access_denied{Peer_authentication_failed.}",
            Disposition::AuthnDenied,
            why,
        ));
    }
    if !policy.origins.is_empty() && !policy.origin_is_optional {
        walk.missing(format!("http filter {}: whether the request has a token that it accepts", call.name));
    }
    Verdict::Continue
}
