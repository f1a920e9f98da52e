//! A small dump and a request, made of any bytes: every choice on the way takes some of them.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};
use xdsight::trace::Request;

use super::trace::request;

const TYPES: &str = "type.googleapis.com/envoy";
const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.http";
const NETWORK: &str = "type.googleapis.com/envoy.extensions.filters.network";

const CLUSTERS: &[&str] = &["a", "b", "outbound|80||c.n.svc.cluster.local", "BlackHoleCluster", "none"];
const HOSTS: &[&str] =
    &["a.test", "a.test:80", "b.a.test", "c.n.svc.cluster.local", "c", "10.0.0.9", "[::1]:80", "é", ""];
const PATHS: &[&str] =
    &["/", "/a", "/a/b", "/a/b?x=1&y", "/A;p=1/b", "//a/../b", "/a%2Fb", "*", "", "/é", "http://a.test/a"];
const VALUES: &[&str] = &["", "v", "v1", "50", "0", "true", "a.test", "Bearer x.y.z", "Basic YTpi", "a=b; c=d", "é"];
const NAMES: &[&str] = &["x-a", "x-b", "cookie", ":method", ":authority", "host", "authorization", "content-type"];
const REGEXES: &[&str] = &[".*", "/a.*", "/(a|b)/[^/]+", "v[0-9]+", "(", "(a*)*b", "\\d\\Q.\\E"];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.0.0.2", "10.0.0.9", "127.0.0.1", "0.0.0.0", "::", "::1", "name.test"];
const PORTS: &[u64] = &[80, 443, 15001, 15006, 0, 65535, 70000];
const NUMBERS: &[u64] = &[0, 1, 2, 50, 100, 128, 10_000, 4_294_967_295];

/// The request and the dump; nothing if the bytes are too few.
pub(crate) fn case(bytes: &[u8]) -> Option<(Request, Vec<u8>)> {
    let mut bytes = Unstructured::new(bytes);
    let mut make = Make { bytes: &mut bytes };
    let request = request(&make.request().ok()?);
    let mut dump = make.dump().ok()?;
    make.damage(&mut dump).ok()?;
    Some((request, dump.to_string().into_bytes()))
}

/// Makes a part of a dump.
type Part<T> = fn(&mut T) -> Result<Value>;

struct Make<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
}

impl Make<'_, '_> {
    fn of<T: Clone>(&mut self, all: &[T]) -> Result<T> {
        self.bytes.choose(all).cloned()
    }

    fn some(&mut self, of_eight: u8) -> Result<bool> {
        self.bytes.ratio(of_eight, 8)
    }

