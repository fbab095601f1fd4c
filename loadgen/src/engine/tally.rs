//! The ledger of one worker and stage: counts, distributions and the list of lost reads, in memory taken before the stage.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::StageSpec;
use super::population;
use super::stalls::StallLog;
use super::timing::{Sample, Timing, histogram};
use crate::attribution::{Counts, Loss, Population, Symptom};
use crate::limits;

/// Largest value size of each class; the last takes the rest. 1456 is what fits one datagram at path MTU 1500.
pub(super) const SIZE_CLASSES: [u64; 9] = [64, 256, 512, 1024, 1456, 4096, 16_384, 65_536, u64::MAX];

/// What one worker saw in one stage.
pub struct Tally {
    /// Reads scheduled.
    pub scheduled: u64,
    /// Reads answered rightly and in time.
    pub answered: u64,
    /// Of them, misses.
    pub misses: u64,
    /// Reads that lost something on the first try.
    pub first_try_lost: u64,
    /// Reads whose first exchange lost nothing, but was late, and so was asked for again in part or whole.
    pub asked_needlessly: u64,
    /// Reads without a right answer in time.
    pub failed: u64,
    /// Of them, those with other bytes than stored.
    pub wrong: u64,
    /// Bytes of values delivered.
    pub value_bytes: u64,
    /// Reads issued after the stage's time was over.
    pub backlog: u64,
    /// How long reads took.
    pub timing: Timing,
    /// How reads ended over time.
    pub intervals: Vec<Counts>,
    /// How reads ended whose answer, in one datagram, is longer than the path carries whole.
    pub above_path: Counts,
    /// Figures by size class.
    pub by_size: Vec<SizeTally>,
    /// How all reads ended by size, time and flow.
    pub population: Population,
    /// Each read lost on the first try, up to a bound.
    pub losses: Vec<Loss>,
    /// Lost reads beyond the list: on the first try, and of them failed.
    pub unlisted: (u64, u64),
    /// Late answers of listed losses: flow and sequence to residence.
    pub late: Vec<(u32, u32, Option<u64>)>,
    /// Allocations its thread made from the first read to the last; 0 also where nobody counts them.
    pub allocations: u64,
    /// CPU time the worker used, ns; of several the busiest one's.
    pub cpu_ns: u64,
    /// CPU time of all workers without that in which they only looked for something to do, ns.
    pub work_ns: u64,
    /// CPU time in which all workers only looked for something to do, ns.
    pub spun_ns: u64,
    /// Time it ran, ns.
    pub wall_ns: u64,
    /// When it was cut short, from the start of the stage, ns.
    pub cut_ns: Option<u64>,
    /// Length of an interval, ns.
    pub interval_ns: u64,
    start_ns: u64,
    path_datagram_bytes: usize,
    books: bool,
}

/// Figures of one size class.
#[derive(Clone)]
pub struct SizeTally {
    /// How reads ended.
    pub counts: Counts,
    /// Latency to two digits.
    pub latency: Histogram<u64>,
}

/// How one read ended, ready for the books.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Index of the flow within the worker.
    pub(super) flow_index: usize,
    /// Size of the item's value.
    pub(super) value_bytes: usize,
    /// Its times.
    pub(super) sample: Sample,
    /// What was lost, if anything.
    pub(super) loss: Option<Loss>,
}

/// Length of an interval of a stage this long: at least a second, at most 120 of them.
fn interval_ns(duration_ns: u64) -> u64 {
    duration_ns.div_ceil(limits::INTERVALS_MAX).max(limits::INTERVAL_NS_MIN)
}

impl Tally {
    /// Takes all memory a stage of this length needs.
    pub fn new(spec: &StageSpec, flows: usize) -> Self {
        let StageSpec { start_ns, duration_ns, bound_ns, path_datagram_bytes, books, .. } = *spec;
        let interval_ns = interval_ns(duration_ns);
        let intervals = duration_ns.div_ceil(interval_ns).max(1) as usize;
        let size = SizeTally { counts: Counts::default(), latency: histogram(2) };
        Self {
            scheduled: 0,
            answered: 0,
            misses: 0,
            first_try_lost: 0,
            asked_needlessly: 0,
            failed: 0,
            wrong: 0,
            value_bytes: 0,
            backlog: 0,
            timing: Timing::new(bound_ns, start_ns, interval_ns, intervals),
            intervals: vec![Counts::default(); intervals],
            above_path: Counts::default(),
            by_size: vec![size; SIZE_CLASSES.len()],
            population: population::empty(duration_ns, flows),
            losses: Vec::with_capacity(limits::LOSSES_PER_THREAD_MAX),
            unlisted: (0, 0),
            late: Vec::with_capacity(limits::LOSSES_PER_THREAD_MAX),
            allocations: 0,
            cpu_ns: 0,
            work_ns: 0,
            spun_ns: 0,
            wall_ns: 0,
            cut_ns: None,
            interval_ns,
            start_ns,
            path_datagram_bytes,
            books,
        }
    }

