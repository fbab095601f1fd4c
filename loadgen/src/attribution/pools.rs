//! Reads known to be lost in a direction, and the counters that may account for them.

use super::{Attribution, Cause, Direction, Loss};

/// Confidence in a cause that only a counter speaks for, when one counter alone rose.
const COUNTED_ALONE: f64 = 0.95;
/// The same when several counters rose and the reads had to be shared out between them.
const COUNTED_SHARED: f64 = 0.7;

/// Reads lost in one direction, not yet put down to a cause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    failed: u64,
    saved: u64,
}

/// A counter that rose, and the cause it speaks for.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    cause: Cause,
    count: u64,
    counter: &'static str,
    counts_reads: bool,
}

impl Suspect {
    pub(super) fn new(cause: Cause, count: u64, counter: &'static str) -> Self {
        Self { cause, count, counter, counts_reads: false }
    }

    /// A counter of reads, not of datagrams.
    pub(super) fn reads(cause: Cause, count: u64, counter: &'static str) -> Self {
        Self { cause, count, counter, counts_reads: true }
    }

    /// Where it lost reads of a pool of this direction: a generator that is the limit is so before it has sent and after it has received.
    fn direction(&self, pool: Direction) -> Direction {
        if self.cause == Cause::GeneratorLimited { Direction::Host } else { pool }
    }

    fn explains(&self, reads_per_datagram: u64) -> u64 {
        self.count * if self.counts_reads { 1 } else { reads_per_datagram }
    }
}

impl Pool {
    pub(super) fn add(&mut self, loss: &Loss) {
        if loss.failed { self.failed += 1 } else { self.saved += 1 }
    }

    /// Adds reads known by number only: (lost on the first try, of them failed).
    pub(super) fn add_counted(&mut self, (first_try_lost, failed): (u64, u64)) {
        self.failed += failed;
        self.saved += first_try_lost - failed;
    }

    pub(super) fn reads(&self) -> u64 {
        self.failed + self.saved
    }

    /// Moves up to `reads` of this pool to another, failed ones first: a read saved by a re-request is one whose request arrived.
    pub(super) fn split_off(&mut self, reads: u64, to: &mut Pool) {
        let taken = self.take(reads);
        to.failed += taken.failed;
        to.saved += taken.saved;
    }

    /// Shares the pool out over the suspects, never more to each than its counter says at this many reads to a datagram; the rest
    /// is unexplained.
    pub(super) fn settle(
        mut self,
        direction: Direction,
        suspects: &[Suspect],
        reads_per_datagram: u64,
        shares: &mut Attribution,
    ) {
        let risen: Vec<_> = suspects.iter().filter(|suspect| suspect.count > 0).collect();
        let counted: u64 = risen.iter().map(|suspect| suspect.explains(reads_per_datagram)).sum();
        let reads = self.reads();
        let confidence = if risen.len() == 1 { COUNTED_ALONE } else { COUNTED_SHARED };
        for (index, suspect) in risen.iter().enumerate() {
            let quota = if counted <= reads {
                suspect.explains(reads_per_datagram)
            } else if index + 1 == risen.len() {
                u64::MAX
            } else {
                (u128::from(reads) * u128::from(suspect.explains(reads_per_datagram)) / u128::from(counted))
                    as u64
            };
            let taken = self.take_evenly(quota);
            let evidence = format!("{} {}", suspect.count, suspect.counter);
            let confidence = if suspect.cause == Cause::Unexplained { 0.0 } else { confidence };
            taken.put(suspect.cause, suspect.direction(direction), confidence, evidence, shares);
        }
        let rest = self.take(u64::MAX);
        let evidence = format!("{} reads beyond what any counter of either host accounts for", rest.reads());
        rest.put(Cause::Unexplained, direction, 0.0, evidence, shares);
    }

    /// Takes failed and saved reads in their proportion: a counter does not say which of them it counted.
    fn take_evenly(&mut self, reads: u64) -> Pool {
        let reads = reads.min(self.reads());
        let share = u128::from(reads) * u128::from(self.failed);
        let failed = share.checked_div(u128::from(self.reads())).unwrap_or(0) as u64;
        let saved = reads - failed;
        self.failed -= failed;
        self.saved -= saved;
        Pool { failed, saved }
    }

    /// Takes failed reads first.
    fn take(&mut self, reads: u64) -> Pool {
        let failed = self.failed.min(reads);
        let saved = self.saved.min(reads - failed);
        self.failed -= failed;
        self.saved -= saved;
        Pool { failed, saved }
    }

    fn put(
        self,
        cause: Cause,
        direction: Direction,
        confidence: f64,
        evidence: String,
        shares: &mut Attribution,
    ) {
        if self.reads() == 0 {
            return;
        }
        let share = shares.entry((cause, direction)).or_default();
        share.reads += self.reads();
        share.failed += self.failed;
        share.confidence = share.confidence.max(confidence);
        share.evidence.push(evidence);
    }
}
