//! What changed between releases: the scenarios of `testdata/versions` as recorded on several of them, and by hand what
//! happened in those for which there is no recording.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xdsight::dump::Proxy;
use xdsight::input::{Artifact, ArtifactKind, Source};
use xdsight::trace::{ClientCertificate, ClientTls, Outcome, Protocol, Request, Tracer};

use crate::case;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/versions")
}

#[test]
fn each_release_did_what_its_recording_says() {
    let entries = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let folders: BTreeSet<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 10, "only {} recordings were found", folders.len());
    let mut faults = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        faults.extend(case::disagreements(folder, &[]).into_iter().map(|fault| format!("{name} {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A proxy of a release, with one listener on 10.0.0.1:80 and the clusters that its routes name.
struct Built {
    release: &'static str,
    runtime: Value,
    listener: Value,
}

const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A typed configuration of Envoy's extensions.
fn typed(kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!("type.googleapis.com/envoy.extensions.{kind}"));
    config
}

impl Built {
    fn new(release: &'static str, listener: Value) -> Self {
        Self { release, runtime: json!({}), listener }
    }

    /// An HTTP connection manager with these routes for every host, and more settings of its own.
    fn http(release: &'static str, routes: Value, settings: Value) -> Self {
        let filters = settings.get("filters").cloned().unwrap_or_else(|| json!([]));
        let mut manager = json!({"@type": HCM, "stat_prefix": "http", "http_filters": filters, "route_config": {
            "name": "rc", "virtual_hosts": [{"name": "vh", "domains": ["*"], "routes": routes}],
        }});
        for (key, value) in settings.as_object().unwrap().iter().filter(|(key, _)| *key != "filters") {
            match key.as_str() {
                "vhost" => {
                    for (key, value) in value.as_object().unwrap() {
                        manager["route_config"]["virtual_hosts"][0][key] = value.clone();
                    }
                }
                key => manager[key] = value.clone(),
            }
        }
        let router = json!({"name": "envoy.filters.http.router"});
        manager["http_filters"].as_array_mut().unwrap().push(router);
        Self::new(release, json!({"filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}))
    }

    fn with(mut self, guard: &str, value: bool) -> Self {
        self.runtime[format!("envoy.reloadable_features.{guard}")] = json!(value);
        self
    }

    fn proxy(&self) -> Proxy {
        let (numbers, label) = self.release.split_once('-').unwrap_or((self.release, ""));
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().unwrap());
        let version = json!({"major_number": numbers.next(), "minor_number": numbers.next(),
            "patch": numbers.next().unwrap_or_default()});
        let mut listener = self.listener.clone();
        listener["name"] = json!("l");
        listener["address"] = json!({"socket_address": {"address": "10.0.0.1", "port_value": 80}});
        let of_type = |kind: &str, mut resource: Value| {
            resource["@type"] = json!(format!("type.googleapis.com/envoy.config.{kind}"));
            resource
        };
        let endpoint = |last: u8| json!({"endpoint": {"address": {"socket_address": {"address": format!("10.1.1.{last}"), "port_value": 80}}}});
        let cluster = |name: &str, policy: &str, hosts: u8| {
            let endpoints: Vec<Value> = (1..=hosts).map(endpoint).collect();
            let cluster = json!({"name": name, "type": "STATIC", "lb_policy": policy,
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}});
            json!({"cluster": of_type("cluster.v3.Cluster", cluster)})
        };
        let dump = json!({"configs": [{
            "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
            "bootstrap": {
                "node": {"user_agent_build_version": {"version": version, "metadata": {"build.label": label}}},
                "layered_runtime": {"layers": [{"name": "static", "static_layer": self.runtime}]},
            },
        }, {
            "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
            "static_listeners": [{"listener": of_type("listener.v3.Listener", listener)}],
        }, {
            "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
            "static_clusters": [cluster("c", "ROUND_ROBIN", 1), cluster("ring", "RING_HASH", 9)],
        }]});
        let source = Source::from_bytes("dump.json", dump.to_string().into_bytes());
        Proxy::load(&[Artifact { kind: ArtifactKind::Dump, source: source.into(), start: 0 }]).unwrap()
    }

    /// All outcomes of a request.
    fn outcomes(&self, request: &Request) -> Vec<Outcome> {
        Tracer::new(&self.proxy()).trace(request).branches.into_iter().map(|branch| branch.outcome).collect()
    }

    /// The only outcome of a request.
    #[track_caller]
    fn outcome(&self, request: &Request) -> Outcome {
        let mut outcomes = self.outcomes(request);
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0)
    }

    #[track_caller]
    fn status(&self, request: &Request) -> Option<u16> {
        self.outcome(request).status
    }
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        connect: Some("10.0.0.1:80".parse().unwrap()),
        source: "10.2.2.2".parse().unwrap(),
        authority: Some("a.test".to_owned()),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Request::get(path)
    }
}

/// Routes that answer 299 where a header is there, else 404.
fn if_present(header: &str) -> Value {
    let matcher = json!({"name": header, "present_match": true});
    json!([{"match": {"prefix": "/", "headers": [matcher]}, "direct_response": {"status": 299}}])
}

fn to(cluster: &str) -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}])
}

