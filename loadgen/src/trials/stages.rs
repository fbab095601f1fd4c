//! Experiments that are short stages of their own: at another rate, of small answers alone, on other flows. They enter no figures.

use std::time::Duration;

use super::{Outcome, icmp, pace, tps};
use crate::attribution::{Cause, Counts, FlowCounts};
use crate::engine::Pace;
use crate::error::Error;
use crate::limits;
use crate::progress::Progress;
use crate::record::Stage;
use crate::rig::Rig;
use crate::stage::StageResult;
use crate::workload::Among;

impl Rig {
    /// The same reads at this share of the rate.
    pub(super) fn rate_trial(&mut self, share: f64, stage: &Stage) -> Result<Outcome, Error> {
        let tps = tps(stage) * share.clamp(0.0, 1.0);
        self.short_stage(pace(tps), length(tps, stage))
    }

    /// The same rate of reads whose answers are at most so long.
    pub(super) fn small_only_trial(
        &mut self,
        answer_bytes_max: u32,
        stage: &Stage,
    ) -> Result<Outcome, Error> {
        let room = answer_bytes_max.saturating_sub(limits::ANSWER_OVERHEAD_BYTES) as usize;
        let items = self.space.items();
        let small = (0..items).filter(|item| self.space.value_bytes(*item) <= room).count();
        // Rejecting many draws for one read would make the generator late.
        if (small as f64) < limits::TRIAL_ITEM_SHARE_MIN * f64::from(items) {
            return Ok(Outcome::impossible(format!(
                "only {small} of the {items} items have answers of up to {answer_bytes_max} B, too few to read nothing else"
            )));
        }
        let among = Among::new(items, |item| self.space.value_bytes(item) <= room);
        self.load.restrict(Some(&among));
        let outcome = self.short_stage(pace(tps(stage)), length(tps(stage), stage));
        self.load.restrict(None);
        outcome
    }

    /// The same reads, few, on flows that were not there before.
    pub(super) fn other_flows_trial(&mut self, flows: usize, stage: &Stage) -> Result<Outcome, Error> {
        let flows = flows.clamp(1, limits::TRIAL_FLOWS_MAX);
        let tps = tps(stage).min(flows as f64 * limits::TRIAL_FLOW_TPS_MAX);
        self.on_new_flows(flows, |rig| rig.short_stage(pace(tps), length(tps, stage)))
    }

    /// A stage that nothing of the run's figures comes from. One that the laboratory or the generator spoilt is run once more.
    fn short_stage(&mut self, pace: Pace, length: Duration) -> Result<Outcome, Error> {
        let mut result = self.stage(pace, length, &Progress::new(true))?;
        if spoilt(&result).is_some() {
            result = self.stage(pace, length, &Progress::new(true))?;
        }
        if let Some(because) = spoilt(&result) {
            return Ok(Outcome::impossible(because));
        }
        let stage = &result.stage;
        let flow = |flow: &crate::record::FlowFigures| FlowCounts {
            flow: flow.flow,
            source_port: flow.source_port,
            server_port: flow.server_port,
            counts: Counts { reads: flow.reads, first_try_lost: flow.first_try_lost, failed: flow.failed },
            last_whole_ns: None,
        };
        Ok(Outcome {
            counts: Counts { reads: stage.sent, first_try_lost: stage.first_try_lost, failed: stage.failed },
            icmp: icmp(&stage.counters, stage.counters.contains_key("server.requests")),
            flows: stage.by_flow.iter().map(flow).collect(),
            ..Outcome::default()
        })
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
