//! Requests through the proxies of a real mesh: what a change to the mesh does to those that notice it, and that
//! what istiod generates is followed to the end.
//!
//! The meshes are in `../shared`, which is not part of the repository: without it these tests say so and pass, but not
//! in CI (`CI=true`), where that is an error.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A folder of `../shared`, or nothing, said aloud.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not there", path.display());
    eprintln!("left out: {} is not there", path.display());
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Folders or files of a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut out: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    out.sort();
    out
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// Traces requests through a dump with the program; gives what it prints.
fn run(dump: &Path, requests: &[Value], form: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_xdsight"))
        .args(["trace", dump.to_str().unwrap(), "--requests", "-", "--output", form])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The answers to a batch, by id.
fn trace(dump: &Path, requests: &[Value]) -> BTreeMap<String, Value> {
    let answers = run(dump, requests, "jsonl");
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers.map(|answer| (answer["id"].as_str().unwrap().to_owned(), answer)).collect()
}

/// Whether an outcome has every field that is expected of it.
fn fits(outcome: &Value, expected: &Value) -> bool {
    expected.as_object().unwrap().iter().all(|(field, value)| outcome.get(field).unwrap_or(&Value::Null) == value)
}

/// What stands in the way of an answer although the dump holds everything: filters that run foreign code or ask a
/// server.
fn is_opaque_filter(reason: &str) -> bool {
    ["Lua may", "Wasm module may", "ext_authz"].iter().any(|part| reason.contains(part))
}

/// The types of filters that a dump names.
fn has_opaque_filter(dump: &Path, reason: &str) -> bool {
    let text = std::fs::read_to_string(dump).unwrap();
    let filter = [("Lua", "lua.v3.Lua"), ("Wasm", "wasm.v3.Wasm"), ("ext_authz", "ext_authz.v3.ExtAuthz")];
    filter.iter().any(|(word, filter)| reason.contains(word) && text.contains(filter))
}

/// What is wrong with the answer to a witness before or after a change.
fn check_witness(dump: &Path, answer: &Value, expected: &[Value]) -> Vec<String> {
    let outcomes = list(&answer["outcomes"]);
    let mut wrong = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !expected.iter().any(|one| fits(outcome, one))) {
        wrong.push(format!("not expected: {outcome}"));
    }
    for one in expected.iter().filter(|one| !outcomes.iter().any(|outcome| fits(outcome, one))) {
        wrong.push(format!("expected, but not there: {one}"));
    }
    let unknown = list(&answer["unknown"]).iter().map(|reason| reason.as_str().unwrap());
    let unfounded = unknown.filter(|reason| !is_opaque_filter(reason) || !has_opaque_filter(dump, reason));
    wrong.extend(unfounded.map(|reason| format!("unknown: {reason}")));
    wrong
}

/// What an answer says but for where it is written: each way's share, and its decisions. A route that only moved is
/// named by another number.
fn ways(answer: &Value) -> Vec<Value> {
    let way = |outcome: &Value| {
        let steps = list(&outcome["steps"]).iter().filter(|step| step["kind"] != "route");
        let steps = steps.map(|step| json!([step["kind"], step["chosen"]]));
        json!([outcome["explanation"], outcome["share"], steps.collect::<Vec<_>>()])
    };
    list(&answer["outcomes"]).iter().map(way).collect()
}

/// The dump of a proxy after a change: its own where there is one, else what istiod expects, else unchanged.
fn after(step: &Path, base: &Path, proxy: &str) -> PathBuf {
    let places =
        [step.join("actual").join(proxy).join("config_dump.json"), step.join("expected").join(format!("{proxy}.json"))];
    places.into_iter().find(|path| path.exists()).unwrap_or_else(|| base.to_owned())
}

#[test]
fn witnesses_of_a_change_see_it() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for mesh in ["mesh", "mesh-two-clusters"] {
        let Some(mesh) = shared(mesh) else { return };
        let steps = mesh.join("steps");
        for step in if steps.exists() { entries(&steps) } else { Vec::new() } {
            for witness in list(&json(&step.join("witnesses.json"))) {
                let (proxy, request) = (witness["proxy"].as_str().unwrap(), &witness["request"]);
                let base = mesh.join("base/proxies").join(proxy).join("config_dump.json");
                let place = format!("{} {}", name(&step), witness["id"]);
                let mut seen = Vec::new();
                for (side, dump) in [("before", base.clone()), ("after", after(&step, &base, proxy))] {
                    checked += 1;
                    let answer: Value =
                        serde_json::from_str(&run(&dump, std::slice::from_ref(request), "json")).unwrap();
                    let found = check_witness(&dump, &answer, list(&witness[side]));
                    let place = format!("{place} {side}, through {}", dump.display());
                    wrong.extend(found.into_iter().map(|what| format!("{place}: {what}")));
                    seen.push(ways(&answer));
                }
                let (is_same, note) = (seen[0] == seen[1], witness["note"].as_str().unwrap());
                if is_same != (note == "unchanged") {
                    wrong.push(format!(
                        "{place}: {note}, but the answers are {}",
                        if is_same { "the same" } else { "not" }
                    ));
                }
            }
        }
    }
    eprintln!("{checked} answers");
    assert!(checked > 0, "no witnesses");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Hosts of a DNS cluster and a forward proxy's target have no address until they are resolved: `/clusters` would
/// hold them, a dump doesn't.
fn is_unresolved(reason: &str) -> bool {
    reason.contains("DNS")
}

#[test]
fn what_istiod_generates_is_followed_to_the_end() {
    let (mut traced, mut wrong) = (0, BTreeSet::new());
    for proxies in ["mesh/base/proxies", "mesh-two-clusters/proxies"] {
        let Some(folder) = shared(proxies) else { return };
        for proxy in entries(&folder) {
            let dump = proxy.join("config_dump.json");
            let requests = requests::for_dump(&json(&dump));
            let answers = trace(&dump, &requests);
            assert_eq!(answers.len(), requests.len(), "{}", proxy.display());
            traced += requests.len();
            for (id, answer) in answers {
                let unknown = list(&answer["unknown"]).iter().map(|reason| reason.as_str().unwrap());
                let unfounded = unknown.filter(|reason| !is_opaque_filter(reason) && !is_unresolved(reason));
                wrong.extend(unfounded.map(|reason| format!("{reason}: {} {id}", name(&proxy))));
                if list(&answer["outcomes"]).is_empty() {
                    wrong.insert(format!("no outcome: {} {id}", name(&proxy)));
                }
            }
        }
    }
    eprintln!("{traced} requests");
    assert!(traced > 0, "no requests");
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
