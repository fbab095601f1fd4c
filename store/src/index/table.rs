//! A shard's table: buckets of eight slots, spread over blocks of the arena.
//!
//! An item is in the first of its two buckets or in its second. It may move from the first to the second, never
//! back: it is written there before it is cleared here, so a reader, who looks in this order, cannot miss it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::arena::Arena;
use crate::hash::Tag;
use crate::limits::{
    BLOCK_BUCKETS, BLOCK_BYTES, BLOCK_UNIT_BYTES, BUCKET_SLOTS, DISPLACEMENTS_MAX, LINE_BYTES, LOCATION_BITS,
};

/// A block of [`BLOCK_BYTES`] in the arena, by its offset in units of [`BLOCK_UNIT_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block(u32);

impl Block {
    pub(crate) fn at(offset: usize) -> Block {
        debug_assert!(offset.is_multiple_of(BLOCK_UNIT_BYTES));
        Block((offset / BLOCK_UNIT_BYTES) as u32)
    }

    #[inline]
    fn offset(self) -> usize {
        self.0 as usize * BLOCK_UNIT_BYTES
    }
}

/// What a slot holds: the tag above the record's place in the arena, plus one: 0 is an empty slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u64);

impl Entry {
    pub(crate) fn new(tag: Tag, location: usize) -> Entry {
        Entry(tag.0 << LOCATION_BITS | (location as u64 + 1))
    }

    #[inline]
    pub(crate) fn tag(self) -> Tag {
        Tag(self.0 >> LOCATION_BITS)
    }

    /// Offset of the record in the arena.
    #[inline]
    pub(crate) fn location(self) -> usize {
        (self.0 & ((1 << LOCATION_BITS) - 1)) as usize - 1
    }
}

/// A slot, shared between readers and the one writer.
#[repr(transparent)]
pub(crate) struct Slot(AtomicU64);

impl Slot {
    /// What it holds. Acquire, paired with the Release in `put`: the record is whole.
    #[inline]
    pub(crate) fn get(&self) -> Option<Entry> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            entry => Some(Entry(entry)),
        }
    }

    /// Publishes a record, in exchange for what was there.
    pub(crate) fn put(&self, entry: Entry) {
        self.0.store(entry.0, Ordering::Release);
    }

    /// Release: who finds it empty also finds the second bucket as it was written before.
    pub(crate) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

type Bucket = [Slot; BUCKET_SLOTS];

/// The table of one shard. Its size is fixed; a larger one takes its place.
pub(crate) struct Table {
    blocks: Box<[Block]>,
}

impl Table {
    /// An empty table.
    ///
    /// # Safety
    /// The blocks are within the arena, and the table's alone from now on.
    pub(crate) unsafe fn new(blocks: Box<[Block]>, arena: &Arena) -> Table {
        assert!(!blocks.is_empty());
        for block in &blocks {
            // SAFETY: all within the block, which nobody else uses, as the caller promises.
            unsafe { arena.at(block.offset()).write_bytes(0, BLOCK_BYTES) }
        }
        Table { blocks }
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    #[inline]
    fn buckets(&self) -> usize {
        self.blocks.len() * BLOCK_BUCKETS
    }

    #[inline]
    fn bucket<'a>(&'a self, arena: &'a Arena, number: usize) -> &'a Bucket {
        let block = self.blocks[number / BLOCK_BUCKETS];
        let at = arena.at(block.offset() + number % BLOCK_BUCKETS * LINE_BYTES);
        // SAFETY: a block is BLOCK_BUCKETS buckets of LINE_BYTES, begins on a cache line (the arena begins on a
        // page), was zeroed, and is used as atomics alone while the table lives.
        unsafe { &*at.cast::<Bucket>() }
    }

    /// The address of the first bucket of a tag.
    #[inline]
    pub(crate) fn first_bucket<'a>(&'a self, arena: &'a Arena, tag: Tag) -> &'a Bucket {
        self.bucket(arena, tag.primary(self.buckets()))
    }

    /// The address of the second bucket of a tag.
    #[inline]
    pub(crate) fn second_bucket<'a>(&'a self, arena: &'a Arena, tag: Tag) -> &'a Bucket {
        self.bucket(arena, tag.secondary(self.buckets()))
    }

    /// The slots with this tag: first bucket, then second. What an update puts there meanwhile is seen or not,
    /// but an item that stays is always among them.
    #[inline]
    pub(crate) fn candidates<'a>(
        &'a self,
        arena: &'a Arena,
        tag: Tag,
    ) -> impl Iterator<Item = (&'a Slot, Entry)> {
        let buckets = self.buckets();
        [tag.primary(buckets), tag.secondary(buckets)]
            .into_iter()
            .flat_map(move |number| self.bucket(arena, number))
            .filter_map(move |slot| slot.get().filter(|entry| entry.tag() == tag).map(|entry| (slot, entry)))
    }

