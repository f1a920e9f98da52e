//! How long it takes to open a dump and to read one part of it.
//!
//! `DUMP=file cargo bench --bench load` measures any dump; without `DUMP` the example in `testdata/` is measured, its
//! entries repeated to the size of a large mesh.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a bench reads its own data")]

use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use xdsight::dump::Proxy;
use xdsight::input::{Artifact, Source, recognise};

/// How often the entries of the example are repeated: some 25 MB.
const TIMES: usize = 100;

fn dump() -> Artifact {
    let bytes = match std::env::var("DUMP") {
        Ok(file) => std::fs::read(file).unwrap(),
        Err(_) => repeated(),
    };
    recognise(Source::from_bytes("dump", bytes)).unwrap()
}

/// The example with each list of dynamic entries repeated under other names, in the layout of Envoy's answers.
fn repeated() -> Vec<u8> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/example/config_dump.json");
    let mut dump: Value = serde_json::from_slice(&std::fs::read(example).unwrap()).unwrap();
    let sections = dump.get_mut("configs").and_then(Value::as_array_mut).unwrap();
    for (name, list) in sections.iter_mut().filter_map(Value::as_object_mut).flatten() {
        if let Value::Array(entries) = list
            && name.starts_with("dynamic_")
        {
            let copies = |n: usize| entries.iter().map(move |entry| renamed(entry, n));
            *entries = (0..TIMES).flat_map(copies).collect();
        }
    }
    let mut out = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, layout);
    serde::Serialize::serialize(&dump, &mut serializer).unwrap();
    out
}

fn renamed(entry: &Value, n: usize) -> Value {
    let mut entry = entry.clone();
    for (key, value) in entry.as_object_mut().unwrap() {
        match value {
            Value::String(name) if key == "name" => name.push_str(&format!("-{n}")),
            Value::Object(body) => {
                for member in ["name", "cluster_name"] {
                    if let Some(Value::String(name)) = body.get_mut(member) {
                        name.push_str(&format!("-{n}"));
                    }
                }
            }
            _ => {}
        }
    }
    entry
}

fn load(artifact: &Artifact) -> Proxy {
    Proxy::load(std::slice::from_ref(artifact)).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let artifact = dump();
    let artifact = Artifact { source: Arc::clone(&artifact.source), ..artifact };
    let loaded = load(&artifact);
    let cluster = loaded.clusters().last().map(|cluster| cluster.name.clone()).unwrap_or_default();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20).throughput(Throughput::Bytes(artifact.source.bytes().len() as u64));
    group.bench_function("index", |bench| bench.iter(|| load(&artifact)));
    let fresh = || load(&artifact);
    group.bench_function("listeners", |bench| {
        let decode = |proxy: Proxy| proxy.listeners().iter().filter(|listener| listener.get().is_ok()).count();
        bench.iter_batched(fresh, decode, BatchSize::LargeInput);
    });
    group.bench_function("route tables", |bench| {
        let tables = |proxy: Proxy| {
            let routes = proxy.routes().iter().filter_map(|route| proxy.table_of(route)?.ok());
            routes.map(|table| table.virtual_hosts.len()).sum::<usize>()
        };
        bench.iter_batched(fresh, tables, BatchSize::LargeInput);
    });
    group.bench_function("cluster by name", |bench| {
        let find = |proxy: Proxy| proxy.cluster(&cluster).is_some_and(|found| found.get().is_ok());
        bench.iter_batched(fresh, find, BatchSize::LargeInput);
    });
    group.bench_function("load assignment by name", |bench| {
        let find = |proxy: Proxy| proxy.load_assignment(&cluster).is_some_and(|found| found.get().is_ok());
        bench.iter_batched(fresh, find, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(load_benches, benches);
criterion_main!(load_benches);
