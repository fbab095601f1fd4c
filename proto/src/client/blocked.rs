//! Reads whose answer found no memory: they wait for it in the order they came, and cost nothing meanwhile (section 10.2).
//!
//! It is no loss: nothing is suspected, nothing is counted against the read, and its credit is free for others once the gap shows that
//! no more of the answer is on its way. Whoever gives memory back wakes the one that waits longest, which is given it before it asks
//! on, so that nobody takes it away in between. Newer reads for which there is room do not wait behind one that needs more.

use super::slots::State;
use super::{Client, Event};
use crate::reassembly::NONE;
use crate::wire::Chunk;

impl Client {
    /// Takes memory for a value of which the first chunk came; the books of a read that timed out are given up for it if need be. False
    /// where there is none: the read waits for it then.
    pub(super) fn begin_part(
        &mut self,
        index: u32,
        now_ns: u64,
        chunk: &Chunk<'_>,
        datagram_bytes: u16,
        sink: &mut impl FnMut(Event<'_>),
    ) -> bool {
        if self.slots.get(index).state != State::Blocked {
            self.free_books(sink);
            if let Some(part) = self.parts.begin(chunk.version, chunk.total) {
                self.slots.get_mut(index).part = part;
                return true;
            }
            self.leave_queue(index);
            self.slots.move_to(index, State::Blocked);
            self.slots.get_mut(index).blocked_datagram = 0;
        }
        let slot = self.slots.get_mut(index);
        slot.version_floor = chunk.version;
        slot.blocked_total = chunk.total;
        slot.blocked_datagram = slot.blocked_datagram.max(datagram_bytes);
        self.listen(now_ns, index);
        false
    }

    /// Where no part is free, the read that timed out with one longest ago gives up its books.
    fn free_books(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        if self.parts.is_used_up()
            && let Some(oldest) = self.slots.first(State::LingeringPart)
        {
            self.end_lingering(oldest, sink);
        }
    }

    /// The same as [`Client::serve_blocked`], where reads may have timed out: those keep their parts, for late answers.
    pub(super) fn serve_blocked_from_books(&mut self, sink: &mut impl FnMut(Event<'_>)) {
        while self.slots.first(State::Blocked).is_some() {
            self.free_books(sink);
            if !self.serve_one() {
                break;
            }
        }
    }

    /// Gives memory that became free to the reads that wait for it, oldest first.
    pub(super) fn serve_blocked(&mut self) {
        while self.serve_one() {}
    }

    fn serve_one(&mut self) -> bool {
        let Some(index) = self.slots.first(State::Blocked) else { return false };
        let slot = self.slots.get_mut(index);
        debug_assert_eq!(slot.part, NONE);
        let Some(part) = self.parts.begin(slot.version_floor, slot.blocked_total) else { return false };
        slot.part = part;
        self.parts.get_mut(part).datagram_bytes = slot.blocked_datagram;
        self.ask_on(index);
        true
    }
}
