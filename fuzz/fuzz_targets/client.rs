//! Fuzzes `shingle_fuzz::client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shingle_fuzz::client::run(data));
