//! What is true of every trace, held against real dumps and generated ones: the same answer each time, whatever the
//! order and the number of threads; shares are weights, and nothing else; what a request doesn't meet doesn't matter.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

#[path = "fuzz/generated.rs"]
mod generated;
#[path = "../benches/batch/requests.rs"]
#[expect(dead_code, reason = "the bench writes them, too")]
mod requests;
#[path = "fuzz/trace.rs"]
mod trace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use xdsight::dump::Proxy;
use xdsight::trace::{Outcome, Request, Trace, Tracer, Unknown};

/// Requests of a dump that are looked at in one case.
const REQUESTS: usize = 12;

/// Folders with a `config_dump.json`: our own, and recorded ones where they are there.
static REAL: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["testdata", "testdata/trace", "../shared/mesh/base/proxies", "../shared/oracle/cases"];
    let folders = places.iter().filter_map(|place| std::fs::read_dir(root.join(place)).ok()).flatten();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("config_dump.json").is_file());
    folders.sort();
    folders
});

/// A dump, and requests to it.
#[derive(Debug)]
struct Case {
    name: String,
    dump: Value,
    requests: Vec<Request>,
}

impl Case {
    /// A real one; of the mesh's dumps there are as many as of all recorded scenarios.
    fn real(nth: Index, from: Index) -> Self {
        let folder = &REAL[nth.index(REAL.len())];
        let text = std::fs::read(folder.join("config_dump.json")).unwrap();
        let recorded = std::fs::read_to_string(folder.join("truth.jsonl")).unwrap_or_default();
        let mut all: Vec<Request> = recorded
            .lines()
            .map(|line| trace::request(&serde_json::from_str::<Value>(line).unwrap()["request"]))
            .collect();
        if all.is_empty() {
            all = requests::of(&trace::load(text.clone()).unwrap(), 500);
        }
        let start = from.index(all.len());
        all.rotate_left(start);
        all.truncate(REQUESTS);
        let name = folder.file_name().unwrap().display().to_string();
        Self { name, dump: serde_json::from_slice(&text).unwrap(), requests: all }
    }

    fn generated(bytes: &[u8]) -> Option<Self> {
        let (request, dump) = generated::case(bytes)?;
        Some(Self { name: "generated".to_owned(), dump: serde_json::from_slice(&dump).ok()?, requests: vec![request] })
    }

    fn proxy(&self) -> Option<Proxy> {
        load(&self.dump)
    }

    /// Whether no request leaves anything behind for the next.
    fn is_without_state(&self) -> bool {
        !self.dump.to_string().to_lowercase().contains("ratelimit")
    }
}

fn load(dump: &Value) -> Option<Proxy> {
    trace::load(dump.to_string().into_bytes())
}

/// What may not depend on anything but the request and what it meets.
type Answer = (BTreeMap<Outcome, Option<u64>>, Vec<Unknown>);

fn answer(trace: &Trace) -> Answer {
    let share = |share: f64| (share * 1e9).round() as u64;
    let outcomes = trace.branches.iter().map(|branch| (branch.outcome.clone(), branch.share.map(share)));
    (outcomes.collect(), trace.unknown.clone())
}

fn answers(proxy: &Proxy, requests: &[Request]) -> Vec<Answer> {
    requests.iter().map(|request| answer(&Tracer::new(proxy).trace(request))).collect()
}

/// The outcomes alone.
fn sets(proxy: &Proxy, requests: &[Request]) -> Vec<Vec<Outcome>> {
    answers(proxy, requests).into_iter().map(|(outcomes, _)| outcomes.into_keys().collect()).collect()
}

/// Calls `change` with every object in a value, the outer first.
fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            change(members);
            members.values_mut().for_each(|member| each_object(member, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        _ => {}
    }
}

/// Calls `change` with every list under one of the names.
fn each_list(value: &mut Value, names: &[&str], change: &mut impl FnMut(&mut Vec<Value>)) {
    each_object(value, &mut |members| {
        for (name, member) in members {
            if let Value::Array(items) = member
                && names.contains(&name.as_str())
            {
                change(items);
            }
        }
    });
}

/// The lists of weighted clusters, but for those that go by a header of the request.
fn each_weights(dump: &mut Value, mut change: impl FnMut(&mut Vec<Value>)) {
    each_object(dump, &mut |members| {
        if let Some(weighted) = members.get_mut("weighted_clusters")
            && weighted.get("header_name").is_none()
            && let Some(Value::Array(entries)) = weighted.get_mut("clusters")
        {
            change(entries);
        }
    });
}

