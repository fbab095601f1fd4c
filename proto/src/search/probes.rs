//! Probes on their way, those a late acknowledgement may still come for, and how long one is waited for.

use crate::limits::{PROBE_TIMER_FIRST_NS, PROBE_TIMER_MAX_NS, PROBE_TIMER_MIN_NS};
use crate::round_trip::RoundTrip;

/// One at a time in the search, two in the lowering test.
const IN_FLIGHT_MAX: usize = 2;
/// Probes remembered for late acknowledgements: a whole lowering test on a clean path.
const PAST_MAX: usize = 32;

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) id: u32,
    pub(super) size: u16,
    pub(super) sent_ns: u64,
    due_ns: u64,
}

/// The probes in flight and the last ones given up.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    in_flight: [Option<Sent>; IN_FLIGHT_MAX],
    past: [Option<Sent>; PAST_MAX],
    past_next: usize,
}

impl Probes {
    pub(super) const fn new() -> Self {
        Self { in_flight: [None; IN_FLIGHT_MAX], past: [None; PAST_MAX], past_next: 0 }
    }

    pub(super) fn none_in_flight(&self) -> bool {
        self.in_flight.iter().all(Option::is_none)
    }

    /// Takes a probe in; the caller sees to it that there is room.
    pub(super) fn send(&mut self, id: u32, size: u16, sent_ns: u64, wait_ns: u64) {
        let free = self.in_flight.iter_mut().find(|slot| slot.is_none());
        debug_assert!(free.is_some(), "more probes in flight than the search sends");
        if let Some(slot) = free {
            *slot = Some(Sent { id, size, sent_ns, due_ns: sent_ns.saturating_add(wait_ns) });
        }
    }

    /// The probe of this id, and whether it was still waited for.
    pub(super) fn acknowledge(&mut self, id: u32) -> Option<(Sent, bool)> {
        let of_id = |slot: &&mut Option<Sent>| slot.is_some_and(|sent| sent.id == id);
        if let Some(sent) = self.in_flight.iter_mut().find(of_id).and_then(Option::take) {
            return Some((sent, true));
        }
        self.past.iter_mut().find(of_id).and_then(Option::take).map(|sent| (sent, false))
    }

    /// The probe of this id if it is in flight, which it then no longer is.
    pub(super) fn recall(&mut self, id: u32) -> Option<Sent> {
        let of_id = |slot: &&mut Option<Sent>| slot.is_some_and(|sent| sent.id == id);
        self.in_flight.iter_mut().find(of_id).and_then(Option::take)
    }

    /// Next probe that has been waited for long enough.
    pub(super) fn expire(&mut self, now_ns: u64) -> Option<Sent> {
        let due = |slot: &&mut Option<Sent>| slot.is_some_and(|sent| sent.due_ns <= now_ns);
        let sent = self.in_flight.iter_mut().find(due).and_then(Option::take)?;
        self.remember(sent);
        Some(sent)
    }

    /// No longer waits for anything. Acknowledgements that come are late ones.
    pub(super) fn abandon(&mut self) {
        for slot in 0..IN_FLIGHT_MAX {
            if let Some(sent) = self.in_flight[slot].take() {
                self.remember(sent);
            }
        }
    }

    /// Waits for no probe longer than until then.
    pub(super) fn hasten(&mut self, latest_ns: u64) {
        self.in_flight.iter_mut().flatten().for_each(|sent| sent.due_ns = sent.due_ns.min(latest_ns));
    }

    pub(super) fn next_due_ns(&self) -> Option<u64> {
        self.in_flight.iter().flatten().map(|sent| sent.due_ns).min()
    }

    fn remember(&mut self, sent: Sent) {
        self.past[self.past_next] = Some(sent);
        self.past_next = (self.past_next + 1) % PAST_MAX;
    }
}

/// How long a probe is waited for: RFC 6298's estimate with a wider margin, doubled while nothing comes back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer {
    round_trip: RoundTrip,
    /// Probes of sizes known to pass lost since the last sign of life.
    pub(super) silent: u32,
}

impl Timer {
    /// A round trip was measured. Ids are used once, so late acknowledgements measure too.
    pub(super) fn sample(&mut self, round_trip_ns: u64) {
        self.round_trip.sample(round_trip_ns);
    }

    pub(super) fn wait_ns(&self) -> u64 {
        let once = self.round_trip.estimate().map_or(PROBE_TIMER_FIRST_NS, |now| {
            (4 * (now.smoothed_ns + 4 * now.variation_ns)).max(PROBE_TIMER_MIN_NS)
        });
        once.saturating_mul(1 << self.silent.min(16)).min(PROBE_TIMER_MAX_NS)
    }
}
