//! What the wide tables tell beyond istioctl's columns: it needs the whole of each resource.

use std::collections::HashMap;

use pbjson_types::Duration;

use super::endpoints::{ABSENT, FAILED_CHECK};
use super::tunnel::Tunnels;
use super::{EndpointFilter, EndpointRow, endpoints};
use crate::dump::{DecodeError, Proxy, Resource, decode_any, type_of};
use crate::proto::envoy::config::cluster::v3::circuit_breakers::Thresholds;
use crate::proto::envoy::config::cluster::v3::{CircuitBreakers, Cluster, OutlierDetection};
use crate::proto::envoy::config::core::v3::{RoutingPriority, TransportSocket, transport_socket};
use crate::proto::envoy::config::route::v3::route::Action;
use crate::proto::envoy::config::route::v3::route_action::ClusterSpecifier;
use crate::proto::envoy::config::route::v3::{
    QueryParameterMatcher, RedirectAction, RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch,
    VirtualHost, query_parameter_matcher, redirect_action,
};
use crate::proto::envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport;
use crate::proto::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
use crate::trace::{describe_header, describe_string};

/// A route in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RouteDetail {
    /// What it asks for beside the path.
    pub criteria: String,
    /// Clusters with their shares, a redirect or a direct response.
    pub destination: String,
    /// How long the upstream has to answer.
    pub timeout: String,
    /// How often it is tried again, and when.
    pub retries: String,
    /// Clusters that get a copy.
    pub mirrors: String,
}

/// The routes of a route configuration, by virtual host.
///
/// # Errors
///
/// When the resource can't be decoded.
pub fn route_details(resource: &Resource<RouteConfiguration>) -> Result<Vec<Vec<RouteDetail>>, DecodeError> {
    let config = resource.decode()?;
    let hosts = config.virtual_hosts.iter();
    Ok(hosts.map(|host| host.routes.iter().map(|route| route_detail(route, host)).collect()).collect())
}

