//! The reads of a generator, known beforehand: which items it will draw, and how long their answers are.

use shingle_loadgen::error::Error;
use shingle_loadgen::limits::ANSWER_OVERHEAD_BYTES;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::workload::{ItemSpace, KeySampler, KeySpec, Stream};

use crate::error::StoryError;

/// The answers to the reads of a rig with one thread and uniform keys, in their order.
#[derive(Debug)]
pub(crate) struct Draws {
    space: ItemSpace,
    sampler: KeySampler,
}

impl Draws {
    /// Begins at the first read of a new rig.
    pub(crate) fn of(rig: &Rig) -> Result<Draws, StoryError> {
        let sampler = KeySampler::new(&KeySpec::Uniform, &rig.space, rig.options.seed, Stream::new(0, 1));
        Ok(Draws { space: rig.space.clone(), sampler: sampler.map_err(Error::from)? })
    }

    /// UDP payload of the answers to the next `reads` reads, were each one datagram.
    pub(crate) fn next(&mut self, reads: u64) -> Vec<usize> {
        let overhead = ANSWER_OVERHEAD_BYTES as usize;
        (0..reads).map(|_| self.space.value_bytes(self.sampler.next_item()) + overhead).collect()
    }
}

/// Share of answers with more than `bytes` of UDP payload, percent.
pub(crate) fn percent_above(answers: &[usize], bytes: usize) -> f64 {
    let above = answers.iter().filter(|answer| **answer > bytes).count();
    above as f64 * 100.0 / answers.len().max(1) as f64
}
