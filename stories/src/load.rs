//! A load whose reads are known beforehand: which items they ask for, and so how long the answers are. What a stall of the machine spoilt
//! is measured again.

use std::time::Duration;

use shingle_loadgen::attribution::Cause;
use shingle_loadgen::error::Error;
use shingle_loadgen::limits::{ANSWER_OVERHEAD_BYTES, INVALID_REPEATS_MAX, WARM_UP};
use shingle_loadgen::record::Stage;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::workload::{KeySampler, KeySpec, Stream};

use crate::error::StoryError;
use crate::scene::{self, Scene};
use crate::telling::Telling;

/// Of a read: what is lost stays lost, and what comes late on a busy machine is not.
const TIMEOUT: &str = "1s";

/// Constant arrivals, uniform keys, one thread.
pub(crate) struct Load {
    pub(crate) rig: Rig,
    /// Draws what the generator's own sampler draws.
    draws: KeySampler,
}

/// A stage with what was known of it beforehand.
pub(crate) struct Measured {
    pub(crate) stage: Stage,
    /// UDP payload of the answer to each read in their order, were each one datagram.
    pub(crate) answers: Vec<usize>,
    /// What the caller's counter rose by.
    pub(crate) counted: f64,
}

impl Load {
    /// A load for the scene's server; `flags` are those of `loadgen run`.
    pub(crate) fn new(scene: &Scene, flags: &str) -> Result<Load, StoryError> {
        let rig = scene.rig(&format!("--arrivals constant --timeout {TIMEOUT} {flags}"))?;
        let draws = KeySampler::new(&KeySpec::Uniform, &rig.space, rig.options.seed, Stream::new(0, 1));
        Ok(Load { rig, draws: draws.map_err(Error::from)? })
    }

    /// Half a second in which path MTUs are learned and buckets emptied.
    pub(crate) fn warm_up(&mut self, tps: u32) -> Result<(), StoryError> {
        let stage = scene::stage(&mut self.rig, tps, WARM_UP)?;
        self.answers(stage.sent);
        Ok(())
    }

    /// A stage at this rate, `count` read before and after it. One that the machine spoilt is repeated; if all were, a note says so.
    pub(crate) fn measure(
        &mut self,
        telling: &mut Telling,
        (tps, duration): (u32, Duration),
        count: &dyn Fn() -> Result<f64, StoryError>,
    ) -> Result<Measured, StoryError> {
        unspoilt(telling, tps, |_| {
            let before = count()?;
            let stage = scene::stage(&mut self.rig, tps, duration)?;
            let answers = self.answers(stage.sent);
            Ok((Measured { answers, counted: count()? - before, stage: stage.clone() }, stage))
        })
    }

    fn answers(&mut self, reads: u64) -> Vec<usize> {
        let mut next = || self.rig.space.value_bytes(self.draws.next_item()) + ANSWER_OVERHEAD_BYTES as usize;
        (0..reads).map(|_| next()).collect()
    }
}

/// Measures again what the machine spoilt; if it did each time, a note says so.
pub(crate) fn unspoilt<T>(
    telling: &mut Telling,
    tps: u32,
    mut measure: impl FnMut(&mut Telling) -> Result<(T, Stage), StoryError>,
) -> Result<T, StoryError> {
    let mut repeats_left = telling.form().pick(INVALID_REPEATS_MAX, 2);
    loop {
        let (measured, stage) = measure(telling)?;
        if stage.valid && !stage.generator_limited {
            return Ok(measured);
        }
        telling.progress(&format!("{tps} reads/s: spoilt by a stall of this machine"));
        if repeats_left == 0 {
            telling.note(format!(
                "this machine stalled each time {tps} reads/s were tried: figures at this rate may be its own"
            ));
            return Ok(measured);
        }
        repeats_left -= 1;
    }
}

/// Failed reads, percent; without those that a generator short of CPU time did not send in time.
pub(crate) fn failures(stage: &Stage) -> f64 {
    let own = stage.losses.get(&Cause::GeneratorLimited).copied().unwrap_or(0);
    (stage.failed - own) as f64 * 100.0 / stage.sent.max(1) as f64
}

impl Measured {
    /// Failed reads, percent.
    pub(crate) fn failures(&self) -> f64 {
        failures(&self.stage)
    }

    /// Share of answers with more than `bytes` of UDP payload, percent.
    pub(crate) fn percent_above(&self, bytes: usize) -> f64 {
        let above = self.answers.iter().filter(|answer| **answer > bytes).count();
        above as f64 * 100.0 / self.answers.len().max(1) as f64
    }
}