    /// Books the end of a read; allocates nothing.
    pub(super) fn end(&mut self, end: &End, stalls: &StallLog) {
        match end.loss {
            Some(loss) if loss.failed => self.failed += 1,
            _ => self.answered += 1,
        }
        if let Some(loss) = end.loss {
            self.first_try_lost += 1;
            if self.books && self.losses.len() < limits::LOSSES_PER_THREAD_MAX {
                self.losses.push(loss);
            } else {
                self.unlisted.0 += 1;
                self.unlisted.1 += u64::from(loss.failed);
            }
        }
        let last = self.intervals.len() - 1;
        let since_start = end.sample.intended_ns.saturating_sub(self.start_ns);
        let loss = end.loss.as_ref();
        if self.books {
            let latency_ns = end.sample.latency_ns;
            self.population.end(end.flow_index, since_start, end.value_bytes, latency_ns, loss);
        }
        self.intervals[last.min((since_start / self.interval_ns) as usize)].add(loss);
        if end.value_bytes + limits::ANSWER_OVERHEAD_BYTES as usize > self.path_datagram_bytes {
            self.above_path.add(loss);
        }
        let class = SIZE_CLASSES.partition_point(|max| *max < end.value_bytes as u64);
        self.by_size[class].counts.add(loss);
        self.by_size[class].latency.saturating_record(end.sample.latency_ns);
        self.timing.end(end.sample, stalls);
    }

    /// Notes that an answer came after its read had timed out.
    pub(super) fn late(&mut self, flow: u32, sequence: u32, residence_ns: Option<u64>) {
        if self.late.len() < limits::LOSSES_PER_THREAD_MAX {
            self.late.push((flow, sequence, residence_ns));
        }
    }

    /// Adds another worker's tally of the same stage; its flows follow this one's.
    pub fn merge(&mut self, other: Self) {
        self.scheduled += other.scheduled;
        self.answered += other.answered;
        self.misses += other.misses;
        self.first_try_lost += other.first_try_lost;
        self.asked_needlessly += other.asked_needlessly;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.value_bytes += other.value_bytes;
        self.backlog += other.backlog;
        self.unlisted.0 += other.unlisted.0;
        self.unlisted.1 += other.unlisted.1;
        self.allocations += other.allocations;
        self.cpu_ns = self.cpu_ns.max(other.cpu_ns);
        self.work_ns += other.work_ns;
        self.spun_ns += other.spun_ns;
        self.wall_ns = self.wall_ns.max(other.wall_ns);
        self.cut_ns = self.cut_ns.max(other.cut_ns);
        self.timing.merge(&other.timing);
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.merge(theirs);
        }
        self.above_path.merge(&other.above_path);
        for (mine, theirs) in self.by_size.iter_mut().zip(&other.by_size) {
            mine.counts.merge(&theirs.counts);
            mine.latency.add(&theirs.latency).expect("the same bounds");
        }
        self.population.merge(other.population);
        self.losses.extend(other.losses);
        self.late.extend(other.late);
    }

    /// Leaves out what never began of a stage that was cut short; how long that stage was, ns.
    pub fn cut_short(&mut self) -> Option<u64> {
        let after_ns = self.cut_ns?.max(1);
        let begun = after_ns.div_ceil(self.interval_ns) as usize;
        self.intervals.truncate(begun);
        self.timing.intervals.truncate(begun);
        self.population.cut_short(after_ns);
        Some(after_ns)
    }

    /// Tells requests of a flow that had no way to go from those that found a full queue. The sequences rise.
    pub(super) fn settle_unroutable(&mut self, flow: u32, sequences: &[u32]) {
        for loss in &mut self.losses {
            let refused = loss.flow == flow && loss.symptom == Symptom::NotSent;
            if refused && sequences.binary_search(&loss.sequence).is_ok() {
                loss.symptom = Symptom::NoRoute;
            }
        }
    }

    /// Whether the server's receipts may tell more of what was lost than the reads themselves.
    pub fn needs_receipts(&self) -> bool {
        self.losses.iter().any(|loss| loss.symptom.receipt_tells_more())
    }

    /// Lets reads whose answer came after all be late rather than silent.
    pub fn settle_late(&mut self) {
        let late: BTreeMap<_, _> =
            self.late.iter().map(|(flow, sequence, ns)| ((*flow, *sequence), *ns)).collect();
        for loss in &mut self.losses {
            if let Symptom::Silent { .. } = loss.symptom
                && loss.failed
                && let Some(residence_ns) = late.get(&(loss.flow, loss.sequence))
            {
                loss.symptom = Symptom::Late { residence_ns: *residence_ns };
            }
        }
    }
}
