//! External authorization: a server decides (semantics §5.3).

use super::{Call, LocalReply, Verdict};
use crate::proto::envoy::config::core::v3::GrpcService;
use crate::proto::envoy::config::core::v3::grpc_service::TargetSpecifier;
use crate::proto::envoy::config::core::v3::http_uri::HttpUpstreamType;
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::extensions::filters::http::ext_authz::v3::check_settings::ServiceOverride;
use crate::proto::envoy::extensions::filters::http::ext_authz::v3::ext_authz::Services;
use crate::proto::envoy::extensions::filters::http::ext_authz::v3::ext_authz_per_route::Override;
use crate::proto::envoy::extensions::filters::http::ext_authz::v3::{ExtAuthz, ExtAuthzPerRoute, HttpService};
use crate::trace::assume::Question;
use crate::trace::cluster::unreachable;
use crate::trace::context::{Context, Stream};
use crate::trace::matcher::fraction::runtime_fraction;
use crate::trace::matcher::metadata::metadata_matches;
use crate::trace::outcome::Disposition;
use crate::trace::version::Rule;
use crate::trace::walk::Walk;

/// Skipped where no route matched. What the server says isn't in any dump, but whether it can be asked may be.
pub(super) fn decode_headers(call: &Call<'_>, walk: &mut Walk, stream: &mut Stream) -> Verdict {
    let Some(route) = call.selected.and_then(|selected| selected.route.as_ref()) else { return Verdict::Continue };
    if !matches!(route.action, Some(Action::Route(_))) && !call.cx.follows(Rule::ExtAuthzOnEveryRoute) {
        walk.step(call.step("is skipped", "the route answers by itself, which this release doesn't check"));
        return Verdict::Continue;
    }
    let Some(config) = call.own::<ExtAuthz>(walk) else { return Verdict::Continue };
    let per_route =
        call.overriding::<ExtAuthzPerRoute>(walk, "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute");
    let over = per_route.as_ref().and_then(|per_route| per_route.r#override.as_ref());
    if matches!(over, Some(Override::Disabled(true))) {
        walk.step(call.step("is off", "the route disables it"));
        return Verdict::Continue;
    }
    if !enabled(call, walk, &config, stream) {
        let denies = config.deny_at_disable.as_ref().is_some_and(|flag| flagged(call.cx, flag));
        if denies {
            return error(call, walk, &config, "it is disabled, and set to deny then".to_owned());
        }
        walk.step(call.step("is off", "filter_enabled or its metadata says so"));
        return Verdict::Continue;
    }
    let server = match over {
        Some(Override::CheckSettings(settings)) => match &settings.service_override {
            Some(ServiceOverride::GrpcService(grpc)) => Server::of_grpc(grpc),
            Some(ServiceOverride::HttpService(http)) => Server::of_http(http),
            None => Server::of(&config),
        },
        _ => Server::of(&config),
    };
    let asked = server.cluster.as_deref().unwrap_or(&server.name);
    if let Some(cluster) = &server.cluster
        && let Some(why) = unreachable(call.cx, cluster, &stream.connection)
    {
        if config.failure_mode_allow {
            walk.step(call.step("allows", format!("the server can't be asked ({why}), which allows")));
            return Verdict::Continue;
        }
        return error(call, walk, &config, why);
    }
    if config.shadow_mode {
        walk.step(call.step("asks and allows", format!("the decision of {asked} has no effect in shadow mode")));
        return Verdict::Continue;
    }
    // An unreachable server that allows is not told from one that says yes.
    let answers = if config.failure_mode_allow { &["allow|error", "deny"][..] } else { &["allow", "deny", "error"] };
    let what = format!("ext_authz decision of {asked}");
    match walk.ask(&Question { what: &what, keys: &[call.name, "ext_authz"], answers }) {
        0 => {
            walk.step(call.step("allows", format!("if {asked} says so")));
            Verdict::Continue
        }
        1 => {
            let why = format!("{asked} denies it");
            walk.step(call.step("replies 403", why.clone()));
            let reply = LocalReply::new(403, "ext_authz_denied", Disposition::AuthnDenied, why);
            let has_flag = call.cx.follows(Rule::ExtAuthzDenialHasFlag);
            Verdict::Reply(if has_flag { reply.flagged("UAEX") } else { reply })
        }
        _ => error(call, walk, &config, format!("{asked} fails or isn't reached")),
    }
}

/// The answer when the server can't be asked.
fn error(call: &Call<'_>, walk: &mut Walk, config: &ExtAuthz, why: String) -> Verdict {
    let status = config.status_on_error.as_ref().and_then(|status| u16::try_from(status.code).ok());
    let status = status.filter(|status| *status > 0).unwrap_or(403);
    walk.step(call.step(&format!("replies {status}"), why.clone()));
    Verdict::Reply(LocalReply::new(status, "ext_authz_error", Disposition::AuthnDenied, why).flagged("UAEX"))
}

fn enabled(call: &Call<'_>, walk: &mut Walk, config: &ExtAuthz, stream: &Stream) -> bool {
    let by_fraction = config.filter_enabled.as_ref().is_none_or(|share| runtime_fraction(call.cx, walk, share));
    let matcher = config.filter_enabled_metadata.as_ref();
    by_fraction && matcher.is_none_or(|matcher| metadata_matches(call.cx, walk, matcher, &stream.metadata))
}

fn flagged(cx: &Context<'_>, flag: &crate::proto::envoy::config::core::v3::RuntimeFeatureFlag) -> bool {
    cx.guard(&flag.runtime_key, flag.default_value.is_some_and(|value| value.value))
}

/// The authorization server.
struct Server {
    /// Its cluster, if Envoy reaches it by one.
    cluster: Option<String>,
    /// What to call it otherwise.
    name: String,
}

impl Server {
    fn of(config: &ExtAuthz) -> Self {
        match &config.services {
            Some(Services::GrpcService(grpc)) => Self::of_grpc(grpc),
            Some(Services::HttpService(http)) => Self::of_http(http),
            None => Self { cluster: None, name: "an unknown server".to_owned() },
        }
    }

    fn of_grpc(grpc: &GrpcService) -> Self {
        match &grpc.target_specifier {
            Some(TargetSpecifier::EnvoyGrpc(envoy)) => {
                Self { cluster: Some(envoy.cluster_name.clone()), name: envoy.cluster_name.clone() }
            }
            Some(TargetSpecifier::GoogleGrpc(google)) => Self { cluster: None, name: google.target_uri.clone() },
            None => Self { cluster: None, name: "an unknown server".to_owned() },
        }
    }

    fn of_http(http: &HttpService) -> Self {
        let uri = http.server_uri.as_ref();
        let cluster = uri.and_then(|uri| uri.http_upstream_type.as_ref()).map(|HttpUpstreamType::Cluster(name)| name);
        Self { cluster: cluster.cloned(), name: uri.map(|uri| uri.uri.clone()).unwrap_or_default() }
    }
}
