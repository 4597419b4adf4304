//! `cargo fuzz run scan`: harm to a log, chosen by the fuzzer. The claims are in the harness.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness.rs"]
mod harness;

fuzz_target!(|data: &[u8]| harness::harm_and_scan(data));
