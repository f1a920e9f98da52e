//! The dump that a batch is traced against, brought to the size that the bench is about.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

/// The size of the dump.
const SIZE: usize = 5_000_000;

/// Suffix of the names of services.
const DOMAIN: &str = ".svc.cluster.local";

/// Lists of which an entry belongs to one service.
const LISTS: &[&str] = &["dynamic_active_clusters", "dynamic_endpoint_configs", "dynamic_listeners", "virtual_hosts"];

/// The dump that `DUMP` names, or the example.
pub(crate) fn of_environment() -> Vec<u8> {
    let Ok(file) = std::env::var("DUMP") else {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/example/config_dump.json");
        return repeated(&std::fs::read(example).unwrap());
    };
    let bytes = std::fs::read(file).unwrap();
    if bytes.len() > SIZE * 3 / 2 { thinned(&bytes) } else { bytes }
}

/// In the layout of Envoy's answers.
fn written(dump: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b" ");
    serde::Serialize::serialize(dump, &mut serde_json::Serializer::with_formatter(&mut out, layout)).unwrap();
    out
}

/// Calls `change` with every list that has entries of services.
fn each_list(value: &mut Value, change: &mut impl FnMut(&mut Vec<Value>)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Value::Array(entries) = member
                    && LISTS.contains(&name.as_str())
                {
                    change(entries);
                } else {
                    each_list(member, change);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_list(item, change)),
        _ => {}
    }
}

/// Services that a text names.
fn services(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'));
    // `outbound_.80_._.name` in server names.
    words.map(|word| word.trim_start_matches('.')).filter(|word| word.ends_with(DOMAIN))
}

/// A large dump with as many of its services as make up the size.
fn thinned(bytes: &[u8]) -> Vec<u8> {
    let mut dump: Value = serde_json::from_slice(bytes).unwrap();
    let mut names: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    each_list(&mut dump, &mut |entries| {
        for text in entries.iter().map(Value::to_string) {
            names.extend(services(&text).filter(|name| seen.insert((*name).to_owned())).map(str::to_owned));
        }
    });
    let one_of = bytes.len().div_ceil(SIZE);
    let kept: HashSet<&str> = names.iter().step_by(one_of).map(String::as_str).collect();
    each_list(&mut dump, &mut |entries| {
        entries.retain(|entry| {
            let text = entry.to_string();
            services(&text).all(|name| kept.contains(name))
        });
    });
    written(&dump)
}

/// A small dump with its services repeated under other names.
fn repeated(bytes: &[u8]) -> Vec<u8> {
    let mut dump: Value = serde_json::from_slice(bytes).unwrap();
    let times = SIZE / bytes.len();
    each_list(&mut dump, &mut |entries| {
        let copies = |nth: usize| entries.iter().filter_map(move |entry| renamed(entry, nth));
        let more: Vec<Value> = (1..=times).flat_map(copies).collect();
        entries.extend(more);
    });
    written(&dump)
}

/// An entry for other services in place of its own; `None` if it is of none, or listens.
fn renamed(entry: &Value, nth: usize) -> Option<Value> {
    let text = entry.to_string();
    if !text.contains(DOMAIN) || text.contains("\"active_state\"") {
        return None;
    }
    let mut entry: Value = serde_json::from_str(&text.replace(DOMAIN, &format!("-{nth}{DOMAIN}"))).unwrap();
    // Short names and addresses stay with the first.
    if let Some(Value::Array(domains)) = entry.get_mut("domains") {
        domains.retain(|domain| domain.as_str().is_some_and(|domain| domain.contains(DOMAIN)));
        if domains.is_empty() {
            return None;
        }
    }
    if let Some(Value::String(name)) = entry.get_mut("name") {
        name.push_str(&format!("-{nth}"));
    }
    Some(entry)
}
