//! Fuzzes `shingle_fuzz::reassembly`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shingle_fuzz::reassembly::run(data));
