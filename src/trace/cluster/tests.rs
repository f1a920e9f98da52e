//! Clusters in small: each test states a cluster and what a real Envoy 1.40 was seen to do with it.

use serde_json::{Value, json};

use super::*;
use crate::dump::Proxy;
use crate::input::{Artifact, ArtifactKind, Source};
use crate::trace::matcher::fixture;

/// A proxy of Envoy 1.40 with these clusters.
fn proxy(clusters: Value) -> Proxy {
    dump(40, &json!({}), clusters, &[])
}

/// A proxy of Envoy 1.40 with these clusters, and load assignments in the EDS section.
fn with_endpoints(clusters: Value, assignments: &[Value]) -> Proxy {
    let assignments: Vec<Value> = assignments.iter().map(|a| json!({"endpoint_config": a})).collect();
    let section = json!({"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump", "dynamic_endpoint_configs": assignments});
    load(40, &json!({}), clusters, &[], vec![section])
}

/// A dump of Envoy 1.`minor` with runtime values, static clusters and listeners.
fn dump(minor: u32, runtime: &Value, clusters: Value, listeners: &[Value]) -> Proxy {
    load(minor, runtime, clusters, listeners, Vec::new())
}

fn load(minor: u32, runtime: &Value, clusters: Value, listeners: &[Value], more: Vec<Value>) -> Proxy {
    let clusters: Vec<Value> = clusters.as_array().unwrap().iter().map(|c| json!({"cluster": c})).collect();
    let listeners: Vec<Value> = listeners.iter().map(|l| json!({"listener": l})).collect();
    let mut sections = json!([
        {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {
            "node": {"user_agent_build_version": {"version": {"major_number": 1, "minor_number": minor}}},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": runtime}]}}},
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "static_clusters": clusters},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "static_listeners": listeners}]);
    sections.as_array_mut().unwrap().extend(more);
    Proxy::load(&[artifact(ArtifactKind::Dump, &json!({ "configs": sections }))]).unwrap()
}

fn artifact(kind: ArtifactKind, json: &Value) -> Artifact {
    Artifact { kind, source: Source::from_bytes("a.json", json.to_string().into_bytes()).into(), start: 0 }
}