#[test]
fn private_addresses_were_internal() {
    let built = |release| Built::http(release, if_present("x-envoy-internal"), json!({"use_remote_address": true}));
    let status = |built: Built| built.status(&request("/", &[]));
    let guard = "explicit_internal_address_config";
    assert_eq!((status(built("1.32.0")), status(built("1.33.0"))), (Some(299), Some(404)));
    assert_eq!(status(built("1.32.0").with(guard, true)), Some(404));
    assert_eq!(status(built("1.31.0").with(guard, true)), Some(299));
    assert_eq!(status(built("1.35.0").with(guard, false)), Some(299));
    assert_eq!(status(built("1.36.0").with(guard, false)), Some(404));
}

#[test]
fn response_flags_came_one_by_one() {
    let flags = |release, routes, request: &Request| {
        let flags = Built::http(release, routes, json!({})).outcome(request).flags;
        flags.into_iter().collect::<Vec<_>>().join(",")
    };
    let missing = |release| flags(release, to("nowhere"), &request("/", &[]));
    assert_eq!((missing("1.17.0").as_str(), missing("1.18.0").as_str()), ("NR", "NC"));
    let bad = |release| flags(release, to("c"), &Request { method: "BREW".to_owned(), ..request("/", &[]) });
    assert_eq!((bad("1.11.0").as_str(), bad("1.12.0").as_str()), ("", "DPE"));
}

#[test]
fn what_clients_outside_may_send_became_less() {
    let edge = json!({"use_remote_address": true});
    let status = |release, header, value, settings: &Value| {
        let outside = Request { source: "8.8.8.8".parse().unwrap(), ..request("/", &[(header, value)]) };
        Built::http(release, if_present(header), settings.clone()).status(&outside)
    };
    let original_path = |release| status(release, "x-envoy-original-path", "/x", &edge);
    assert_eq!((original_path("1.25.0"), original_path("1.26.0")), (Some(299), Some(404)));
    let te = |release, value| status(release, "te", value, &edge);
    assert_eq!((te("1.28.0", "gzip"), te("1.29.0", "gzip"), te("1.30.0", "gzip")), (Some(299), Some(404), Some(404)));
    assert_eq!((te("1.29.0", "trailers"), te("1.30.0", "trailers")), (Some(404), Some(299)));
}

#[test]
fn a_trusted_proxy_may_say_the_protocol() {
    let settings = json!({"use_remote_address": true, "xff_num_trusted_hops": 1, "vhost": {"require_tls": "ALL"}});
    let status = |release| {
        let forwarded = request("/", &[("x-forwarded-proto", "https"), ("x-forwarded-for", "8.8.8.8")]);
        Built::http(release, to("c"), settings.clone()).status(&forwarded)
    };
    assert_eq!((status("1.11.0"), status("1.12.0")), (Some(301), Some(200)));
}

/// A chain for a server name, with plain TCP behind it.
fn by_server_name(name: &str, listener_filters: Value) -> Value {
    let proxy = typed("filters.network.tcp_proxy.v3.TcpProxy", json!({"stat_prefix": "t", "cluster": "c"}));
    json!({
        "filter_chains": [{"name": "named", "filter_chain_match": {"server_names": [name]},
            "filters": [{"name": "tcp", "typed_config": proxy}]}],
        "listener_filters": listener_filters,
    })
}

