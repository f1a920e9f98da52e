//! What became of the fields that v3 dropped, message by message.
//!
//! The list is the difference between Envoy's v2 and v3 messages of the same field numbers, and of older v2 fields
//! what real dumps hold. A member that stands in the v3 form already is never overwritten.

use serde_json::{Map, Value, json};

use super::names::{Extension, STRUCT, type_of};
use super::{Walk, type_url};

type Members = Map<String, Value>;

/// Rewrites the members of one message, not those of the messages in it.
pub(super) fn apply(walk: &mut Walk, message: &str, members: &mut Members) {
    match message {
        "envoy.config.listener.v3.Listener" => walk.listener_address = listener_address(members),
        "envoy.config.listener.v3.FilterChain" => filter_chain(members),
        "envoy.config.listener.v3.FilterChainMatch" => filter_chain_match(members),
        "envoy.config.listener.v3.Filter" => typed_config(members, Some(Extension::Network)),
        "envoy.config.listener.v3.ListenerFilter" => typed_config(members, Some(Extension::Listener)),
        "envoy.config.accesslog.v3.AccessLog" => typed_config(members, Some(Extension::AccessLog)),
        "envoy.config.accesslog.v3.ExtensionFilter"
        | "envoy.config.core.v3.TransportSocket"
        | "envoy.config.core.v3.HealthCheck.CustomHealthCheck"
        | "envoy.config.trace.v3.Tracing.Http"
        | "envoy.config.metrics.v3.StatsSink"
        | "envoy.config.overload.v3.ResourceMonitor"
        | "envoy.extensions.filters.network.thrift_proxy.v3.ThriftFilter" => typed_config(members, None),
        "envoy.config.route.v3.RetryPolicy.RetryHostPredicate" => typed_config(members, Some(Extension::RetryHost)),
        "envoy.config.route.v3.RetryPolicy.RetryPriority" => typed_config(members, Some(Extension::RetryPriority)),
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
            connection_manager(members)
        }
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter" => {
            typed_config(members, Some(Extension::Http));
        }
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
            tcp_proxy(members, walk.listener_address.as_deref())
        }
        "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy" => redis_proxy(members),
        "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes" => catch_all(members),
        "envoy.config.route.v3.VirtualHost" | "envoy.config.route.v3.WeightedCluster.ClusterWeight" => {
            per_filter(members)
        }
        "envoy.config.route.v3.VirtualCluster" => virtual_cluster(members),
        "envoy.config.route.v3.Route" => per_filter(members),
        "envoy.config.route.v3.RouteMatch" => route_match(members),
        "envoy.config.route.v3.RouteAction" => route_action(members),
        "envoy.config.route.v3.RouteAction.RequestMirrorPolicy" => mirror_policy(members),
        "envoy.config.route.v3.HeaderMatcher" => header_matcher(members),
        "envoy.config.route.v3.QueryParameterMatcher" => query_matcher(members),
        "envoy.config.route.v3.CorsPolicy" => cors(members),
        "envoy.type.matcher.v3.StringMatcher" => regex(members, "regex", "safe_regex"),
        "envoy.config.rbac.v3.Principal.Authenticated" => principal(members),
        "envoy.extensions.filters.common.fault.v3.FaultDelay" | "envoy.extensions.filters.http.fault.v3.FaultAbort" => {
            fault_percent(members);
        }
        "envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig" => host_rewrite(members),
        "envoy.config.cluster.v3.Cluster" => cluster(members),
        "envoy.config.cluster.v3.LoadBalancingPolicy.Policy" => balancing_policy(members),
        "envoy.config.core.v3.HealthCheck.HttpHealthCheck" => health_check(members),
        "envoy.config.core.v3.Node" => node(members),
        "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext" => validation(members),
        "envoy.config.bootstrap.v3.Bootstrap" => bootstrap(members),
        _ => {}
    }
}

