//! The text form of `/clusters`, as the answer to `/clusters?format=json` would be.
//!
//! Each line is `CLUSTER::KEY::VALUE`, `CLUSTER::PRIORITY::KEY::VALUE` or `CLUSTER::ADDRESS::KEY::VALUE`. Names of clusters
//! and IPv6 addresses may have colons of their own, so lines are read from their ends.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Members of a host, each a number that is counted or measured.
const STATS: [(&str, &str); 8] = [
    ("cx_active", "GAUGE"),
    ("cx_connect_fail", "COUNTER"),
    ("cx_total", "COUNTER"),
    ("rq_active", "GAUGE"),
    ("rq_error", "COUNTER"),
    ("rq_success", "COUNTER"),
    ("rq_timeout", "COUNTER"),
    ("rq_total", "COUNTER"),
];

/// Other members of a host.
const OF_HOST: [&str; 10] = [
    "hostname",
    "health_flags",
    "weight",
    "region",
    "zone",
    "sub_zone",
    "canary",
    "priority",
    "success_rate",
    "local_origin_success_rate",
];

/// Members of a cluster.
const OF_CLUSTER: [&str; 3] = ["observability_name", "added_via_api", "eds_service_name"];

/// Health flags, and the field of each; those of the control plane are one field.
const FLAGS: [(&str, &str); 8] = [
    ("failed_active_hc", "failed_active_health_check"),
    ("failed_outlier_check", "failed_outlier_check"),
    ("degraded_active_hc", "failed_active_degraded_check"),
    ("pending_dynamic_removal", "pending_dynamic_removal"),
    ("pending_active_hc", "pending_active_hc"),
    ("excluded_via_immediate_hc_fail", "excluded_via_immediate_hc_fail"),
    ("active_hc_timeout", "active_hc_timeout"),
    ("degraded_outlier_detection", "failed_degraded_outlier_detection"),
];

#[derive(Debug, Default)]
struct Cluster {
    members: Map<String, Value>,
    /// By `default_priority` and `high_priority`.
    thresholds: Map<String, Value>,
    hosts: Vec<Host>,
    by_address: HashMap<String, usize>,
}

#[derive(Debug, Default)]
struct Host {
    address: String,
    members: Map<String, Value>,
    counters: Vec<Value>,
    gauges: Vec<Value>,
    locality: Option<Map<String, Value>>,
}

/// Reads the page; `None` if a line isn't of its form. A last line without its end may be cut off: it is left out.
pub(super) fn to_json(text: &str) -> Option<Value> {
    let mut clusters: Vec<(String, Cluster)> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_none() && !text.ends_with('\n') {
            break;
        }
        let (owner, key, value) = parts(line)?;
        let Some((name, part)) = owner.split(key) else { continue };
        let place = *by_name.entry(name.to_owned()).or_insert_with(|| {
            clusters.push((name.to_owned(), Cluster::default()));
            clusters.len() - 1
        });
        let (_, cluster) = clusters.get_mut(place)?;
        match part {
            Part::Host(address) => cluster.host(address)?.set(key, value),
            Part::Priority(priority) => {
                let limits = cluster.thresholds.entry(priority).or_insert_with(|| json!({}));
                limits.as_object_mut()?.insert(key.to_owned(), number(value));
            }
            Part::Outlier => {}
            Part::Cluster => match key {
                "added_via_api" => drop(cluster.members.insert(key.to_owned(), Value::Bool(value == "true"))),
                "observability_name" | "eds_service_name" => {
                    cluster.members.insert(key.to_owned(), Value::String(value.to_owned()));
                }
                _ => {}
            },
        }
    }
    let clusters = clusters.into_iter().map(|(name, cluster)| cluster.into_json(name));
    Some(json!({ "cluster_statuses": clusters.collect::<Vec<_>>() }))
}

/// What a line is about.
struct Owner<'t>(&'t str);

