//! Real dumps of many producers and ages load, and are counted right.
//!
//! The files are in `../shared`, which is not part of the repository: without it these tests say so and pass.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;
use xdsight::dump::{Proxy, Resource, State};
use xdsight::input::{self, Limits};
use xdsight::proto::Message;

/// A folder of `../shared`, or nothing, said aloud.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("left out: {} is not there", path.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn load(path: &Path) -> Result<Proxy, String> {
    let artifacts = input::read(&path.to_string_lossy(), Limits::default()).map_err(|e| e.to_string())?;
    Proxy::load(&artifacts).map_err(|e| e.to_string())
}

/// What is wrong with the resources of a proxy.
fn decode_all(proxy: &Proxy) -> Vec<String> {
    fn errors<T: Message>(resources: &[Resource<T>], out: &mut Vec<String>) {
        out.extend(resources.iter().filter(|r| r.has_body()).filter_map(|r| r.get().err()).map(ToString::to_string));
        // Only a listener that was never accepted has no text of its own.
        let bare = resources.iter().filter(|r| !r.has_body() && r.state != State::Error);
        out.extend(bare.map(|r| format!("{:?}: no text of the resource was found", r.origin())));
    }
    let mut out = Vec::new();
    errors(proxy.listeners(), &mut out);
    errors(proxy.routes(), &mut out);
    errors(proxy.scoped_routes(), &mut out);
    errors(proxy.clusters(), &mut out);
    errors(proxy.load_assignments(), &mut out);
    errors(proxy.secrets(), &mut out);
    errors(proxy.ecds(), &mut out);
    out.extend(proxy.bootstrap().and_then(Result::err).map(ToString::to_string));
    out
}

/// The counts of a dump, from its JSON alone.
fn count(dump: &Value) -> Value {
    let mut lists = std::collections::BTreeMap::<String, Vec<&Value>>::new();
    let sections: Vec<&Value> = match dump.get("configs") {
        Some(Value::Array(sections)) => sections.iter().collect(),
        Some(Value::Object(sections)) => sections.values().collect(),
        _ => vec![dump],
    };
    for section in sections {
        for (key, list) in section.as_object().into_iter().flatten() {
            if let Value::Array(entries) = list {
                lists.entry(snake(key)).or_default().extend(entries);
            }
        }
    }
    let of = |name: &str| lists.get(name).map_or(0, Vec::len);
    let with = |state: &str| {
        let has = |entry: &&&Value| entry.as_object().unwrap().keys().any(|key| snake(key) == state);
        lists.get("dynamic_listeners").map_or(0, |entries| entries.iter().filter(has).count())
    };
    serde_json::json!({
        "listeners": {
            "static": of("static_listeners"),
            "active": with("active_state") + of("dynamic_active_listeners"),
            "warming": with("warming_state") + of("dynamic_warming_listeners"),
            "draining": with("draining_state") + of("dynamic_draining_listeners"),
            "error": with("error_state"),
        },
        "routes": {"static": of("static_route_configs"), "dynamic": of("dynamic_route_configs")},
        "clusters": {
            "static": of("static_clusters"),
            "active": of("dynamic_active_clusters"),
            "warming": of("dynamic_warming_clusters"),
        },
        "endpoints": {"static": of("static_endpoint_configs"), "dynamic": of("dynamic_endpoint_configs")},
        "secrets": {
            "static": of("static_secrets"),
            "active": of("dynamic_active_secrets"),
            "warming": of("dynamic_warming_secrets"),
        },
        "scoped_routes": {"static": of("inline_scoped_route_configs"), "dynamic": of("dynamic_scoped_route_configs")},
        "ecds": of("ecds_filters"),
    })
}

fn snake(key: &str) -> String {
    key.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

/// Loads a dump, decodes all of it and compares the counts; gives what is wrong.
fn check_dump(path: &Path) -> Vec<String> {
    let proxy = match load(path) {
        Ok(proxy) => proxy,
        Err(error) => return vec![error],
    };
    let mut wrong = decode_all(&proxy);
    wrong.extend(proxy.warnings().iter().filter(|w| !w.contains("no known section")).cloned());
    let bytes = bytes(path);
    let dump: Value = serde_json::from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes)).unwrap();
    let (counted, expected) = (serde_json::to_value(proxy.counts()).unwrap(), count(&dump));
    if counted != expected {
        wrong.push(format!("{}: counted {counted}, but there are {expected}", path.display()));
    }
    wrong
}

#[track_caller]
fn check_all(paths: impl IntoIterator<Item = PathBuf>, check: impl Fn(&Path) -> Vec<String>) {
    let (mut files, mut wrong) = (0, Vec::new());
    for path in paths {
        files += 1;
        wrong.extend(check(&path).into_iter().map(|what| format!("{}: {what}", name(&path))));
    }
    eprintln!("{files} files");
    assert!(files > 0, "no files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn corpus_dumps_load_and_are_counted() {
    let Some(folder) = shared("corpus/config_dump") else { return };
    let sound = files(&folder).into_iter().filter(|path| !name(path).contains("malformed"));
    check_all(sound, check_dump);
}

#[test]
fn dumps_of_the_meshes_load_and_are_counted() {
    for mesh in ["mesh/base", "mesh-two-clusters"] {
        let Some(folder) = shared(mesh) else { return };
        let dumps = files(&folder.join("proxies")).into_iter().chain(files(&folder.join("expected")));
        check_all(dumps.filter(|path| name(path).ends_with(".json")), check_dump);
    }
}

#[test]
fn dumps_of_a_real_envoy_load_and_are_counted() {
    if let Some(folder) = shared("oracle/cases") {
        check_all(files(&folder).into_iter().filter(|path| name(path) == "config_dump.json"), check_dump);
    }
    if let Some(folder) = shared("states") {
        let other =
            ["warming-init_dump.json", "warming-server_info.json", "warming-clusters.json", "warming-listeners.json"];
        let dumps = files(&folder).into_iter().filter(|path| name(path).ends_with(".json"));
        check_all(dumps.filter(|path| !other.contains(&name(path).as_str())), check_dump);
    }
}

/// Resources as istioctl prints them and as control planes keep them: as many as there are elements.
#[test]
fn bare_resources_load() {
    let check = |path: &Path| match load(path) {
        Ok(proxy) => decode_all(&proxy),
        Err(error) => vec![error],
    };
    if let Some(folder) = shared("corpus/istioctl_output") {
        check_all(files(&folder), check);
    }
    if let Some(folder) = shared("corpus/envoy_gateway_xds") {
        check_all(files(&folder).into_iter().filter(|path| name(path).ends_with(".yaml")), check);
    }
}

#[test]
fn malformed_files_are_explained() {
    for (file, expected) in [
        ("corpus/config_dump/010-malformed-not-json.txt", ".txt:1: column 2: this is a Python literal"),
        ("corpus/admin/124-bootstrap-istio1.5.0-trailing-comma.txt", "trailing comma"),
    ] {
        let Some(path) = shared(file) else { return };
        let errors = load(&path).map_or_else(|error| vec![error], |proxy| decode_all(&proxy));
        assert!(errors.iter().any(|error| error.contains(expected)), "{file}: {errors:?}");
    }
}
