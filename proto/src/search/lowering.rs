//! The test of a suspicion: does the proved size still pass while the base size does? (section 6.3)

use super::evidence::Controls;
use crate::limits::LOWERING_BITS;

/// A lowering test under way. Its probes go in rounds of two, one of the tested size and one of the base size, back to back, so that
/// a burst of loss hits both alike; they take turns in going first. A round lasts as long as a lost probe is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    /// The size in doubt: the one proved.
    pub(super) size: u16,
    /// Probes of this round not sent yet.
    unsent: u8,
    /// Whether the control goes first in this round.
    control_first: bool,
    /// When the next round may begin.
    next_round_ns: u64,
    /// Probes of the tested size lost. One that arrives ends the test.
    lost: u32,
    pub(super) controls: Controls,
}

impl Test {
    pub(super) fn new(size: u16) -> Self {
        Self {
            size,
            unsent: 2,
            control_first: false,
            next_round_ns: 0,
            lost: 0,
            controls: Controls::default(),
        }
    }

    /// Size of the probe to send now. A round begins when the probes of the one before are accounted for and its time is over.
    pub(super) fn next(&mut self, now_ns: u64, wait_ns: u64, base: u16) -> Option<u16> {
        if self.unsent == 0 {
            return None;
        }
        if self.unsent == 2 {
            self.next_round_ns = now_ns.saturating_add(wait_ns);
        }
        self.unsent -= 1;
        let first = self.unsent == 1;
        Some(if first == self.control_first { base } else { self.size })
    }

    /// Opens the next round if it is time; the caller knows that no probe is in flight.
    pub(super) fn open_round(&mut self, now_ns: u64) {
        if self.unsent == 0 && self.next_round_ns <= now_ns {
            self.unsent = 2;
            self.control_first = !self.control_first;
        }
    }

    /// When the next round opens, if that is what the test waits for.
    pub(super) fn round_opens_ns(&self) -> Option<u64> {
        (self.unsent == 0).then_some(self.next_round_ns)
    }

    /// The next round begins then at the latest.
    pub(super) fn hasten(&mut self, latest_ns: u64) {
        self.next_round_ns = self.next_round_ns.min(latest_ns);
    }

    pub(super) fn probe_lost(&mut self, size: u16) {
        match size == self.size {
            true => self.lost = self.lost.saturating_add(1),
            false => self.controls.lost = self.controls.lost.saturating_add(1),
        }
    }

    pub(super) fn control_passed(&mut self) {
        self.controls.passed = self.controls.passed.saturating_add(1);
    }

    /// Whether the path no longer carries the tested size: ordinary loss explains the losses with less than 10^-9.
    pub(super) fn refuted(&self) -> bool {
        self.controls.rule_out_chance(self.lost, LOWERING_BITS)
    }
}