fn endpoint(address: &str) -> Value {
    let (ip, port) = address.rsplit_once(':').unwrap();
    json!({"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port.parse::<u16>().unwrap()}}}})
}

fn assignment(endpoints: &[Value]) -> Value {
    json!({"endpoints": [{"lb_endpoints": endpoints}]})
}

fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

/// A request to a cluster, changed by the test before it is sent.
struct Asked {
    connection: Connection,
    stream: Option<Stream>,
    metadata_match: Metadata,
    hash_policy: Vec<HashPolicy>,
    priority: RoutingPriority,
}

fn http() -> Asked {
    let connection = fixture::connection();
    Asked {
        stream: Some(fixture::stream(connection.clone(), "/", &[])),
        connection,
        metadata_match: Metadata::default(),
        hash_policy: Vec::new(),
        priority: RoutingPriority::Default,
    }
}

fn tcp() -> Asked {
    Asked { stream: None, ..http() }
}

fn with_header(name: &str, value: &str) -> Asked {
    let mut asked = http();
    asked.stream.as_mut().unwrap().headers.add(name, value);
    asked
}

/// Address, or flags and host of a failure, of every way; and what is missing.
fn ends(proxy: &Proxy, cluster: &str, asked: &Asked) -> (Vec<String>, Vec<String>) {
    fixture::answers(proxy, |cx, walk| {
        let balance = Balance {
            connection: &asked.connection,
            stream: asked.stream.as_ref(),
            connection_metadata: None,
            metadata_match: vec![&asked.metadata_match],
            hash_policy: &asked.hash_policy,
            connection_hash_policy: &[],
            priority: asked.priority,
        };
        match select(cx, walk, cluster, &balance) {
            Selection::Host(host) => host.address.to_string(),
            Selection::Failure(failure) => {
                let host = failure.host.map(|host| format!(" {host}")).unwrap_or_default();
                format!("{}{host}", failure.flags.join(","))
            }
        }
    })
}

#[track_caller]
fn check(proxy: &Proxy, cluster: &str, asked: &Asked, expected: &[&str]) {
    let (found, unknown) = ends(proxy, cluster, asked);
    assert_eq!(found, expected);
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn a_cluster_is_in_force_or_it_is_not_there() {
    let proxy =
        proxy(json!([{"name": "empty"}, {"name": "one", "load_assignment": assignment(&[endpoint("10.0.0.1:80")])}]));
    check(&proxy, "one", &http(), &["10.0.0.1:80"]);
    check(&proxy, "empty", &http(), &["UH"]);
    check(&proxy, "none", &http(), &["NC"]);
}

#[test]
fn dns_names_need_an_answer_and_addresses_do_not() {
    let proxy = proxy(json!([
        {"name": "name", "type": "STRICT_DNS", "load_assignment": assignment(&[endpoint("shop.test:80")])},
        {"name": "literal", "type": "LOGICAL_DNS", "load_assignment": assignment(&[endpoint("10.0.0.1:80")])},
        {"name": "eds", "type": "EDS"}]));
    check(&proxy, "literal", &http(), &["10.0.0.1:80"]);
    let (found, unknown) = ends(&proxy, "name", &http());
    assert_eq!(
        (found, unknown),
        (vec!["unknown address".to_owned()], vec!["addresses of shop.test:80 (DNS; no /clusters)".to_owned()])
    );
    let (_, unknown) = ends(&proxy, "eds", &http());
    assert_eq!(unknown, ["endpoints of cluster eds (no EDS section in the dump)"]);
}

#[test]
fn panic_depends_on_the_threshold() {
    let sick = with(endpoint("10.0.0.1:80"), json!({"health_status": "UNHEALTHY"}));
    let proxy = proxy(json!([
        {"name": "default", "load_assignment": assignment(std::slice::from_ref(&sick))},
        {"name": "off", "load_assignment": assignment(&[sick]), "common_lb_config": {"healthy_panic_threshold": {}}}]));
    check(&proxy, "default", &http(), &["10.0.0.1:80"]);
    check(&proxy, "off", &http(), &["UH"]);
}

#[test]
fn draining_hosts_do_not_count() {
    let drains = |ip: &str| with(endpoint(ip), json!({"health_status": "DRAINING"}));
    let degraded = with(endpoint("10.0.0.3:80"), json!({"health_status": "DEGRADED"}));
    let clusters = json!([{"name": "c", "load_assignment": assignment(&[drains("10.0.0.1:80"), drains("10.0.0.2:80"), degraded])}]);
    check(&proxy(clusters.clone()), "c", &http(), &["10.0.0.3:80"]);
    // Before 1.30 they are unhealthy ones, and two of three cause panic.
    let old = dump(29, &json!({}), clusters, &[]);
    check(&old, "c", &http(), &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
}

/// A dump prints draining hosts as unhealthy ones.
#[test]
fn who_drains_matters_only_where_it_changes_the_choice() {
    let is = |ip: &str, health: &str| with(endpoint(ip), json!({"health_status": health}));
    let well = is("10.0.0.1:80", "HEALTHY");
    let half = assignment(&[well.clone(), is("10.0.0.2:80", "UNHEALTHY")]);
    let third = assignment(&[well, is("10.0.0.2:80", "UNHEALTHY"), is("10.0.0.3:80", "UNHEALTHY")]);
    let named = |name: &str, assignment: &Value| with(assignment.clone(), json!({"cluster_name": name}));
    let clusters = json!([{"name": "half", "type": "EDS"}, {"name": "third", "type": "EDS"},
        {"name": "static", "load_assignment": named("static", &third)}]);
    let proxy = with_endpoints(clusters.clone(), &[named("half", &half), named("third", &third)]);
    check(&proxy, "half", &http(), &["10.0.0.1:80"]);
    let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let (found, unknown) = ends(&proxy, "third", &http());
    assert_eq!(found, all);
    assert_eq!(unknown, ["whether the unhealthy endpoints of cluster third are draining (no /clusters)"]);
    // What the configuration itself says is meant as it stands.
    check(&proxy, "static", &http(), &all);
}

#[test]
fn active_health_checks_leave_it_open_who_is_healthy() {
    let checks = json!({"health_checks": [{"tcp_health_check": {}}]});
    let one = assignment(&[endpoint("10.0.0.1:80")]);
    let two = assignment(&[endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80")]);
    let off = json!({"common_lb_config": {"healthy_panic_threshold": {}}});
    let proxy = proxy(json!([
        with(json!({"name": "one", "load_assignment": one}), checks.clone()),
        with(json!({"name": "two", "load_assignment": two}), checks.clone()),
        with(with(json!({"name": "off", "load_assignment": two}), checks), off)
    ]));
    // With panic on, a single host is used whatever its health.
    check(&proxy, "one", &http(), &["10.0.0.1:80"]);
    let (found, unknown) = ends(&proxy, "two", &http());
    assert_eq!(found, ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(unknown, ["active health of the endpoints of cluster two (no /clusters)"]);
    assert_eq!(ends(&proxy, "off", &http()).0, ["10.0.0.1:80", "10.0.0.2:80", "UH"]);
}

/// The EDS section and `/clusters` show one moment each; which came later isn't known.
#[test]
fn endpoints_that_only_one_file_has_leave_it_open() {
    let address = |ip: &str| json!({"socket_address": {"address": ip, "port_value": 80}});
    let named = |name: &str, ips: &[&str]| {
        let endpoints: Vec<Value> = ips.iter().map(|ip| json!({"endpoint": {"address": address(ip)}})).collect();
        json!({"endpoint_config": with(assignment(&endpoints), json!({"cluster_name": name}))})
    };
    let status = |name: &str, ips: &[&str]| {
        let hosts: Vec<Value> = ips.iter().map(|ip| json!({"address": address(ip), "health_status": {}})).collect();
        json!({"name": name, "host_statuses": hosts})
    };
    let clusters: Vec<Value> =
        ["same", "other", "none"].iter().map(|name| json!({"cluster": {"name": name, "type": "EDS"}})).collect();
    let dump = json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "static_clusters": clusters},
        {"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump", "dynamic_endpoint_configs": [
            named("same", &["10.0.0.1"]), named("other", &["10.0.0.1", "10.0.0.2"]), named("none", &["10.0.0.1"])]}]});
    let live = json!({"cluster_statuses": [
        status("same", &["10.0.0.1"]), status("other", &["10.0.0.1", "10.0.0.3"]), status("none", &[])]});
    let files = [artifact(ArtifactKind::Dump, &dump), artifact(ArtifactKind::Clusters, &live)];
    let proxy = Proxy::load(&files).unwrap();
    check(&proxy, "same", &http(), &["10.0.0.1:80"]);
    let (found, unknown) = ends(&proxy, "other", &http());
    assert_eq!(found, ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    let differ = "endpoints of cluster other: 1 only in the EDS section, 1 only in /clusters, which were taken at \
                  different moments";
    assert_eq!(unknown, [differ]);
    assert_eq!(ends(&proxy, "none", &http()).0, ["10.0.0.1:80", "UH"]);
}

#[test]
fn original_destination_takes_the_first_source_it_has() {
    let base = json!({"type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED"});
    let proxy = proxy(json!([
        with(json!({"name": "plain"}), base.clone()),
        with(
            json!({"name": "header", "original_dst_lb_config": {"use_http_header": true, "upstream_port_override": 9002}}),
            base
        )
    ]));
    check(&proxy, "plain", &http(), &["UH"]);
    let restored = |mut asked: Asked| {
        asked.connection.restored = true;
        asked
    };
    check(&proxy, "plain", &restored(http()), &["10.2.2.2:80"]);
    check(&proxy, "plain", &restored(tcp()), &["10.2.2.2:80"]);
    let header = "x-envoy-original-dst-host";
    check(&proxy, "header", &with_header(header, "10.0.0.7:81"), &["10.0.0.7:9002"]);
    check(&proxy, "header", &with_header(header, "10.0.0.7"), &["UH"]);
    check(&proxy, "header", &restored(with_header(header, "nowhere")), &["10.2.2.2:9002"]);
}

#[test]
fn limits_of_zero_refuse_http_and_tcp_differently() {
    let limited = |name: &str, limit: &str, priority: &str| {
        json!({"name": name, "load_assignment": assignment(&[endpoint("10.0.0.1:80")]),
            "circuit_breakers": {"thresholds": [{"priority": priority, limit: 0}]}})
    };
    let proxy = proxy(json!([
        limited("connections", "max_connections", "DEFAULT"),
        limited("pending", "max_pending_requests", "DEFAULT"),
        limited("requests", "max_requests", "DEFAULT"),
        limited("pools", "max_connection_pools", "DEFAULT"),
        limited("high", "max_requests", "HIGH")
    ]));
    check(&proxy, "connections", &http(), &["10.0.0.1:80"]);
    check(&proxy, "pending", &http(), &["UO"]);
    check(&proxy, "requests", &http(), &["UO 10.0.0.1:80"]);
    check(&proxy, "pools", &http(), &["UH"]);
    check(&proxy, "connections", &tcp(), &["UO"]);
    check(&proxy, "pending", &tcp(), &["URX"]);
    check(&proxy, "requests", &tcp(), &["10.0.0.1:80"]);
    check(&proxy, "high", &http(), &["10.0.0.1:80"]);
    check(&proxy, "high", &Asked { priority: RoutingPriority::High, ..http() }, &["UO 10.0.0.1:80"]);
}

#[test]
fn the_runtime_has_the_last_word_on_limits() {
    let runtime = json!({"upstream.maintenance_mode.m": 100, "upstream.maintenance_mode.half": 50, "circuit_breakers.c.default.max_requests": 0});
    let cluster = |name: &str| json!({"name": name, "load_assignment": assignment(&[endpoint("10.0.0.1:80")])});
    let proxy = dump(40, &runtime, json!([cluster("m"), cluster("half"), cluster("c")]), &[]);
    check(&proxy, "m", &http(), &["UO"]);
    check(&proxy, "m", &tcp(), &["10.0.0.1:80"]);
    check(&proxy, "half", &http(), &["10.0.0.1:80", "UO"]);
    check(&proxy, "c", &http(), &["UO 10.0.0.1:80"]);
}

#[test]
fn overload_drops_http_only() {
    let dropping = |percent: u32| {
        with(
            assignment(&[endpoint("10.0.0.1:80")]),
            json!({"policy": {"drop_overloads": [{"category": "x", "drop_percentage": {"numerator": percent}}]}}),
        )
    };
    let proxy = proxy(
        json!([{"name": "all", "load_assignment": dropping(100)}, {"name": "half", "load_assignment": dropping(50)}]),
    );
    check(&proxy, "all", &http(), &["UDO"]);
    check(&proxy, "half", &http(), &["10.0.0.1:80", "DO"]);
    check(&proxy, "all", &tcp(), &["10.0.0.1:80"]);
}

#[test]
fn an_aggregate_takes_priorities_in_order_and_knows_no_aggregates() {
    let aggregate = |name: &str, members: &[&str]| {
        json!({"name": name, "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig", "clusters": members}}})
    };
    let sick = with(endpoint("10.0.0.1:80"), json!({"health_status": "UNHEALTHY"}));
    let proxy = proxy(json!([
        {"name": "sick", "load_assignment": assignment(&[sick])}, {"name": "empty"},
        {"name": "well", "load_assignment": assignment(&[endpoint("10.0.0.2:80")])},
        aggregate("outer", &["missing", "empty", "sick", "well"]), aggregate("nested", &["outer"]), aggregate("none", &["missing"])]));
    check(&proxy, "outer", &http(), &["10.0.0.2:80"]);
    check(&proxy, "nested", &http(), &["UH"]);
    check(&proxy, "none", &http(), &["UH"]);
}

#[test]
fn a_composite_takes_the_first_cluster_that_has_a_host() {
    let members: Vec<Value> = ["missing", "empty", "one"].iter().map(|name| json!({"name": name})).collect();
    let composite = json!({"name": "c", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name": "envoy.clusters.composite", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.composite.v3.ClusterConfig", "clusters": members}}});
    let one = json!({"name": "one", "load_assignment": assignment(&[endpoint("10.0.0.1:80")])});
    check(&proxy(json!([composite, {"name": "empty"}, one])), "c", &http(), &["10.0.0.1:80"]);
}

