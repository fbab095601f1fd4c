//! Fuzzes `shingle_fuzz::server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shingle_fuzz::server::run(data));
