//! Experiments that are short stages of their own: at another rate, of answers of one size, on other flows. They enter no figures.

use std::time::Duration;

use super::{Outcome, pace, tps};
use crate::attribution::{self, Books, Cause, Counts, FlowCounts};
use crate::engine::Pace;
use crate::error::Error;
use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::load::Load;
use crate::progress::Progress;
use crate::record::Stage;
use crate::rig::Rig;
use crate::seeding;
use crate::stage::StageResult;
use crate::workload::{Arrivals, ItemSpace, Sizing, ValueSpec};

impl Rig {
    /// The same reads at this share of the rate.
    pub(super) fn rate_trial(&mut self, share: f64, stage: &Stage) -> Result<Outcome, Error> {
        let tps = tps(stage) * share.clamp(0.0, 1.0);
        self.short_stage(pace(tps), length(tps, stage))
    }

    /// Reads at this share of the rate whose answers all have this UDP payload, of values made for it.
    pub(super) fn answers_of_trial(
        &mut self,
        bytes: u32,
        share: f64,
        stage: &Stage,
        before: &Books,
    ) -> Result<Outcome, Error> {
        let items = match made_items(&mut self.load, bytes, self.options.seed) {
            Ok(items) => items,
            Err(because) => return Ok(Outcome::impossible(because)),
        };
        let tps = tps(stage) * share.clamp(0.0, 1.0);
        let counts = share < 1.0;
        let length = if counts { limits::TRIAL_LENGTH_MAX } else { length(tps, stage) };
        // What comes regularly finds a small bucket in the same state each time, and many limits look alike.
        let arrivals = if counts { Arrivals::Poisson } else { self.options.arrivals };
        let own = std::mem::replace(&mut self.options.arrivals, arrivals);
        let done = self.on_items(&items, |rig| rig.short_stage_with_books(pace(tps), length));
        self.options.arrivals = own;
        if let Load::Shingle(target, _) = &mut self.load {
            seeding::remove(target, &items);
        }
        let (mut outcome, books) = done?;
        if let Some(books) = books {
            outcome.shown = attribution::fragment_limit(&books, before);
        }
        Ok(outcome)
    }

    /// The same reads, few, on flows that were not there before.
    pub(super) fn other_flows_trial(&mut self, flows: usize, stage: &Stage) -> Result<Outcome, Error> {
        let flows = flows.clamp(1, limits::TRIAL_FLOWS_MAX);
        let tps = tps(stage).min(flows as f64 * limits::TRIAL_FLOW_TPS_MAX);
        let others = self.on_new_flows(flows, |rig| rig.short_stage(pace(tps), length(tps, stage)))?;
        let own = self.short_stage(pace(tps), limits::TRIAL_LENGTH_MIN)?;
        Ok(Outcome { control: own.failed.is_none().then_some(own.counts), ..others })
    }

    fn short_stage(&mut self, pace: Pace, length: Duration) -> Result<Outcome, Error> {
        self.short_stage_with_books(pace, length).map(|(outcome, _)| outcome)
    }

    /// A stage that nothing of the run's figures comes from. One that the laboratory or the generator spoilt is run once more.
    fn short_stage_with_books(
        &mut self,
        pace: Pace,
        length: Duration,
    ) -> Result<(Outcome, Option<Books>), Error> {
        let mut result = self.stage(pace, length, &Progress::new(true))?;
        if spoilt(&result).is_some() {
            result = self.stage(pace, length, &Progress::new(true))?;
        }
        if let Some(because) = spoilt(&result) {
            return Ok((Outcome::impossible(because), None));
        }
        let stage = &result.stage;
        let flow = |flow: &crate::record::FlowFigures| FlowCounts {
            flow: flow.flow,
            source_port: flow.source_port,
            server_port: flow.server_port,
            counts: Counts { reads: flow.reads, first_try_lost: flow.first_try_lost, failed: flow.failed },
            last_whole_ns: None,
        };
        let outcome = Outcome {
            counts: Counts { reads: stage.sent, first_try_lost: stage.first_try_lost, failed: stage.failed },
            lost_up: result.books.as_ref().and_then(attribution::lost_up),
            flows: stage.by_flow.iter().map(flow).collect(),
            ..Outcome::default()
        };
        Ok((outcome, result.books.take()))
    }
}

/// Stores items whose answers have this UDP payload, under keys of their own; or says why there can be none.
fn made_items(load: &mut Load, answer_bytes: u32, seed: u64) -> Result<ItemSpace, String> {
    let Load::Shingle(target, _) = load else {
        return Err("values of another size are made on Shingle servers alone".to_owned());
    };
    if !target.welcome().may_update {
        return Err(
            "values of another size cannot be stored here (no right to update; give --token-file)".to_owned()
        );
    }
    let value_bytes_max = target.welcome().value_bytes_max;
    let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max };
    let value = ValueSpec::Fixed(answer_bytes.saturating_sub(ANSWER_OVERHEAD_BYTES).max(1));
    let items =
        ItemSpace::new(&value, limits::TRIAL_ITEMS, seed, sizing).map_err(|error| error.to_string())?;
    let items = items.under(limits::TRIAL_KEY_PREFIX, seeding::owner());
    match seeding::lend(target, &items, limits::TRIAL_KEYS_TTL_S) {
        Ok(()) => Ok(items),
        Err(error) => {
            seeding::remove(target, &items);
            Err(format!("values of another size could not be stored: {error}"))
        }
    }
}

/// Why a stage says nothing, if it does not.
fn spoilt(result: &StageResult) -> Option<String> {
    if result.server_gone {
        return Some("the server could not be asked any more".to_owned());
    }
    if result.stage.lab.as_ref().is_some_and(|lab| lab.has_spoiled(result.stage.sent)) {
        return Some("the laboratory lost or held up packets of its own".to_owned());
    }
    let own = result.stage.first_try_losses.get(&Cause::GeneratorLimited).copied().unwrap_or(0);
    (2 * own > result.stage.first_try_lost)
        .then(|| "the generator could not keep up, and lost most of the reads itself".to_owned())
}

/// Long enough that loss by chance, at the share that the stage lost, would show many times over.
fn length(tps: f64, stage: &Stage) -> Duration {
    let lost = stage.first_try_lost as f64 / stage.sent.max(1) as f64;
    let seconds = limits::TRIAL_LOSSES_WANTED / (lost * tps).max(f64::MIN_POSITIVE);
    Duration::from_secs_f64(
        seconds.clamp(limits::TRIAL_LENGTH_MIN.as_secs_f64(), limits::TRIAL_LENGTH_MAX.as_secs_f64()),
    )
}