enum Part<'t> {
    Cluster,
    Priority(&'t str),
    /// Averages of outlier detection.
    Outlier,
    Host(&'t str),
}

/// Owner, key and value of a line.
fn parts(line: &str) -> Option<(Owner<'_>, &str, &str)> {
    // These values are names, which may have colons.
    for key in ["observability_name", "eds_service_name"] {
        if let Some((owner, value)) = line.split_once(&format!("::{key}::")) {
            return Some((Owner(owner), line.get(owner.len() + 2..owner.len() + 2 + key.len())?, value));
        }
    }
    let (rest, value) = line.rsplit_once("::")?;
    let (owner, key) = rest.rsplit_once("::")?;
    (!owner.is_empty()).then_some((Owner(owner), key, value))
}

impl<'t> Owner<'t> {
    /// The cluster and what of it a key is about; `None` if the key isn't known.
    fn split(&self, key: &str) -> Option<(&'t str, Part<'t>)> {
        let is_of_host = OF_HOST.contains(&key) || STATS.iter().any(|(name, _)| *name == key);
        if is_of_host {
            let bracket = self.0.rfind("::[").filter(|_| self.0.contains("]:"));
            let at = bracket.or_else(|| self.0.rfind("::"));
            let (name, address) = at.map_or((self.0, ""), |at| self.0.split_at(at));
            return Some((name, Part::Host(address.get(2..).unwrap_or_default())));
        }
        Some(match self.0.rsplit_once("::") {
            Some((name, priority @ ("default_priority" | "high_priority"))) => (name, Part::Priority(priority)),
            Some((name, "outlier")) => (name, Part::Outlier),
            _ if OF_CLUSTER.contains(&key) => (self.0, Part::Cluster),
            _ => return None,
        })
    }
}

impl Cluster {
    fn host(&mut self, address: &str) -> Option<&mut Host> {
        let place = *self.by_address.entry(address.to_owned()).or_insert_with(|| {
            self.hosts.push(Host { address: address.to_owned(), ..Host::default() });
            self.hosts.len() - 1
        });
        self.hosts.get_mut(place)
    }

    fn into_json(self, name: String) -> Value {
        let mut members = self.members;
        members.insert("name".to_owned(), Value::String(name));
        let thresholds = self.thresholds.into_iter().map(|(priority, mut limits)| {
            if let ("high_priority", Some(limits)) = (priority.as_str(), limits.as_object_mut()) {
                limits.insert("priority".to_owned(), Value::String("HIGH".to_owned()));
            }
            limits
        });
        let thresholds: Vec<Value> = thresholds.collect();
        if !thresholds.is_empty() {
            members.insert("circuit_breakers".to_owned(), json!({ "thresholds": thresholds }));
        }
        let hosts: Vec<Value> = self.hosts.into_iter().map(Host::into_json).collect();
        if !hosts.is_empty() {
            members.insert("host_statuses".to_owned(), Value::Array(hosts));
        }
        Value::Object(members)
    }
}

impl Host {
    fn set(&mut self, key: &str, value: &str) {
        match key {
            "hostname" => drop(self.members.insert(key.to_owned(), Value::String(value.to_owned()))),
            "weight" | "priority" => drop(self.members.insert(key.to_owned(), number(value))),
            "region" | "zone" | "sub_zone" => {
                let locality = self.locality.get_or_insert_default();
                if !value.is_empty() {
                    locality.insert(key.to_owned(), Value::String(value.to_owned()));
                }
            }
            // -1: not known.
            "success_rate" | "local_origin_success_rate" if !value.starts_with('-') => {
                if let Ok(rate) = value.parse::<f64>() {
                    self.members.insert(key.to_owned(), json!({ "value": rate }));
                }
            }
            "health_flags" => drop(self.members.insert("health_status".to_owned(), health(value))),
            key => {
                if let Some((_, kind)) = STATS.iter().find(|(name, _)| *name == key) {
                    let list = if *kind == "GAUGE" { &mut self.gauges } else { &mut self.counters };
                    list.push(json!({"type": kind, "name": key, "value": value}));
                }
            }
        }
    }

    fn into_json(self) -> Value {
        let mut members = self.members;
        members.insert("address".to_owned(), address(&self.address));
        let stats: Vec<Value> = self.counters.into_iter().chain(self.gauges).collect();
        if !stats.is_empty() {
            members.insert("stats".to_owned(), Value::Array(stats));
        }
        if let Some(locality) = self.locality {
            members.insert("locality".to_owned(), Value::Object(locality));
        }
        Value::Object(members)
    }
}

fn number(text: &str) -> Value {
    text.parse::<u64>().map_or(Value::Null, Value::from)
}

/// `healthy`, or the flags that speak against it: `/failed_active_hc/failed_outlier_check`.
fn health(flags: &str) -> Value {
    let flags: Vec<&str> = flags.split('/').filter(|flag| !flag.is_empty()).collect();
    let mut members = Map::new();
    for (_, field) in FLAGS.iter().filter(|(flag, _)| flags.contains(flag)) {
        members.insert((*field).to_owned(), Value::Bool(true));
    }
    let is = |flag: &str| flags.contains(&flag);
    let status = match () {
        () if is("failed_eds_health") => "UNHEALTHY",
        () if is("eds_status_draining") => "DRAINING",
        () if is("degraded_eds_health") => "DEGRADED",
        () => "HEALTHY",
    };
    members.insert("eds_health_status".to_owned(), Value::String(status.to_owned()));
    Value::Object(members)
}

fn address(text: &str) -> Value {
    if let Some((listener, id)) = text.strip_prefix("envoy://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        return json!({"envoy_internal_address": {"server_listener_name": listener, "endpoint_id": id}});
    }
    match text.rsplit_once(':').and_then(|(ip, port)| Some((ip, port.parse::<u16>().ok()?))) {
        Some((ip, port)) => {
            let ip = ip.trim_start_matches('[').trim_end_matches(']');
            json!({"socket_address": {"address": ip, "port_value": port}})
        }
        None => json!({"pipe": {"path": text}}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_json() {
        let page = "a::observability_name::x::y\n\
                    a::default_priority::max_connections::5\n\
                    a::high_priority::max_connections::6\n\
                    a::outlier::success_rate_average::-1\n\
                    a::added_via_api::true\n\
                    a::10.0.0.1:80::cx_active::2\n\
                    a::10.0.0.1:80::hostname::h\n\
                    a::10.0.0.1:80::health_flags::/failed_active_hc/degraded_eds_health\n\
                    a::10.0.0.1:80::weight::3\n\
                    a::10.0.0.1:80::region::r\n\
                    a::10.0.0.1:80::success_rate::-1\n\
                    a::[::1]:80::health_flags::healthy\n\
                    b::c::/run/x.sock::weight::1\n\
                    b::c::envoy://inner/id::weight::1\n\
                    b::c::envoy://inner/id::of_later_versions::1\n\
                    b::c::envoy://inner/i";
        let host = |address: Value, mut more: Value| {
            more["address"] = address;
            more
        };
        let socket = |ip: &str| json!({"socket_address": {"address": ip, "port_value": 80}});
        let expected = json!({"cluster_statuses": [
            {"name": "a", "observability_name": "x::y", "added_via_api": true,
             "circuit_breakers": {"thresholds": [{"max_connections": 5}, {"max_connections": 6, "priority": "HIGH"}]},
             "host_statuses": [
                host(socket("10.0.0.1"), json!({
                    "hostname": "h", "weight": 3, "locality": {"region": "r"},
                    "health_status": {"failed_active_health_check": true, "eds_health_status": "DEGRADED"},
                    "stats": [{"type": "GAUGE", "name": "cx_active", "value": "2"}]})),
                host(socket("::1"), json!({"health_status": {"eds_health_status": "HEALTHY"}}))]},
            {"name": "b::c", "host_statuses": [
                host(json!({"pipe": {"path": "/run/x.sock"}}), json!({"weight": 1})),
                host(json!({"envoy_internal_address": {"server_listener_name": "inner", "endpoint_id": "id"}}),
                     json!({"weight": 1}))]}]});
        assert_eq!(to_json(page), Some(expected));
    }

    #[test]
    fn other_text_is_not_a_page() {
        assert_eq!(to_json("a::b::c\nhello\n"), None);
    }
}