/// Takes a member, in either spelling.
fn take(members: &mut Members, name: &str) -> Option<Value> {
    members.shift_remove(name).or_else(|| members.shift_remove(&camel(name)))
}

fn get<'a>(members: &'a Members, name: &str) -> Option<&'a Value> {
    members.get(name).or_else(|| members.get(&camel(name)))
}

fn get_mut<'a>(members: &'a mut Members, name: &str) -> Option<&'a mut Value> {
    let name = if members.contains_key(name) { name.to_owned() } else { camel(name) };
    members.get_mut(&name)
}

/// Sets a member that isn't set.
fn set(members: &mut Members, name: &str, value: Value) {
    if get(members, name).is_none() {
        members.insert(name.to_owned(), value);
    }
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    get(members, name).and_then(Value::as_str)
}

/// Gives a member its v3 name.
fn rename(members: &mut Members, old: &str, new: &str) {
    if let Some(value) = take(members, old) {
        set(members, new, value);
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    out
}

/// A list, also where one value stands for a list of one.
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// An object that is an `Any` of that type.
fn any(message: &str, content: Value) -> Value {
    if content.get("@type").is_some() {
        return content;
    }
    let mut typed = Members::new();
    typed.insert("@type".to_owned(), type_url(message));
    match content {
        Value::Object(members) if message != STRUCT => typed.extend(members),
        content => {
            typed.insert("value".to_owned(), content);
        }
    }
    Value::Object(typed)
}

/// `config` without a type becomes `typed_config` of the type that the name stands for.
fn typed_config(members: &mut Members, extension: Option<Extension>) {
    if get(members, "typed_config").is_some() || get(members, "config_discovery").is_some() {
        return;
    }
    let message = extension.zip(text(members, "name")).and_then(|(extension, name)| type_of(extension, name));
    match (take(members, "config"), message) {
        (Some(Value::Object(config)), message) if config.get("deprecated_v1") == Some(&Value::Bool(true)) => {
            let config = first_api(message, config);
            set(members, "typed_config", config);
        }
        (Some(config), message) => set(members, "typed_config", any(message.unwrap_or(STRUCT), config)),
        (None, Some(message)) => set(members, "typed_config", any(message, json!({}))),
        (None, None) => {}
    }
}

/// A filter's configuration in the JSON of Envoy's first API; only that of the TCP proxy is known.
fn first_api(message: Option<&str>, config: Members) -> Value {
    const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let old = config.get("value").cloned().unwrap_or_default();
    let routes = old.pointer("/route_config/routes");
    match (message, routes) {
        (Some(TCP_PROXY), Some(routes)) => {
            let stat_prefix = old.get("stat_prefix").cloned().unwrap_or_default();
            any(TCP_PROXY, json!({"stat_prefix": stat_prefix, "deprecated_v1": {"routes": routes}}))
        }
        _ => any(STRUCT, Value::Object(config)),
    }
}

fn tls_socket(message: &str, content: Value) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": any(message, content)})
}

/// A TLS transport socket whose configuration has no type: the message depends on the side.
fn tls_of_socket(members: &mut Members, message: &str) {
    let Some(Value::Object(socket)) = get_mut(members, "transport_socket") else { return };
    let is_tls = matches!(text(socket, "name"), Some("tls" | "envoy.transport_sockets.tls"));
    if is_tls && let Some(config) = take(socket, "config") {
        set(socket, "typed_config", any(message, config));
    }
}

const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

fn filter_chain(members: &mut Members) {
    tls_of_socket(members, DOWNSTREAM_TLS);
    if let Some(context) = take(members, "tls_context") {
        set(members, "transport_socket", tls_socket(DOWNSTREAM_TLS, context));
    }
}

fn filter_chain_match(members: &mut Members) {
    rename(members, "sni_domains", "server_names");
    if text(members, "source_type") == Some("LOCAL") {
        take(members, "source_type");
        set(members, "source_type", json!("SAME_IP_OR_LOOPBACK"));
    }
}

