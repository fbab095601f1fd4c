//! What happens when nothing happens: deadlines, gaps, retries, and the end of lingering.

use super::path::Way;
use super::retry::patience_ns;
use super::slots::{NEVER, State};
use super::{Client, Ended, Event};
use crate::reassembly::NONE;

/// The gap stops doubling there: 65,536 gaps are past any deadline.
const GAP_DOUBLINGS_MAX: u8 = 16;
/// Least margin above a steady round trip: what threads and timers of both ends may be late by (G of RFC 6298, section 2).
const VARIATION_NS_MIN: u64 = 1_000_000;
/// Longest round trip reckoned with: one answer that came very late must not stop everything.
const MEASURED_NS_MAX: u64 = 1_000_000_000;

impl Client {
    /// When [`Client::handle_timeout`] is to be called next; `None` when there is nothing to wait for. Stale after any call that takes
    /// `&mut self`.
    ///
    /// Timers have a resolution of 65.5 µs: what is due at a time happens then or up to that much later, never before. The time given may be
    /// earlier than anything that is due; the call is then cheap and does nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        [self.wheel.next_ns(), self.heartbeat.next_ns(), self.path.next_ns()].into_iter().flatten().min()
    }

    /// Does what is due at `now_ns`: ends reads whose deadline passed, asks again for what is missing.
    pub fn handle_timeout(&mut self, now_ns: u64, sink: &mut impl FnMut(Event<'_>)) {
        self.heartbeat.tick(now_ns);
        self.path.handle_timeout(now_ns);
        while let Some(index) = self.wheel.pop(now_ns) {
            let slot = self.slots.get(index);
            if !slot.is_live() {
                self.end_lingering(index, sink);
            } else if slot.refused && !slot.taken && slot.state == State::Waiting {
                self.end(index, Ended::NotSent, sink);
            } else if now_ns >= slot.deadline {
                self.time_out(now_ns, index, sink);
            } else {
                if now_ns >= slot.act_at {
                    self.act_on_silence(now_ns, index);
                }
                self.arm(index);
            }
        }
        self.serve_blocked_from_books(sink);
    }

    /// Waits for an answer: if one has begun to come until the gap has passed, else until it is time for a retry, or, where none is
    /// left, until an answer should have begun.
    pub(super) fn listen(&mut self, now_ns: u64, index: u32) {
        let slot = self.slots.get(index);
        let patience = if slot.answered {
            self.gap_ns().saturating_mul(1 << slot.fruitless.min(GAP_DOUBLINGS_MAX))
        } else if slot.retried < self.config.retries {
            patience_ns(&self.config, slot.retried, slot.sequence).max(self.measured_ns())
        } else {
            self.gap_ns()
        };
        let slot = self.slots.get_mut(index);
        slot.act_at = now_ns.saturating_add(patience);
        self.arm(index);
    }

    /// Silence that means that no more is coming: as configured, or what a round trip of this path takes, if that is longer (section 10.2).
    fn gap_ns(&self) -> u64 {
        self.config.gap_ns.max(self.measured_ns())
    }

    /// What an answer takes to come at most (RFC 6298); 0 before the first. Every request has its own sequence, so repeated ones measure as well as
    /// first ones (Karn's problem, section 3 there, does not arise).
    fn measured_ns(&self) -> u64 {
        let measured = self.round_trip.estimate();
        measured
            .map_or(0, |now| now.smoothed_ns + (4 * now.variation_ns).max(VARIATION_NS_MIN))
            .min(MEASURED_NS_MAX)
    }

    /// Sends the next request of a read as soon as the caller polls.
    pub(super) fn ask(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.joined = false;
        slot.act_at = NEVER;
        self.leave_group(index);
        self.slots.move_to(index, State::Queued);
        self.arm(index);
    }

    /// Sends a request for what the credit left out.
    pub(super) fn ask_on(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.continuations = slot.continuations.saturating_add(1);
        self.counters.continuations += 1;
        self.ask(index);
    }

    /// Sends a request for what was lost or corrupt, if the read may ask again.
    pub(super) fn ask_again(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        if slot.fruitless >= self.config.rerequests_max {
            slot.act_at = NEVER;
            return self.arm(index);
        }
        slot.count_attempt();
        slot.fruitless += 1;
        self.counters.rerequests += 1;
        self.ask(index);
    }

    pub(super) fn arm(&mut self, index: u32) {
        let slot = self.slots.get(index);
        self.wheel.set(index, slot.deadline.min(slot.act_at));
    }

    fn act_on_silence(&mut self, now_ns: u64, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.act_at = NEVER;
        if slot.state == State::Queued {
            return; // It is the caller who is silent: the request was not taken yet.
        }
        let (state, sequence, answered) = (slot.state, slot.sequence, slot.answered);
        let retry = !answered && slot.retried < self.config.retries;
        if state == State::Blocked {
            self.presume_lost(sequence);
        } else if slot.left_out {
            self.ask_on(index);
        } else if answered {
            self.suspect_sizes(now_ns, index);
            self.ask_again(index);
        } else if retry {
            self.suspect_sizes(now_ns, index);
            if self.asked_too_much(sequence) || self.retries.take() {
                return self.retry(index);
            }
            self.counters.retries_over_budget += 1;
            self.presume_lost(sequence);
        } else {
            self.presume_lost(sequence);
        }
    }

    /// Whether this request was larger, or asked for larger datagrams, than requests do now: a path that shrank lost it, it seems, and so
    /// the server never worked for it. Its retry costs no budget (section 10.3). There are no more such than were under way when the
    /// suspicion began.
    fn asked_too_much(&mut self, sequence: u32) -> bool {
        let sizes = self.sizes();
        let request = self.requests.find(sequence);
        request.is_some_and(|request| request.datagram_max > sizes.down || request.bytes > sizes.up)
    }

    /// Sends the whole request of a read again.
    fn retry(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.count_attempt();
        slot.retried += 1;
        self.counters.retries += 1;
        self.ask(index);
    }

    /// Something of the answer to the newest request is lost: it may have been too big for the path, as may the request if nothing came.
    fn suspect_sizes(&mut self, now_ns: u64, index: u32) {
        let slot = self.slots.get(index);
        let (asked_large, sent_large) = (slot.asked_large, slot.sent_large && !slot.answered);
        if asked_large {
            self.path.suspect(now_ns, Way::Down);
        }
        if sent_large {
            self.path.suspect(now_ns, Way::Up);
        }
    }

    /// Ends a read and remembers it, so that a late answer is recognised.
    fn time_out(&mut self, now_ns: u64, index: u32, sink: &mut impl FnMut(Event<'_>)) {
        let slot = self.slots.get(index);
        let (deadline, corrupt, part) = (slot.deadline, slot.corrupt, slot.part);
        if slot.state == State::Waiting && !slot.answered {
            self.suspect_sizes(now_ns, index);
        }
        let (received_bytes, total_bytes) = match part {
            NONE => (0, 0),
            part => (self.parts.get(part).arrived.bytes(), self.parts.get(part).total),
        };
        sink(self.event(index, Ended::TimedOut { received_bytes, total_bytes, corrupt }));
        let forget_at = deadline.saturating_add(self.config.linger_ns);
        if now_ns >= forget_at {
            return self.forget(index);
        }
        self.leave_queue(index);
        self.leave_group(index);
        let state = if part == NONE { State::Lingering } else { State::LingeringPart };
        if part != NONE {
            self.parts.release_bytes(part);
        }
        self.slots.move_to(index, state);
        self.slots.get_mut(index).act_at = NEVER;
        self.wheel.set(index, forget_at);
    }

    /// Forgets a read that timed out; if late chunks came, now is the time to say so.
    pub(super) fn end_lingering(&mut self, index: u32, sink: &mut impl FnMut(Event<'_>)) {
        match self.slots.get(index).act_at {
            NEVER => self.forget(index),
            last_chunk_at => self.end_late(index, last_chunk_at, false, sink),
        }
    }

    /// Reports a late answer and forgets the read.
    pub(super) fn end_late(
        &mut self,
        index: u32,
        at_ns: u64,
        complete: bool,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        self.counters.late += 1;
        let after_ns = at_ns.saturating_sub(self.slots.get(index).deadline);
        self.end(index, Ended::Late { complete, after_ns }, sink);
    }
}