fn weight(entry: &Value) -> u64 {
    entry["weight"].as_u64().unwrap_or_default()
}

/// Names of resources or domains that stand in a list more than once make its order count.
fn is_ambiguous(items: &[Value]) -> bool {
    let names = |item: &Value| -> Vec<String> {
        let body = ["cluster", "endpoint_config", "route_config"].iter().find_map(|member| item.get(member));
        let body = body.unwrap_or(item);
        match &body["domains"] {
            Value::Array(domains) => domains.iter().map(Value::to_string).collect(),
            _ => vec![body.get("name").or_else(|| body.get("cluster_name")).map(Value::to_string).unwrap_or_default()],
        }
    };
    let mut all: Vec<String> = items.iter().flat_map(names).map(|name| name.to_lowercase()).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    all.len() < count
}

/// Adds to every list of the kind something that no request meets.
fn add_unmet(dump: &mut Value) {
    let nowhere = json!({"socket_address": {"address": "203.0.113.99", "port_value": 65_001}});
    each_object(dump, &mut |members| {
        // Not the lists in a matcher, whose routes are numbered throughout.
        if members.contains_key("domains")
            && let Some(Value::Array(routes)) = members.get_mut("routes")
        {
            routes.push(json!({"match": {"path": "/no/request/asks/for/this"}, "direct_response": {"status": 418}}));
        }
    });
    each_list(dump, &["virtual_hosts"], &mut |hosts| {
        let routes = json!([{"match": {"prefix": "/"}, "direct_response": {"status": 418}}]);
        hosts.push(json!({"name": "nobody", "domains": ["nobody.invalid"], "routes": routes}));
    });
    each_list(dump, &["filter_chains"], &mut |chains| {
        chains.push(json!({"name": "nobody", "filter_chain_match": {"destination_port": 65_001}}));
    });
    each_list(dump, &["dynamic_active_clusters"], &mut |clusters| {
        let kind = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
        clusters.push(json!({"cluster": {"@type": kind, "name": "nobody", "type": "STATIC"}}));
    });
    each_list(dump, &["dynamic_listeners"], &mut |listeners| {
        let kind = "type.googleapis.com/envoy.config.listener.v3.Listener";
        let listener = json!({"@type": kind, "name": "nobody", "address": nowhere, "filter_chains": []});
        listeners.push(json!({"name": "nobody", "active_state": {"listener": listener}}));
    });
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 400..1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_requests_are_traced_to_their_ends(bytes in some_bytes()) {
        trace::run(&bytes);
    }

    #[test]
    fn what_a_generated_request_does_not_meet_does_not_matter(bytes in some_bytes()) {
        if let Some(mut case) = Case::generated(&bytes)
            && case.requests[0].authority.as_ref().is_some_and(|authority| !authority.is_empty())
            && let Some(before) = case.proxy()
        {
            add_unmet(&mut case.dump);
            let after = case.proxy().unwrap();
            prop_assert_eq!(answers(&after, &case.requests), answers(&before, &case.requests), "{}", case.dump);
        }
    }

    #[test]
    fn weights_of_a_generated_dump_change_shares_only(bytes in some_bytes(), weights in prop::collection::vec(1..9_u64, 8)) {
        if let Some(mut case) = Case::generated(&bytes)
            && let Some(before) = case.proxy()
        {
            let mut weights = weights.iter().cycle();
            each_weights(&mut case.dump, |entries| {
                for entry in entries.iter_mut().filter(|entry| weight(entry) > 0) {
                    entry["weight"] = (*weights.next().unwrap()).into();
                }
            });
            let after = case.proxy().unwrap();
            prop_assert_eq!(sets(&after, &case.requests), sets(&before, &case.requests), "{}", case.dump);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_trace_has_all_its_parts(nth in any::<Index>(), from in any::<Index>()) {
        let case = Case::real(nth, from);
        let proxy = case.proxy().unwrap();
        for request in &case.requests {
            trace::check(&proxy, request);
        }
    }

    #[test]
    fn neither_order_nor_threads_matter(nth in any::<Index>(), from in any::<Index>(), threads in 1..5_usize) {
        let case = Case::real(nth, from);
        let proxy = case.proxy().unwrap();
        let batch = |requests: &[Request]| Tracer::new(&proxy).trace_all(requests);
        let one_by_one: Vec<Trace> = {
            let tracer = Tracer::new(&proxy);
            case.requests.iter().map(|request| tracer.trace(request)).collect()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        prop_assert_eq!(pool.install(|| batch(&case.requests)), one_by_one.clone(), "{}", case.name);
        if case.is_without_state() {
            let backwards: Vec<Request> = case.requests.iter().rev().cloned().collect();
            let mut traces = batch(&backwards);
            traces.reverse();
            prop_assert_eq!(traces, one_by_one, "{}", case.name);
        }
    }

    #[test]
    fn what_a_request_does_not_meet_does_not_matter(nth in any::<Index>(), from in any::<Index>()) {
        let mut case = Case::real(nth, from);
        // The one domain `*` takes even a request without a host: another domain changes that.
        case.requests.retain(|request| request.authority.as_ref().is_some_and(|authority| !authority.is_empty()));
        let before = answers(&case.proxy().unwrap(), &case.requests);
        add_unmet(&mut case.dump);
        prop_assert_eq!(answers(&case.proxy().unwrap(), &case.requests), before, "{}", case.name);
    }

    #[test]
    fn the_order_of_what_has_none_does_not_matter(nth in any::<Index>(), from in any::<Index>(), by in 1..50_usize) {
        let mut case = Case::real(nth, from);
        let before = answers(&case.proxy().unwrap(), &case.requests);
        let lists = ["virtual_hosts", "dynamic_active_clusters", "static_clusters", "dynamic_endpoint_configs"];
        each_list(&mut case.dump, &lists, &mut |items| {
            if !is_ambiguous(items) {
                items.reverse();
                let by = by % items.len().max(1);
                items.rotate_left(by);
            }
        });
        each_object(&mut case.dump, &mut |members| {
            *members = std::mem::take(members).into_iter().rev().collect();
        });
        prop_assert_eq!(answers(&case.proxy().unwrap(), &case.requests), before, "{}", case.name);
    }

    #[test]
    fn weights_change_shares_only(nth in any::<Index>(), from in any::<Index>(), weights in prop::collection::vec(1..99_u64, 8)) {
        let mut case = Case::real(nth, from);
        let before = sets(&case.proxy().unwrap(), &case.requests);
        let mut weights = weights.iter().cycle();
        each_weights(&mut case.dump, |entries| {
            for entry in entries.iter_mut().filter(|entry| weight(entry) > 0) {
                entry["weight"] = (*weights.next().unwrap()).into();
            }
        });
        prop_assert_eq!(sets(&case.proxy().unwrap(), &case.requests), before, "{}", case.name);
    }

    #[test]
    fn a_weight_of_zero_removes(nth in any::<Index>(), from in any::<Index>()) {
        let mut case = Case::real(nth, from);
        let before = sets(&case.proxy().unwrap(), &case.requests);
        let mut gone = Vec::new();
        each_weights(&mut case.dump, |entries| {
            let positive = entries.iter().filter(|entry| weight(entry) > 0).count();
            if let Some(entry) = entries.iter_mut().find(|entry| weight(entry) > 0).filter(|_| positive > 1) {
                entry["weight"] = 0.into();
                gone.push(entry["name"].as_str().unwrap_or_default().to_owned());
            }
        });
        let after = sets(&case.proxy().unwrap(), &case.requests);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(after.iter().all(|outcome| before.contains(outcome)), "{}: more than before", case.name);
            let is_gone = |outcome: &&Outcome| !after.contains(outcome);
            let by_weight = |outcome: &Outcome| outcome.cluster.as_ref().is_none_or(|cluster| gone.contains(cluster));
            prop_assert!(before.iter().filter(is_gone).all(by_weight), "{}: {:?} {:?}", case.name, gone, before);
        }
    }

    /// Cuts, copies and changes bytes of a real dump, and traces what is left of it.
    #[test]
    fn damaged_dumps_are_traced(
        (nth, from) in any::<(Index, Index)>(),
        damage in prop::collection::vec((any::<Index>(), 0..3_u8, any::<u8>()), 1..8),
    ) {
        let case = Case::real(nth, from);
        let mut bytes = serde_json::to_vec(&case.dump).unwrap();
        for (place, kind, byte) in damage {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => drop(bytes.drain(place..(place + usize::from(byte)).min(bytes.len() - 1).max(place))),
                _ => bytes.insert(place, b"{}[]\",:09"[usize::from(byte % 9)]),
            }
        }
        if let Some(proxy) = trace::load(bytes) {
            for request in &case.requests {
                trace::check(&proxy, request);
            }
        }
    }
}
