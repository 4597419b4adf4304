//! `cargo fuzz run request`: messages from outside. The claims are in the harness.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../harness.rs"]
mod harness;

fuzz_target!(|data: &[u8]| harness::read(data));