fn listener_address(members: &Members) -> Option<String> {
    let address = get(members, "address")?.as_object()?;
    let socket = get(address, "socket_address")?.as_object()?;
    text(socket, "address").map(str::to_owned)
}

fn connection_manager(members: &mut Members) {
    if let Some(timeout) = take(members, "idle_timeout") {
        set(members, "common_http_protocol_options", json!({}));
        if let Some(Value::Object(options)) = get_mut(members, "common_http_protocol_options") {
            set(options, "idle_timeout", timeout);
        }
    }
}

/// Routes of the TCP proxy: v3 has filter chains for that. One whose criteria hold for every connection of the
/// listener is the cluster; others stay where they are, so that the proxy names no cluster.
fn tcp_proxy(members: &mut Members, listener_address: Option<&str>) {
    let first = get(members, "deprecated_v1").and_then(|old| old.pointer("/routes/0")).and_then(Value::as_object);
    let Some(route) = first else { return };
    let holds_always = |name: &str| match get(route, name) {
        None => true,
        Some(Value::Array(items)) => {
            items.is_empty()
                || name == "destination_ip_list" && items.iter().any(|item| is_address(item, listener_address))
        }
        Some(criterion) => criterion.as_str() == Some(""),
    };
    let criteria = ["destination_ip_list", "destination_ports", "source_ip_list", "source_ports"];
    if criteria.into_iter().all(holds_always)
        && let Some(cluster) = get(route, "cluster").cloned()
    {
        take(members, "deprecated_v1");
        set(members, "cluster", cluster);
    }
}

/// Whether a range is just that address: `"10.0.0.1/32"` or a `CidrRange`.
fn is_address(range: &Value, address: Option<&str>) -> bool {
    let (prefix, length) = match range {
        Value::String(text) => match text.split_once('/') {
            Some((prefix, length)) => (Some(prefix), length.parse().ok()),
            None => (Some(text.as_str()), None),
        },
        Value::Object(range) => (text(range, "address_prefix"), get(range, "prefix_len").and_then(Value::as_u64)),
        _ => (None, None),
    };
    prefix.is_some()
        && prefix == address
        && prefix.is_some_and(|p| length == Some(if p.contains(':') { 128 } else { 32 }))
}

fn redis_proxy(members: &mut Members) {
    if let Some(cluster) = take(members, "cluster") {
        set(members, "prefix_routes", json!({}));
        if let Some(Value::Object(routes)) = get_mut(members, "prefix_routes") {
            set(routes, "catch_all_route", json!({ "cluster": cluster }));
        }
    }
}

fn catch_all(members: &mut Members) {
    if let Some(cluster) = take(members, "catch_all_cluster") {
        set(members, "catch_all_route", json!({ "cluster": cluster }));
    }
}

fn per_filter(members: &mut Members) {
    let Some(Value::Object(untyped)) = take(members, "per_filter_config") else { return };
    set(members, "typed_per_filter_config", json!({}));
    if let Some(Value::Object(typed)) = get_mut(members, "typed_per_filter_config") {
        for (name, config) in untyped {
            let message = type_of(Extension::HttpPerRoute, &name).unwrap_or(STRUCT);
            if !typed.contains_key(&name) {
                typed.insert(name, any(message, config));
            }
        }
    }
}

/// A regular expression as a text becomes one with its engine. v2's engine was ECMAScript's; RE2 reads the
/// expressions that both know alike.
fn regex(members: &mut Members, old: &str, new: &str) {
    if get(members, old).is_some_and(Value::is_string)
        && let Some(pattern) = take(members, old)
    {
        set(members, new, json!({"google_re2": {}, "regex": pattern}));
    }
}

