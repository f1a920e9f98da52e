//! Any bytes as a dump: `cargo +nightly fuzz run load`. What is checked stands in `tests/fuzz/`, whose tests run the findings again.

#![no_main]

#[path = "../../tests/fuzz/load.rs"]
mod load;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| load::run(bytes));
