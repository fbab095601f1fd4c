//! The table of reads: one slot each, from `get` until the read and its late answers are done with.
//!
//! A slot is in the list of its state: waiting to be sent, or remembered after its deadline. The slot freed last is used next: what is
//! under way stays in the CPU's caches however large the table is. Generations keep the ids of one slot apart.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::ReadId;
use crate::limits::KEY_BYTES_MAX;
use crate::reassembly::{Links, List, NONE};
use crate::wire::Telemetry;

/// A time that never comes.
pub(super) const NEVER: u64 = u64::MAX;

/// Where a read is in its life; all but `Waiting` and `Free` have a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Has a request to be sent.
    Queued,
    /// Timed out; remembered for late answers.
    Lingering,
    /// The same, with a part of its answer in the books.
    LingeringPart,
    /// Its answer found no memory: waits for some, nothing is asked for meanwhile.
    Blocked,
    /// Sent, waiting for answers.
    Waiting,
    /// No read.
    Free,
}

const LISTS: usize = State::Waiting as usize;

impl State {
    fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Blocked | Self::Waiting)
    }
}

/// One read.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) token: u64,
    pub(super) deadline: u64,
    /// When silence is to be acted on, or [`NEVER`]. Of a lingering read: when its last late chunk came.
    pub(super) act_at: u64,
    /// Versions older than this one are not taken any more, once there was a restart. Of a blocked read: the version that found
    /// no memory.
    pub(super) version_floor: u64,
    /// Of a blocked read: length of that value, and of the longest datagram that brought some of it.
    pub(super) blocked_total: u32,
    pub(super) blocked_datagram: u16,
    pub(super) telemetry: Option<Telemetry>,
    /// When the first request datagram of the read was handed out.
    pub(super) first_sent: u64,
    /// Sequence of that datagram.
    pub(super) first_sequence: u32,
    /// Sequence of the newest request datagram of the read.
    pub(super) sequence: u32,
    /// Reads before and after it that wait for the answer to that datagram too.
    pub(super) group_previous: u32,
    pub(super) group_next: u32,
    /// Its entry in `Parts`, or [`NONE`].
    pub(super) part: u32,
    pub(super) corrupt: u32,
    pub(super) chunks: u16,
    pub(super) state: State,
    pub(super) key_bytes: u8,
    /// Request datagrams sent for it; the header's attempt field.
    pub(super) sent: u8,
    /// Requests after a loss, retries included.
    pub(super) attempts: u8,
    /// Attempt of the first of those requests.
    pub(super) again: u8,
    /// Something new came in answer to one of them.
    pub(super) helped: bool,
    /// Whole requests repeated because nothing came.
    pub(super) retried: u8,
    /// Re-requests since the last one that brought something new.
    pub(super) fruitless: u8,
    pub(super) continuations: u8,
    pub(super) challenges: u8,
    pub(super) restarts: u8,
    /// Goes into the datagram of the read queued before it.
    pub(super) joined: bool,
    /// Something of the answer came, or is known to have been left out.
    pub(super) answered: bool,
    /// The credit its request shared is used up: what does not come was left out, not lost.
    pub(super) left_out: bool,
    /// The newest request asked for ranges, not for the whole.
    pub(super) asked_ranges: bool,
    /// The newest request announced datagrams above the base.
    pub(super) asked_large: bool,
    /// The newest request was itself longer than the base.
    pub(super) sent_large: bool,
    /// The kernel refused the newest request.
    pub(super) refused: bool,
    /// It took one before that.
    pub(super) taken: bool,
    generation: u32,
}

const EMPTY: Slot = Slot {
    token: 0,
    deadline: 0,
    act_at: NEVER,
    version_floor: 0,
    blocked_total: 0,
    blocked_datagram: 0,
    telemetry: None,
    first_sent: 0,
    first_sequence: 0,
    sequence: 0,
    group_previous: NONE,
    group_next: NONE,
    part: NONE,
    corrupt: 0,
    chunks: 0,
    state: State::Free,
    key_bytes: 0,
    sent: 0,
    attempts: 0,
    again: 0,
    helped: false,
    retried: 0,
    fruitless: 0,
    continuations: 0,
    challenges: 0,
    restarts: 0,
    joined: false,
    answered: false,
    left_out: false,
    asked_ranges: false,
    asked_large: false,
    sent_large: false,
    refused: false,
    taken: false,
    generation: 0,
};

impl Slot {
    /// Whether the read has not ended.
    pub(super) fn is_live(&self) -> bool {
        self.state.is_live()
    }

    /// Counts a request after a loss that is now to be sent.
    pub(super) fn count_attempt(&mut self) {
        if self.attempts == 0 {
            self.again = self.sent;
        }
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Notes that something new came in answer to this attempt.
    pub(super) fn note_help(&mut self, attempt: u8) {
        self.helped |= self.attempts > 0 && attempt >= self.again;
    }
}

/// All slots with their keys and lists.
pub(super) struct Slots {
    items: Box<[Slot]>,
    keys: Box<[[u8; KEY_BYTES_MAX]]>,
    links: Links,
    lists: [List; LISTS],
    /// A stack of the free slots; never longer than there are slots.
    free: Vec<u32>,
    live: usize,
    index_bits: u32,
    /// Xored with ids, so that they cannot be counted from outside.
    mask: u32,
}

impl Slots {
    pub(super) fn new(count: usize, mask: u32) -> Self {
        let mut free = Vec::with_capacity(count);
        free.extend((0..count as u32).rev());
        Self {
            items: vec![EMPTY; count].into_boxed_slice(),
            keys: vec![[0; KEY_BYTES_MAX]; count].into_boxed_slice(),
            links: Links::new(count),
            lists: [List::EMPTY; LISTS],
            free,
            live: 0,
            index_bits: count.next_power_of_two().trailing_zeros(),
            mask,
        }
    }