#[test]
fn an_override_takes_any_host_that_the_cluster_has() {
    let sick = with(endpoint("10.0.0.2:80"), json!({"health_status": "UNHEALTHY"}));
    let extension = |kind: &str, more: Value| {
        let config = with(
            json!({"@type": format!("type.googleapis.com/envoy.extensions.load_balancing_policies.{kind}")}),
            more,
        );
        json!({"policies": [{"typed_extension_config": {"name": "x", "typed_config": config}}]})
    };
    let inner = extension("round_robin.v3.RoundRobin", json!({}));
    let policy = extension(
        "override_host.v3.OverrideHost",
        json!({"override_host_sources": [{"header": "x-to"}], "fallback_policy": inner}),
    );
    let proxy = proxy(
        json!([{"name": "c", "load_assignment": assignment(&[endpoint("10.0.0.1:80"), sick]), "load_balancing_policy": policy}]),
    );
    check(&proxy, "c", &with_header("x-to", "10.0.0.2:80"), &["10.0.0.2:80"]);
    check(&proxy, "c", &with_header("x-to", "10.0.0.7:80, 10.0.0.2:80"), &["10.0.0.2:80"]);
    check(&proxy, "c", &with_header("x-to", "10.0.0.7:80"), &["10.0.0.1:80"]);
}

