//! What the outcome of a probe, or a datagram that came through, means for the proved size.

use super::bounds::Bound;
use super::candidates::{self, Gap};
use super::evidence::Controls;
use super::lowering::Test;
use super::probes::Sent;
use super::{NEVER, Phase, Search};
use crate::limits::{
    BOUND_CONFIRMED_BITS, BOUND_CONFIRMED_LOSSY_BITS, BOUND_TENTATIVE_BITS, CONTROLS_LOST_MAX,
    PROBE_LOSSES_MIN, PROBE_TIMER_FIRST_NS, SUSPICION_PAUSE_NS,
};

impl Search {
    /// Size the search probes next.
    pub(super) fn next_size(&self) -> Option<u16> {
        match self.phase {
            Phase::Base => Some(self.base),
            Phase::Searching if self.bound_is_doubtful() => Some(self.confirming()),
            Phase::Searching => Some(self.candidate().unwrap_or_else(|| self.confirming())),
            Phase::Complete { .. } | Phase::Disabled => None,
        }
    }

    /// Whether loss is so common that the lowest bound may well be none.
    fn bound_is_doubtful(&self) -> bool {
        let chance = |bound: Bound| !self.controls.rule_out_chance(bound.lost, BOUND_TENTATIVE_BITS);
        self.controls.lost > 0 && self.bounds.lowest().is_some_and(chance)
    }

    fn candidate(&self) -> Option<u16> {
        candidates::next(Gap {
            proved: self.proved,
            bound: self.bounds.lowest().map(|bound| bound.size),
            cap: self.cap,
            hint: self.hint,
            overhead_bytes: self.config.overhead_bytes,
        })
    }

    /// The lowest bound and the proved size are probed in turns.
    fn confirming(&self) -> u16 {
        match self.bounds.lowest() {
            Some(bound) if !self.control_next => bound.size,
            _ => self.proved,
        }
    }

    pub(super) fn probe_passed(&mut self, now_ns: u64, sent: Sent) {
        if sent.sent_ns >= self.since_ns {
            match &mut self.test {
                Some(test) => test.control_passed(),
                None => self.controls.passed = self.controls.passed.saturating_add(1),
            }
            if self.phase == Phase::Base {
                self.phase = Phase::Searching;
            }
        }
        self.end_silence();
        self.passed(now_ns, sent.size, sent.sent_ns);
    }

    /// A datagram of this size, sent at `sent_ns` or later, came through.
    pub(super) fn passed(&mut self, now_ns: u64, size: u16, sent_ns: u64) {
        if sent_ns < self.since_ns || self.phase == Phase::Disabled {
            return;
        }
        if self.test.is_some_and(|test| size >= test.size) {
            self.test = None;
            self.calm_until_ns = now_ns.saturating_add(SUSPICION_PAUSE_NS);
            self.probes.abandon();
        }
        if self.test.is_none() {
            self.prove(size);
        }
        self.settle(now_ns);
    }

    fn prove(&mut self, size: u16) {
        let size = size.min(self.ceiling);
        if size <= self.proved {
            return;
        }
        self.proved = size;
        self.counters.raised += 1;
        self.controls.lost += self.bounds.passed(size);
        // Later than a lowering, or than the end of a search: what lies above is open again.
        if size > self.cap {
            self.cap = self.ceiling;
        }
        self.phase = Phase::Searching;
    }

    pub(super) fn probe_lost(&mut self, now_ns: u64, size: u16) {
        self.counters.lost += 1;
        if size <= if self.test.is_some() { self.base } else { self.proved } {
            self.timer.silent = self.timer.silent.saturating_add(1);
        }
        if let Some(test) = &mut self.test {
            test.probe_lost(size);
            if test.refuted() {
                let controls = test.controls;
                self.lower(controls);
            }
        } else if size <= self.proved {
            self.controls.lost = self.controls.lost.saturating_add(1);
            if self.timer.silent >= CONTROLS_LOST_MAX {
                self.suspect(now_ns);
            }
        } else {
            self.bounds.add(size);
        }
        self.settle(now_ns);
    }

    /// Something came back. What was lost in a silence before it was lost to the silence, not for its size.
    fn end_silence(&mut self) {
        if self.timer.silent >= CONTROLS_LOST_MAX {
            self.bounds.doubt();
            self.controls = Controls::default();
        }
        self.timer.silent = 0;
    }

    /// Datagrams arrive although probes were lost in a row: the back-off ends at the first timer's length.
    pub(super) fn hasten(&mut self, now_ns: u64) {
        let latest_ns = now_ns.saturating_add(PROBE_TIMER_FIRST_NS);
        self.probes.hasten(latest_ns);
        self.wait_until_ns = self.wait_until_ns.min(latest_ns);
        if let Some(test) = &mut self.test {
            test.hasten(latest_ns);
        }
    }

    pub(super) fn begin_test(&mut self, now_ns: u64) {
        self.test = Some(Test::new(self.proved));
        self.since_ns = now_ns;
        self.wait_until_ns = 0;
        self.probes.abandon();
        self.counters.tests += 1;
    }

    /// The path no longer carries the proved size: searches below it, from the base. What the test learned of ordinary loss stays.
    fn lower(&mut self, controls: Controls) {
        self.test = None;
        self.probes.abandon();
        self.cap = self.proved - 1;
        self.proved = self.base;
        self.counters.lowered += 1;
        self.start_over(controls);
    }

    /// The raise timer: searches above the proved size, up to the ceiling again.
    pub(super) fn raise(&mut self, now_ns: u64) {
        self.cap = self.ceiling;
        self.hint = 0;
        self.start_over(Controls::default());
        self.settle(now_ns);
    }

    fn start_over(&mut self, controls: Controls) {
        self.bounds.clear();
        self.controls = controls;
        self.phase = Phase::Searching;
    }

    /// Ends the search when it has its answer.
    pub(super) fn settle(&mut self, now_ns: u64) {
        if self.phase != Phase::Searching || self.test.is_some() || self.candidate().is_some() {
            return;
        }
        let bits = match self.controls.lost {
            0 => BOUND_CONFIRMED_BITS,
            _ => BOUND_CONFIRMED_LOSSY_BITS,
        };
        let confirmed = self.bounds.lowest().is_none_or(|bound| {
            bound.lost >= PROBE_LOSSES_MIN && self.controls.rule_out_chance(bound.lost, bits)
        });
        if confirmed {
            let raise_ns = match self.proved < self.ceiling {
                true => now_ns.saturating_add(self.config.raise_ns),
                false => NEVER,
            };
            self.phase = Phase::Complete { raise_ns };
        }
    }
}