    /// Bytes [`Slots::new`] takes.
    pub(super) fn memory_bytes(count: usize) -> usize {
        count * (size_of::<Slot>() + KEY_BYTES_MAX + size_of::<u32>()) + Links::memory_bytes(count)
    }

    /// Whether no slot is free.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Reads that have not ended.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn get(&self, index: u32) -> &Slot {
        &self.items[index as usize]
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.items[index as usize]
    }

    pub(super) fn key(&self, index: u32) -> &[u8] {
        &self.keys[index as usize][..usize::from(self.items[index as usize].key_bytes)]
    }

    /// The first slot in the list of `state`.
    pub(super) fn first(&self, state: State) -> Option<u32> {
        Some(self.lists[state as usize].head()).filter(|index| *index != NONE)
    }

    /// The slot queued after `index`.
    pub(super) fn next(&self, index: u32) -> Option<u32> {
        Some(self.links.next(index)).filter(|next| *next != NONE)
    }

    /// The read that ended longest ago of those remembered.
    pub(super) fn oldest_lingering(&self) -> Option<u32> {
        let heads = [State::Lingering, State::LingeringPart].map(|state| self.first(state));
        heads.into_iter().flatten().min_by_key(|index| self.get(*index).deadline)
    }

    /// Puts a read into the slot that was freed last.
    pub(super) fn claim(&mut self, key: &[u8], token: u64, deadline: u64) -> Option<u32> {
        let index = self.free.pop()?;
        let slot = &mut self.items[index as usize];
        let generation = slot.generation;
        let key_bytes = key.len() as u8;
        *slot = Slot { token, deadline, key_bytes, generation, state: State::Queued, ..EMPTY };
        self.keys[index as usize][..key.len()].copy_from_slice(key);
        self.links.push_back(&mut self.lists[State::Queued as usize], index);
        self.live += 1;
        Some(index)
    }

    /// Ends the use of a slot: its id is not known any more.
    pub(super) fn release(&mut self, index: u32) {
        self.leave(index, State::Free);
        let slot = self.get_mut(index);
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// Moves a slot to the end of the list of another state than `Free`; nothing happens if it is in that state.
    pub(super) fn move_to(&mut self, index: u32, state: State) {
        debug_assert_ne!(state, State::Free, "released instead");
        if self.get(index).state == state {
            return;
        }
        self.leave(index, state);
        if state != State::Waiting {
            self.links.push_back(&mut self.lists[state as usize], index);
        }
    }

    /// Takes a slot out of the list of its state, which is another one now.
    fn leave(&mut self, index: u32, state: State) {
        let was = core::mem::replace(&mut self.get_mut(index).state, state);
        self.live = self.live + usize::from(state.is_live()) - usize::from(was.is_live());
        if was != State::Waiting {
            self.links.unlink(&mut self.lists[was as usize], index);
        }
    }

    /// The id of the read in a slot: its index below, above it a number that tells the users of the slot apart; masked.
    pub(super) fn id(&self, index: u32) -> u32 {
        (self.get(index).generation.checked_shl(self.index_bits).unwrap_or(0) | index) ^ self.mask
    }

    /// What the caller names the read in a slot by.
    pub(super) fn read_id(&self, index: u32) -> ReadId {
        ReadId { index, generation: self.get(index).generation }
    }

    /// The slot of a read the caller names, unless another one has it.
    pub(super) fn find_read(&self, read: ReadId) -> Option<u32> {
        let slot = self.items.get(read.index as usize)?;
        (slot.generation == read.generation).then_some(read.index)
    }

    /// The slot of the read with this id; `None` when that read is done with.
    pub(super) fn find(&self, id: u32) -> Option<u32> {
        let index = (id ^ self.mask) & ((1 << self.index_bits) - 1);
        let known = (index as usize) < self.items.len()
            && self.get(index).state != State::Free
            && self.id(index) == id;
        known.then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_slot_differ_for_as_long_as_32_bits_allow() {
        let mut slots = Slots::new(3, 0x5EC_2E75);
        let mut seen = alloc::collections::BTreeSet::new();
        for round in 0..3000 {
            let index = slots.claim(b"key", round, 0).expect("free");
            assert!(seen.insert(slots.id(index)), "id used twice");
            assert_eq!(slots.find(slots.id(index)), Some(index));
            slots.release(index);
            assert!(seen.iter().all(|id| slots.find(*id).is_none()), "a read that ended is still known");
        }
        assert_eq!(slots.live(), 0);
    }

    #[test]
    fn a_slot_stays_small() {
        assert!(core::mem::size_of::<Slot>() <= 128, "{} B", core::mem::size_of::<Slot>());
    }
}
