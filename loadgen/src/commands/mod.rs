//! The commands, and what they have in common at their end: writing the record, the page, the log and the table.

mod compare;
mod doctor;
mod qualify;
mod run;
mod seed;
mod show;
mod watch;

use std::fs;
use std::io::{self, Write as _};
use std::time::UNIX_EPOCH;

pub use qualify::{Qualified, qualify};
pub use run::{Measured, measure};

use crate::cli::{Cli, Command};
use crate::error::Error;
use crate::hdr;
use crate::options::Output;
use crate::progress;
use crate::record::{CauseReport, Record, SCHEMA, Stage, Verdict};
use crate::report::{html, terminal};
use crate::rig::Rig;

/// Runs what was typed; returns the exit status.
///
/// # Errors
/// Bad usage or failing set-up: exit status 2.
pub fn run(cli: &Cli) -> Result<u8, Error> {
    match &cli.command {
        Command::Seed(args) => seed::run(args),
        Command::Run(args) => run::run(args),
        Command::Qualify(args) => qualify::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Watch(args) => watch::run(args),
        Command::Report(args) => show::run(args),
    }
}

/// Puts a record together.
fn record(
    rig: &Rig,
    command: String,
    verdict: Verdict,
    stages: Vec<Stage>,
    (causes_tps, causes): (Option<f64>, Vec<CauseReport>),
) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        program: format!("shingle-loadgen {}", env!("CARGO_PKG_VERSION")),
        command,
        started_unix_s: rig.started().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        host: rig.host().clone(),
        server: rig.load.facts(),
        shared_namespace: rig.load.placement().shares_counters(),
        lab: rig.load.lab().map(|lab| lab.facts().clone()),
        slo: rig.options.slo,
        workload: rig.workload(),
        verdict,
        stages,
        causes_tps,
        causes,
        trials: Vec::new(),
        cold: None,
        baseline: None,
        comparison: None,
        strategies: Vec::new(),
    }
}

/// Prints to stdout; whoever closed it (a pager, `head`) does not want the rest. What a record has from elsewhere steers no terminal.
fn print_out(text: &str) -> Result<(), Error> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let text = text.replace(steers, "\u{fffd}");
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Prints the table, writes what was asked for, and tells the exit status.
fn finish(record: &Record, output: &Output, log: &hdr::Log) -> Result<u8, Error> {
    if !output.quiet {
        progress::say("");
    }
    // The table first: a full disk must not cost the result of minutes; nor must a full one behind stdout cost the files.
    let printed = print_out(&terminal::table(record));
    if let Some(path) = &output.json {
        let json = serde_json::to_string_pretty(record).expect("a record serialises");
        fs::write(path, json + "\n").map_err(|error| Error::file("write", path, error))?;
    }
    if let Some(path) = &output.html {
        fs::write(path, html::page(record)).map_err(|error| Error::file("write", path, error))?;
    }
    if let Some(path) = &output.hdr {
        log.write(path)?;
    }
    printed?;
    Ok(record.verdict.outcome.exit_status())
}
