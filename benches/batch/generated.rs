//! Small configurations of which every request has much to look at.

use serde_json::{Value, json};
use xdsight::trace::{ClientTls, Request};

/// Name, dump and requests of each.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, Vec<Request>)> {
    vec![
        ("10 weights × 20 endpoints", weighted(), batch(500, |_| get("/"))),
        ("4,000 endpoints", endpoints(4000), batch(10, |_| get("/"))),
        ("4,000 endpoints, none healthy", unhealthy(4000), batch(10, |_| get("/"))),
        ("ring of 500 endpoints", ring(500), batch(1000, with_header)),
        ("2,000 regular expressions", regexes(2000), batch(1000, |nth| get(&format!("/v1/shop-{}/items/7", nth * 7)))),
        ("2,000 filter chains", chains(2000), batch(1000, |nth| tls(&format!("host-{}.example.com", nth * 3)))),
        ("2,000 RBAC policies", policies(2000), batch(200, |nth| get(&format!("/p{nth}")))),
    ]
}

fn batch(count: usize, request: impl Fn(usize) -> Request) -> Vec<Request> {
    (0..count).map(|nth| Request { id: format!("r{nth}"), ..request(nth) }).collect()
}

fn get(path: &str) -> Request {
    Request { connect: Some(([127, 0, 0, 1], 80).into()), authority: Some("a".to_owned()), ..Request::get(path) }
}

fn with_header(nth: usize) -> Request {
    Request { headers: vec![("user".to_owned(), nth.to_string())], ..get("/") }
}

fn tls(sni: &str) -> Request {
    Request { tls: Some(ClientTls { sni: Some(sni.to_owned()), ..ClientTls::default() }), ..get("/") }
}

fn dump(listener: &Value, clusters: &[Value], assignments: &[Value]) -> Vec<u8> {
    let entry = |kind: &str, name: &str, value: &Value| {
        let mut value = value.clone();
        value["@type"] = format!("type.googleapis.com/envoy.config.{kind}").into();
        json!({"version_info": "1", name: value})
    };
    let clusters: Vec<Value> = clusters.iter().map(|c| entry("cluster.v3.Cluster", "cluster", c)).collect();
    let assignments: Vec<Value> =
        assignments.iter().map(|a| entry("endpoint.v3.ClusterLoadAssignment", "endpoint_config", a)).collect();
    let active = entry("listener.v3.Listener", "listener", listener);
    json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": clusters},
        {"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump", "dynamic_endpoint_configs": assignments},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
         "dynamic_listeners": [{"name": "http", "active_state": active}]},
    ]})
    .to_string()
    .into_bytes()
}

fn listener(chains: &[Value]) -> Value {
    json!({"name": "http", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "listener_filters": [{"name": "tls", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
        "filter_chains": chains})
}

fn manager(routes: &Value, filters: Vec<Value>) -> Value {
    const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
    let router = json!({"name": "router", "typed_config": {"@type": format!("{FILTERS}.http.router.v3.Router")}});
    let filters: Vec<Value> = filters.into_iter().chain([router]).collect();
    json!({"name": "http", "typed_config": {
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "http", "http_filters": filters,
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": routes}]}}})
}

fn http(routes: &Value) -> Value {
    listener(&[json!({"name": "c", "filters": [manager(routes, Vec::new())]})])
}

fn to(cluster: &str) -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}])
}

fn cluster(name: &str) -> Value {
    json!({"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}})
}

/// Endpoints in four localities.
fn assignment(name: &str, count: usize, health: &str) -> Value {
    let endpoint = |nth: usize| {
        let address = format!("10.{}.{}.{}", nth >> 16, nth >> 8 & 255, nth & 255);
        json!({"health_status": health, "load_balancing_weight": 1 + nth % 3,
            "endpoint": {"address": {"socket_address": {"address": address, "port_value": 8080}}}})
    };
    let locality = |zone: usize| {
        let endpoints: Vec<Value> = (0..count).filter(|nth| nth % 4 == zone).map(endpoint).collect();
        json!({"locality": {"region": "r", "zone": format!("z{zone}")}, "lb_endpoints": endpoints})
    };
    json!({"cluster_name": name, "endpoints": [locality(0), locality(1), locality(2), locality(3)]})
}

fn weighted() -> Vec<u8> {
    let names: Vec<String> = (0..10).map(|nth| format!("c{nth}")).collect();
    let entries: Vec<Value> = names.iter().map(|name| json!({"name": name, "weight": 10})).collect();
    let routes = json!([{"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": entries}}}]);
    let clusters: Vec<Value> = names.iter().map(|name| cluster(name)).collect();
    let assignments: Vec<Value> = names.iter().map(|name| assignment(name, 20, "HEALTHY")).collect();
    dump(&http(&routes), &clusters, &assignments)
}

fn endpoints(count: usize) -> Vec<u8> {
    dump(&http(&to("c")), &[cluster("c")], &[assignment("c", count, "HEALTHY")])
}

fn unhealthy(count: usize) -> Vec<u8> {
    dump(&http(&to("c")), &[cluster("c")], &[assignment("c", count, "UNHEALTHY")])
}

fn ring(count: usize) -> Vec<u8> {
    let mut hashing = cluster("c");
    hashing["lb_policy"] = "RING_HASH".into();
    let policy = json!([{"header": {"header_name": "user"}}]);
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "c", "hash_policy": policy}}]);
    dump(&http(&routes), &[hashing], &[assignment("c", count, "HEALTHY")])
}

fn regexes(count: usize) -> Vec<u8> {
    let route = |nth: usize| {
        let regex = format!(r"/v\d+/shop-{nth}/(items|orders)/[^/]+");
        json!({"match": {"safe_regex": {"regex": regex}}, "route": {"cluster": "c"}})
    };
    dump(&http(&(0..count).map(route).collect()), &[cluster("c")], &[assignment("c", 2, "HEALTHY")])
}

fn chains(count: usize) -> Vec<u8> {
    let manager = manager(&to("c"), Vec::new());
    let chain = |nth: usize| {
        json!({"name": format!("chain-{nth}"), "filters": [manager],
            "filter_chain_match": {"server_names": [format!("host-{nth}.example.com"), format!("*.h{nth}.example.com")]},
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"}}})
    };
    let all: Vec<Value> = (0..count).map(chain).collect();
    dump(&listener(&all), &[cluster("c")], &[assignment("c", 2, "HEALTHY")])
}

fn policies(count: usize) -> Vec<u8> {
    let policy = |nth: usize| {
        let rule = json!({"url_path": {"path": {"prefix": format!("/p{nth}/")}}});
        (format!("policy-{nth}"), json!({"permissions": [rule], "principals": [{"any": true}]}))
    };
    let policies: serde_json::Map<String, Value> = (0..count).map(policy).collect();
    let rbac = json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "DENY", "policies": policies}}});
    let chain = json!({"name": "c", "filters": [manager(&to("c"), vec![rbac])]});
    dump(&listener(&[chain]), &[cluster("c")], &[assignment("c", 2, "HEALTHY")])
}
