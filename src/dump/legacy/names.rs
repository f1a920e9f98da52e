//! Extensions that older dumps name without giving a type.

use Extension::{AccessLog, Http, HttpPerRoute, Listener, Network, RetryHost, RetryPriority};

/// What an extension is, because one name may stand for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// A network filter.
    Network,
    /// An HTTP filter.
    Http,
    /// An HTTP filter's settings of a virtual host or route.
    HttpPerRoute,
    /// A listener filter.
    Listener,
    /// An access log.
    AccessLog,
    /// A predicate on the hosts of a retry.
    RetryHost,
    /// A choice of priorities of a retry.
    RetryPriority,
}

/// Type that holds a configuration of which nothing but its JSON is known.
pub(super) const STRUCT: &str = "google.protobuf.Struct";

/// Prefixes of today's names; older names have none of the middle part (`envoy.router`).
const PREFIXES: &[(&[Extension], &str)] = &[
    (&[Network], "envoy.filters.network."),
    (&[Http, HttpPerRoute], "envoy.filters.http."),
    (&[Listener], "envoy.filters.listener."),
    (&[Listener], "envoy.listener."),
    (&[AccessLog], "envoy.access_loggers."),
    (&[RetryHost], "envoy.retry_host_predicates."),
    (&[RetryPriority], "envoy.retry_priorities."),
];

