//! The commands of `netlab`.

mod list;
mod pauses;
mod report;
mod run;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shingle_netlab::lab;

/// Small networks on this machine, with real packets: hosts in namespaces, joined through a router that loses, limits and delays.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The topologies: what each does, its parameters, the story it stands for
    List {
        /// One of them, in full; else all, in short
        topology: Option<String>,
    },
    /// Runs a command in the client host of a network
    Run(run::Arguments),
    /// What rate a laboratory on this machine carries without losing or delaying anything by itself
    Range,
    /// Removes what killed laboratories left; the next `run` does so too
    Clean,
}

/// Runs the command; its exit status.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    match cli.command {
        Command::List { topology } => list::list(topology.as_deref())?,
        Command::Run(arguments) => return run::run(&arguments),
        Command::Range => {
            lab::prepare_process()?;
            println!("{}", lab::range()?);
        }
        Command::Clean => {
            lab::prepare_process()?;
            for name in lab::clean()? {
                println!("removed {name}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
