//! Graphs of small dumps.

use std::fmt::Write as _;

use super::*;
use crate::dump::Proxy;
use crate::input::{Source, recognise};

fn graph(json: &str) -> Graph {
    let artifact = recognise(Source::from_bytes("dump.json", json.as_bytes().to_vec())).unwrap();
    Graph::build(&Proxy::load(&[artifact]).unwrap())
}

/// All references as lines, and nodes without any.
fn text(graph: &Graph, selection: Option<&Selection>) -> String {
    let view = graph.view(selection, &[], true);
    let mut out = String::new();
    for (nth, node) in view.nodes.iter().enumerate() {
        if !view.edges.iter().any(|edge| edge.from == nth || edge.to == nth) {
            writeln!(out, "{} ({})", node.id, node.presence).unwrap();
        }
    }
    for edge in &view.edges {
        let (from, to) = (&view.nodes[edge.from], &view.nodes[edge.to]);
        writeln!(out, "{} -{}-> {} ({})", from.id, edge.kind, to.id, to.presence).unwrap();
    }
    out
}

fn listener(name: &str, filters: &str) -> String {
    format!(
        r#"{{"name": "{name}", "active_state": {{"listener": {{"name": "{name}", "filter_chains": [{{"filters": [{filters}]}}]}}}}}}"#
    )
}

fn manager(routes: &str, filters: &str) -> String {
    format!(
        r#"{{"name": "envoy.filters.network.http_connection_manager", "typed_config": {{
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            {routes}, "http_filters": [{filters}]}}}}"#
    )
}

fn dump(sections: &[&str]) -> String {
    format!(r#"{{"configs": [{}]}}"#, sections.join(","))
}

fn listeners(all: &[String]) -> String {
    format!(
        r#"{{"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [{}]}}"#,
        all.join(",")
    )
}

fn clusters(active: &str, warming: &str) -> String {
    format!(
        r#"{{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
            "dynamic_active_clusters": [{active}], "dynamic_warming_clusters": [{warming}]}}"#
    )
}

const ROUTES: &str = r#"{"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": [
    {"route_config": {"name": "80", "virtual_hosts": [{"name": "shop", "domains": ["shop", "shop:80"], "routes": [
        {"match": {"prefix": "/a"}, "route": {"cluster": "a", "request_mirror_policies": [{"cluster": "copy"}]}},
        {"match": {"path": "/w"}, "route": {"weighted_clusters": {"clusters": [
            {"name": "a", "weight": 90}, {"name": "gone", "weight": 10}]}}},
        {"match": {"prefix": "/h", "headers": [{"name": "x", "present_match": true}]}, "route": {"cluster_header": "x-to"}},
        {"match": {"prefix": "/r"}, "redirect": {"host_redirect": "elsewhere"}}]}]}}]}"#;

#[test]
fn a_request_can_be_followed_from_listener_to_endpoint() {
    let json = dump(&[
        &listeners(&[listener("in", &manager(r#""rds": {"route_config_name": "80"}"#, ""))]),
        ROUTES,
        &clusters(
            r#"{"cluster": {"name": "a", "type": "EDS", "eds_cluster_config": {"service_name": "a-eds"}}},
               {"cluster": {"name": "copy", "type": "STATIC", "load_assignment": {"cluster_name": "copy", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"pipe": {"path": "/run/s"}}}}]}]}}}"#,
            "",
        ),
        r#"{"@type": "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump", "dynamic_endpoint_configs": [
            {"endpoint_config": {"cluster_name": "a-eds", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}},
                {"endpoint": {"address": {"socket_address": {"address": "::1", "port_value": 80}}}},
                {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "in", "endpoint_id": "x"}}}}]}]}}]}"#,
    ]);
    let graph = graph(&json);
    insta::assert_snapshot!(text(&graph, None), @r"
    listener:in -part-> filter-chain:in/0 (active)
    filter-chain:in/0 -rds-> route-config:80 (active)
    route-config:80 -part-> virtual-host:80/shop (active)
    virtual-host:80/shop -part-> route:80/shop/0 (active)
    virtual-host:80/shop -part-> route:80/shop/1 (active)
    virtual-host:80/shop -part-> route:80/shop/2 (active)
    virtual-host:80/shop -part-> route:80/shop/3 (active)
    route:80/shop/0 -cluster-> cluster:a (active)
    route:80/shop/0 -mirror-> cluster:copy (active)
    route:80/shop/1 -weighted cluster 90-> cluster:a (active)
    route:80/shop/1 -weighted cluster 10-> cluster:gone (missing)
    route:80/shop/2 -cluster header-> cluster:header x-to (dynamic)
    cluster:a -eds-> load-assignment:a-eds (active)
    cluster:copy -inline-> load-assignment:copy (active)
    load-assignment:copy -part-> endpoint:/run/s (active)
    load-assignment:a-eds -part-> endpoint:10.0.0.1:80 (active)
    load-assignment:a-eds -part-> endpoint:[::1]:80 (active)
    load-assignment:a-eds -part-> endpoint:envoy://in/x (active)
    endpoint:envoy://in/x -internal listener-> listener:in (active)
    ");
    let sentences: Vec<_> = graph.dangling().into_iter().map(|one| one.text).collect();
    insta::assert_snapshot!(sentences.join("\n"), @"route 80/shop/1 refers to cluster gone (weighted cluster 10), which isn't in this file");
}

