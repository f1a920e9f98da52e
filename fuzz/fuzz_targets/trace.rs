//! Any request on any configuration: `cargo +nightly fuzz run trace`. What is checked stands in `tests/fuzz/`, whose tests run the findings again.

#![no_main]

#[path = "../../tests/fuzz/generated.rs"]
mod generated;
#[path = "../../tests/fuzz/trace.rs"]
mod trace;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| trace::run(bytes));