fn route_detail(route: &Route, host: &VirtualHost) -> RouteDetail {
    let mut detail =
        RouteDetail { criteria: route.r#match.as_ref().map(criteria).unwrap_or_default(), ..RouteDetail::default() };
    match &route.action {
        Some(Action::Route(action)) => {
            detail.destination = destination(action);
            detail.timeout = timeout(action.timeout.as_ref());
            let retries = action.retry_policy.as_ref().or(host.retry_policy.as_ref());
            detail.retries = retries.map(describe_retries).unwrap_or_default();
            let mirrors = action.request_mirror_policies.iter().map(|mirror| {
                let share = mirror.runtime_fraction.as_ref().and_then(|fraction| fraction.default_value.as_ref());
                let share = share.map(|share| format!(" {}", percent(share))).unwrap_or_default();
                format!("{}{share}", mirror.cluster)
            });
            detail.mirrors = mirrors.collect::<Vec<_>>().join(", ");
        }
        Some(Action::Redirect(redirect)) => detail.destination = describe_redirect(redirect),
        Some(Action::DirectResponse(response)) => detail.destination = format!("direct {}", response.status),
        Some(Action::FilterAction(_) | Action::NonForwardingAction(_)) | None => {
            "-".clone_into(&mut detail.destination)
        }
    }
    for cell in [&mut detail.criteria, &mut detail.timeout, &mut detail.retries, &mut detail.mirrors] {
        if cell.is_empty() {
            cell.push('-');
        }
    }
    detail
}

fn criteria(asked: &RouteMatch) -> String {
    let mut all: Vec<String> = asked.headers.iter().map(describe_header).collect();
    all.extend(asked.query_parameters.iter().map(query));
    all.extend(asked.cookies.iter().map(|cookie| format!("cookie {}", cookie.name)));
    all.extend(asked.dynamic_metadata.iter().map(|matcher| format!("metadata {}", matcher.filter)));
    all.extend(asked.filter_state.iter().map(|matcher| format!("filter state {}", matcher.key)));
    if asked.grpc.is_some() {
        all.push("gRPC".to_owned());
    }
    if asked.tls_context.is_some() {
        all.push("client certificate".to_owned());
    }
    if let Some(fraction) = &asked.runtime_fraction {
        let share = fraction.default_value.as_ref().map_or_else(|| "0 %".to_owned(), percent);
        all.push(if fraction.runtime_key.is_empty() { share } else { format!("{share} or {}", fraction.runtime_key) });
    }
    all.join(", ")
}

fn query(matcher: &QueryParameterMatcher) -> String {
    use query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
    match &matcher.query_parameter_match_specifier {
        Some(Specifier::StringMatch(text)) => format!("query {} {}", matcher.name, describe_string(text)),
        Some(Specifier::PresentMatch(false)) => format!("query {} absent", matcher.name),
        Some(Specifier::PresentMatch(true)) | None => format!("query {} present", matcher.name),
    }
}

fn percent(fraction: &crate::proto::envoy::r#type::v3::FractionalPercent) -> String {
    use crate::proto::envoy::r#type::v3::fractional_percent::DenominatorType;
    let of = match fraction.denominator() {
        DenominatorType::Hundred => 1.0,
        DenominatorType::TenThousand => 100.0,
        DenominatorType::Million => 10_000.0,
    };
    format!("{} %", f64::from(fraction.numerator) / of)
}

fn destination(action: &RouteAction) -> String {
    match &action.cluster_specifier {
        Some(ClusterSpecifier::Cluster(cluster)) => cluster.clone(),
        Some(ClusterSpecifier::ClusterHeader(header)) => format!("cluster in header {header}"),
        Some(ClusterSpecifier::WeightedClusters(weighted)) => {
            let weight = |entry: &crate::proto::envoy::config::route::v3::weighted_cluster::ClusterWeight| {
                entry.weight.map_or(0, |weight| weight.value)
            };
            let total: u64 = weighted.clusters.iter().map(|entry| u64::from(weight(entry))).sum();
            let entries = weighted.clusters.iter().map(|entry| {
                let name = match entry.name.as_str() {
                    "" => format!("cluster in header {}", entry.cluster_header),
                    name => name.to_owned(),
                };
                format!("{name} {} %", u64::from(weight(entry)) * 100 / total.max(1))
            });
            entries.collect::<Vec<_>>().join(", ")
        }
        Some(ClusterSpecifier::ClusterSpecifierPlugin(_) | ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
            "cluster by a plugin".to_owned()
        }
        None => "-".to_owned(),
    }
}

fn describe_redirect(redirect: &RedirectAction) -> String {
    use redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier};
    let status = match redirect.response_code {
        1 => 302,
        2 => 303,
        3 => 307,
        4 => 308,
        _ => 301,
    };
    let scheme = match &redirect.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => "https://",
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => &format!("{scheme}://"),
        _ => "",
    };
    let port = if redirect.port_redirect > 0 { format!(":{}", redirect.port_redirect) } else { String::new() };
    let path = match &redirect.path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(path)) => path.clone(),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => format!("{prefix}…"),
        Some(PathRewriteSpecifier::RegexRewrite(_)) => " path by regex".to_owned(),
        Some(PathRewriteSpecifier::PathRewrite(template)) => template.clone(),
        None => String::new(),
    };
    format!("redirect {status} {scheme}{}{port}{path}", redirect.host_redirect).trim_end().to_owned()
}

/// Envoy's default is 15 seconds; 0 is none at all.
fn timeout(timeout: Option<&Duration>) -> String {
    match timeout {
        None => "15s".to_owned(),
        Some(duration) if duration.seconds == 0 && duration.nanos == 0 => "none".to_owned(),
        Some(duration) => seconds(duration),
    }
}

fn seconds(duration: &Duration) -> String {
    let millis = duration.nanos / 1_000_000;
    match (duration.seconds, millis) {
        (0, millis) => format!("{millis}ms"),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, millis) => format!("{seconds}.{millis:03}s"),
    }
}

fn describe_retries(policy: &RetryPolicy) -> String {
    if policy.retry_on.is_empty() {
        return String::new();
    }
    let count = policy.num_retries.map_or(1, |count| count.value);
    let per_try = policy.per_try_timeout.as_ref().map(|d| format!(" {} each", seconds(d))).unwrap_or_default();
    format!("{count}x{per_try} {}", policy.retry_on)
}

/// A cluster in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ClusterDetail {
    /// Endpoints that are used, of all: `2/3`.
    pub endpoints: String,
    /// What connections are made of, with the server name.
    pub tls: String,
    /// Limits: numbers, `unlimited`, or `default` for those that aren't set (1024; 3 retries).
    pub circuit_breakers: String,
    /// What ejects an endpoint, or that nothing does; `-` without outlier detection.
    pub outlier_detection: String,
    /// How endpoints are chosen.
    pub policy: String,
}

