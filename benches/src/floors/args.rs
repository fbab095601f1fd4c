//! The command line of `floors`, and what it does.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde::Serialize;

use super::error::{Error, system};
use super::limits::{ROUND, ROUND_MS, ROUNDS, ROUNDS_MAX, ROUNDS_MIN, WARM_UP};
use super::report::RowReport;
use super::rows::{ROWS, Row};
use super::serve::Serve;
use super::setup::Setup;
use super::short;

/// Runs the bare floor, our server and memcached interleaved, and prints the table of targets.
#[derive(Debug, Parser)]
#[command(name = "floors", version)]
pub struct Args {
    #[command(subcommand)]
    serve: Option<Child>,
    /// Measure only this row; repeatable
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Interleaved rounds
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Milliseconds each contestant is measured in a round
    #[arg(long, default_value_t = ROUND.as_millis() as u64)]
    round_ms: u64,
    /// Leave memcached out
    #[arg(long)]
    without_memcached: bool,
    /// Write everything found to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Check counts instead of times, in seconds; fails where one is not as it should be
    #[arg(long, conflicts_with_all = ["only", "json"])]
    short: bool,
    /// Print the rows there are
    #[arg(long)]
    list: bool,
}

/// What the driver starts itself for.
#[derive(Debug, Subcommand)]
enum Child {
    /// Serve, as a child of the driver
    #[command(subcommand, hide = true)]
    Serve(Serve),
}

/// What is written as JSON.
#[derive(Serialize)]
struct Record<'a> {
    schema: &'static str,
    rounds: usize,
    round_ms: u64,
    server_cpu: usize,
    driver_cpu: usize,
    kernel: String,
    rows: &'a [RowReport],
}

impl Args {
    /// Does what was typed. Targets that are missed are no failure: the table says so. Counts that are not as they should be are.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.execute() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn execute(mut self) -> Result<bool, Error> {
        if let Some(Child::Serve(serve)) = self.serve.take() {
            return serve.run().map(|()| true);
        }
        if self.list {
            ROWS.iter().for_each(|row| println!("{:<16} {}", row.id, row.title));
            return Ok(true);
        }
        let range = |flag, found: u64, (min, max): (u64, u64)| {
            if (min..=max).contains(&found) { Ok(()) } else { Err(Error::Range { flag, found, min, max }) }
        };
        range("--rounds", self.rounds as u64, (ROUNDS_MIN as u64, ROUNDS_MAX as u64))?;
        range("--round-ms", self.round_ms, ROUND_MS)?;
        let rows = self.rows()?;
        // Minutes of measuring must not end on a file that cannot be written.
        let create =
            |path: &PathBuf| File::create(path).or_else(system(format!("writing {}", path.display())));
        let json = self.json.as_ref().map(create).transpose()?;
        let span = Duration::from_millis(self.round_ms);
        let setup = Setup::new(self.rounds, span, !self.without_memcached)?;
        if self.short {
            let violations = short::run(&setup)?;
            violations.iter().for_each(|violation| eprintln!("violated: {violation}"));
            return Ok(violations.is_empty());
        }
        println!(
            "{} interleaved rounds of {} ms each after {} ms of warm-up, servers on CPU {}, driver on CPU {}.\n\
             Medians of the rounds' ratios with their 95 % interval (order statistics). A target is missed when the whole interval lies below it.",
            self.rounds,
            self.round_ms,
            WARM_UP.as_millis(),
            setup.server_cpu,
            setup.driver_cpu
        );
        let mut reports = Vec::new();
        for row in rows {
            let report = row.run(&setup)?;
            report.print();
            reports.push(report);
        }
        self.summary(&reports);
        json.map_or(Ok(true), |file| self.write(file, &setup, &reports).map(|()| true))
    }

    fn rows(&self) -> Result<Vec<&'static Row>, Error> {
        let known = || ROWS.iter().map(|row| row.id).collect::<Vec<_>>().join(", ");
        for found in &self.only {
            if !ROWS.iter().any(|row| row.id == found) {
                return Err(Error::NoRow { found: found.clone(), rows: known() });
            }
        }
        let wanted = |row: &&Row| self.only.is_empty() || self.only.iter().any(|only| only == row.id);
        Ok(ROWS.iter().filter(wanted).collect())
    }

    fn summary(&self, reports: &[RowReport]) {
        let list = |of: &dyn Fn(&RowReport) -> bool| {
            reports.iter().filter(|row| of(row)).map(|row| row.id).collect::<Vec<_>>().join(", ")
        };
        let (missed, skipped) = (list(&RowReport::missed), list(&|row| row.skipped.is_some()));
        println!("\nmissed: {}", if missed.is_empty() { "none" } else { &missed });
        let undecided = list(&RowReport::undecided);
        if !undecided.is_empty() {
            println!("undecided, the A/A interval being too wide: {undecided}");
        }
        if !skipped.is_empty() {
            println!("skipped: {skipped}");
        }
        let disturbed = list(&|row| row.disturbed);
        if !disturbed.is_empty() {
            println!("disturbed by others, to be run again on a quiet machine: {disturbed}");
        }
        if self.without_memcached {
            println!("memcached was left out: its targets were not looked at");
        }
    }

    fn write(&self, file: File, setup: &Setup, rows: &[RowReport]) -> Result<(), Error> {
        let record = Record {
            schema: "shingle.floors/1",
            rounds: setup.rounds,
            round_ms: self.round_ms,
            server_cpu: setup.server_cpu,
            driver_cpu: setup.driver_cpu,
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            rows,
        };
        serde_json::to_writer_pretty(file, &record)
            .map_err(std::io::Error::from)
            .or_else(system("writing the record"))
    }
}
