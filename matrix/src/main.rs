//! `matrix`: the command line over the library.
#![forbid(unsafe_code)]

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use shingle_matrix::args::Args;
use shingle_store::counting::CountingAllocator;

/// Counts allocations, so that the servers inside this process can show that their read path makes none.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let args = Args::parse();
    // What servers inside this process have to say when something is wrong.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    args.run()
}
