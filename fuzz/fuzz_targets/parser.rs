//! Fuzzes `shingle_fuzz::parser`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shingle_fuzz::parser::run(data));
