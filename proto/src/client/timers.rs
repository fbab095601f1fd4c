//! What happens when nothing happens: deadlines, gaps, retries, and the end of lingering.

use super::slots::{NEVER, State};
use super::{Client, Ended, Event};
use crate::reassembly::NONE;

/// The gap stops doubling there: 65,536 gaps are past any deadline.
const GAP_DOUBLINGS_MAX: u8 = 16;

impl Client {
    /// When [`Client::handle_timeout`] is to be called next; `None` when there is nothing to wait for. Stale after any call that takes
    /// `&mut self`.
    ///
    /// Timers have a resolution of 65.5 µs: what is due at a time happens then or up to that much later, never before. The time given may be
    /// earlier than anything that is due; the call is then cheap and does nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        self.wheel.next_ns().into_iter().chain(self.heartbeat.next_ns()).min()
    }

    /// Does what is due at `now_ns`: ends reads whose deadline passed, asks again for what is missing.
    pub fn handle_timeout(&mut self, now_ns: u64, sink: &mut impl FnMut(Event<'_>)) {
        self.heartbeat.tick(now_ns);
        while let Some(index) = self.wheel.pop(now_ns) {
            let slot = self.slots.get(index);
            if !slot.is_live() {
                self.end_lingering(index, sink);
            } else if slot.not_sent {
                self.end(index, Ended::NotSent, sink);
            } else if now_ns >= slot.deadline {
                self.time_out(now_ns, index, sink);
            } else {
                if now_ns >= slot.act_at {
                    self.act_on_silence(index);
                }
                self.arm(index);
            }
        }
    }

    /// Waits for an answer: until the gap has passed if one has begun to come, else until it is time for a retry.
    pub(super) fn listen(&mut self, now_ns: u64, index: u32) {
        let slot = self.slots.get_mut(index);
        let patience = if slot.answered {
            Some(self.config.gap_ns.saturating_mul(1 << slot.attempts.min(GAP_DOUBLINGS_MAX)))
        } else if slot.attempts < self.config.retries {
            Some(self.config.timeout_ns / (u64::from(self.config.retries) + 1))
        } else {
            None
        };
        slot.act_at = patience.map_or(NEVER, |patience| now_ns.saturating_add(patience));
        self.arm(index);
    }

    /// Sends the next request of a read as soon as the caller polls.
    pub(super) fn ask(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.joined = false;
        slot.act_at = NEVER;
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
        if slot.attempts >= self.config.rerequests_max {
            slot.act_at = NEVER;
            return self.arm(index);
        }
        slot.attempts += 1;
        self.counters.rerequests += 1;
        self.ask(index);
    }

    fn arm(&mut self, index: u32) {
        let slot = self.slots.get(index);
        self.wheel.set(index, slot.deadline.min(slot.act_at));
    }

    fn act_on_silence(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        slot.act_at = NEVER;
        if slot.state == State::Queued {
            return; // It is the caller who is silent: the request was not taken yet.
        }
        if self.requests.find(slot.sequence).is_some_and(|request| request.spent) {
            self.ask_on(index);
        } else if slot.answered {
            self.ask_again(index);
        } else {
            slot.attempts = slot.attempts.saturating_add(1);
            self.counters.retries += 1;
            self.ask(index);
        }
    }

    /// Ends a read and remembers it, so that a late answer is recognised.
    fn time_out(&mut self, now_ns: u64, index: u32, sink: &mut impl FnMut(Event<'_>)) {
        let slot = self.slots.get(index);
        let (deadline, corrupt, part) = (slot.deadline, slot.corrupt, slot.part);
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