/// Names without their prefix, and the type of their configuration.
const TYPES: &[(Extension, &str, &str)] = &[
    (Network, "client_ssl_auth", "envoy.extensions.filters.network.client_ssl_auth.v3.ClientSSLAuth"),
    (Network, "direct_response", "envoy.extensions.filters.network.direct_response.v3.Config"),
    (Network, "dubbo_proxy", "envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"),
    (Network, "echo", "envoy.extensions.filters.network.echo.v3.Echo"),
    (Network, "ext_authz", "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz"),
    (
        Network,
        "http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    ),
    (Network, "kafka_broker", "envoy.extensions.filters.network.kafka_broker.v3.KafkaBroker"),
    (Network, "local_ratelimit", "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"),
    (Network, "metadata_exchange", "envoy.tcp.metadataexchange.config.MetadataExchange"),
    (Network, "mixer", "istio.mixer.v1.config.client.TcpClientConfig"),
    (Network, "mongo_proxy", "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy"),
    (Network, "mysql_proxy", "envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy"),
    (Network, "ratelimit", "envoy.extensions.filters.network.ratelimit.v3.RateLimit"),
    (Network, "rbac", "envoy.extensions.filters.network.rbac.v3.RBAC"),
    (Network, "redis_proxy", "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy"),
    (Network, "sni_cluster", "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"),
    (Network, "tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
    (Network, "thrift_proxy", "envoy.extensions.filters.network.thrift_proxy.v3.ThriftProxy"),
    (Network, "wasm", "envoy.extensions.filters.network.wasm.v3.Wasm"),
    (Network, "zookeeper_proxy", "envoy.extensions.filters.network.zookeeper_proxy.v3.ZooKeeperProxy"),
    (Http, "adaptive_concurrency", "envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency"),
    (Http, "aws_lambda", "envoy.extensions.filters.http.aws_lambda.v3.Config"),
    (Http, "aws_request_signing", "envoy.extensions.filters.http.aws_request_signing.v3.AwsRequestSigning"),
    (Http, "buffer", "envoy.extensions.filters.http.buffer.v3.Buffer"),
    (Http, "cache", "envoy.extensions.filters.http.cache.v3alpha.CacheConfig"),
    (Http, "compressor", "envoy.extensions.filters.http.compressor.v3.Compressor"),
    (Http, "cors", "envoy.extensions.filters.http.cors.v3.Cors"),
    (Http, "csrf", "envoy.extensions.filters.http.csrf.v3.CsrfPolicy"),
    (Http, "dynamic_forward_proxy", "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig"),
    (Http, "dynamo", "envoy.extensions.filters.http.dynamo.v3.Dynamo"),
    (Http, "http_dynamo_filter", "envoy.extensions.filters.http.dynamo.v3.Dynamo"),
    (Http, "ext_authz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"),
    (Http, "fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"),
    (Http, "grpc_http1_bridge", "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config"),
    (Http, "grpc_http1_reverse_bridge", "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3.FilterConfig"),
    (Http, "grpc_json_transcoder", "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
    (Http, "grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"),
    (Http, "grpc_web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb"),
    (Http, "gzip", "envoy.extensions.filters.http.gzip.v3.Gzip"),
    (Http, "header_to_metadata", "envoy.extensions.filters.http.header_to_metadata.v3.Config"),
    (Http, "health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck"),
    (Http, "ip_tagging", "envoy.extensions.filters.http.ip_tagging.v3.IPTagging"),
    (Http, "istio_authn", "istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig"),
    (Http, "jwt-auth", "istio.envoy.config.filter.http.jwt_auth.v2alpha1.JwtAuthentication"),
    (Http, "jwt_authn", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"),
    (Http, "lua", "envoy.extensions.filters.http.lua.v3.Lua"),
    (Http, "mixer", "istio.mixer.v1.config.client.HttpClientConfig"),
    (Http, "on_demand", "envoy.extensions.filters.http.on_demand.v3.OnDemand"),
    (Http, "original_src", "envoy.extensions.filters.http.original_src.v3.OriginalSrc"),
    (Http, "rate_limit", "envoy.extensions.filters.http.ratelimit.v3.RateLimit"),
    (Http, "ratelimit", "envoy.extensions.filters.http.ratelimit.v3.RateLimit"),
    (Http, "rbac", "envoy.extensions.filters.http.rbac.v3.RBAC"),
    (Http, "router", "envoy.extensions.filters.http.router.v3.Router"),
    (Http, "squash", "envoy.extensions.filters.http.squash.v3.Squash"),
    (Http, "tap", "envoy.extensions.filters.http.tap.v3.Tap"),
    (Http, "wasm", "envoy.extensions.filters.http.wasm.v3.Wasm"),
    (HttpPerRoute, "buffer", "envoy.extensions.filters.http.buffer.v3.BufferPerRoute"),
    (HttpPerRoute, "csrf", "envoy.extensions.filters.http.csrf.v3.CsrfPolicy"),
    (HttpPerRoute, "dynamic_forward_proxy", "envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig"),
    (HttpPerRoute, "ext_authz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"),
    (HttpPerRoute, "fault", "envoy.extensions.filters.http.fault.v3.HTTPFault"),
    (
        HttpPerRoute,
        "grpc_http1_reverse_bridge",
        "envoy.extensions.filters.http.grpc_http1_reverse_bridge.v3.FilterConfigPerRoute",
    ),
    (HttpPerRoute, "grpc_json_transcoder", "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"),
    (HttpPerRoute, "header_to_metadata", "envoy.extensions.filters.http.header_to_metadata.v3.Config"),
    (HttpPerRoute, "lua", "envoy.extensions.filters.http.lua.v3.LuaPerRoute"),
    (HttpPerRoute, "mixer", "istio.mixer.v1.config.client.ServiceConfig"),
    (HttpPerRoute, "rbac", "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"),
    (Listener, "http_inspector", "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"),
    (Listener, "original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"),
    (Listener, "original_src", "envoy.extensions.filters.listener.original_src.v3.OriginalSrc"),
    (Listener, "proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"),
    (Listener, "tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
    (AccessLog, "file", "envoy.extensions.access_loggers.file.v3.FileAccessLog"),
    (AccessLog, "file_access_log", "envoy.extensions.access_loggers.file.v3.FileAccessLog"),
    (AccessLog, "http_grpc", "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"),
    (AccessLog, "http_grpc_access_log", "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig"),
    (AccessLog, "tcp_grpc", "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig"),
    (AccessLog, "tcp_grpc_access_log", "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig"),
    (RetryHost, "omit_canary_hosts", "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate"),
    (RetryHost, "omit_host_metadata", "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig"),
    (RetryHost, "previous_hosts", "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
    (
        RetryPriority,
        "previous_priorities",
        "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
    ),
];

/// Type of the configuration of an extension of that name.
pub(super) fn type_of(extension: Extension, name: &str) -> Option<&'static str> {
    let bare = PREFIXES
        .iter()
        .filter(|(extensions, _)| extensions.contains(&extension))
        .find_map(|(_, prefix)| name.strip_prefix(prefix))
        .or_else(|| name.strip_prefix("envoy."))
        .unwrap_or(name);
    TYPES.iter().find(|(kind, known, _)| *kind == extension && *known == bare).map(|(.., message)| *message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_names_are_known_by_what_they_stand_for() {
        let router = Some("envoy.extensions.filters.http.router.v3.Router");
        assert_eq!(type_of(Http, "envoy.router"), router);
        assert_eq!(type_of(Http, "envoy.filters.http.router"), router);
        assert_eq!(type_of(Network, "envoy.router"), None);
        assert_ne!(type_of(Http, "envoy.ext_authz"), type_of(Network, "envoy.ext_authz"));
        assert_eq!(
            type_of(Listener, "envoy.listener.tls_inspector"),
            type_of(Listener, "envoy.filters.listener.tls_inspector")
        );
        assert_eq!(type_of(Http, "mixer"), Some("istio.mixer.v1.config.client.HttpClientConfig"));
    }
}
