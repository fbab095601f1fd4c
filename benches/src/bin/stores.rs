//! Compares candidates for the cache's store: `cargo run --release -p shingle-benches --bin stores` (`--list` says what there is).
#![forbid(unsafe_code)]

use std::error::Error;

use clap::Parser;
use shingle_benches::stores::{options::Options, run};
use shingle_store::counting::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> Result<(), Box<dyn Error>> {
    run(&Options::parse())
}
