//! Names of messages in older API versions.

/// Packages whose v3 name follows no rule.
const PACKAGES: &[(&str, &str)] = &[
    ("envoy.admin.v2alpha", "envoy.admin.v3"),
    ("envoy.api.v2.auth", "envoy.extensions.transport_sockets.tls.v3"),
    ("envoy.api.v2.cluster", "envoy.config.cluster.v3"),
    ("envoy.api.v2.core", "envoy.config.core.v3"),
    ("envoy.api.v2.endpoint", "envoy.config.endpoint.v3"),
    ("envoy.api.v2.listener", "envoy.config.listener.v3"),
    ("envoy.api.v2.ratelimit", "envoy.extensions.common.ratelimit.v3"),
    ("envoy.api.v2.route", "envoy.config.route.v3"),
    ("envoy.config.cluster.aggregate.v2alpha", "envoy.extensions.clusters.aggregate.v3"),
    ("envoy.config.cluster.dynamic_forward_proxy.v2alpha", "envoy.extensions.clusters.dynamic_forward_proxy.v3"),
    ("envoy.config.cluster.redis", "envoy.extensions.clusters.redis.v3"),
    ("envoy.config.common.dynamic_forward_proxy.v2alpha", "envoy.extensions.common.dynamic_forward_proxy.v3"),
    ("envoy.config.common.tap.v2alpha", "envoy.extensions.common.tap.v3"),
    ("envoy.config.filter.accesslog.v2", "envoy.config.accesslog.v3"),
    ("envoy.config.filter.dubbo.router.v2alpha1", "envoy.extensions.filters.network.dubbo_proxy.router.v3"),
    ("envoy.config.filter.fault.v2", "envoy.extensions.filters.common.fault.v3"),
    ("envoy.config.filter.http.cache.v2alpha", "envoy.extensions.filters.http.cache.v3alpha"),
    ("envoy.config.filter.http.rate_limit.v2", "envoy.extensions.filters.http.ratelimit.v3"),
    ("envoy.config.filter.http.transcoder.v2", "envoy.extensions.filters.http.grpc_json_transcoder.v3"),
    ("envoy.config.filter.network.local_rate_limit.v2alpha", "envoy.extensions.filters.network.local_ratelimit.v3"),
    ("envoy.config.filter.network.rate_limit.v2", "envoy.extensions.filters.network.ratelimit.v3"),
    (
        "envoy.config.filter.thrift.rate_limit.v2alpha1",
        "envoy.extensions.filters.network.thrift_proxy.filters.ratelimit.v3",
    ),
    ("envoy.config.filter.thrift.router.v2alpha1", "envoy.extensions.filters.network.thrift_proxy.router.v3"),
    ("envoy.config.filter.udp.udp_proxy.v2alpha", "envoy.extensions.filters.udp.udp_proxy.v3"),
    ("envoy.config.health_checker.redis.v2", "envoy.extensions.health_checkers.redis.v3"),
    ("envoy.config.resource_monitor.fixed_heap.v2alpha", "envoy.extensions.resource_monitors.fixed_heap.v3"),
    (
        "envoy.config.resource_monitor.injected_resource.v2alpha",
        "envoy.extensions.resource_monitors.injected_resource.v3",
    ),
    ("envoy.config.retry.omit_canary_hosts.v2", "envoy.extensions.retry.host.omit_canary_hosts.v3"),
    ("envoy.config.retry.omit_host_metadata.v2", "envoy.extensions.retry.host.omit_host_metadata.v3"),
    ("envoy.config.retry.previous_hosts.v2", "envoy.extensions.retry.host.previous_hosts.v3"),
    ("envoy.config.retry.previous_priorities", "envoy.extensions.retry.priority.previous_priorities.v3"),
    ("envoy.config.transport_socket.alts.v2alpha", "envoy.extensions.transport_sockets.alts.v3"),
    ("envoy.config.transport_socket.raw_buffer.v2", "envoy.extensions.transport_sockets.raw_buffer.v3"),
    ("envoy.config.transport_socket.tap.v2alpha", "envoy.extensions.transport_sockets.tap.v3"),
    ("envoy.type", "envoy.type.v3"),
    ("envoy.type.matcher", "envoy.type.matcher.v3"),
    ("envoy.type.metadata.v2", "envoy.type.metadata.v3"),
    ("envoy.type.tracing.v2", "envoy.type.tracing.v3"),
];

