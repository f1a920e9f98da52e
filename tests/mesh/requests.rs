//! Requests for everything that a dump holds: each chain of each listener that a client can reach, and behind a
//! connection manager each domain of each virtual host with each of its routes.

use serde_json::{Value, json};

use crate::list;

/// A client of the mesh, as in the certificates that a mesh signs.
const CLIENT: &str = "spiffe://cluster.local/ns/shop/sa/frontend";

/// What a mesh client offers.
const MESH_ALPN: &[&str] = &["istio-http/1.1", "istio", "http/1.1"];

/// An address that no listener of the meshes has.
const UNKNOWN_ADDRESS: &str = "10.99.99.99";

/// All requests for a dump, with ids `<listener>/<chain>/<virtual host>/<route>#<number>`.
pub(crate) fn for_dump(dump: &Value) -> Vec<Value> {
    let resources = Resources::of(dump);
    let mut out = Vec::new();
    for listener in &resources.listeners {
        let Some(way) = Way::to(listener, &resources) else { continue };
        let chains = list(&listener["filter_chains"]).iter().chain(listener.get("default_filter_chain"));
        for chain in chains {
            for_chain(&resources, &way, listener, chain, &mut out);
        }
    }
    for (index, request) in out.iter_mut().enumerate() {
        request["id"] = format!("{}#{index}", request["id"].as_str().unwrap()).into();
    }
    out
}

struct Resources<'a> {
    listeners: Vec<&'a Value>,
    routes: Vec<&'a Value>,
    /// Address of the pod, from the node's id.
    own_address: &'a str,
}

impl<'a> Resources<'a> {
    fn of(dump: &'a Value) -> Self {
        let mut out = Self { listeners: Vec::new(), routes: Vec::new(), own_address: UNKNOWN_ADDRESS };
        for section in list(&dump["configs"]) {
            let dynamic = list(&section["dynamic_listeners"]).iter().map(|entry| &entry["active_state"]["listener"]);
            let fixed = list(&section["static_listeners"]).iter().map(|entry| &entry["listener"]);
            out.listeners.extend(fixed.chain(dynamic));
            out.routes.extend(list(&section["dynamic_route_configs"]).iter().map(|entry| &entry["route_config"]));
            if let Some(id) = section.pointer("/bootstrap/node/id").and_then(Value::as_str) {
                out.own_address = id.split('~').nth(1).unwrap_or(UNKNOWN_ADDRESS);
            }
        }
        out
    }

    fn captures(&self, port: u64) -> bool {
        self.listeners.iter().any(|listener| port_of(listener) == Some(port))
    }
}

fn port_of(listener: &Value) -> Option<u64> {
    listener.pointer("/address/socket_address/port_value").and_then(Value::as_u64)
}

/// How a client gets to a listener.
struct Way<'a> {
    ip: &'a str,
    port: u64,
    redirected_to: Option<u64>,
}

impl<'a> Way<'a> {
    /// An internal listener isn't reached from outside.
    fn to(listener: &'a Value, resources: &Resources<'a>) -> Option<Self> {
        let port = port_of(listener)?;
        let ip = listener.pointer("/address/socket_address/address")?.as_str()?;
        let is_bound = listener["bind_to_port"] != false;
        Some(match port {
            15001 => Self { ip: UNKNOWN_ADDRESS, port: 4321, redirected_to: Some(15001) },
            15006 => Self { ip: resources.own_address, port: 4321, redirected_to: Some(15006) },
            _ if !is_bound && resources.captures(15001) => {
                let ip = if ip == "0.0.0.0" { UNKNOWN_ADDRESS } else { ip };
                Self { ip, port, redirected_to: Some(15001) }
            }
            _ => Self { ip: if ip == "0.0.0.0" { resources.own_address } else { ip }, port, redirected_to: None },
        })
    }
}

