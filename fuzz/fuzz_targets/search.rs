//! Fuzzes `shingle_fuzz::search`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shingle_fuzz::search::run(data));
