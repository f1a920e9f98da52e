//! Tables of `proxy-config` against what istioctl prints for the same dumps (`../shared/goldens/istioctl-dumps`, where
//! that is present).

#![expect(clippy::disallowed_methods, reason = "a test reads its cases")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Time at which istioctl judged the certificates.
const AS_OF: &str = "2026-11-23T16:00:00Z";

/// Dumps for which our tables say more than istioctl's, on purpose: a filter is known by its type, also where it was
/// given another name.
const RENAMED_FILTERS: &[&str] = &["086-envoy1.19-osm-curl-egress"];

/// Whether a case is one of a table that we mean to print byte for byte.
fn is_table(dump: &str, arguments: &[&str]) -> bool {
    let is_text = !arguments.contains(&"json") && !arguments.contains(&"yaml");
    let is_ours = match arguments.get(1).copied() {
        Some("cluster" | "route" | "secret") => true,
        Some("listener") => !RENAMED_FILTERS.iter().any(|name| dump.contains(name)),
        // Without -o it is JSON there.
        Some("bootstrap") => arguments.contains(&"short"),
        // Of a dump istioctl shows no endpoints at all.
        Some("endpoint") => dump.contains("/admin/"),
        _ => false,
    };
    is_text && is_ours
}

#[test]
fn tables_are_those_of_istioctl() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let goldens = shared.join("goldens/istioctl-dumps");
    let Ok(cases) = fs::read_to_string(goldens.join("cases.jsonl")) else { return };
    let (mut compared, mut failed) = (0, Vec::new());
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let dump = case["dump"].as_str().unwrap();
        let arguments: Vec<&str> = case["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let Some(expected) = case["stdout"].as_str() else { continue };
        if arguments.first() != Some(&"proxy-config") || !is_table(dump, &arguments) {
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_xdsight"));
        command.args(&arguments[..2]).arg("-f").arg(shared.join(dump)).args(&arguments[2..]);
        if arguments[1] == "secret" {
            command.args(["--as-of", AS_OF]);
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
        compared += 1;
        if output.stdout != fs::read(goldens.join(expected)).unwrap() {
            failed.push(format!("{dump} {}", arguments.join(" ")));
        }
    }
    assert!(compared > 300, "only {compared} cases were compared");
    assert!(failed.is_empty(), "{} of {compared} differ:\n{}", failed.len(), failed.join("\n"));
}
