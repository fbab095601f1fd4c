//! `loadgen`: the command line over the library.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use shingle_loadgen::cli::Cli;
use shingle_loadgen::commands;
use shingle_store::counting::CountingAllocator;

/// Counts allocations, so that a server inside this process can show that its read path makes none.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there is any other thread: an ordinary user goes into namespaces of their own.
    if cli.wants_lab()
        && let Err(error) = shingle_netlab::lab::prepare_process()
    {
        return refuse(&error);
    }
    // What a server inside this process has to say when something is wrong.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    commands::run(&cli).map_or_else(|error| refuse(&error), ExitCode::from)
}

/// Bad usage or failing set-up.
fn refuse(error: &dyn Error) -> ExitCode {
    eprintln!("loadgen: {error}");
    ExitCode::from(2)
}
