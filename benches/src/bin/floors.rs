//! Floor, ours and memcached in one run: `cargo run --release -p shingle-benches --bin floors`. See `docs/benchmarks.md`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use shingle_benches::floors::args::Args;
use shingle_store::counting::CountingAllocator;

// The servers that this program starts itself for count what their read path allocates, as `cache-server` does.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    Args::parse().run()
}
