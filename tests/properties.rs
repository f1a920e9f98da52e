//! Loading on generated, cut and damaged dumps: what is read is what a plain JSON parser reads, places are true, and
//! nothing panics.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reads its own data and fails by panicking"
)]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};
use xdsight::dump::{Origin, Proxy, Resource};
use xdsight::input::{Source, recognise};
use xdsight::proto::Message;

fn load(bytes: Vec<u8>) -> Option<Proxy> {
    let artifact = recognise(Source::from_bytes("dump", bytes)).ok()?;
    Proxy::load(&[artifact]).ok()
}

/// Decodes everything and asks for every place; gives the names of the resources in order.
fn touch_all(proxy: &Proxy) -> Vec<String> {
    fn touch<T: Message>(resources: &[Resource<T>], names: &mut Vec<String>) {
        for resource in resources {
            names.push(format!("{} {} {}", resource.kind(), resource.state, resource.name));
            let _ = resource.get().map_err(ToString::to_string);
            let _ = (resource.envelope(), resource.origin().line(), resource.origin().path(), resource.type_url());
        }
    }
    let mut names = Vec::new();
    touch(proxy.listeners(), &mut names);
    touch(proxy.routes(), &mut names);
    touch(proxy.scoped_routes(), &mut names);
    touch(proxy.clusters(), &mut names);
    touch(proxy.load_assignments(), &mut names);
    touch(proxy.secrets(), &mut names);
    touch(proxy.ecds(), &mut names);
    for route in proxy.routes() {
        if let Some(Ok(table)) = proxy.table_of(route) {
            for host in &table.virtual_hosts {
                let _ = (host.get().map_err(ToString::to_string), host.origin().map(|origin| origin.line()));
            }
        }
    }
    let _ = (proxy.bootstrap(), proxy.counts(), proxy.unmodelled(), proxy.warnings(), proxy.envoy_version());
    names
}

/// A real dump: that of the example in the README.
fn real_dump() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/example/config_dump.json")).unwrap()
}

/// The value at a JSON path such as `configs[1].static_clusters[0].cluster`.
fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).try_fold(root, |value, part| match part.strip_suffix(']') {
        Some(index) => value.get(index.parse::<usize>().ok()?),
        None => value.get(part),
    })
}