    /// Rather one than none.
    fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Result<Value>) -> Result<Value> {
        let least = usize::from(!self.some(1)?).min(most);
        let count = self.bytes.int_in_range(least..=most)?;
        (0..count).map(|_| item(self)).collect()
    }

    /// One for most of the clusters' names.
    fn of_clusters(&mut self, make: fn(&mut Self) -> Result<Value>, member: &str) -> Result<Value> {
        let mut all = Vec::new();
        for name in CLUSTERS.iter().filter(|name| **name != "none") {
            if !self.some(1)? {
                all.push(Self::with(make(self)?, json!({member: name})));
            }
        }
        Ok(all.into())
    }

    /// An object with each member there or not, mostly not.
    fn object<const N: usize>(&mut self, members: [(&str, Part<Self>); N]) -> Result<Value> {
        let mut object = Map::new();
        for (name, make) in members {
            if self.some(1)? {
                object.insert(name.to_owned(), make(self)?);
            }
        }
        Ok(object.into())
    }

    fn with(mut object: Value, more: Value) -> Value {
        if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        object
    }

    fn cluster_name(&mut self) -> Result<Value> {
        Ok(self.of(CLUSTERS)?.into())
    }

    fn number(&mut self) -> Result<Value> {
        Ok(self.of(NUMBERS)?.into())
    }

    fn flag(&mut self) -> Result<Value> {
        Ok(self.some(4)?.into())
    }

    fn address(&mut self) -> Result<Value> {
        if self.some(1)? {
            return Ok(json!({"envoy_internal_address": {"server_listener_name": self.of(&["inner", "http"])?}}));
        }
        Ok(json!({"socket_address": {"address": self.of(ADDRESSES)?, "port_value": self.of(PORTS)?}}))
    }

    fn range(&mut self) -> Result<Value> {
        Ok(json!({"address_prefix": self.of(ADDRESSES)?, "prefix_len": self.of(&[0, 8, 32, 64, 200])?}))
    }

    fn text_match(&mut self) -> Result<Value> {
        let kind = self.of(&["exact", "prefix", "suffix", "contains"])?;
        Ok(match self.some(2)? {
            true => json!({"safe_regex": {"regex": self.of(REGEXES)?}}),
            false => json!({kind: self.of(VALUES)?, "ignore_case": self.flag()?}),
        })
    }

    fn header_match(&mut self) -> Result<Value> {
        let kind = match self.of(&[0, 1, 2])? {
            0 => json!({"string_match": self.text_match()?}),
            1 => json!({"present_match": self.flag()?}),
            _ => json!({"range_match": {"start": 0, "end": self.number()?}}),
        };
        Ok(Self::with(json!({"name": self.of(NAMES)?, "invert_match": self.flag()?}), kind))
    }

    fn fraction(&mut self) -> Result<Value> {
        let denominator = self.of(&["HUNDRED", "TEN_THOUSAND", "MILLION"])?;
        Ok(json!({"runtime_key": "a.key", "default_value": {"numerator": self.number()?, "denominator": denominator}}))
    }

    fn percent(&mut self) -> Result<Value> {
        Ok(self.fraction()?["default_value"].take())
    }

    fn dump(&mut self) -> Result<Value> {
        let listeners = self.list(3, Self::listener)?;
        let clusters = self.of_clusters(Self::cluster, "name")?;
        let assignments = self.of_clusters(Self::assignment, "cluster_name")?;
        let routes = self.list(2, Self::route_configuration)?;
        let entries = |kind: &str, member: &str, all: Value| -> Value {
            let entry = |one: &Value| {
                let typed = Self::with(json!({"@type": format!("{TYPES}.config.{kind}")}), one.clone());
                match member {
                    "listener" => json!({"name": one["name"], "active_state": {"listener": typed}}),
                    member => json!({member: typed}),
                }
            };
            all.as_array().into_iter().flatten().map(entry).collect()
        };
        let section =
            |kind: &str, list: &str, all: Value| json!({"@type": format!("{TYPES}.admin.v3.{kind}"), list: all});
        let mut configs = vec![
            section(
                "ClustersConfigDump",
                "dynamic_active_clusters",
                entries("cluster.v3.Cluster", "cluster", clusters),
            ),
            section("ListenersConfigDump", "dynamic_listeners", entries("listener.v3.Listener", "listener", listeners)),
            section(
                "RoutesConfigDump",
                "dynamic_route_configs",
                entries("route.v3.RouteConfiguration", "route_config", routes),
            ),
        ];
        if self.some(6)? {
            let all = entries("endpoint.v3.ClusterLoadAssignment", "endpoint_config", assignments);
            configs.push(section("EndpointsConfigDump", "dynamic_endpoint_configs", all));
        }
        if self.some(4)? {
            let node = json!({"id": "sidecar~10.0.0.1~p.n~n.svc.cluster.local", "locality": {"region": "r", "zone": "z"},
                "metadata": {"NAMESPACE": "n", "INSTANCE_IPS": "10.0.0.1"}});
            let cluster_manager = json!({"local_cluster_name": self.of(CLUSTERS)?});
            let runtime = json!({"layers": [{"name": "s", "static_layer": {"a.key": self.number()?}}]});
            let bootstrap = json!({"node": node, "cluster_manager": cluster_manager, "layered_runtime": runtime});
            configs.push(json!({"@type": format!("{TYPES}.admin.v3.BootstrapConfigDump"), "bootstrap": bootstrap}));
        }
        Ok(json!({"configs": configs}))
    }

    fn listener(&mut self) -> Result<Value> {
        let filters = self.list(2, |make| {
            let kind = make.of(&[
                "tls_inspector.v3.TlsInspector",
                "http_inspector.v3.HttpInspector",
                "original_dst.v3.OriginalDst",
                "proxy_protocol.v3.ProxyProtocol",
                "local_ratelimit.v3.LocalRateLimit",
            ])?;
            Ok(json!({"name": "l", "typed_config": {"@type": format!("{TYPES}.extensions.filters.listener.{kind}")}}))
        })?;
        let listener = json!({"name": self.of(&["http", "inner", ""])?, "listener_filters": filters,
            "filter_chains": self.list(3, Self::chain)?});
        let place = match self.some(1)? {
            true => json!({"internal_listener": {}}),
            false if self.some(2)? => json!({"address": self.address()?}),
            false => json!({"address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}}}),
        };
        let more = self.object([
            ("use_original_dst", Self::flag),
            ("bind_to_port", Self::flag),
            ("default_filter_chain", Self::chain),
        ])?;
        Ok(Self::with(Self::with(listener, place), more))
    }

    fn chain(&mut self) -> Result<Value> {
        let criteria = self.object([
            ("destination_port", |make| Ok(make.of(PORTS)?.into())),
            ("prefix_ranges", |make| make.list(2, Self::range)),
            ("source_prefix_ranges", |make| make.list(2, Self::range)),
            ("direct_source_prefix_ranges", |make| make.list(2, Self::range)),
            ("server_names", |make| Ok(json!([make.of(&["a.test", "*.test", "*.a.test", "*", "é"])?]))),
            ("transport_protocol", |make| Ok(make.of(&["tls", "raw_buffer", "x"])?.into())),
            ("application_protocols", |make| Ok(json!([make.of(&["h2", "http/1.1", "istio"])?]))),
            ("source_type", |make| Ok(make.of(&["ANY", "EXTERNAL", "SAME_IP_OR_LOOPBACK"])?.into())),
            ("source_ports", |make| Ok(json!([make.of(PORTS)?]))),
        ])?;
        let mut filters = if self.some(2)? { self.list(1, Self::network_filter)? } else { json!([]) };
        let terminal = if self.some(6)? { self.manager()? } else { self.tcp_proxy()? };
        filters.as_array_mut().into_iter().for_each(|filters| filters.push(terminal.clone()));
        let mut chain = json!({"name": self.of(&["c", ""])?, "filters": filters, "filter_chain_match": criteria});
        if self.some(1)? {
            let kind = format!("{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext");
            chain["transport_socket"] = json!({"name": "tls", "typed_config": {"@type": kind,
                "require_client_certificate": self.flag()?, "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"]}}});
        }
        Ok(chain)
    }

    fn network_filter(&mut self) -> Result<Value> {
        let config = match self.of(&[0, 1, 2])? {
            0 => json!({"@type": format!("{NETWORK}.rbac.v3.RBAC"), "stat_prefix": "r", "rules": self.rules()?}),
            1 => json!({"@type": format!("{NETWORK}.local_ratelimit.v3.LocalRateLimit"), "stat_prefix": "l",
                "token_bucket": self.bucket()?}),
            _ => json!({"@type": format!("{NETWORK}.sni_cluster.v3.SniCluster")}),
        };
        Ok(json!({"name": "n", "typed_config": config}))
    }

    fn tcp_proxy(&mut self) -> Result<Value> {
        let to = match self.some(4)? {
            true => json!({"cluster": self.cluster_name()?}),
            false => json!({"weighted_clusters": {"clusters": self.list(3, Self::weight)?}}),
        };
        let config = json!({"@type": format!("{NETWORK}.tcp_proxy.v3.TcpProxy"), "stat_prefix": "t"});
        Ok(json!({"name": "t", "typed_config": Self::with(config, to)}))
    }

    fn manager(&mut self) -> Result<Value> {
        let route = match self.of(&[0, 0, 1, 2])? {
            0 => json!({"route_config": self.route_configuration()?}),
            1 => json!({"rds": {"route_config_name": self.of(&["80", "r"])?}}),
            _ => json!({"scoped_routes": {"name": "s", "scope_key_builder": {"fragments": [{"header_value_extractor":
                    {"name": self.of(NAMES)?, "element_separator": self.of(&["", ",", ";"])?, "index": self.number()?}}]},
                "scoped_route_configurations_list": {"scoped_route_configurations": [{"name": "s",
                    "route_configuration_name": "80", "key": {"fragments": [{"string_key": self.of(VALUES)?}]}}]}}}),
        };
        let options = self.object([
            ("codec_type", |make| Ok(make.of(&["AUTO", "HTTP1", "HTTP2"])?.into())),
            ("normalize_path", Self::flag),
            ("merge_slashes", Self::flag),
            ("use_remote_address", Self::flag),
            ("xff_num_trusted_hops", Self::number),
            ("strip_matching_host_port", Self::flag),
            ("path_with_escaped_slashes_action", |make| {
                Ok(make
                    .of(&["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"])?
                    .into())
            }),
            ("upgrade_configs", |make| Ok(json!([{"upgrade_type": make.of(&["websocket", "CONNECT"])?}]))),
        ])?;
        let filters = self.list(3, Self::http_filter)?;
        let config = json!({"@type": format!("{NETWORK}.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "h", "http_filters": filters});
        Ok(json!({"name": "h", "typed_config": Self::with(Self::with(config, options), route)}))
    }

    fn http_filter(&mut self) -> Result<Value> {
        let filter = |kind: &str, config: Value| Self::with(json!({"@type": format!("{HTTP}.{kind}")}), config);
        let config = match self.bytes.int_in_range(0..=13)? {
            0 => filter("rbac.v3.RBAC", json!({"rules": self.rules()?, "shadow_rules": self.rules()?})),
            1 => filter(
                "fault.v3.HTTPFault",
                json!({"abort": {"http_status": self.number()?, "percentage": self.percent()?},
                    "headers": self.list(1, Self::header_match)?}),
            ),
            2 => filter("lua.v3.Lua", json!({})),
            3 => filter(
                "ext_authz.v3.ExtAuthz",
                json!({"grpc_service": {"envoy_grpc": {"cluster_name": self.cluster_name()?}},
                    "failure_mode_allow": self.flag()?}),
            ),
            4 => filter(
                "local_ratelimit.v3.LocalRateLimit",
                json!({"stat_prefix": "l", "token_bucket": self.bucket()?,
                    "filter_enabled": self.fraction()?, "filter_enforced": self.fraction()?}),
            ),
            5 => filter(
                "header_mutation.v3.HeaderMutation",
                json!({"mutations": {"request_mutations": [{"append": {"header":
                    {"key": self.of(NAMES)?, "value": self.of(&["%REQ(x-a)%", "%", "%START_TIME%", "v"])?}}}]}}),
            ),
            6 => filter(
                "jwt_authn.v3.JwtAuthentication",
                json!({"providers": {"p": {"issuer": self.of(VALUES)?, "forward": true}},
                    "rules": [{"match": {"prefix": "/"}, "requires": self.requirement(0)?}]}),
            ),
            7 => filter("cors.v3.Cors", json!({})),
            8 => filter("csrf.v3.CsrfPolicy", json!({"filter_enabled": self.fraction()?})),
            9 => filter("basic_auth.v3.BasicAuth", json!({"users": {"inline_string": "a:{SHA}x"}})),
            10 => filter(
                "set_metadata.v3.Config",
                json!({"metadata": [{"metadata_namespace": "envoy.lb", "value": {"version": self.of(VALUES)?}}]}),
            ),
            11 => filter("buffer.v3.Buffer", json!({"max_request_bytes": self.number()?})),
            12 => filter(
                "header_to_metadata.v3.Config",
                json!({"request_rules": [{"header": self.of(NAMES)?, "remove": self.flag()?,
                    "on_header_present": {"metadata_namespace": "envoy.lb", "key": "version"}}]}),
            ),
            _ => filter("router.v3.Router", json!({})),
        };
        Ok(json!({"name": "f", "disabled": self.some(1)?, "typed_config": config}))
    }

    fn requirement(&mut self, depth: usize) -> Result<Value> {
        Ok(match self.of(&[0, 1, 2, 3])? {
            0 => json!({"provider_name": self.of(&["p", "q"])?}),
            1 => json!({"allow_missing": {}}),
            2 if depth < 3 => {
                json!({"requires_any": {"requirements": self.list(2, |make| make.requirement(depth + 1))?}})
            }
            3 if depth < 3 => {
                json!({"requires_all": {"requirements": self.list(2, |make| make.requirement(depth + 1))?}})
            }
            _ => json!({"allow_missing_or_failed": {}}),
        })
    }

    fn bucket(&mut self) -> Result<Value> {
        Ok(json!({"max_tokens": self.number()?, "tokens_per_fill": self.number()?, "fill_interval": "1s"}))
    }

    fn rules(&mut self) -> Result<Value> {
        let policy = json!({"permissions": self.list(2, |make| make.permission(0))?,
            "principals": self.list(2, |make| make.principal(0))?});
        Ok(json!({"action": self.of(&["ALLOW", "DENY", "LOG"])?, "policies": {"p": policy}}))
    }

    fn permission(&mut self, depth: usize) -> Result<Value> {
        Ok(match self.bytes.int_in_range(0..=6)? {
            0 => json!({"header": self.header_match()?}),
            1 => json!({"url_path": {"path": self.text_match()?}}),
            2 => json!({"destination_port": self.of(PORTS)?}),
            3 => json!({"destination_ip": self.range()?}),
            4 if depth < 3 => json!({"not_rule": self.permission(depth + 1)?}),
            5 if depth < 3 => json!({"or_rules": {"rules": self.list(2, |make| make.permission(depth + 1))?}}),
            _ => json!({"any": true}),
        })
    }

    fn principal(&mut self, depth: usize) -> Result<Value> {
        Ok(match self.bytes.int_in_range(0..=6)? {
            0 => json!({"authenticated": {"principal_name": self.text_match()?}}),
            1 => json!({"source_ip": self.range()?}),
            2 => json!({"remote_ip": self.range()?}),
            3 => json!({"metadata": {"filter": "envoy.lb", "path": [{"key": "version"}],
                "value": {"string_match": self.text_match()?}}}),
            4 if depth < 3 => json!({"not_id": self.principal(depth + 1)?}),
            5 if depth < 3 => json!({"and_ids": {"ids": self.list(2, |make| make.principal(depth + 1))?}}),
            _ => json!({"any": true}),
        })
    }

    fn route_configuration(&mut self) -> Result<Value> {
        let hosts = self.list(3, |make| {
            let domains = make
                .list(2, |make| Ok(make.of(&["*", "*", "a.test", "*.test", "a.*", "c.n.svc.cluster.local"])?.into()))?;
            let host =
                json!({"name": make.of(&["v", "w", ""])?, "domains": domains, "routes": make.list(4, Self::route)?});
            let more = make.object([
                ("require_tls", |make| Ok(make.of(&["ALL", "EXTERNAL_ONLY"])?.into())),
                ("request_headers_to_remove", |make| Ok(json!([make.of(NAMES)?]))),
            ])?;
            Ok(Self::with(host, more))
        })?;
        Ok(json!({"name": self.of(&["80", "r"])?, "virtual_hosts": hosts}))
    }

    fn route(&mut self) -> Result<Value> {
        let path = match self.bytes.int_in_range(0..=4)? {
            0 => json!({"path": self.of(PATHS)?}),
            1 => json!({"safe_regex": {"regex": self.of(REGEXES)?}}),
            2 => json!({"path_separated_prefix": self.of(PATHS)?}),
            3 if self.some(4)? => json!({"connect_matcher": {}}),
            3 => json!({"prefix": self.of(PATHS)?}),
            _ => json!({"prefix": "/"}),
        };
        let more = self.object([
            ("headers", |make| make.list(2, Self::header_match)),
            ("query_parameters", |make| Ok(json!([{"name": "x", "string_match": make.text_match()?}]))),
            ("case_sensitive", Self::flag),
            ("runtime_fraction", Self::fraction),
            ("grpc", |_| Ok(json!({}))),
        ])?;
        let action = match self.bytes.int_in_range(0..=5)? {
            0 => json!({"redirect": {"host_redirect": self.of(HOSTS)?, "https_redirect": self.flag()?,
                "prefix_rewrite": self.of(PATHS)?}}),
            1 => json!({"direct_response": {"status": self.number()?}}),
            _ => json!({"route": self.forwarding()?}),
        };
        Ok(Self::with(json!({"name": self.of(&["", "r0"])?, "match": Self::with(path, more)}), action))
    }

    fn forwarding(&mut self) -> Result<Value> {
        let to = match self.bytes.int_in_range(0..=3)? {
            0 => json!({"cluster_header": self.of(NAMES)?}),
            1 => json!({"weighted_clusters": {"clusters": self.list(3, Self::weight)?}}),
            _ => json!({"cluster": self.cluster_name()?}),
        };
        let more = self.object([
            ("prefix_rewrite", |make| Ok(make.of(PATHS)?.into())),
            ("regex_rewrite", |make| {
                Ok(json!({"pattern": {"regex": make.of(REGEXES)?}, "substitution": make.of(&["\\1x", "\\9", "$1", "/"])?}))
            }),
            ("host_rewrite_literal", |make| Ok(make.of(HOSTS)?.into())),
            ("hash_policy", |make| {
                Ok(json!([{"header": {"header_name": make.of(NAMES)?}}, {"cookie": {"name": "a"}, "terminal": make.flag()?}]))
            }),
            ("metadata_match", |make| Ok(json!({"filter_metadata": {"envoy.lb": {"version": make.of(VALUES)?}}}))),
            ("upgrade_configs", |make| Ok(json!([{"upgrade_type": "websocket", "enabled": make.flag()?}]))),
            ("priority", |_| Ok("HIGH".into())),
        ])?;
        Ok(Self::with(to, more))
    }

    fn weight(&mut self) -> Result<Value> {
        Ok(json!({"name": self.cluster_name()?, "weight": self.number()?}))
    }

    fn cluster(&mut self) -> Result<Value> {
        let cluster = json!({"name": self.cluster_name()?,
            "type": self.of(&["EDS", "EDS", "STATIC", "STRICT_DNS", "ORIGINAL_DST"])?});
        let more = self.object([
            ("cluster_type", |make| {
                let members = make.list(3, Self::cluster_name)?;
                let kind = format!("{TYPES}.extensions.clusters.aggregate.v3.ClusterConfig");
                Ok(json!({"name": "envoy.clusters.aggregate", "typed_config": {"@type": kind, "clusters": members}}))
            }),
            ("load_assignment", Self::assignment),
            ("lb_policy", |make| {
                Ok(make.of(&["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV", "CLUSTER_PROVIDED"])?.into())
            }),
            ("ring_hash_lb_config", |make| Ok(json!({"minimum_ring_size": make.number()?, "maximum_ring_size": make.number()?}))),
            ("maglev_lb_config", |make| Ok(json!({"table_size": make.of(&[0, 1, 2, 7, 65_537])?}))),
            ("lb_subset_config", |make| {
                let fallback = make.of(&["NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET"])?;
                let own = make.of(&["NOT_DEFINED", "NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET", "KEYS_SUBSET"])?;
                Ok(json!({"fallback_policy": fallback, "default_subset": {"version": make.of(VALUES)?}, "subset_selectors":
                    [{"keys": ["version"], "fallback_policy": own, "single_host_per_subset": make.flag()?}]}))
            }),
            ("common_lb_config", |make| {
                let locality = make.of(&["locality_weighted_lb_config", "zone_aware_lb_config"])?;
                Ok(json!({"healthy_panic_threshold": {"value": make.number()?}, locality: {}}))
            }),
            ("health_checks", |_| Ok(json!([{"timeout": "1s", "interval": "1s", "tcp_health_check": {}}]))),
            ("circuit_breakers", |make| Ok(json!({"thresholds": [{"max_requests": make.number()?, "max_connections": make.number()?}]}))),
        ])?;
        Ok(Self::with(cluster, more))
    }

    fn assignment(&mut self) -> Result<Value> {
        let endpoints = self.list(3, |make| {
            let locality = json!({"lb_endpoints": make.list(4, Self::endpoint)?});
            let more = make.object([
                ("priority", |make| Ok(make.of(&[0, 1, 2, 128, 4_294_967_295_u64])?.into())),
                ("load_balancing_weight", Self::number),
                ("locality", |make| Ok(json!({"region": make.of(&["r", "s"])?, "zone": make.of(&["z", ""])?}))),
            ])?;
            Ok(Self::with(locality, more))
        })?;
        let policy = json!({"overprovisioning_factor": self.number()?});
        Ok(json!({"cluster_name": self.cluster_name()?, "endpoints": endpoints, "policy": policy}))
    }

    fn endpoint(&mut self) -> Result<Value> {
        let endpoint = json!({"endpoint": {"address": self.address()?}});
        let more = self.object([
            ("health_status", |make| Ok(make.of(&["HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"])?.into())),
            ("load_balancing_weight", Self::number),
            ("metadata", |make| {
                Ok(json!({"filter_metadata": {"envoy.lb": {"version": make.of(VALUES)?},
                    "envoy.transport_socket_match": {"tlsMode": "istio"}}}))
            }),
        ])?;
        Ok(Self::with(endpoint, more))
    }

    fn request(&mut self) -> Result<Value> {
        let protocol = self.of(&["http1", "http1", "http1", "http1", "h2", "tcp"])?;
        let line = json!({"protocol": protocol, "path": self.of(PATHS)?, "authority": self.of(HOSTS)?,
            "method": self.of(&["GET", "GET", "GET", "POST", "OPTIONS", "CONNECT", ""])?,
            "headers": self.list(3, |make| Ok(json!([make.of(NAMES)?, make.of(VALUES)?])))?});
        let more = self.object([
            ("redirected_to", |make| Ok(make.of(PORTS)?.into())),
            ("source", |make| Ok(make.of(ADDRESSES)?.into())),
            ("proxy", |_| Ok(json!({"src": ["10.0.0.2", 1], "dst": ["10.0.0.9", 80]}))),
            ("tls", |make| {
                Ok(json!({"sni": make.of(HOSTS)?, "alpn": [make.of(&["h2", "http/1.1", "istio"])?], "client_cert": make.flag()?}))
            }),
        ])?;
        let connect = match self.bytes.int_in_range(0..=7)? {
            0 => json!({}),
            1 => json!({"connect": [self.of(ADDRESSES)?, self.of(PORTS)?]}),
            _ => json!({"connect": [self.of(&["10.0.0.1", "127.0.0.1", "10.0.0.9"])?, 80]}),
        };
        Ok(Self::with(Self::with(line, more), connect))
    }

    /// Puts something else in the place of a few values.
    fn damage(&mut self, dump: &mut Value) -> Result<()> {
        let count = if self.some(2)? { self.bytes.int_in_range(1..=3)? } else { 0 };
        for _ in 0..count {
            let mut value = &mut *dump;
            while value.is_array() || value.is_object() {
                let of = value.as_array().map_or_else(|| value.as_object().map_or(0, Map::len), Vec::len);
                if of == 0 || self.bytes.ratio(1, 16)? {
                    break;
                }
                let nth = self.bytes.choose_index(of)?;
                value = match value {
                    Value::Array(items) => &mut items[nth],
                    Value::Object(members) => members.values_mut().nth(nth).unwrap(),
                    _ => break,
                };
            }
            let with =
                [json!(null), json!(true), json!(-1), json!(1e300), json!("x"), json!([]), json!({}), json!([[1]])];
            *value = self.of(&with)?;
        }
        Ok(())
    }
}