#[test]
fn states_and_absent_sections_are_told_apart() {
    let tcp = |cluster: &str| {
        format!(
            r#"{{"name": "tcp", "typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "cluster": "{cluster}"}}}}"#
        )
    };
    let secret = r#"{"name": "tls", "sds_config": {"ads": {}}}"#;
    let warming = format!(
        r#"{{"cluster": {{"name": "late", "type": "STATIC", "transport_socket": {{"name": "tls", "typed_config": {{
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {{"tls_certificate_sds_secret_configs": [{secret}]}}}}}}}}}}"#
    );
    let json = dump(&[
        &listeners(&[
            listener("a", &tcp("late")),
            listener("b", &tcp("none")),
            listener("c", &manager(r#""rds": {"route_config_name": "unseen"}"#, "")),
        ]),
        &clusters(r#"{"cluster": {"name": "both"}}"#, &format!(r#"{warming}, {{"cluster": {{"name": "both"}}}}"#)),
    ]);
    let graph = graph(&json);
    insta::assert_snapshot!(text(&graph, None), @r"
    cluster:both (active)
    cluster:both@warming (warming)
    listener:a -part-> filter-chain:a/0 (active)
    filter-chain:a/0 -tcp proxy-> cluster:late@warming (warming)
    listener:b -part-> filter-chain:b/0 (active)
    filter-chain:b/0 -tcp proxy-> cluster:none (missing)
    listener:c -part-> filter-chain:c/0 (active)
    filter-chain:c/0 -rds-> route-config:unseen (not in this file)
    cluster:late@warming -client certificate-> secret:tls (not in this file)
    ");
    let sentences = |all: Vec<Dangling>| all.into_iter().map(|one| one.text).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(sentences(graph.dangling()), @"filter chain b/0 refers to cluster none (tcp proxy), which isn't in this file");
    insta::assert_snapshot!(sentences(graph.waiting()), @"filter chain a/0 refers to cluster late (tcp proxy), which is only warming");
    assert!(matches!(graph.find("cluster:both"), Found::One(id) if graph.node(id).unwrap().presence.is_in_force()));
    assert!(
        matches!(graph.find("cluster:both@warming"), Found::One(id) if !graph.node(id).unwrap().presence.is_in_force())
    );
}

#[test]
fn services_of_filters_hang_on_their_chain() {
    let grpc = |name: &str| format!(r#"{{"envoy_grpc": {{"cluster_name": "{name}"}}}}"#);
    let filters = format!(
        r#"{{"name": "authz", "typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "grpc_service": {}}}}},
           {{"name": "jwt", "typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {{"p": {{"remote_jwks": {{"http_uri": {{"uri": "https://k", "cluster": "keys"}}}}}}}}}}}},
           {{"name": "wasm", "config_discovery": {{"config_source": {{"ads": {{}}}}, "type_urls": ["x"]}}}},
           {{"name": "own", "typed_config": {{"@type": "type.googleapis.com/made.up.Filter", "service": {}}}}}"#,
        grpc("authz"),
        grpc("own")
    );
    let config = r#""route_config": {"name": "local", "virtual_hosts": [{"name": "v", "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}]}]}"#;
    let json = dump(&[
        &listeners(&[listener("in", &manager(config, &filters))]),
        // Envoy repeats inline route configurations.
        r#"{"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "static_route_configs": [{"route_config": {"name": "local"}}]}"#,
        &clusters(r#"{"cluster": {"name": "authz"}}"#, ""),
        r#"{"bootstrap": {"node": {"id": "x"}}}"#,
        r#"{"@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [{"ecds_filter": {"name": "wasm",
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"}}]}"#,
    ]);
    insta::assert_snapshot!(text(&graph(&json), None), @r"
    bootstrap:bootstrap (static)
    listener:in -part-> filter-chain:in/0 (active)
    filter-chain:in/0 -inline-> route-config:local (active)
    filter-chain:in/0 -ext_authz-> cluster:authz (active)
    filter-chain:in/0 -ecds-> extension:wasm (active)
    filter-chain:in/0 -jwks-> cluster:keys (missing)
    filter-chain:in/0 -service-> cluster:own (missing)
    route-config:local -part-> virtual-host:local/v (active)
    virtual-host:local/v -part-> route:local/v/0 (active)
    ");
}

#[test]
fn scopes_of_a_set_lead_to_their_route_configurations() {
    let routes = r#""scoped_routes": {"name": "set", "scoped_rds": {"scoped_rds_config_source": {"ads": {}}}}"#;
    let json = dump(&[
        &listeners(&[listener("in", &manager(routes, ""))]),
        r#"{"@type": "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump", "dynamic_scoped_route_configs": [{"name": "set",
            "scoped_route_configs": [
                {"@type": "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "name": "one", "route_configuration_name": "80"},
                {"@type": "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "name": "two", "route_configuration_name": "none"}]}]}"#,
        ROUTES,
    ]);
    let graph = graph(&json);
    let Found::One(listener) = graph.find("listener:in") else { panic!() };
    insta::assert_snapshot!(text(&graph, Some(&graph.around(listener, Some(3), Reach::Down))), @r"
    listener:in -part-> filter-chain:in/0 (active)
    filter-chain:in/0 -scoped-> scoped-route:one (active)
    filter-chain:in/0 -scoped-> scoped-route:two (active)
    scoped-route:one -rds-> route-config:80 (active)
    scoped-route:two -rds-> route-config:none (missing)
    ");
}

#[test]
fn a_part_of_the_graph_can_be_cut_out() {
    let graph =
        graph(&dump(&[&listeners(&[listener("in", &manager(r#""rds": {"route_config_name": "80"}"#, ""))]), ROUTES]));
    let id = |name: &str| match graph.find(name) {
        Found::One(id) => id,
        other => panic!("{name}: {other:?}"),
    };
    insta::assert_snapshot!(text(&graph, Some(&graph.around(id("cluster:a"), Some(1), Reach::Up))), @r"
    route:80/shop/0 -cluster-> cluster:a (not in this file)
    route:80/shop/1 -weighted cluster 90-> cluster:a (not in this file)
    ");
    insta::assert_snapshot!(text(&graph, Some(&graph.between(id("listener:in"), id("gone"), None))), @r"
    listener:in -part-> filter-chain:in/0 (active)
    filter-chain:in/0 -rds-> route-config:80 (active)
    route-config:80 -part-> virtual-host:80/shop (active)
    virtual-host:80/shop -part-> route:80/shop/1 (active)
    route:80/shop/1 -weighted cluster 10-> cluster:gone (not in this file)
    ");
    assert!(graph.between(id("gone"), id("in"), None).is_empty());
    assert!(graph.between(id("listener:in"), id("gone"), Some(2)).is_empty());
    let users: Vec<_> =
        graph.users_of(id("cluster:a")).into_iter().map(|(id, kind)| (graph.node(id).unwrap().id(), kind)).collect();
    assert_eq!(
        users,
        [
            ("route:80/shop/0".to_owned(), EdgeKind::Cluster),
            ("route:80/shop/1".to_owned(), EdgeKind::WeightedCluster(90)),
        ]
    );
    assert_eq!(graph.find("shop"), Found::One(id("virtual-host:80/shop")));
    assert_eq!(graph.find("nobody"), Found::Nothing);
}

#[test]
fn malformed_resources_are_nodes_without_references() {
    let graph = graph(&dump(&[&clusters(r#"{"cluster": {"name": "bad", "connect_timeout": []}}"#, "")]));
    assert_eq!(text(&graph, None), "cluster:bad (active)\n");
}
