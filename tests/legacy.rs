//! Names of API v2 lead to messages that v3 has.
//!
//! The tables are in `../shared`, which is not part of the repository: without them this test says so and passes.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test reads its own data and fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;

use xdsight::dump::type_of;
use xdsight::proto::Any;

/// Full names of the messages of a table.
fn messages(table: &str) -> Option<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/spec").join(table);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("left out: {} is not there", path.display());
        return None;
    };
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    Some(rows.filter(|row| row[0] == "field" || row[0] == "message").map(|row| row[1].to_owned()).collect())
}

/// Envoy has these in v2 only: services and what they send don't stand in a dump, and dummies hold nothing.
fn is_gone(name: &str) -> bool {
    ["envoy.service.", "envoy.data.", "envoy.annotations."].iter().any(|package| name.starts_with(package))
        || name.ends_with("Dummy")
        // The protocol itself, and what it carries, isn't part of a dump either.
        || ["Discovery", "envoy.api.v2.Resource"].iter().any(|part| name.contains(part))
}

#[test]
fn every_older_message_has_a_v3_name() {
    let (Some(old), Some(new)) = (messages("envoy-api-2020.tsv"), messages("envoy-api.tsv")) else { return };
    let mut wrong = Vec::new();
    for name in old.iter().filter(|name| name.starts_with("envoy.") && !name.contains(".v3") && !is_gone(name)) {
        let any = Any { type_url: format!("type.googleapis.com/{name}"), value: Default::default() };
        let lifted = type_of(&any);
        if !new.contains(lifted.as_ref()) && !old.contains(lifted.as_ref()) || lifted == *name {
            wrong.push(format!("{name} -> {lifted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