/// Endpoints that may be used, and all, by cluster or name of the load assignment.
pub struct EndpointCounts(HashMap<String, (usize, usize)>);

impl EndpointCounts {
    /// Counts the endpoints of a proxy.
    #[must_use]
    pub fn of(proxy: &Proxy) -> Self {
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        for row in endpoints(proxy, &EndpointFilter::default()).rows {
            // Of both sides, Envoy's own counts.
            if row.status == ABSENT {
                continue;
            }
            let (healthy, total) = counts.entry(row.cluster.clone()).or_default();
            *healthy += usize::from(is_usable(&row));
            *total += 1;
        }
        Self(counts)
    }
}

fn is_usable(row: &EndpointRow) -> bool {
    row.ejected != Some(true)
        && !row.flags.contains(&FAILED_CHECK)
        && matches!(row.status.as_str(), "HEALTHY" | "UNKNOWN" | "DEGRADED")
}

/// A cluster in words.
///
/// # Errors
///
/// When the resource can't be decoded.
pub fn cluster_detail(
    resource: &Resource<Cluster>,
    counts: &EndpointCounts,
    tunnels: &Tunnels<'_>,
) -> Result<ClusterDetail, DecodeError> {
    let cluster = resource.decode()?;
    let service = cluster.eds_cluster_config.as_ref().map(|eds| eds.service_name.as_str());
    let service = service.filter(|name| !name.is_empty());
    let count = counts.0.get(&cluster.name).or_else(|| counts.0.get(service?));
    let mut detail = ClusterDetail {
        endpoints: count.map_or_else(|| "-".to_owned(), |(healthy, total)| format!("{healthy}/{total}")),
        tls: sockets(&cluster, tunnels),
        circuit_breakers: limits(cluster.circuit_breakers.as_ref()),
        outlier_detection: cluster.outlier_detection.as_ref().map(outliers).unwrap_or_default(),
        policy: cluster.load_balancing_policy.as_ref().map_or_else(
            || cluster.lb_policy().as_str_name().to_owned(),
            |policy| {
                let first = policy.policies.first().and_then(|one| one.typed_extension_config.as_ref());
                first.map(|one| one.name.clone()).unwrap_or_default()
            },
        ),
    };
    if detail.outlier_detection.is_empty() {
        detail.outlier_detection.push('-');
    }
    Ok(detail)
}

fn sockets(cluster: &Cluster, tunnels: &Tunnels<'_>) -> String {
    let words = |transport: Option<&TransportSocket>, has_label: bool| {
        socket(transport, true, || tunnels.of_cluster(cluster, has_label))
    };
    let matches = cluster.transport_socket_matches.iter().map(|entry| {
        let tunnel = entry.r#match.as_ref().and_then(|wanted| wanted.fields.get("tunnel"));
        let is_http = tunnel.and_then(serde_json::Value::as_str) == Some("http");
        format!("{}: {}", entry.name, words(entry.transport_socket.as_ref(), is_http))
    });
    let matches: Vec<String> = matches.collect();
    if matches.is_empty() { words(cluster.transport_socket.as_ref(), false) } else { matches.join("; ") }
}

/// What a transport socket does, with the server name that it asks for or without. `behind` tells what becomes of a
/// connection that it hands to an internal listener.
pub(super) fn socket(socket: Option<&TransportSocket>, with_sni: bool, behind: impl Fn() -> String) -> String {
    let mut socket = socket.cloned();
    // Sockets in sockets end somewhere.
    for depth in 0..8 {
        let inner = match &socket {
            Some(TransportSocket { config_type: Some(transport_socket::ConfigType::TypedConfig(any)), .. })
                if type_of(any).ends_with(".InternalUpstreamTransport") =>
            {
                decode_any::<InternalUpstreamTransport>(any).ok().and_then(|internal| internal.transport_socket)
            }
            _ => {
                let own = one_socket(socket.as_ref(), with_sni);
                return match (depth, own.as_str()) {
                    (0, _) => own,
                    (_, "plain") => behind(),
                    _ => format!("{}, in it {own}", behind()),
                };
            }
        };
        socket = inner;
    }
    behind()
}

/// What a transport socket does by itself.
pub(super) fn plain_socket(transport: Option<&TransportSocket>) -> String {
    socket(transport, false, || "internal listener".to_owned())
}

