//! What is read of every kind of input, and what is said of those that are no dump: one snapshot a folder of
//! `testdata/input`.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test reads its own data and fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use xdsight::dump::{Proxy, Resource};
use xdsight::input::{self, Limits};
use xdsight::proto::Message;

#[test]
fn inputs_are_read_or_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/input");
    let cases = std::fs::read_dir(folder).unwrap();
    let mut cases: Vec<String> = cases.map(|case| case.unwrap().file_name().into_string().unwrap()).collect();
    cases.sort();
    for case in cases {
        let mut files = std::fs::read_dir(format!("testdata/input/{case}")).unwrap().map(|file| file.unwrap().path());
        let file = files.find(|file| file.file_stem().is_some_and(|name| name == "input" || name == "input.json"));
        let file = file.unwrap().to_string_lossy().into_owned();
        insta::with_settings!({
            snapshot_path => Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(format!("input-{case}"), describe(&file));
        });
    }
}

/// All that is said of an input and what is read of it.
fn describe(file: &str) -> String {
    let mut out = String::new();
    let artifacts = match input::read(file, Limits::default()) {
        Ok(artifacts) => artifacts,
        Err(error) => {
            writeln!(out, "error: {error}").unwrap();
            writeln!(out, "hint: {}", error.kind.hint().unwrap_or_default()).unwrap();
            return out;
        }
    };
    match Proxy::load(&artifacts) {
        Ok(proxy) => describe_proxy(&mut out, &proxy),
        Err(error) => {
            writeln!(out, "error: {error}").unwrap();
            writeln!(out, "hint: {}", error.hint.unwrap_or_default()).unwrap();
        }
    }
    out
}

fn describe_proxy(out: &mut String, proxy: &Proxy) {
    for warning in proxy.warnings() {
        writeln!(out, "warning: {warning}").unwrap();
    }
    if let Some(bootstrap) = proxy.bootstrap() {
        let id = bootstrap.map(|b| b.node.as_ref().map(|node| node.id.clone()).unwrap_or_default());
        writeln!(out, "bootstrap: {}", id.unwrap_or_else(ToString::to_string)).unwrap();
    }
    resources(out, proxy.listeners());
    resources(out, proxy.routes());
    resources(out, proxy.clusters());
    resources(out, proxy.load_assignments());
    let unmodelled = proxy.unmodelled();
    for (name, found) in unmodelled.types.iter().chain(&unmodelled.fields).chain(&unmodelled.values) {
        let first = found.first.clone();
        writeln!(out, "unknown: {name:?}, {} times, first at {first} {}", found.count, first.path()).unwrap();
    }
}

fn resources<T: Message>(out: &mut String, resources: &[Resource<T>]) {
    for resource in resources {
        let (kind, state, name, origin) = (resource.kind(), resource.state, &resource.name, resource.origin());
        writeln!(out, "{state} {kind} {name:?} at {origin} {}", origin.path()).unwrap();
        match resource.get() {
            Ok(message) if resource.type_url().is_some_and(|url| url.contains(".v2.")) => {
                writeln!(out, "  {}", serde_json::to_string(message).unwrap()).unwrap();
            }
            Ok(_) => {}
            Err(error) if resource.has_body() => writeln!(out, "  {error}").unwrap(),
            Err(_) => writeln!(out, "  has no body").unwrap(),
        }
    }
}
