//! Carries a drawn run out: as `loadgen run` would with the same arguments, inside this process, again where the machine disturbed it.

use std::time::Instant;

use clap::Parser as _;
use shingle_loadgen::attribution::Books;
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::commands::{self, Measured};

use crate::limits;
use crate::outcome::{Named, Outcome};
use crate::scenario::Scenario;
use crate::truth;

/// Runs a scenario until it was not disturbed, or a few times.
pub fn out(id: String, recipe: &str, scenario: Scenario) -> (Outcome, Option<Books>) {
    let mut outcome = Outcome {
        command: scenario.command(),
        id,
        recipe: recipe.to_owned(),
        scenario,
        seconds: 0.0,
        not_judged: None,
        reads: 0,
        lost: 0,
        named: Vec::new(),
        truth: Vec::new(),
    };
    let mut books = None;
    for _ in 0..=limits::REPEATS_MAX {
        let begin = Instant::now();
        let measured = measure(&outcome.scenario);
        outcome.seconds = begin.elapsed().as_secs_f64();
        match measured {
            Ok(measured) => {
                outcome.take(&measured);
                books = measured.result.books;
            }
            Err(error) => outcome.not_judged = Some(error),
        }
        if outcome.not_judged.is_none() {
            break;
        }
    }
    (outcome, books)
}

fn measure(scenario: &Scenario) -> Result<Measured, String> {
    let words = ["loadgen".to_owned()].into_iter().chain(scenario.arguments()).chain(["--quiet".to_owned()]);
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::Run(run) = cli.command else { return Err("not a run".to_owned()) };
    commands::measure(&run).map_err(|error| error.to_string())
}

impl Outcome {
    fn take(&mut self, measured: &Measured) {
        let (stage, causes) = (&measured.result.stage, &measured.result.causes);
        (self.reads, self.lost) = (stage.sent, stage.first_try_lost);
        let named = causes.iter().map(|cause| Named {
            cause: cause.cause,
            direction: cause.direction,
            reads: cause.reads,
            confidence: cause.confidence,
            evidence: cause.evidence.clone(),
            estimates: cause.estimate.clone(),
        });
        self.named = named.collect();
        let counters = stage.lab.as_ref().map(|lab| lab.counters.clone()).unwrap_or_default();
        self.truth = truth::of(&self.scenario, &counters, self.lost, &stage.by_flow);
        let struck = self.scenario.is_healthy() || self.lost >= limits::LOST_JUDGED_MIN;
        self.not_judged = if !stage.valid {
            Some(stage.invalid_because.join("; "))
        } else if !struck {
            Some(format!("the cause did not strike: {} reads lost", self.lost))
        } else {
            None
        };
    }
}
