//! The command line: which runs are made, and what is said of them.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shingle_netlab::lab;

use crate::kept::Kept;
use crate::knee;
use crate::limits;
use crate::outcome::Outcome;
use crate::recipes::{self, Recipe};
use crate::score::Score;
use crate::score::judge::judge;
use crate::speech::{complain, say};
use crate::whole::{self, Planned};

/// How often attribution is right: makes runs drawn at random in laboratories whose causes are known, and compares what is named with what is true.
#[derive(Debug, Parser)]
#[command(name = "matrix", version, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 the targets are met, 1 not, 2 bad usage or set-up.")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show what runs are drawn from, and why.
    #[arg(long)]
    list: bool,
    /// Runs of each cause.
    #[arg(long, value_name = "N", default_value_t = 30)]
    runs_per_cause: u32,
    /// Runs in healthy networks.
    #[arg(long, value_name = "N", default_value_t = 100)]
    healthy: u32,
    /// Seed of all that is drawn; printed, and by default from the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Make a small fixed sample: one run of each cause, three healthy ones. For CI.
    #[arg(long, conflicts_with_all = ["seed", "runs_per_cause", "healthy"])]
    sample: bool,
    /// Make runs of this recipe alone (see --list).
    #[arg(long, value_name = "RECIPE")]
    only: Option<String>,
    /// Make one run again, as named in the lines of all: SEED:RECIPE:NUMBER.
    #[arg(long, value_name = "ID", conflicts_with_all = ["sample", "seed", "only"])]
    rerun: Option<String>,
    /// Print the commands of the runs instead of making them.
    #[arg(long)]
    commands: bool,
    /// Search for the knee several times in laboratories whose limit is known, and on this machine's own.
    #[arg(long, conflicts_with_all = ["sample", "seed", "only", "rerun"])]
    knee: bool,
    /// Write all outcomes and the score to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write wrong runs with their books to this directory.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attribute kept runs again, without a laboratory.
    Explain {
        /// Files that --keep wrote.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// What ends a program with exit status 2.
type Refused = Box<dyn std::error::Error>;

impl Args {
    /// Does what was typed.
    pub fn run(&self) -> ExitCode {
        self.obey().unwrap_or_else(|refused| {
            complain!("matrix: {refused}");
            ExitCode::from(2)
        })
    }

    fn obey(&self) -> Result<ExitCode, Refused> {
        if let Some(Command::Explain { files }) = &self.command {
            return explain(files);
        }
        if self.list {
            list();
            return Ok(ExitCode::SUCCESS);
        }
        if self.knee {
            begin()?;
            return Ok(ExitCode::from(u8::from(!knee::searched()?)));
        }
        let planned = self.planned()?;
        if self.commands {
            planned
                .iter()
                .for_each(|run| say!("{}\n  {}", run.id(), run.recipe.draw(run.seed, run.number).command()));
            return Ok(ExitCode::SUCCESS);
        }
        begin()?;
        let outcomes = whole::carry_out(&planned, self.keep.as_deref())?;
        self.tell(&outcomes)
    }

    fn planned(&self) -> Result<Vec<Planned>, Refused> {
        if let Some(id) = &self.rerun {
            let run = Planned::of_id(id).ok_or_else(|| {
                format!("`{id}` names no run; give SEED:RECIPE:NUMBER, such as 6:path_loss:0, with a recipe of --list")
            })?;
            return Ok(vec![run]);
        }
        let only = match &self.only {
            None => None,
            Some(name) => Some(Recipe::named(name).ok_or_else(|| {
                let names: Vec<_> = recipes::all().iter().map(|recipe| recipe.name).collect();
                format!("there is no recipe `{name}`; choose one of {}", names.join(", "))
            })?),
        };
        if self.sample {
            return Ok(whole::plan(limits::SAMPLE_SEED, 1, limits::SAMPLE_HEALTHY, only));
        }
        let by_clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let seed = self.seed.unwrap_or_else(by_clock);
        complain!("seed {seed}");
        Ok(whole::plan(seed, self.runs_per_cause, self.healthy, only))
    }

    fn tell(&self, outcomes: &[Outcome]) -> Result<ExitCode, Refused> {
        let score = Score::of(outcomes);
        if self.rerun.is_some() {
            outcomes.iter().for_each(|outcome| say!("{}", whole::details(outcome)));
        }
        say!("\n{score}");
        if let Some(path) = &self.json {
            let text =
                serde_json::to_string_pretty(&serde_json::json!({ "score": score, "runs": outcomes }))?;
            fs::write(path, text + "\n")
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        let wrong =
            outcomes.iter().filter(|outcome| outcome.not_judged.is_none() && !judge(outcome).right).count();
        let short = if self.sample {
            let mut short = Vec::new();
            // Runs that could not be made say nothing for it.
            if score.not_judged as usize > limits::SAMPLE_WRONG_MAX {
                short.push(format!("{} runs of the sample could not be judged", score.not_judged));
            }
            if wrong > limits::SAMPLE_WRONG_MAX {
                short.push(format!(
                    "{wrong} runs of the sample are wrong, more than {}",
                    limits::SAMPLE_WRONG_MAX
                ));
            }
            if score.accused.hits > 0 {
                short.push(format!("{} healthy runs are accused", score.accused.hits));
            }
            short
        } else {
            score.short_of()
        };
        short.iter().for_each(|what| say!("NOT MET: {what}"));
        Ok(ExitCode::from(u8::from(!short.is_empty())))
    }
}

/// Before any other thread: an ordinary user goes into namespaces of their own. Runs are drawn for two CPUs, one for each end: more of them
/// would give the server sockets that hold more than was drawn.
fn begin() -> Result<(), Refused> {
    lab::prepare_process()?;
    let cpus = shingle_udp::allowed_cpus()?;
    if cpus.len() > 2 {
        shingle_udp::keep_thread_to(&cpus[..2])?;
        complain!("runs take two CPUs: begin their commands with `taskset -c {},{}`", cpus[0], cpus[1]);
    }
    Ok(())
}

fn explain(files: &[PathBuf]) -> Result<ExitCode, Refused> {
    let outcomes = files
        .iter()
        .map(|file| Kept::read(file).map(|kept| kept.explained()))
        .collect::<Result<Vec<_>, _>>()?;
    for outcome in &outcomes {
        say!("{}", whole::line(outcome, &judge(outcome)));
        if let [_] = outcomes[..] {
            say!("{}", whole::details(outcome));
        }
    }
    say!("\n{}", Score::of(&outcomes));
    let wrong = outcomes.iter().any(|outcome| !judge(outcome).right);
    Ok(ExitCode::from(u8::from(wrong)))
}

fn list() {
    for recipe in recipes::all() {
        say!("{} ({})\n  {}.", recipe.name, recipe.topologies.join(", "), recipe.sentence);
        for range in recipe.ranges {
            say!("    {}: {} to {} {}: {}", range.what, range.low, range.high, range.unit, range.why);
        }
    }
    say!("all");
    for range in crate::ranges::OF_ALL {
        say!("    {}: {} to {} {}: {}", range.what, range.low, range.high, range.unit, range.why);
    }
}