/// Texts with everything that could be taken for structure.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9|._-]{1,12}",
        r#"[\\\\"{}\[\],: \n\t/]{1,20}"#,
        "\\PC{0,8}",
        Just("\\\"}]".repeat(40)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn cluster() -> impl Strategy<Value = Value> {
    (text(), value(), any::<bool>()).prop_map(|(name, metadata, name_first)| {
        let kind = ("@type".to_owned(), json!("type.googleapis.com/envoy.config.cluster.v3.Cluster"));
        let metadata = ("metadata".to_owned(), json!({"filter_metadata": {"x": {"y": metadata}}}));
        let name = ("name".to_owned(), Value::from(name));
        let members = if name_first { [kind, name, metadata] } else { [metadata, kind, name] };
        Value::Object(Map::from_iter(members))
    })
}

/// A dump in one of the layouts that programs write.
fn dump() -> impl Strategy<Value = (Vec<Value>, Value, String)> {
    (prop::collection::vec(cluster(), 0..6), 0..4_usize, "[ \n]{0,3}").prop_map(|(clusters, layout, blanks)| {
        let entries: Vec<Value> =
            clusters.iter().map(|cluster| json!({"version_info": "1", "cluster": cluster})).collect();
        let dump = json!({"configs": [
            {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": entries},
            {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "version_info": "1"},
        ]});
        let text = match layout {
            0 => dump.to_string(),
            1 => serde_json::to_string_pretty(&dump).unwrap(),
            2 => serde_json::to_string_pretty(&dump).unwrap().replace('\n', "\r\n"),
            _ => serde_json::to_string_pretty(&dump).unwrap().replace("\n  ", "\n"),
        };
        (clusters, dump, blanks + &text)
    })
}

#[track_caller]
fn check_origin(origin: &Origin, text: &str, dump: &Value, expected: &Value) {
    assert_eq!(at(dump, &origin.path()), Some(expected), "{}", origin.path());
    let written: Value = serde_json::from_slice(&text.as_bytes()[origin.range()]).unwrap();
    assert_eq!(&written, expected);
    let line = text.as_bytes()[..origin.range().start].iter().filter(|b| **b == b'\n').count() + 1;
    assert_eq!(origin.line(), Some(line));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_sees_what_a_parser_sees((clusters, dump, text) in dump()) {
        let proxy = load(text.clone().into_bytes()).unwrap();
        prop_assert_eq!(proxy.clusters().len(), clusters.len());
        prop_assert_eq!(proxy.counts().clusters.active, clusters.len());
        for (resource, cluster) in proxy.clusters().iter().zip(&clusters) {
            prop_assert_eq!(&Value::from(resource.name.as_str()), cluster.get("name").unwrap());
            check_origin(&resource.origin(), &text, &dump, cluster);
            prop_assert_eq!(resource.envelope().version.as_deref(), Some("1"));
        }
        prop_assert!(proxy.warnings().is_empty(), "{:?}", proxy.warnings());
    }

    #[test]
    fn of_a_cut_dump_what_stands_before_the_cut_is_read((_, _, text) in dump(), cut in any::<Index>()) {
        let whole = touch_all(&load(text.clone().into_bytes()).unwrap());
        let cut = cut.index(text.len() + 1);
        if let Some(proxy) = load(text.as_bytes()[..cut].to_vec()) {
            let names = touch_all(&proxy);
            prop_assert!(whole.starts_with(&names), "{:?} isn't the start of {:?}", names, whole);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(proxy) = load(bytes) {
            touch_all(&proxy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cuts, copies and changes bytes of a real dump.
    #[test]
    fn damaged_dumps_are_read_or_refused(damage in prop::collection::vec((any::<Index>(), 0..4_u8, any::<u8>()), 1..8)) {
        let mut bytes = real_dump();
        for (place, kind, byte) in damage {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.truncate(place.max(1)),
                2 => drop(bytes.drain(place..(place + usize::from(byte)).min(bytes.len() - 1).max(place))),
                _ => bytes.insert(place, b"{}[]\",:\\"[usize::from(byte % 8)]),
            }
        }
        if let Some(proxy) = load(bytes) {
            touch_all(&proxy);
        }
    }
}

/// Every place that a real dump's resources name is there, in the file and in its JSON.
#[test]
fn origins_of_a_real_dump_resolve() {
    fn check<T: Message>(resources: &[Resource<T>], text: &str, dump: &Value) {
        for resource in resources.iter().filter(|resource| resource.has_body()) {
            let origin = resource.origin();
            let expected = at(dump, &origin.path()).unwrap_or_else(|| panic!("{} isn't there", origin.path()));
            check_origin(&origin, text, dump, expected);
        }
    }
    let text = String::from_utf8(real_dump()).unwrap();
    let dump: Value = serde_json::from_str(&text).unwrap();
    let proxy = load(text.clone().into_bytes()).unwrap();
    check(proxy.listeners(), &text, &dump);
    check(proxy.routes(), &text, &dump);
    check(proxy.clusters(), &text, &dump);
    check(proxy.load_assignments(), &text, &dump);
    check(proxy.secrets(), &text, &dump);
    for route in proxy.routes() {
        for host in &proxy.table_of(route).unwrap().unwrap().virtual_hosts {
            let origin = host.origin().unwrap();
            check_origin(&origin, &text, &dump, at(&dump, &origin.path()).unwrap());
        }
    }
}

/// Nesting that would overflow a stack, and keys that stand twice.
#[test]
fn hostile_shapes_are_read_or_refused() {
    let deep = 200_000;
    for text in [
        "[".repeat(deep),
        "{\"configs\":[".repeat(deep),
        format!("{{\"configs\":[{{\"static_clusters\":[{}", "{\"cluster\":".repeat(deep)),
        format!("{{\"configs\":[{{\"static_clusters\":[{{\"cluster\":{}{}}}]}}]}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{\"configs\":[{{\"configs\":[{}1{}]}}]}}", "{\"configs\":[".repeat(100), "]}".repeat(100)),
        "{\"configs\":[],\"configs\":[{\"static_clusters\":[{}],\"static_clusters\":[{}]}]}".to_owned(),
        "{\"static_resources\":".repeat(deep),
        "{\"bootstrap\":".repeat(deep),
        "- ".repeat(2000),
        format!("a: {}", "[".repeat(2000)),
    ] {
        if let Some(proxy) = load(text.into_bytes()) {
            touch_all(&proxy);
        }
    }
    let twice = load(
        br#"{"static_clusters":[{"cluster":{"name":"a"}}],"static_clusters":[{"cluster":{"name":"b"}}]}"#.to_vec(),
    );
    assert_eq!(touch_all(&twice.unwrap()), ["cluster static a", "cluster static b"]);
}
