//! The books of a lowering test, kept from outside: what ends a suspicion, and whether a lowering is what section 6.3 allows.

use shingle_proto::search::{Search, SearchCounters, SearchState};

/// Bits of evidence a lowering takes: a chance of 10^-9 (section 6.3).
const LOWERING_BITS: f64 = 30.0;
/// The logarithms here are no better.
const ERROR: f64 = 1e-6;

/// What was done to the search last.
#[derive(Clone, Copy)]
pub(super) enum Call {
    /// A datagram of this size, sent then or later, came through.
    Passed { bytes: u16, sent_ns: u64 },
    /// The other side limits or refuses probes, which ends a test without an outcome.
    Limit,
    /// Nothing that could say that a size passes.
    Other,
}

/// What was seen of a search, and of its test if it is suspicious.
#[derive(Default)]
pub(super) struct Suspicion {
    before: SearchCounters,
    test: Option<Test>,
}

/// Since a test began.
struct Test {
    size: u16,
    since_ns: u64,
    lost_before: u64,
    /// Probes of the tested size handed out.
    tested: u64,
    /// Smaller ones acknowledged.
    controls_passed: u64,
}

impl Suspicion {
    pub(super) fn probe_sent(&mut self, bytes: u16) {
        if let Some(test) = &mut self.test {
            test.tested += u64::from(bytes == test.size);
        }
    }

    pub(super) fn acknowledged(&mut self, bytes: u16, sent_ns: u64) {
        if let Some(test) = &mut self.test {
            test.controls_passed += u64::from(bytes < test.size && sent_ns >= test.since_ns);
        }
    }

    /// After every call.
    pub(super) fn check(&mut self, search: &Search, now_ns: u64, call: Call) {
        let counters = *search.counters();
        let suspected = search.state() == SearchState::Suspected;
        if counters.lowered > self.before.lowered {
            assert_eq!(counters.lowered, self.before.lowered + 1);
            let test = self.test.take().expect("a lowering without a test");
            test.check_lowering(counters.lost);
        } else if let (Some(test), false) = (&self.test, suspected) {
            let cleared = match call {
                Call::Passed { bytes, sent_ns } => bytes >= test.size && sent_ns >= test.since_ns,
                Call::Limit => true,
                Call::Other => false,
            };
            assert!(cleared, "the suspicion of {} B ended without cause", test.size);
            self.test = None;
        }
        if counters.tests > self.before.tests {
            assert!(self.test.is_none() && suspected, "one test at a time");
            self.test = Some(Test {
                size: search.proved(),
                since_ns: now_ns,
                lost_before: counters.lost,
                tested: 0,
                controls_passed: 0,
            });
        }
        assert_eq!(self.test.is_some(), suspected, "tests are counted");
        self.before = counters;
    }
}

impl Test {
    /// Of what was lost, as much as can be was of the tested size: n of them, and m of k controls.
    fn check_lowering(&self, lost_now: u64) {
        let lost = lost_now - self.lost_before;
        let n = self.tested.min(lost);
        let m = lost - n;
        let k = self.controls_passed + m;
        let bits = n as f64 * ((k + 2) as f64 / (m + 1) as f64).log2();
        assert!(
            bits >= LOWERING_BITS - ERROR,
            "lowered by {n} losses, {m} of {k} controls lost: {bits} bits"
        );
    }
}