fn for_chain(resources: &Resources<'_>, way: &Way<'_>, listener: &Value, chain: &Value, out: &mut Vec<Value>) {
    let matched = &chain["filter_chain_match"];
    let ip = matched.pointer("/prefix_ranges/0/address_prefix").and_then(Value::as_str).unwrap_or(way.ip);
    let port = matched["destination_port"].as_u64().unwrap_or(way.port);
    let protocols: Vec<&str> = list(&matched["application_protocols"]).iter().filter_map(Value::as_str).collect();
    let sni = list(&matched["server_names"]).first().and_then(Value::as_str).map(|name| name.replacen('*', "w", 1));
    let is_tls = chain.get("transport_socket").is_some() || matched["transport_protocol"] == "tls" || sni.is_some();
    let mut base = json!({
        "id": format!("{}/{}", text(&listener["name"]), text(&chain["name"])),
        "protocol": "tcp",
        "connect": [ip, port],
        "source": "10.244.200.7",
    });
    if let Some(port) = way.redirected_to {
        base["redirected_to"] = port.into();
    }
    if is_tls {
        let is_mesh = protocols.is_empty() || protocols.iter().any(|protocol| protocol.starts_with("istio"));
        let alpn = if is_mesh { MESH_ALPN.to_vec() } else { protocols };
        base["tls"] = json!({"sni": sni, "alpn": alpn, "client_cert": CLIENT});
    }
    out.push(base.clone());
    for filter in list(&chain["filters"]) {
        let config = &filter["typed_config"];
        let name = config.pointer("/rds/route_config_name");
        let delivered = name.and_then(|name| resources.routes.iter().find(|routes| routes["name"] == *name).copied());
        if let Some(routes) = config.get("route_config").or(delivered) {
            for_routes(&base, routes, out);
        }
    }
}

fn for_routes(base: &Value, routes: &Value, out: &mut Vec<Value>) {
    for host in list(&routes["virtual_hosts"]) {
        for domain in list(&host["domains"]).iter().filter_map(Value::as_str) {
            for route in list(&host["routes"]) {
                let mut request = base.clone();
                let id = format!("{}/{}/{}", text(&base["id"]), text(&host["name"]), text(&route["name"]));
                request["id"] = id.into();
                request["protocol"] = "http1".into();
                request["method"] = "GET".into();
                request["authority"] = domain.replacen('*', "w", 1).into();
                satisfy(&route["match"], &mut request);
                out.push(request);
            }
        }
    }
}

/// Makes a request that a matcher takes, as far as that is plain; what remains is a near miss.
fn satisfy(matcher: &Value, request: &mut Value) {
    if matcher.get("connect_matcher").is_some() {
        request["method"] = "CONNECT".into();
        request["authority"] = "10.244.1.10:8080".into();
        request["path"] = "10.244.1.10:8080".into();
        return;
    }
    let prefix = matcher["prefix"].as_str().map(|prefix| format!("{prefix}x"));
    let separated = matcher["path_separated_prefix"].as_str().map(|prefix| format!("{prefix}/x"));
    let exact = matcher["path"].as_str().map(str::to_owned);
    let regex = matcher.pointer("/safe_regex/regex").and_then(Value::as_str).map(|_| "/x/1".to_owned());
    let mut path = prefix.or(separated).or(exact).or(regex).unwrap_or_else(|| "/".to_owned());
    for (nth, parameter) in list(&matcher["query_parameters"]).iter().enumerate() {
        let value = parameter.pointer("/string_match/exact").and_then(Value::as_str).unwrap_or("1");
        path += &format!("{}{}={value}", if nth == 0 { '?' } else { '&' }, text(&parameter["name"]));
    }
    let mut headers = Vec::new();
    for header in list(&matcher["headers"]).iter().filter(|header| header["invert_match"] != true) {
        let name = text(&header["name"]);
        let value =
            ["exact", "prefix", "suffix", "contains"].iter().find_map(|how| header["string_match"][how].as_str());
        match (name, value) {
            (":method", Some(value)) => request["method"] = value.into(),
            (":authority", Some(value)) => request["authority"] = value.into(),
            (name, value) if !name.starts_with(':') => headers.push(json!([name, value.unwrap_or("1")])),
            _ => {}
        }
    }
    request["path"] = path.into();
    request["headers"] = headers.into();
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
