//! The eviction queue: second-chance FIFO (CLOCK) as a doubly linked list in a slab; the hand is the oldest
//! end.
//!
//! It knows order and expiry only. Whether an item was read lives in the index, where readers are; the store
//! asks there.

use crate::expiry::{Expiry, Seconds};
use crate::limits::ITEMS_MAX;
use crate::record::Record;

/// Number of a slot; an item keeps its own for as long as it is queued.
pub(crate) type SlotId = u32;

const NONE: SlotId = SlotId::MAX;

/// Items from oldest to youngest. Adding, removing and moving cost the same however long the queue is.
pub(crate) struct Queue {
    slots: Vec<Slot>,
    oldest: SlotId,
    youngest: SlotId,
    /// Head of the list of vacant slots, linked through `younger`.
    vacant: SlotId,
}

struct Slot {
    /// None in a vacant slot.
    record: Option<Record>,
    expiry: Expiry,
    older: SlotId,
    younger: SlotId,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue { slots: Vec::new(), oldest: NONE, youngest: NONE, vacant: NONE }
    }

    /// Adds an item as the youngest.
    pub(crate) fn push(&mut self, record: Record, expiry: Expiry) -> SlotId {
        let slot = Slot { record: Some(record), expiry, older: NONE, younger: NONE };
        let id = if self.vacant == NONE {
            assert!(self.slots.len() < ITEMS_MAX, "the largest budget keeps items below this");
            self.slots.push(slot);
            (self.slots.len() - 1) as SlotId
        } else {
            let id = self.vacant;
            self.vacant = self.slot(id).younger;
            *self.slot_mut(id) = slot;
            id
        };
        self.link_youngest(id);
        id
    }

    /// Takes an item out and returns its record. The slot must hold one.
    pub(crate) fn remove(&mut self, id: SlotId) -> Record {
        self.unlink(id);
        let vacant = self.vacant;
        let slot = self.slot_mut(id);
        slot.younger = vacant;
        let record = slot.record.take().expect("the index names occupied slots only");
        self.vacant = id;
        record
    }

    /// The second chance: makes an item the youngest again.
    pub(crate) fn move_to_youngest(&mut self, id: SlotId) {
        self.unlink(id);
        self.link_youngest(id);
    }

    /// The item the hand is at. (A clone, as the caller goes on to change the queue.)
    pub(crate) fn oldest(&self) -> Option<Record> {
        self.slots.get(self.oldest as usize)?.record.clone()
    }

    /// The first expired item among the `within` oldest.
    pub(crate) fn first_expired(&self, within: usize, now: Seconds) -> Option<Record> {
        let mut id = self.oldest;
        for _ in 0..within {
            let slot = self.slots.get(id as usize)?;
            if slot.expiry.is_past(now) {
                return slot.record.clone();
            }
            id = slot.younger;
        }
        None
    }

    fn link_youngest(&mut self, id: SlotId) {
        let before = std::mem::replace(&mut self.youngest, id);
        let slot = self.slot_mut(id);
        (slot.older, slot.younger) = (before, NONE);
        match before {
            NONE => self.oldest = id,
            before => self.slot_mut(before).younger = id,
        }
    }

    fn unlink(&mut self, id: SlotId) {
        let &Slot { older, younger, .. } = self.slot(id);
        match older {
            NONE => self.oldest = younger,
            older => self.slot_mut(older).younger = younger,
        }
        match younger {
            NONE => self.youngest = older,
            younger => self.slot_mut(younger).older = older,
        }
    }

    fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id as usize]
    }

    fn slot_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.slots[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ttl;

    /// The queue from oldest to youngest, found by taking it apart.
    fn order(mut queue: Queue, ids: &[(u8, SlotId)]) -> Vec<u8> {
        let mut order = Vec::new();
        while let Some(record) = queue.oldest() {
            let name = record.key()[0];
            let id = ids.iter().find(|(key, _)| *key == name).unwrap().1;
            assert_eq!(queue.remove(id).key(), [name]);
            order.push(name);
        }
        order
    }

    fn push(queue: &mut Queue, name: u8, ttl: Ttl) -> (u8, SlotId) {
        (name, queue.push(Record::new(&[name], b""), Expiry::new(ttl, Seconds(0))))
    }

    #[test]
    fn keeps_order_when_items_leave_and_move_at_either_end_and_between() {
        for (removed, moved, expected) in [
            (0, 1, b"cdeb"),
            (4, 3, b"abcd"),
            (2, 0, b"bdea"),
            (1, 4, b"acde"),
            (0, 4, b"bcde"),
            (4, 0, b"bcda"),
        ] {
            let mut queue = Queue::new();
            let ids: Vec<_> = b"abcde".iter().map(|name| push(&mut queue, *name, Ttl::NEVER)).collect();
            queue.remove(ids[removed].1);
            queue.move_to_youngest(ids[moved].1);
            assert_eq!(order(queue, &ids), expected, "removed {removed}, moved {moved}");
        }
    }

    #[test]
    fn vacant_slots_are_used_again() {
        let mut queue = Queue::new();
        let first: Vec<_> = b"abc".iter().map(|name| push(&mut queue, *name, Ttl::NEVER).1).collect();
        first.iter().for_each(|id| drop(queue.remove(*id)));
        assert!(queue.oldest().is_none());
        let mut second: Vec<_> = b"def".iter().map(|name| push(&mut queue, *name, Ttl::NEVER).1).collect();
        second.sort_unstable();
        assert_eq!(second, first);
        assert_eq!(push(&mut queue, b'g', Ttl::NEVER).1, 3);
    }

    #[test]
    fn looks_for_expired_items_as_far_as_told() {
        let mut queue = Queue::new();
        for (name, ttl) in [(b'a', Ttl::NEVER), (b'b', Ttl(9)), (b'c', Ttl(5))] {
            push(&mut queue, name, ttl);
        }
        let found = |within, now| queue.first_expired(within, Seconds(now)).map(|record| record.key()[0]);
        assert_eq!(found(3, 4), None);
        assert_eq!(found(2, 5), None);
        assert_eq!(found(3, 5), Some(b'c'));
        assert_eq!(found(100, 9), Some(b'b'));
    }
}
