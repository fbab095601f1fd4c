//! The stall watch: idle threads, one on each CPU in use, that sleep for short times and note when they slept too long.
//!
//! What they see is the host's doing (a virtual machine taken off its CPU, a busy kernel thread, another process), not the service's: a
//! thread that sleeps is woken before one that works. Reads that a stall fell into do not enter the distributions
//! ([`super::timing`]).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use shingle_udp::{monotonic_ns, pin_thread_to, tighten_timer_slack};

use crate::limits::{STALL_WATCH_SLEEP, STALLS_MAX};

/// One stall: start and length in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the watching thread went to sleep.
    pub start_ns: u64,
    /// How much longer it slept than asked.
    pub length_ns: u64,
}

/// The stalls of a stage, as they are seen: written by the watching threads, read by the workers without a lock.
pub struct StallLog {
    shortest_ns: u64,
    longest_ns: AtomicU64,
    taken: AtomicUsize,
    /// Start and length; a length of 0 is not written yet.
    entries: Box<[(AtomicU64, AtomicU64)]>,
}

impl Stall {
    /// Whether a read between these times felt it. After a stall as long again goes by until what waited is worked off; at half
    /// load that is just what it takes.
    fn felt_between(&self, from_ns: u64, to_ns: u64) -> bool {
        from_ns <= self.start_ns + 2 * self.length_ns && to_ns >= self.start_ns
    }
}

impl StallLog {
    /// An empty log for stalls of at least this length.
    pub fn new(shortest_ns: u64) -> Self {
        let entries = (0..STALLS_MAX).map(|_| Default::default()).collect();
        Self { shortest_ns, longest_ns: AtomicU64::new(0), taken: AtomicUsize::new(0), entries }
    }

    /// Whether a stall was felt between these times.
    pub fn felt_between(&self, from_ns: u64, to_ns: u64) -> bool {
        // Newest first. A stall is noted when it ends and felt until as long again, by those noted before it no later than the
        // longest of them is: one that ended that long before the read ends the look.
        let longest_ns = self.longest_ns.load(Ordering::Relaxed) + STALL_WATCH_SLEEP.as_nanos() as u64;
        let noted_ns = |stall: &Stall| stall.start_ns + stall.length_ns + longest_ns;
        let recent = self.iter().rev().take_while(|stall| noted_ns(stall) >= from_ns);
        recent.take(RECENT_MAX).any(|stall| stall.felt_between(from_ns, to_ns))
    }

    /// All stalls seen.
    pub fn stalls(&self) -> Vec<Stall> {
        self.iter().collect()
    }

    /// Stalls that found no room in the log.
    pub fn overflowed(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.entries.len()
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = Stall> {
        let written = self.taken.load(Ordering::Acquire).min(self.entries.len());
        self.entries[..written].iter().filter_map(|(start, length)| {
            let length_ns = length.load(Ordering::Acquire);
            (length_ns > 0).then(|| Stall { start_ns: start.load(Ordering::Relaxed), length_ns })
        })
    }

    pub(super) fn push(&self, stall: Stall) {
        self.longest_ns.fetch_max(stall.length_ns, Ordering::Relaxed);
        if let Some((start, length)) = self.entries.get(self.taken.fetch_add(1, Ordering::AcqRel)) {
            start.store(stall.start_ns, Ordering::Relaxed);
            length.store(stall.length_ns, Ordering::Release);
        }
    }

    /// Watches one CPU until `stop` is set.
    pub(super) fn watch(&self, cpu: usize, stop: &AtomicBool) {
        // Unpinned it still sees what the whole host suffers.
        let _ = pin_thread_to(cpu);
        tighten_timer_slack();
        while !stop.load(Ordering::Relaxed) {
            let start_ns = monotonic_ns();
            thread::sleep(STALL_WATCH_SLEEP);
            let length_ns = (monotonic_ns() - start_ns).saturating_sub(STALL_WATCH_SLEEP.as_nanos() as u64);
            if length_ns >= self.shortest_ns {
                self.push(Stall { start_ns, length_ns });
            }
        }
    }
}

/// Stalls looked at for one read: they last at least some 100 us each, and a read is held back for milliseconds.
const RECENT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_felt_while_it_lasts_and_as_long_again() {
        let log = StallLog::new(1);
        log.push(Stall { start_ns: 1000, length_ns: 100 });
        log.push(Stall { start_ns: 5000, length_ns: 10 });
        for (from, to, felt) in [
            (0, 999, false),
            (0, 1000, true),
            (1050, 1060, true),
            (1200, 1300, true),
            (1201, 1300, false),
            (4000, 5005, true),
        ] {
            assert_eq!(log.felt_between(from, to), felt, "{from}..{to}");
        }
    }

    #[test]
    fn a_full_log_says_so_and_keeps_what_it_has() {
        let log = StallLog::new(1);
        for start_ns in 0..=STALLS_MAX as u64 {
            log.push(Stall { start_ns, length_ns: 1 });
        }
        assert!(log.overflowed());
        assert_eq!(log.stalls().len(), STALLS_MAX);
    }

    #[test]
    fn watching_ends_when_told_to() {
        let (log, stop) = (StallLog::new(u64::MAX), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| log.watch(0, &stop));
            thread::sleep(STALL_WATCH_SLEEP * 5);
            stop.store(true, Ordering::Relaxed);
        });
        assert!(log.stalls().is_empty(), "none is as long as that");
    }
}
