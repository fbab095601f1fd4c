//! Reads that share a request datagram: a chain from the request through its reads, as long as they wait for its answer.

use super::{Client, Slots};
use crate::reassembly::NONE;

impl Client {
    /// Adds `index` to the request `sequence`, after `previous`.
    pub(super) fn join_group(&mut self, index: u32, previous: u32) {
        let slot = self.slots.get_mut(index);
        (slot.group_previous, slot.group_next) = (previous, NONE);
        if previous != NONE {
            self.slots.get_mut(previous).group_next = index;
        }
    }

    /// Takes a read out of the request that was sent for it last. With the last one that waited, nothing of its answer is expected any more.
    pub(super) fn leave_group(&mut self, index: u32) {
        let slot = self.slots.get_mut(index);
        let sequence = slot.sequence;
        let previous = core::mem::replace(&mut slot.group_previous, NONE);
        let next = core::mem::replace(&mut slot.group_next, NONE);
        if next != NONE {
            self.slots.get_mut(next).group_previous = previous;
        }
        if previous != NONE {
            self.slots.get_mut(previous).group_next = next;
            return;
        }
        if let Some(request) = self.requests.find(sequence).filter(|request| request.first == index) {
            request.first = next;
            if next == NONE {
                self.window.give_back(&mut request.grant, u32::MAX);
            }
        }
    }

    /// Nothing came for as long as an answer takes to begin, or to go on: what was reserved for it is free for others.
    pub(super) fn presume_lost(&mut self, sequence: u32) {
        if let Some(request) = self.requests.find(sequence) {
            self.window.give_back(&mut request.grant, u32::MAX);
        }
    }

    /// First of the reads that wait for the answer to this request.
    pub(super) fn group_of(&mut self, sequence: u32) -> Option<u32> {
        self.requests.find(sequence).map(|request| request.first).filter(|first| *first != NONE)
    }
}

/// The read after `index` in its request.
pub(super) fn next_of(slots: &Slots, index: u32) -> Option<u32> {
    Some(slots.get(index).group_next).filter(|next| *next != NONE)
}
