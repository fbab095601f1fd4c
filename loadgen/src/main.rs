//! `loadgen`: the command line over the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use shingle_loadgen::cli::Cli;
use shingle_loadgen::commands;
use shingle_store::counting::CountingAllocator;

/// Counts allocations, so that a server inside this process can show that its read path makes none.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    match commands::run(&Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::from(2)
        }
    }
}