fn route_match(members: &mut Members) {
    regex(members, "regex", "safe_regex");
    // RuntimeUInt32 of 2018: the default is a percentage.
    if let Some(Value::Object(runtime)) = take(members, "runtime") {
        let numerator = get(&runtime, "default_value").cloned().unwrap_or(json!(0));
        let key = get(&runtime, "runtime_key").cloned().unwrap_or_default();
        set(members, "runtime_fraction", json!({"default_value": {"numerator": numerator}, "runtime_key": key}));
    }
}

fn host_rewrite(members: &mut Members) {
    // A later `host_rewrite` of v3 is a format string.
    if text(members, "host_rewrite").is_some_and(|host| !host.contains('%')) {
        rename(members, "host_rewrite", "host_rewrite_literal");
    }
    rename(members, "auto_host_rewrite_header", "host_rewrite_header");
}

fn route_action(members: &mut Members) {
    host_rewrite(members);
    if let Some(policy) = take(members, "request_mirror_policy") {
        set(members, "request_mirror_policies", json!([policy]));
    }
    if take(members, "use_websocket") == Some(Value::Bool(true)) {
        set(members, "upgrade_configs", json!([{"upgrade_type": "websocket"}]));
    }
}

fn mirror_policy(members: &mut Members) {
    if let Some(key) = take(members, "runtime_key").filter(|key| key.as_str() != Some("")) {
        // Without a value for the key nothing was mirrored; values went up to 10,000.
        let default = json!({"numerator": 0, "denominator": "TEN_THOUSAND"});
        set(members, "runtime_fraction", json!({"default_value": default, "runtime_key": key}));
    }
}

fn header_matcher(members: &mut Members) {
    regex(members, "regex_match", "safe_regex_match");
    // Before 2018-03: a value, and whether it is a regular expression.
    if let Some(value) = take(members, "value") {
        match take(members, "regex") {
            Some(Value::Bool(true)) => set(members, "safe_regex_match", json!({"google_re2": {}, "regex": value})),
            _ if value.as_str() == Some("") => set(members, "present_match", json!(true)),
            _ => set(members, "exact_match", value),
        }
    }
}

fn query_matcher(members: &mut Members) {
    let is_regex = take(members, "regex") == Some(Value::Bool(true));
    match take(members, "value") {
        Some(value) if is_regex => {
            set(members, "string_match", json!({"safe_regex": {"google_re2": {}, "regex": value}}));
        }
        Some(value) if value.as_str() != Some("") => set(members, "string_match", json!({ "exact": value })),
        Some(_) => set(members, "present_match", json!(true)),
        None => {}
    }
}

fn virtual_cluster(members: &mut Members) {
    let Some(pattern) = take(members, "pattern") else { return };
    let mut headers = vec![json!({"name": ":path", "safe_regex_match": {"google_re2": {}, "regex": pattern}})];
    if let Some(method) = take(members, "method").filter(|method| method.as_str() != Some("METHOD_UNSPECIFIED")) {
        headers.push(json!({"name": ":method", "exact_match": method}));
    }
    set(members, "headers", Value::Array(headers));
}

fn cors(members: &mut Members) {
    let exact = take(members, "allow_origin").map(list).unwrap_or_default();
    let patterns = take(members, "allow_origin_regex").map(list).unwrap_or_default();
    let matchers: Vec<Value> = exact
        .into_iter()
        .map(|origin| json!({ "exact": origin }))
        .chain(patterns.into_iter().map(|pattern| json!({"safe_regex": {"google_re2": {}, "regex": pattern}})))
        .collect();
    if !matchers.is_empty() {
        set(members, "allow_origin_string_match", Value::Array(matchers));
    }
    if let Some(enabled) = take(members, "enabled") {
        let numerator = if enabled == Value::Bool(false) { 0 } else { 100 };
        set(members, "filter_enabled", json!({"default_value": {"numerator": numerator}}));
    }
}

/// v2alpha of RBAC: the name as a text.
fn principal(members: &mut Members) {
    if let Some(name) = take(members, "name") {
        set(members, "principal_name", json!({ "exact": name }));
    }
}

