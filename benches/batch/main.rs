//! How long a batch of 10,000 requests against one dump takes: through the library, and through the command.
//!
//! `DUMP=file cargo bench --bench batch` measures any dump; one that is much larger than 5 MB is thinned to that size.
//! Without `DUMP` the example in `testdata/` is measured, its services repeated to 5 MB. The requests are made of the
//! dump itself, always the same ones. `generated` are dumps of which each request has much to look at.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench reads its own data and fails by panicking"
)]

mod dump;
mod generated;
mod requests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xdsight::dump::Proxy;
use xdsight::input::{Source, recognise};
use xdsight::trace::{Request, Tracer};

/// Requests of a batch.
const REQUESTS: usize = 10_000;

fn load(bytes: &[u8]) -> Proxy {
    Proxy::load(&[recognise(Source::from_bytes("dump", bytes.to_vec())).unwrap()]).unwrap()
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Traces a batch as the command does: in order, with one tracer.
fn trace_all(proxy: &Proxy, requests: &[Request]) -> usize {
    Tracer::new(proxy).trace_all(requests).iter().map(|trace| trace.branches.len()).sum()
}

fn command(dump: &Path, requests: &Path, answers: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_xdsight"))
        .arg("trace")
        .arg(dump)
        .arg("--requests")
        .arg(requests)
        .args(["-o", "jsonl"])
        .stdout(File::create(answers).unwrap())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    // 1: a request isn't delivered.
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
}

fn benches(criterion: &mut Criterion) {
    let dump = dump::of_environment();
    let requests = requests::of(&load(&dump), REQUESTS);
    let (dump_file, requests_file) = (scratch("batch.config_dump.json"), scratch("batch.requests.jsonl"));
    std::fs::write(&dump_file, &dump).unwrap();
    std::fs::write(&requests_file, requests::as_lines(&requests)).unwrap();

    let mut group = criterion.benchmark_group("batch");
    group.sample_size(10).throughput(Throughput::Elements(requests.len() as u64));
    group.bench_function("library", |bench| bench.iter(|| trace_all(&load(&dump), &requests)));
    let answers = scratch("batch.answers.jsonl");
    command(&dump_file, &requests_file, &answers);
    let lines = std::fs::read_to_string(&answers).unwrap().lines().count();
    assert_eq!(lines, requests.len(), "a request without an answer");
    group.bench_function("command", |bench| bench.iter(|| command(&dump_file, &requests_file, &answers)));
    group.finish();

    let mut group = criterion.benchmark_group("generated");
    group.sample_size(10);
    for (name, dump, requests) in generated::all() {
        group.throughput(Throughput::Elements(requests.len() as u64));
        group.bench_function(name, |bench| bench.iter(|| trace_all(&load(&dump), &requests)));
    }
    group.finish();
}

criterion_group!(batch_benches, benches);
criterion_main!(batch_benches);
