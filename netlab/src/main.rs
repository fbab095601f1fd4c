//! `netlab`: the laboratory on the command line.
#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

use clap::Parser as _;

use command::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    command::run(cli).unwrap_or_else(|error| {
        eprintln!("netlab: {error}");
        ExitCode::from(2)
    })
}