fn fault_percent(members: &mut Members) {
    take(members, "type");
    if let Some(percent) = take(members, "percent") {
        set(members, "percentage", json!({ "numerator": percent }));
    }
}

fn cluster(members: &mut Members) {
    if let Some(hosts) = take(members, "hosts") {
        let endpoints: Vec<Value> =
            list(hosts).into_iter().map(|address| json!({"endpoint": {"address": address}})).collect();
        let name = get(members, "name").cloned().unwrap_or_default();
        set(members, "load_assignment", json!({"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}));
    }
    tls_of_socket(members, UPSTREAM_TLS);
    if let Some(context) = take(members, "tls_context") {
        set(members, "transport_socket", tls_socket(UPSTREAM_TLS, context));
    }
    if text(members, "lb_policy") == Some("ORIGINAL_DST_LB") {
        take(members, "lb_policy");
        set(members, "lb_policy", json!("CLUSTER_PROVIDED"));
    }
    rename(members, "drain_connections_on_host_removal", "ignore_health_on_host_removal");
    if let Some(Value::Object(untyped)) = take(members, "extension_protocol_options") {
        set(members, "typed_extension_protocol_options", json!({}));
        if let Some(Value::Object(typed)) = get_mut(members, "typed_extension_protocol_options") {
            for (name, options) in untyped {
                if !typed.contains_key(&name) {
                    typed.insert(name, any(STRUCT, options));
                }
            }
        }
    }
}

fn balancing_policy(members: &mut Members) {
    let Some(name) = take(members, "name") else { return };
    let config = take(members, "typed_config").or_else(|| take(members, "config").map(|config| any(STRUCT, config)));
    set(members, "typed_extension_config", json!({"name": name, "typed_config": config.unwrap_or(json!({}))}));
}

fn health_check(members: &mut Members) {
    if take(members, "use_http2") == Some(Value::Bool(true)) {
        set(members, "codec_client_type", json!("HTTP2"));
    }
    if let Some(name) = take(members, "service_name") {
        set(members, "service_name_matcher", json!({ "prefix": name }));
    }
}

/// `<commit>/<release>/Clean/RELEASE/BoringSSL`.
fn node(members: &mut Members) {
    let release = take(members, "build_version")
        .and_then(|build| build.as_str().and_then(|build| build.split('/').nth(1)).map(str::to_owned));
    let Some(release) = release else { return };
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().ok());
    if let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) {
        let patch = numbers.next().flatten().unwrap_or_default();
        set(members, "user_agent_name", json!("envoy"));
        if get(members, "user_agent_version").is_none() {
            let version = json!({"major_number": major, "minor_number": minor, "patch": patch});
            set(members, "user_agent_build_version", json!({ "version": version }));
        }
    }
}

fn validation(members: &mut Members) {
    if let Some(names) = take(members, "verify_subject_alt_name") {
        let matchers: Vec<Value> = list(names).into_iter().map(|name| json!({ "exact": name })).collect();
        set(members, "match_subject_alt_names", Value::Array(matchers));
    }
}

fn bootstrap(members: &mut Members) {
    let Some(Value::Object(mut runtime)) = take(members, "runtime") else { return };
    let mut layers = Vec::new();
    if let Some(base) = take(&mut runtime, "base") {
        layers.push(json!({"name": "base", "static_layer": base}));
    }
    if let Some(root) = take(&mut runtime, "symlink_root") {
        let mut disk = Members::new();
        disk.insert("symlink_root".to_owned(), root);
        if let Some(subdirectory) = take(&mut runtime, "subdirectory") {
            disk.insert("subdirectory".to_owned(), subdirectory);
        }
        layers.push(json!({"name": "root", "disk_layer": disk}));
    }
    // The admin interface could always set values; it was a layer of its own.
    layers.push(json!({"name": "admin", "admin_layer": {}}));
    set(members, "layered_runtime", json!({ "layers": layers }));
}
