//! What Istio's own tests expect of the configuration that istiod generates, held against the tracer.
//!
//! Where the two differ a real Envoy has decided: `testdata/simulation/disagreements.jsonl` lists each such field with
//! the outcome that Envoy showed. The cases are in `../shared`, which is not part of the repository: without it this test
//! says so and passes, but not in CI (`CI=true`), where that is an error.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Case, request, field.
type Place = (String, String, String);

/// Fields that a test may assert by name.
const FIELDS: &[&str] = &["listener", "filter_chain", "vhost", "route_name", "cluster"];

fn cases() -> Option<Vec<PathBuf>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/simulation/cases");
    if !path.exists() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not there", path.display());
        eprintln!("left out: {} is not there", path.display());
        return None;
    }
    let mut out: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    out.sort();
    Some(out)
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The answers to the requests of a case, by id.
fn trace(case: &Path) -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_xdsight"))
        .current_dir(case)
        .args(["trace", "config_dump.json", "--requests", "requests.jsonl", "--output", "jsonl"])
        .output()
        .unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    lines(&answers).map(|answer| (text(&answer["id"]), answer)).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Fields that must not be there if the test expects an error.
fn absent(error: &str) -> &'static [&'static str] {
    match error {
        "no_listener" => &["listener", "filter_chain", "cluster"],
        "no_filter_chain" => &["filter_chain", "cluster"],
        "tls_error" | "mtls_error" | "no_virtual_host" => &["vhost", "cluster"],
        "protocol_error" | "tls_redirect" => &["cluster"],
        "no_route" => &["route", "cluster"],
        _ => &[],
    }
}

/// The fields in which an outcome contradicts what is expected, each with what is.
fn judge(expected: &Value, outcome: &Value) -> Vec<(&'static str, Value)> {
    let mut out: Vec<(&'static str, Value)> = Vec::new();
    for field in FIELDS {
        if expected[field].is_string() && outcome[field] != expected[field] {
            out.push((field, expected[field].clone()));
        }
    }
    let route_config = outcome["route"].as_str().map(|route| route.split('/').next().unwrap_or_default());
    if let (Some(want), Some(got)) = (expected["route_config"].as_str(), route_config)
        && want != got
    {
        out.push(("route_config", want.into()));
    }
    let error = expected["error"].as_str();
    let there = absent(error.unwrap_or_default()).iter().filter(|field| outcome[**field].is_string());
    out.extend(there.map(|field| (*field, Value::Null)));
    let is_refused = matches!(outcome["status"].as_u64(), Some(404 | 503));
    if error.is_none() && !expected["cluster"].is_string() && !outcome["cluster"].is_string() && is_refused {
        out.push(("status", "delivered".into()));
    }
    out
}

/// Whether an outcome has all that Envoy showed, and nothing else of the kind.
fn is_what_envoy_did(outcome: &Value, envoy: &Value) -> bool {
    const COMPARED: &[&str] = &[
        "listener",
        "vhost",
        "route",
        "route_name",
        "cluster",
        "upstream_host",
        "status",
        "flags",
        "details",
        "termination",
        "location",
        "upstream_path",
        "upstream_authority",
    ];
    // Chains without a name got one when Envoy was asked.
    let chain = envoy["filter_chain"].is_null() || outcome["filter_chain"] == envoy["filter_chain"];
    chain && COMPARED.iter().all(|field| outcome[field] == envoy[field])
}

/// What the dump can't tell: what a name resolves to.
fn is_unresolved(reason: &str) -> bool {
    reason.contains("DNS") || reason.contains("dynamic forward proxy")
}

#[test]
fn the_tracer_contradicts_istios_tests_only_where_envoy_does() {
    let Some(cases) = cases() else { return };
    let known = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/simulation/disagreements.jsonl"));
    let known = lines(&known).map(|line| ((text(&line["case"]), text(&line["id"]), text(&line["field"])), line));
    let known: BTreeMap<Place, Value> = known.collect();
    let (mut requests, mut unknown, mut seen, mut wrong) = (0, 0, BTreeSet::new(), Vec::new());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let answers = trace(&case);
        for line in lines(&read(&case.join("expected.jsonl"))) {
            requests += 1;
            let id = text(&line["id"]);
            let place = format!("{name} {id} ({})", text(&line["test"]));
            let Some(answer) = answers.get(&id) else {
                wrong.push(format!("{place}: no answer"));
                continue;
            };
            let reasons = list(&answer["unknown"]).iter().map(text);
            wrong.extend(reasons.filter(|reason| !is_unresolved(reason)).map(|reason| format!("{place}: {reason}")));
            unknown += usize::from(!list(&answer["unknown"]).is_empty());
            for outcome in list(&answer["outcomes"]) {
                for (field, expected) in judge(&line["expected"], outcome) {
                    let key = (name.clone(), id.clone(), field.to_owned());
                    if known.get(&key).is_none_or(|known| known["expected"] != expected) {
                        wrong.push(format!("{place}: {field} isn't {expected} in {outcome}"));
                    }
                    seen.insert(key);
                }
            }
            let settled = known.iter().filter(|((case, request, _), _)| *case == name && *request == id);
            for (_, known) in settled {
                if !list(&answer["outcomes"]).iter().any(|outcome| is_what_envoy_did(outcome, &known["envoy"])) {
                    wrong.push(format!("{place}: Envoy showed {}, the answer is {answer}", known["envoy"]));
                }
            }
        }
    }
    wrong.extend(known.keys().filter(|key| !seen.contains(*key)).map(|key| format!("{key:?} disagrees no more")));
    eprintln!("{requests} requests, {unknown} unknown, {} fields that Envoy decided", seen.len());
    assert!(requests > 0, "no requests");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
