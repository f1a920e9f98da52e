//! Filters that are not followed: what is known of their effect.

/// What a filter that isn't followed can do to a request.
pub(super) enum Effect {
    /// It neither answers nor changes what routes are chosen by.
    None,
    /// It may; the reason is named.
    Opaque(&'static str),
}

/// Istio's telemetry, which older releases ran as Wasm.
pub(super) fn is_telemetry(name: &str) -> bool {
    matches!(name, "istio.stats" | "istio.metadata_exchange" | "istio.stackdriver")
}

/// The effect of a filter by the type of its configuration, by its name where the type is not known.
pub(super) fn of(type_name: &str, name: &str) -> Effect {
    if is_telemetry(name) {
        return Effect::None;
    }
    if let Some(filter) = type_name.strip_prefix("envoy.extensions.filters.http.") {
        return of_envoy(filter.split('.').next().unwrap_or_default());
    }
    match type_name {
        "stats.PluginConfig"
        | "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"
        | "io.istio.http.peer_metadata.Config"
        | "io.istio.http.connect_authority.Config"
        | "io.istio.http.connect_baggage.Config" => Effect::None,
        "istio.mixer.v1.config.client.HttpClientConfig" => Effect::Opaque("Mixer may answer 403 or 503"),
        _ => of_name(name),
    }
}

/// What a kind of filter is called where its effect is assumed: the `lua` of `envoy.extensions.filters.http.lua.v3.Lua`;
/// empty for filters of others.
pub(super) fn kind(type_name: &str) -> &str {
    let filter = type_name.strip_prefix("envoy.extensions.filters.http.").unwrap_or_default();
    filter.split('.').next().unwrap_or_default()
}

fn of_envoy(filter: &str) -> Effect {
    match filter {
        // These observe, or change nothing that routes or replies depend on.
        "router"
        | "upstream_codec"
        | "grpc_stats"
        | "grpc_web"
        | "grpc_http1_bridge"
        | "grpc_field_extraction"
        | "proto_message_extraction"
        | "compressor"
        | "decompressor"
        | "gzip"
        | "tap"
        | "file_system_buffer"
        | "bandwidth_limit"
        | "original_src"
        | "aws_request_signing"
        | "aws_lambda"
        | "gcp_authn"
        | "credential_injector"
        | "geoip"
        | "alternate_protocols_cache"
        | "sxg"
        | "thrift_to_metadata"
        | "json_to_metadata"
        | "kill_request"
        | "buffer"
        | "dynamo"
        | "squash"
        | "connect_grpc_bridge"
        | "grpc_http1_reverse_bridge"
        | "match_delegate"
        // Acts for clusters of its own kind only; their hosts are looked for there.
        | "dynamic_forward_proxy" => Effect::None,
        "custom_response" => Effect::Opaque("another response may take the place of this one"),
        "golang" => Effect::Opaque("a Go plugin may answer or change the request"),
        "dynamic_modules" => Effect::Opaque("a dynamic module may answer or change the request"),
        "ext_proc" => Effect::Opaque("an external processor may answer or change the request"),
        "oauth2" => Effect::Opaque("OAuth2 may redirect to log in or answer 401"),
        "admission_control" => Effect::Opaque("admission control may answer 503 by earlier failures"),
        "adaptive_concurrency" => Effect::Opaque("adaptive concurrency may answer 503 by load"),
        "cache" => Effect::Opaque("a cached response may be served"),
        "grpc_json_transcoder" => Effect::Opaque("transcoding may change the path or answer 4xx"),
        "rate_limit_quota" => Effect::Opaque("the quota that a server assigns may be used up"),
        _ => Effect::Opaque("not a filter that is known here"),
    }
}

/// Istio's and other filters that go by name.
fn of_name(name: &str) -> Effect {
    match name {
        "istio.stats"
        | "istio.metadata_exchange"
        | "istio.alpn"
        | "waypoint_downstream_peer_metadata"
        | "waypoint_upstream_peer_metadata"
        | "envoy.filters.http.router"
        | "envoy.router" => Effect::None,
        "mixer" => Effect::Opaque("Mixer may answer 403 or 503"),
        "istio_authn" | "istio.authn" => Effect::Opaque("Istio's former authentication filter may answer 401"),
        _ => Effect::Opaque("not a filter that is known here"),
    }
}

/// Type of a filter's configuration by its name, for dumps that give no more.
pub(super) fn type_of_name(name: &str) -> &'static str {
    match name.trim_start_matches("envoy.filters.http.").trim_start_matches("envoy.") {
        "router" => "envoy.extensions.filters.http.router.v3.Router",
        "cors" => "envoy.extensions.filters.http.cors.v3.Cors",
        "fault" => "envoy.extensions.filters.http.fault.v3.HTTPFault",
        "rbac" => "envoy.extensions.filters.http.rbac.v3.RBAC",
        "grpc_web" => "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        "grpc_stats" => "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        _ => "",
    }
}