fn one_socket(socket: Option<&TransportSocket>, with_sni: bool) -> String {
    let Some(socket) = socket else { return "plain".to_owned() };
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else {
        return if socket.name.ends_with("raw_buffer") { "plain".to_owned() } else { socket.name.clone() };
    };
    match type_of(any).rsplit('.').next().unwrap_or_default() {
        "RawBuffer" => "plain".to_owned(),
        "UpstreamTlsContext" => {
            decode_any::<UpstreamTlsContext>(any).map_or_else(|_| "TLS".to_owned(), |tls| mode(&tls, with_sni))
        }
        other => other.to_owned(),
    }
}

fn mode(context: &UpstreamTlsContext, with_sni: bool) -> String {
    let common = context.common_tls_context.as_ref();
    let is_mutual = common.is_some_and(|common| {
        !common.tls_certificates.is_empty() || !common.tls_certificate_sds_secret_configs.is_empty()
    });
    let mode = if is_mutual { "mutual TLS" } else { "TLS" };
    if context.sni.is_empty() || !with_sni { mode.to_owned() } else { format!("{mode} {}", context.sni) }
}

/// The limits of the default priority, and those of the high one where they are set.
fn limits(breakers: Option<&CircuitBreakers>) -> String {
    let of = |priority: RoutingPriority| {
        let mut all = breakers.into_iter().flat_map(|breakers| &breakers.thresholds);
        all.find(|thresholds| thresholds.priority() == priority)
    };
    let normal = of(RoutingPriority::Default).map_or_else(|| "default".to_owned(), thresholds);
    match of(RoutingPriority::High) {
        Some(high) => format!("{normal}; high priority: {}", thresholds(high)),
        None => normal,
    }
}

/// Istio sets what it means to be no limit to the largest number.
fn thresholds(limits: &Thresholds) -> String {
    let all = [
        ("connections", limits.max_connections),
        ("pending", limits.max_pending_requests),
        ("requests", limits.max_requests),
        ("retries", limits.max_retries),
    ];
    // A budget takes the place of the limit.
    let is_budget = |name: &str| name == "retries" && limits.retry_budget.is_some();
    let words: Vec<(&str, String)> = all
        .into_iter()
        .map(|(name, limit)| {
            let word = match limit.map(|limit| limit.value) {
                _ if is_budget(name) => "by budget".to_owned(),
                None => "default".to_owned(),
                Some(u32::MAX) => "unlimited".to_owned(),
                Some(limit) => limit.to_string(),
            };
            (name, word)
        })
        .collect();
    for word in ["default", "unlimited"] {
        if words.iter().all(|(_, other)| other == word) {
            return word.to_owned();
        }
    }
    words.iter().map(|(name, word)| format!("{name} {word}")).collect::<Vec<_>>().join(", ")
}

/// What ejects a host, by Envoy's defaults where a field isn't set.
fn outliers(detection: &OutlierDetection) -> String {
    let or = |number: Option<pbjson_types::UInt32Value>, default: u32| number.map_or(default, |number| number.value);
    let splits = detection.split_external_local_origin_errors;
    let counted = [
        (true, detection.consecutive_5xx, detection.enforcing_consecutive_5xx, 100, "5xx"),
        (
            true,
            detection.consecutive_gateway_failure,
            detection.enforcing_consecutive_gateway_failure,
            0,
            "gateway failures",
        ),
        (
            splits,
            detection.consecutive_local_origin_failure,
            detection.enforcing_consecutive_local_origin_failure,
            100,
            "local failures",
        ),
    ];
    let rates = [
        (true, detection.enforcing_success_rate, 100, "success rate"),
        (splits, detection.enforcing_local_origin_success_rate, 100, "local success rate"),
        (true, detection.enforcing_failure_percentage, 0, "failure percentage"),
        (splits, detection.enforcing_failure_percentage_local_origin, 0, "local failure percentage"),
    ];
    let mut all = Vec::new();
    for (is_counted, count, share, default, name) in counted {
        if is_counted && or(count, 5) > 0 && or(share, default) > 0 {
            all.push(format!("{} {name}", or(count, 5)));
        }
    }
    for (is_counted, share, default, name) in rates {
        if is_counted && or(share, default) > 0 {
            all.push(name.to_owned());
        }
    }
    if all.is_empty() {
        return "nothing is put out (none is enforced)".to_owned();
    }
    let time = |duration: Option<&Duration>, default: &str| duration.map_or_else(|| default.to_owned(), seconds);
    let ejection = time(detection.base_ejection_time.as_ref(), "30s");
    all.push(format!("out for {ejection}, at most {} %", or(detection.max_ejection_percent, 10)));
    all.join(", ")
}
