//! The types that istioctl knows (`src/istioctl/schema/api.txt`) against the API that they were taken from, where
//! that is present. With `XDSIGHT_BLESS=1` the file is written anew.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads the API, writes what was made of it and fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

/// Types that the table of Envoy's API doesn't have: the configuration of Istio's metrics, and one that is only
/// named.
const MORE: &[&str] = &[
    "io.prometheus.client.MetricFamily",
    "stats.MetricConfig dimensions:{s}s name:s tags_to_remove:*s match:s drop:b",
    "stats.MetricDefinition name:s value:s type:.MetricType",
    "stats.MetricType COUNTER=0 GAUGE=1 HISTOGRAM=2",
    "stats.PluginConfig debug:b max_peer_cache_size:i disable_host_header_fallback:b \
     tcp_reporting_duration:google.protobuf.Duration metrics:*.MetricConfig definitions:*.MetricDefinition \
     reporter:.Reporter rotation_interval:google.protobuf.Duration \
     graceful_deletion_interval:google.protobuf.Duration",
    "stats.Reporter UNSPECIFIED=0 SERVER_GATEWAY=1",
];

fn package_of(name: &str) -> String {
    let is_type = |part: &&str| part.starts_with(|c: char| c.is_ascii_uppercase());
    name.split('.').take_while(|part| !is_type(part)).collect::<Vec<_>>().join(".")
}

fn scalar(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "bool" => "b",
        "int32" => "i",
        "int64" => "I",
        "uint32" => "u",
        "uint64" => "U",
        "float" => "f",
        "double" => "d",
        "string" => "s",
        "bytes" => "B",
        _ => return None,
    })
}

/// A type as the file writes it in a field of `message`.
fn type_in(message: &str, kind: &str) -> String {
    if let Some(scalar) = scalar(kind) {
        return scalar.to_owned();
    }
    if let Some(nested) = kind.strip_prefix(&format!("{message}.")) {
        return format!("~{nested}");
    }
    let package = package_of(message);
    match kind.strip_prefix(&format!("{package}.")) {
        Some(near) if package_of(kind) == package => format!(".{near}"),
        _ => kind.to_owned(),
    }
}

fn field(message: &str, [name, _, kind, label, oneof]: [&str; 5]) -> String {
    let oneof = if oneof.is_empty() { String::new() } else { format!("@{oneof}") };
    let (prefix, kind) = match label {
        "repeated" => ("*".to_owned(), kind),
        "optional" => ("?".to_owned(), kind),
        "map" => {
            let (key, value) = kind.strip_prefix("map<").unwrap().strip_suffix('>').unwrap().split_once(',').unwrap();
            (format!("{{{}}}", scalar(key).unwrap()), value)
        }
        _ => (String::new(), kind),
    };
    format!("{name}:{prefix}{}{oneof}", type_in(message, kind))
}

#[test]
fn types_are_those_of_the_api() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(api) = fs::read_to_string(root.join("../shared/spec/envoy-api.tsv")) else { return };
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for row in api.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').chain([""; 8]).collect();
        let [kind, of, name, number, type_name, label, oneof] = cells[..7] else { unreachable!() };
        let line = lines.entry(of.to_owned()).or_insert_with(|| of.to_owned());
        match kind {
            "enum" => *line += &format!(" {name}={number}"),
            "field" => *line += &format!(" {}", field(of, [name, number, type_name, label, oneof])),
            _ => {}
        }
    }
    for line in MORE {
        lines.insert(line.split(' ').next().unwrap().to_owned(), (*line).to_owned());
    }
    let made: String = lines.values().map(|line| format!("{line}\n")).collect();
    let file = root.join("src/istioctl/schema/api.txt");
    if env::var_os("XDSIGHT_BLESS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let is_same = fs::read_to_string(&file).unwrap() == made;
    assert!(is_same, "api.txt isn't what the API gives: XDSIGHT_BLESS=1 cargo test --test istioctl_schema writes it");
}
