//! The distributions of a stage: latency, service time, slip and residence of the reads that no stall of the host fell into.
//!
//! A read is held back for some milliseconds after its end, until the stall watch has spoken for its time; then it enters the
//! distributions, or is counted as disturbed. Counts of reads and losses are not touched by this: they are the ledger's.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::stalls::StallLog;
use crate::limits::{HOLD_NS, HOLD_READS_MAX};

/// Latencies from 1 us to 100 s: 220 kB at three significant digits.
const RANGE_NS: (u64, u64) = (1_000, 100_000_000_000);

/// A histogram of nanoseconds that never grows.
pub(super) fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(RANGE_NS.0, RANGE_NS.1, digits)
        .expect("bounds and digits are constants in range")
}

/// The times of one read, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it was to be sent.
    pub(super) intended_ns: u64,
    /// When it ended.
    pub(super) ended_ns: u64,
    /// From the intended time; for a failed read its timeout.
    pub(super) latency_ns: u64,
    /// When its request was sent; 0 if it never was.
    pub(super) sent_ns: u64,
    /// Time in the server, if an answer told.
    pub(super) residence_us: Option<u32>,
    /// It was answered rightly and in time.
    pub(super) answered: bool,
}

/// Distributions of one worker and stage.
pub struct Timing {
    /// Latency from the send.
    pub service: Histogram<u64>,
    /// Send time less intended time.
    pub slip: Histogram<u64>,
    /// Time in the server.
    pub residence: Histogram<u64>,
    /// Latency from the intended time of all reads, disturbed ones included.
    pub with_stalls: Histogram<u64>,
    /// Latency from the intended time, over time.
    pub intervals: Vec<IntervalTiming>,
    bound_ns: u64,
    start_ns: u64,
    interval_ns: u64,
    held: VecDeque<Sample>,
}

/// One interval of a stage, by the reads' intended times.
#[derive(Clone)]
pub struct IntervalTiming {
    /// Latency from the intended time; failed reads count as their timeout.
    pub latency: Histogram<u64>,
    /// Reads that a stall of the host fell into, and which are in no distribution.
    pub disturbed: u64,
}

impl Timing {
    /// Takes all memory. `bound_ns` is the service level's bound on latency.
    pub(super) fn new(bound_ns: u64, start_ns: u64, interval_ns: u64, intervals: usize) -> Self {
        Self {
            service: histogram(3),
            slip: histogram(3),
            residence: histogram(3),
            with_stalls: histogram(3),
            intervals: vec![IntervalTiming { latency: histogram(3), disturbed: 0 }; intervals],
            bound_ns,
            start_ns,
            interval_ns,
            held: VecDeque::with_capacity(HOLD_READS_MAX),
        }
    }

    /// Takes the times of a read that ended; allocates nothing.
    pub(super) fn end(&mut self, sample: Sample, stalls: &StallLog) {
        self.with_stalls.saturating_record(sample.latency_ns);
        if self.held.len() == HOLD_READS_MAX {
            self.enter_oldest(stalls);
        }
        self.held.push_back(sample);
    }

    /// Lets reads in whose time the stall watch has spoken for.
    pub(super) fn settle(&mut self, now_ns: u64, stalls: &StallLog) {
        while self.held.front().is_some_and(|oldest| oldest.ended_ns + HOLD_NS <= now_ns) {
            self.enter_oldest(stalls);
        }
    }

    fn enter_oldest(&mut self, stalls: &StallLog) {
        let Some(sample) = self.held.pop_front() else { return };
        let index = (sample.intended_ns.saturating_sub(self.start_ns) / self.interval_ns) as usize;
        let last = self.intervals.len() - 1;
        let interval = &mut self.intervals[index.min(last)];
        // A stall that began when the read was over its bound already is not to blame.
        let blamed_until_ns = sample.ended_ns.min(sample.intended_ns + self.bound_ns);
        if stalls.felt_between(sample.intended_ns, blamed_until_ns) {
            interval.disturbed += 1;
            return;
        }
        interval.latency.saturating_record(sample.latency_ns);
        if sample.answered {
            self.service.saturating_record(sample.ended_ns.saturating_sub(sample.sent_ns));
        }
        if sample.sent_ns > 0 {
            self.slip.saturating_record(sample.sent_ns.saturating_sub(sample.intended_ns));
        }
        if let Some(us) = sample.residence_us {
            self.residence.saturating_record(u64::from(us) * 1000);
        }
    }

    /// Adds another worker's distributions of the same stage.
    pub(super) fn merge(&mut self, other: &Self) {
        let add = |mine: &mut Histogram<u64>, theirs| mine.add(theirs).expect("the same bounds");
        add(&mut self.service, &other.service);
        add(&mut self.slip, &other.slip);
        add(&mut self.residence, &other.residence);
        add(&mut self.with_stalls, &other.with_stalls);
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            add(&mut mine.latency, &theirs.latency);
            mine.disturbed += theirs.disturbed;
        }
    }

    /// Latency from the intended time over the whole stage.
    pub fn latency(&self) -> Histogram<u64> {
        let mut whole = histogram(3);
        for interval in &self.intervals {
            whole.add(&interval.latency).expect("the same bounds");
        }
        whole
    }

    /// Reads that a stall of the host fell into.
    pub fn disturbed(&self) -> u64 {
        self.intervals.iter().map(|interval| interval.disturbed).sum()
    }
}