#[test]
fn server_names_had_a_case_and_the_inspector_came_by_itself() {
    let inspector = typed("filters.listener.tls_inspector.v3.TlsInspector", json!({}));
    let listed = json!([{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}]);
    let chain = |release, name, filters: &Value, sni: &str| {
        let tls = ClientTls { sni: Some(sni.to_owned()), ..ClientTls::default() };
        let hello = Request { tls: Some(tls), protocol: Protocol::Tcp, ..request("/", &[]) };
        Built::new(release, by_server_name(name, filters.clone())).outcome(&hello).filter_chain
    };
    let found = Some("named".to_owned());
    for (release, name, sni, expected) in [
        ("1.17.0", "a.test", "A.test", None),
        ("1.17.0", "A.test", "A.test", found.clone()),
        ("1.17.0", "*.Test", "a.test", None),
        ("1.18.0", "a.test", "A.test", found.clone()),
        ("1.18.0", "*.Test", "a.test", found.clone()),
    ] {
        assert_eq!(chain(release, name, &listed, sni), expected, "{release} {name} {sni}");
    }
    let unlisted = |release| chain(release, "a.test", &json!([]), "a.test");
    assert_eq!((unlisted("1.16.0"), unlisted("1.17.0")), (found, None));
}

#[test]
fn whole_urls_had_to_be_allowed() {
    let outcome = |release, settings| Built::http(release, to("c"), settings).outcome(&request("http://b.test/x", &[]));
    assert_eq!(outcome("1.11.0", json!({})).details.as_deref(), Some("absolute_path_rejected"));
    let told = outcome("1.11.0", json!({"http_protocol_options": {"allow_absolute_url": true}}));
    assert_eq!(told.upstream_authority.as_deref(), Some("b.test"));
    assert_eq!(outcome("1.12.0", json!({})).upstream_authority.as_deref(), Some("b.test"));
}

#[test]
fn one_level_of_header_mutations_counted() {
    let adds = |name: &str| {
        let append = json!({"header": {"key": name, "value": "1"}});
        typed(
            "filters.http.header_mutation.v3.HeaderMutationPerRoute",
            json!({"mutations": {"request_mutations": [{"append": append}]}}),
        )
    };
    let denies = json!({"rules": {"action": "DENY", "policies": {"p": {
        "permissions": [{"header": {"name": "x-vhost", "present_match": true}}], "principals": [{"any": true}]}}}});
    let settings = json!({
        "filters": [
            {"name": "m", "typed_config": typed("filters.http.header_mutation.v3.HeaderMutation", json!({}))},
            {"name": "r", "typed_config": typed("filters.http.rbac.v3.RBAC", denies)},
        ],
        "vhost": {"typed_per_filter_config": {"m": adds("x-vhost")}},
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "c"},
        "typed_per_filter_config": {"m": adds("x-route")}}]);
    let status = |release| Built::http(release, routes.clone(), settings.clone()).status(&request("/", &[]));
    assert_eq!((status("1.28.0"), status("1.29.0")), (Some(200), Some(403)));
}

#[test]
fn ext_authz_left_out_direct_responses_and_denied_without_a_flag() {
    let config = json!({"grpc_service": {"google_grpc": {"target_uri": "authz", "stat_prefix": "a"}}});
    let settings =
        json!({"filters": [{"name": "a", "typed_config": typed("filters.http.ext_authz.v3.ExtAuthz", config)}]});
    let outcomes = |built: Built| built.outcomes(&request("/", &[]));
    let direct = json!([{"match": {"prefix": "/"}, "direct_response": {"status": 299}}]);
    let count = |release| outcomes(Built::http(release, direct.clone(), settings.clone())).len();
    assert_eq!(count("1.19.0"), 1);
    assert!(count("1.20.0") > 1);
    let guard = "http_ext_authz_do_not_skip_direct_response_and_redirect";
    let skips =
        |release| outcomes(Built::http(release, direct.clone(), settings.clone()).with(guard, false)).len() == 1;
    assert!(skips("1.22.0") && !skips("1.23.0"));
    let denied = |release| {
        let all = outcomes(Built::http(release, to("c"), settings.clone()));
        all.into_iter().find(|outcome| outcome.details.as_deref() == Some("ext_authz_denied")).unwrap().flags
    };
    assert!(denied("1.20.0").is_empty() && denied("1.21.0").contains("UAEX"));
}

#[test]
fn a_denial_by_rbac_came_to_name_its_policy() {
    let denies = json!({"rules": {"action": "DENY", "policies": {"p": {
        "permissions": [{"any": true}], "principals": [{"any": true}]}}}});
    let settings = json!({"filters": [{"name": "r", "typed_config": typed("filters.http.rbac.v3.RBAC", denies)}]});
    let details =
        |release| Built::http(release, to("c"), settings.clone()).outcome(&request("/", &[])).details.unwrap();
    assert_eq!(details("1.15.0"), "rbac_access_denied");
    assert_eq!(details("1.16.0"), "rbac_access_denied_matched_policy[p]");
}