#[test]
fn localities_without_weight_are_never_chosen_while_others_have_one() {
    let group = |zone: &str, ip: &str, weight: Value| {
        with(json!({"locality": {"zone": zone}, "lb_endpoints": [endpoint(ip)]}), weight)
    };
    let weight = json!({"load_balancing_weight": 1});
    let cluster = |name: &str, groups: Value| json!({"name": name, "load_assignment": {"endpoints": groups}, "common_lb_config": {"locality_weighted_lb_config": {}}});
    let proxy = proxy(json!([
        cluster("one", json!([group("a", "10.0.0.1:80", weight), group("b", "10.0.0.2:80", json!({}))])),
        cluster("none", json!([group("a", "10.0.0.1:80", json!({})), group("b", "10.0.0.2:80", json!({}))]))
    ]));
    check(&proxy, "one", &http(), &["10.0.0.1:80"]);
    check(&proxy, "none", &http(), &["10.0.0.1:80", "10.0.0.2:80"]);
}

#[test]
fn an_internal_listener_must_be_there() {
    let hop = json!({"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "hop", "endpoint_id": "a"}}}});
    let clusters = json!([{"name": "c", "load_assignment": assignment(&[hop])}]);
    let listener = json!({"name": "hop", "internal_listener": {}});
    let there = dump(40, &json!({}), clusters.clone(), &[listener]);
    check(&there, "c", &http(), &["envoy://hop/a"]);
    let other = json!({"name": "hop", "address": {}});
    let not_internal = dump(40, &json!({}), clusters, &[other]);
    check(&not_internal, "c", &http(), &["UF envoy://hop/a"]);
}

#[test]
fn a_dynamic_forward_proxy_goes_where_the_request_says() {
    let proxy = proxy(
        json!([{"name": "dfp", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config": {"name": "x"}}}}]),
    );
    let asked = |authority: &str| {
        let mut asked = http();
        asked.stream.as_mut().unwrap().headers.set(":authority", authority);
        asked
    };
    check(&proxy, "dfp", &asked("10.0.0.9:8080"), &["10.0.0.9:8080"]);
    check(&proxy, "dfp", &asked("10.0.0.9"), &["10.0.0.9:80"]);
    let (_, unknown) = ends(&proxy, "dfp", &asked("shop.test"));
    assert_eq!(unknown, ["address of shop.test:80 (dynamic forward proxy)"]);
}

mod consistent_hashing {
    use super::*;

    fn hosts() -> Value {
        let range = |from: u32| assignment(&[0, 1, 2].map(|n| endpoint(&format!("127.0.5.{}:9001", from + n))));
        json!([
            {"name": "ring", "load_assignment": range(30), "lb_policy": "RING_HASH"},
            {"name": "maglev", "load_assignment": range(40), "lb_policy": "MAGLEV"}])
    }

    fn by_header() -> Vec<HashPolicy> {
        vec![fixture::message(json!({"header": {"header_name": "x-hash"}}))]
    }

    /// Recorded from Envoy 1.40.
    #[test]
    fn the_host_follows_from_the_hash() {
        let proxy = proxy(hosts());
        for (value, ring, maglev) in [
            ("a", "127.0.5.30:9001", "127.0.5.42:9001"),
            ("b", "127.0.5.32:9001", "127.0.5.41:9001"),
            ("c", "127.0.5.32:9001", "127.0.5.40:9001"),
        ] {
            let asked = Asked { hash_policy: by_header(), ..with_header("x-hash", value) };
            check(&proxy, "ring", &asked, &[ring]);
            check(&proxy, "maglev", &asked, &[maglev]);
        }
    }

    #[test]
    fn without_a_hash_it_is_any_host() {
        let proxy = proxy(hosts());
        let any = ["127.0.5.30:9001", "127.0.5.31:9001", "127.0.5.32:9001"];
        check(&proxy, "ring", &Asked { hash_policy: by_header(), ..http() }, &any);
        check(&proxy, "ring", &tcp(), &any);
    }

    #[test]
    fn policies_of_the_balancer_replace_those_of_the_route() {
        let typed = json!({"@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
            "consistent_hashing_lb_config": {"hash_policy": [{"header": {"header_name": "x-hash"}}]}});
        let mut cluster = hosts()[0].clone();
        cluster["lb_policy"] = json!("LOAD_BALANCING_POLICY_CONFIG");
        cluster["load_balancing_policy"] =
            json!({"policies": [{"typed_extension_config": {"name": "x", "typed_config": typed}}]});
        check(&proxy(json!([cluster])), "ring", &with_header("x-hash", "a"), &["127.0.5.30:9001"]);
    }
}

mod subsets {
    use super::*;

    fn labelled(ip: &str, labels: Value) -> Value {
        with(endpoint(ip), json!({"metadata": {"filter_metadata": {"envoy.lb": labels}}}))
    }

    fn cluster(config: Value) -> Proxy {
        let hosts = assignment(&[
            labelled("10.0.0.1:80", json!({"version": "v1", "zone": "a"})),
            labelled("10.0.0.2:80", json!({"version": "v2", "zone": "a"})),
            labelled("10.0.0.3:80", json!({"version": ["v3", "v4"], "canary": true})),
            endpoint("10.0.0.4:80"),
        ]);
        proxy(json!([{"name": "s", "load_assignment": hosts, "lb_subset_config": config}]))
    }

    fn asking(criteria: Value) -> Asked {
        let metadata_match = fixture::message(json!({"filter_metadata": {"envoy.lb": criteria}}));
        Asked { metadata_match, ..http() }
    }

    const ANY: [&str; 4] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];

    #[test]
    fn a_subset_needs_a_selector_with_exactly_its_keys() {
        let proxy = cluster(json!({"subset_selectors": [{"keys": ["version"]}, {"keys": ["version", "zone"]}]}));
        check(&proxy, "s", &asking(json!({"version": "v1"})), &["10.0.0.1:80"]);
        check(&proxy, "s", &asking(json!({"zone": "a", "version": "v2"})), &["10.0.0.2:80"]);
        check(&proxy, "s", &asking(json!({"zone": "a"})), &["UH"]);
        check(&proxy, "s", &asking(json!({"version": "v9"})), &["UH"]);
        check(&proxy, "s", &http(), &["UH"]);
    }

    #[test]
    fn the_request_itself_may_ask_for_more() {
        let proxy = cluster(json!({"subset_selectors": [{"keys": ["version", "zone"]}]}));
        let mut asked = asking(json!({"zone": "a", "version": "v1"}));
        let wanted = fixture::message(json!({"version": "v2"}));
        asked.stream.as_mut().unwrap().metadata.insert("envoy.lb".to_owned(), wanted);
        check(&proxy, "s", &asked, &["10.0.0.2:80"]);
    }

    #[test]
    fn values_keep_their_types_and_lists_may_stand_for_any() {
        let selectors = json!([{"keys": ["canary"]}, {"keys": ["version"]}]);
        let proxy = cluster(json!({"subset_selectors": selectors}));
        check(&proxy, "s", &asking(json!({"canary": true})), &["10.0.0.3:80"]);
        check(&proxy, "s", &asking(json!({"canary": "true"})), &["UH"]);
        check(&proxy, "s", &asking(json!({"version": "v4"})), &["UH"]);
        check(&proxy, "s", &asking(json!({"version": ["v3", "v4"]})), &["10.0.0.3:80"]);
        let proxy = cluster(json!({"subset_selectors": selectors, "list_as_any": true}));
        check(&proxy, "s", &asking(json!({"version": "v4"})), &["10.0.0.3:80"]);
    }

    #[test]
    fn fallbacks_of_the_cluster() {
        let selectors = json!([{"keys": ["version"]}]);
        let config = |more: Value| with(json!({"subset_selectors": selectors}), more);
        let proxy = cluster(config(json!({"fallback_policy": "ANY_ENDPOINT"})));
        check(&proxy, "s", &asking(json!({"version": "v9"})), &ANY);
        check(&proxy, "s", &http(), &ANY);
        let by_default =
            |version: &str| json!({"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"version": version}});
        check(&cluster(config(by_default("v1"))), "s", &http(), &["10.0.0.1:80"]);
        check(&cluster(config(by_default("v9"))), "s", &http(), &["UH"]);
        check(&cluster(config(with(by_default("v9"), json!({"panic_mode_any": true})))), "s", &http(), &ANY);
    }

    #[test]
    fn fallbacks_of_a_selector() {
        let proxy = cluster(json!({"subset_selectors": [
            {"keys": ["version", "zone"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["zone"]},
            {"keys": ["zone"], "fallback_policy": "ANY_ENDPOINT"}]}));
        check(&proxy, "s", &asking(json!({"version": "v9", "zone": "a"})), &["10.0.0.1:80", "10.0.0.2:80"]);
        check(&proxy, "s", &asking(json!({"version": "v9", "zone": "z"})), &ANY);
        // In Envoy's tree of selectors the place of {version} is taken by the longer one before it.
        let proxy = cluster(json!({"subset_selectors": [
            {"keys": ["version", "zone"]}, {"keys": ["version"], "fallback_policy": "ANY_ENDPOINT"}]}));
        check(&proxy, "s", &asking(json!({"version": "v9"})), &["UH"]);
    }

    #[test]
    fn a_list_of_fallbacks_is_tried_in_order() {
        let proxy =
            cluster(json!({"subset_selectors": [{"keys": ["version"]}], "metadata_fallback_policy": "FALLBACK_LIST"}));
        let list = json!([{"version": "v9"}, {"version": "v2"}]);
        check(&proxy, "s", &asking(json!({"version": "v1", "fallback_list": list})), &["10.0.0.2:80"]);
    }
}

mod transport_sockets {
    use super::*;

    #[test]
    fn the_first_match_that_takes_the_endpoint_wins() {
        let tls = |sni: &str| {
            json!({"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni, "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "default"}]}}})
        };
        let istio = with(
            endpoint("10.0.0.1:80"),
            json!({"metadata": {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}}),
        );
        let matches = json!([
            {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": tls("a")},
            {"name": "tlsMode-disabled", "match": {}, "transport_socket": {"name": "envoy.transport_sockets.raw_buffer"}}]);
        let proxy = proxy(json!([
            {"name": "mesh", "load_assignment": assignment(&[istio]), "transport_socket_matches": matches},
            {"name": "outside", "load_assignment": assignment(&[endpoint("10.0.0.2:80")]), "transport_socket_matches": matches},
            {"name": "all", "load_assignment": assignment(&[endpoint("10.0.0.3:80")]), "transport_socket": tls("b")}]));
        let socket = |cluster: &str| {
            let asked = http();
            let balance = Balance {
                connection: &asked.connection,
                stream: asked.stream.as_ref(),
                connection_metadata: None,
                metadata_match: Vec::new(),
                hash_policy: &[],
                connection_hash_policy: &[],
                priority: RoutingPriority::Default,
            };
            fixture::answer(&proxy, |cx, walk| {
                let Selection::Host(host) = select(cx, walk, cluster, &balance) else { panic!("no host") };
                (host.transport_socket.matched, host.transport_socket.kind.describe())
            })
        };
        assert_eq!(socket("mesh"), (Some("tlsMode-istio".to_owned()), "mutual TLS, SNI a".to_owned()));
        assert_eq!(socket("outside"), (Some("tlsMode-disabled".to_owned()), "plain text".to_owned()));
        assert_eq!(socket("all"), (None, "mutual TLS, SNI b".to_owned()));
    }
}
