//! What is fuzzed, and what must hold whatever comes: one module a target, each a function of bytes.
//!
//! The targets in `fuzz_targets/` only hand the fuzzer's bytes over; `tests/seeds.rs` hands over the committed seeds, without a fuzzer.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod client;
mod messages;
pub mod parser;
pub mod reassembly;
pub mod search;
pub mod server;
mod values;
