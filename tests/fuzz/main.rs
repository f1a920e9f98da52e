//! What fuzzing found stays found: runs every input under `testdata/fuzz/` again, on a plain compiler.
//!
//! `fuzz/` has the targets that make new ones; what they check stands here, a file for each.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reads its own data and fails by panicking"
)]

mod decode;
mod generated;
mod load;
mod messages;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Runs the inputs of a target, in the order of their names.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.display().to_string();
        if std::panic::catch_unwind(|| run(&bytes)).is_err() {
            panic!("{name} fails again");
        }
    }
}

#[test]
fn findings_of_load_are_mended() {
    replay("load", load::run);
}

#[test]
fn findings_of_decode_are_mended() {
    replay("decode", decode::run);
}

#[test]
fn findings_of_trace_are_mended() {
    replay("trace", trace::run);
}

/// Messages by full name, each with those that its fields hold.
fn parts(scope: &str, message: &DescriptorProto, all: &mut BTreeMap<String, Vec<String>>) {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.iter().for_each(|nested| parts(&name, nested, all));
    let held = message.field.iter().map(|field| field.type_name().trim_start_matches('.').to_owned());
    all.insert(name, held.collect());
}

/// A message that is a part of none of the list would never be fuzzed.
#[test]
fn every_message_is_decoded_by_some_input() {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    let mut all = BTreeMap::new();
    for file in FileDescriptorSet::decode(bytes).unwrap().file.iter().filter(|f| f.package() != "google.protobuf") {
        file.message_type.iter().for_each(|message| parts(file.package(), message, &mut all));
    }
    let mut open: Vec<String> = messages::all().into_iter().map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(held) = all.get(&name)
            && seen.insert(name)
        {
            open.extend(held.iter().cloned());
        }
    }
    let missing: Vec<&String> = all.keys().filter(|name| !seen.contains(*name)).collect();
    // No field holds it; it came with the manager's options.
    assert_eq!(missing.iter().filter(|name| !name.ends_with(".ForwardClientCertConfig")).count(), 0, "{missing:?}");
}

/// A generator whose requests all end at the door would find nothing.
#[test]
fn generated_requests_come_to_many_ends() {
    let mut state = 1_u64;
    let mut ends = BTreeMap::new();
    for _ in 0..600 {
        let bytes: Vec<u8> = (0..1200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let Some((request, dump)) = generated::case(&bytes) else { continue };
        let Some(proxy) = trace::load(dump) else { continue };
        for branch in trace::check(&proxy, &request).branches {
            *ends.entry(branch.outcome.disposition).or_insert(0) += 1;
        }
    }
    assert!(ends.len() >= 15, "{ends:?}");
}