/// Messages of `envoy.api.v2`, which v3 spread over several packages, and of the one other package that it split.
const MESSAGES: &[(&str, &str)] = &[
    ("envoy.api.v2.Cluster", "envoy.config.cluster.v3.Cluster"),
    ("envoy.api.v2.ClusterLoadAssignment", "envoy.config.endpoint.v3.ClusterLoadAssignment"),
    ("envoy.api.v2.LoadBalancingPolicy", "envoy.config.cluster.v3.LoadBalancingPolicy"),
    ("envoy.api.v2.Listener", "envoy.config.listener.v3.Listener"),
    ("envoy.api.v2.RouteConfiguration", "envoy.config.route.v3.RouteConfiguration"),
    ("envoy.api.v2.ScopedRouteConfiguration", "envoy.config.route.v3.ScopedRouteConfiguration"),
    ("envoy.api.v2.UpstreamBindConfig", "envoy.config.cluster.v3.UpstreamBindConfig"),
    ("envoy.api.v2.UpstreamConnectionOptions", "envoy.config.cluster.v3.UpstreamConnectionOptions"),
    ("envoy.api.v2.Vhds", "envoy.config.route.v3.Vhds"),
    (
        "envoy.config.accesslog.v2.CommonGrpcAccessLogConfig",
        "envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig",
    ),
    ("envoy.config.accesslog.v2.FileAccessLog", "envoy.extensions.access_loggers.file.v3.FileAccessLog"),
    (
        "envoy.config.accesslog.v2.HttpGrpcAccessLogConfig",
        "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    ),
    (
        "envoy.config.accesslog.v2.TcpGrpcAccessLogConfig",
        "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
    ),
];

/// The v3 name of a message of an older API; `None` for any other name.
pub(crate) fn lift_type(name: &str) -> Option<String> {
    if !name.starts_with("envoy.") || name.contains(".v3.") {
        return None;
    }
    let message = name.split('.').position(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))?;
    let at = name.match_indices('.').nth(message.checked_sub(1)?)?.0;
    let (package, message) = (name.get(..at)?, name.get(at..)?);
    let root = message.get(1..)?.split('.').next()?;
    let outer = name.get(..at + 1 + root.len())?;
    if let Some((_, lifted)) = MESSAGES.iter().find(|(old, _)| *old == outer) {
        return Some(format!("{lifted}{}", name.get(outer.len()..)?));
    }
    if let Some((_, lifted)) = PACKAGES.iter().find(|(old, _)| *old == package) {
        return Some(format!("{lifted}{message}"));
    }
    let (unversioned, version) = package.rsplit_once('.')?;
    if !["v2", "v2alpha", "v2alpha1", "v1alpha1"].contains(&version) {
        return None;
    }
    let rest = unversioned.strip_prefix("envoy.config.")?;
    Some(match rest.strip_prefix("filter.") {
        Some(filter) => format!("envoy.extensions.filters.{filter}.v3{message}"),
        None => format!("envoy.config.{rest}.v3{message}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, lifted: Option<&str>) {
        assert_eq!(lift_type(old).as_deref(), lifted, "{old}");
    }

    #[test]
    fn names_are_lifted_and_others_left() {
        check("envoy.api.v2.Cluster", Some("envoy.config.cluster.v3.Cluster"));
        check("envoy.api.v2.Cluster.LbSubsetConfig", Some("envoy.config.cluster.v3.Cluster.LbSubsetConfig"));
        check("envoy.api.v2.auth.Secret", Some("envoy.extensions.transport_sockets.tls.v3.Secret"));
        check("envoy.config.filter.http.router.v2.Router", Some("envoy.extensions.filters.http.router.v3.Router"));
        check("envoy.config.rbac.v2.RBAC", Some("envoy.config.rbac.v3.RBAC"));
        check("envoy.type.Percent", Some("envoy.type.v3.Percent"));
        check("envoy.config.cluster.v3.Cluster", None);
        check("istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig", None);
        check("envoy.tcp.metadataexchange.config.MetadataExchange", None);
        check("Listener", None);
        check("", None);
    }
}
