//! Any JSON as any message: `cargo +nightly fuzz run decode`. What is checked stands in `tests/fuzz/`, whose tests run the findings again.

#![no_main]

#[path = "../../tests/fuzz/decode.rs"]
mod decode;
#[path = "../../tests/fuzz/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decode::run(bytes));