    /// All slots.
    pub(crate) fn slots<'a>(&'a self, arena: &'a Arena) -> impl Iterator<Item = &'a Slot> {
        (0..self.buckets()).flat_map(move |number| self.bucket(arena, number))
    }

    /// An empty slot for a tag, made by moving others to their second buckets if need be.
    pub(crate) fn room<'a>(&'a self, arena: &'a Arena, tag: Tag) -> Option<&'a Slot> {
        let choices = [tag.primary(self.buckets()), tag.secondary(self.buckets())];
        let empty = choices.into_iter().find_map(|number| self.empty_slot(arena, number, 0));
        empty.or_else(|| {
            choices.into_iter().find_map(|number| self.empty_slot(arena, number, DISPLACEMENTS_MAX))
        })
    }

    /// An empty slot of a bucket, after at most so many moves in a row.
    fn empty_slot<'a>(&'a self, arena: &'a Arena, number: usize, moves: u32) -> Option<&'a Slot> {
        let bucket = self.bucket(arena, number);
        if let Some(empty) = bucket.iter().find(|slot| slot.get().is_none()) {
            return Some(empty);
        }
        if moves == 0 {
            return None;
        }
        bucket.iter().find_map(|slot| {
            let entry = slot.get()?;
            let (first, second) =
                (entry.tag().primary(self.buckets()), entry.tag().secondary(self.buckets()));
            if first != number || second == number {
                return None;
            }
            self.empty_slot(arena, second, moves - 1)?.put(entry);
            slot.clear();
            Some(slot)
        })
    }

    /// Some item in the buckets of a tag.
    pub(crate) fn neighbour<'a>(&'a self, arena: &'a Arena, tag: Tag) -> Option<(&'a Slot, Entry)> {
        self.first_bucket(arena, tag).iter().find_map(|slot| Some((slot, slot.get()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: usize = 16;

    fn tag(n: usize) -> Tag {
        Tag((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)
    }

    /// Whether the item is there, where a reader looks for it.
    fn finds(table: &Table, arena: &Arena, n: usize) -> bool {
        table.candidates(arena, tag(n)).any(|(_, entry)| entry == Entry::new(tag(n), n))
    }

    #[test]
    fn a_table_is_full_late_and_loses_nothing_while_items_make_room() {
        let arena = Arena::new(BLOCKS * BLOCK_BYTES).unwrap();
        // SAFETY: the arena is the test's, and the blocks lie next to each other in it.
        let table = unsafe { Table::new((0..BLOCKS).map(|n| Block::at(n * BLOCK_BYTES)).collect(), &arena) };
        let mut items = 0;
        while let Some(slot) = table.room(&arena, tag(items)) {
            slot.put(Entry::new(tag(items), items));
            items += 1;
            if items % 100 == 0 {
                assert!((0..items).all(|n| finds(&table, &arena, n)));
            }
        }
        let slots = BLOCKS * BLOCK_BUCKETS * BUCKET_SLOTS;
        assert!(items * 100 >= slots * 95, "{items} of {slots}");
        assert_eq!(table.slots(&arena).filter(|slot| slot.get().is_some()).count(), items);
        assert!((0..items).all(|n| finds(&table, &arena, n)));

        let (slot, _) = table.candidates(&arena, tag(7)).find(|(_, entry)| entry.location() == 7).unwrap();
        slot.clear();
        assert!(!finds(&table, &arena, 7) && finds(&table, &arena, 8));
    }
}