#[test]
fn local_rate_limits_counted_less_and_in_another_order() {
    let bucket = |tokens: u32| json!({"max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "3600s"});
    let all = json!({"default_value": {"numerator": 100}});
    let limit = |default: u32, first: u32, second: u32| {
        let descriptor =
            |key: &str, tokens| json!({"entries": [{"key": key, "value": "1"}], "token_bucket": bucket(tokens)});
        let config = json!({"stat_prefix": "l", "token_bucket": bucket(default), "filter_enabled": all,
            "filter_enforced": all, "descriptors": [descriptor("a", first), descriptor("b", second)]});
        let filter = typed("filters.http.local_ratelimit.v3.LocalRateLimit", config);
        json!({"filters": [{"name": "l", "typed_config": filter}]})
    };
    let action = |key: &str| json!({"actions": [{"request_headers": {"header_name": key, "descriptor_key": key}}]});
    let routes = json!([{"match": {"prefix": "/"},
        "route": {"cluster": "c", "rate_limits": [action("a"), action("b")]}}]);
    let passed = |release, settings: Value, sent: &[&[(&str, &str)]]| {
        let proxy = Built::http(release, routes.clone(), settings).proxy();
        let tracer = Tracer::new(&proxy);
        let statuses = sent.iter().map(|headers| tracer.trace(&request("/", headers)).branches[0].outcome.status);
        statuses.map(|status| if status == Some(200) { 'y' } else { 'n' }).collect::<String>()
    };
    let both: &[(&str, &str)] = &[("a", "1"), ("b", "1")];
    // The second descriptor has one token, which the first release didn't look for.
    assert_eq!(passed("1.22.0", limit(9, 9, 1), &[both, both]), "yy");
    assert_eq!(passed("1.23.0", limit(9, 9, 1), &[both, both]), "yn");
    // The default bucket has two tokens. Taken first, the refused request costs one.
    let then: &[&[(&str, &str)]] = &[both, both, &[]];
    assert_eq!(passed("1.25.0", limit(2, 9, 1), then), "ynn");
    assert_eq!(passed("1.26.0", limit(2, 9, 1), then), "yny");
}

#[test]
fn hash_policies_read_one_value() {
    let routes = json!([{"match": {"prefix": "/"},
        "route": {"cluster": "ring", "hash_policy": [{"header": {"header_name": "x-a"}}]}}]);
    let host = |release, headers: &[(&str, &str)]| {
        Built::http(release, routes.clone(), json!({})).outcome(&request("/", headers)).upstream_host
    };
    let pairs: Vec<(String, String)> = (0..8).map(|nth| (format!("v{nth}"), format!("w{nth}"))).collect();
    let same = |release| {
        pairs.iter().filter(|(a, b)| host(release, &[("x-a", a), ("x-a", b)]) == host(release, &[("x-a", a)])).count()
    };
    assert_eq!(same("1.17.0"), pairs.len());
    assert!(same("1.18.0") < pairs.len());
}

#[test]
fn a_prefix_tree_missed_what_is_inside_a_longer_prefix() {
    let action = |status: u32| {
        let route = json!({"@type": "type.googleapis.com/envoy.config.route.v3.Route",
            "match": {"prefix": "/"}, "direct_response": {"status": status}});
        json!({"action": {"name": "r", "typed_config": route}})
    };
    let input = json!({"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        "header_name": ":path"});
    let matcher = json!({"matcher_tree": {"input": {"name": "path", "typed_config": input},
        "prefix_match_map": {"map": {"/foo": action(201), "/foo/bar": action(202)}}}});
    let settings = json!({"vhost": {"matcher": matcher}});
    let status = |release, path| Built::http(release, json!([]), settings.clone()).status(&request(path, &[]));
    for (path, before, after) in
        [("/foo/", 404, 201), ("/foo", 201, 201), ("/foo/x", 201, 201), ("/foo/bar/x", 202, 202)]
    {
        assert_eq!((status("1.29.0", path), status("1.30.0", path)), (Some(before), Some(after)), "{path}");
    }
}

#[test]
fn the_host_before_a_rewrite_was_appended_again() {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "c",
        "host_rewrite_literal": "b.test", "append_x_forwarded_host": true}}]);
    let added = |release| {
        let sent = request("/", &[("x-forwarded-host", "a.test")]);
        Built::http(release, routes.clone(), json!({})).outcome(&sent).headers_added
    };
    assert_eq!(added("1.26.0"), [("x-forwarded-host".to_owned(), "a.test,a.test".to_owned())]);
    assert_eq!(added("1.27.0"), []);
}

#[test]
fn present_match_of_a_query_parameter_had_no_value() {
    let matcher = json!({"name": "a", "present_match": false});
    let routes = json!([{"match": {"prefix": "/", "query_parameters": [matcher]}, "direct_response": {"status": 299}}]);
    let status = |release, path| Built::http(release, routes.clone(), json!({})).status(&request(path, &[]));
    assert_eq!((status("1.33.0", "/?a"), status("1.33.0", "/")), (Some(299), Some(404)));
    assert_eq!((status("1.34.0", "/?a"), status("1.34.0", "/")), (Some(404), Some(299)));
}

#[test]
fn a_path_template_lost_the_query() {
    let template = typed("path.match.uri_template.v3.UriTemplateMatchConfig", json!({"path_template": "/a/{x}"}));
    let rewrite =
        typed("path.rewrite.uri_template.v3.UriTemplateRewriteConfig", json!({"path_template_rewrite": "/b/{x}"}));
    let routes = json!([{"match": {"path_match_policy": {"name": "m", "typed_config": template}},
        "route": {"cluster": "c", "path_rewrite_policy": {"name": "r", "typed_config": rewrite}}}]);
    let path = |built: Built| built.outcome(&request("/a/1?q", &[])).upstream_path.unwrap();
    let built = |release| Built::http(release, routes.clone(), json!({}));
    assert_eq!((path(built("1.24.0")).as_str(), path(built("1.25.0")).as_str()), ("/b/1", "/b/1?q"));
    let off = |release| path(built(release).with("append_query_parameters_path_rewriter", false));
    assert_eq!((off("1.27.0").as_str(), off("1.28.0").as_str()), ("/b/1", "/b/1?q"));
}

#[test]
fn the_first_san_alone_was_the_principal() {
    let allows = json!({"rules": {"action": "ALLOW", "policies": {"p": {
        "permissions": [{"any": true}], "principals": [{"authenticated": {"principal_name": {"exact": "spiffe://b"}}}]}}}});
    let filter = json!({"name": "r", "typed_config": typed("filters.http.rbac.v3.RBAC", allows)});
    let status = |release, sans: &[&str]| {
        let mut built = Built::http(release, to("c"), json!({"filters": [filter]}));
        let checked = json!({"validation_context": {"trusted_ca": {"filename": "ca.pem"}}});
        let tls = json!({"require_client_certificate": true, "common_tls_context": checked});
        let tls = typed("transport_sockets.tls.v3.DownstreamTlsContext", tls);
        built.listener["filter_chains"][0]["transport_socket"] = json!({"name": "tls", "typed_config": tls});
        let uri_sans = sans.iter().map(|san| (*san).to_owned()).collect();
        let certificate = Some(ClientCertificate { uri_sans, ..ClientCertificate::default() });
        built.status(&Request { tls: Some(ClientTls { certificate, ..ClientTls::default() }), ..request("/", &[]) })
    };
    assert_eq!(
        (status("1.12.0", &["spiffe://a", "spiffe://b"]), status("1.12.0", &["spiffe://b"])),
        (Some(403), Some(200))
    );
    assert_eq!(status("1.13.0", &["spiffe://a", "spiffe://b"]), Some(200));
}

#[test]
fn a_build_between_releases_may_have_either_side() {
    let denies = json!({"rules": {"action": "DENY", "policies": {"p": {
        "permissions": [{"header": {"name": "x-a", "string_match": {"exact": "1,2"}}}],
        "principals": [{"any": true}]}}}});
    let settings = json!({"filters": [{"name": "r", "typed_config": typed("filters.http.rbac.v3.RBAC", denies)}]});
    let statuses = |release| {
        let outcomes =
            Built::http(release, to("c"), settings.clone()).outcomes(&request("/", &[("x-a", "1"), ("x-a", "2")]));
        outcomes.into_iter().filter_map(|outcome| outcome.status).collect::<BTreeSet<u16>>()
    };
    assert_eq!(statuses("1.37.0-dev"), [403].into());
    assert_eq!(statuses("1.37.1-dev"), [200, 403].into());
    assert_eq!(statuses("1.37.2-dev"), [200].into());
}
