//! One slab of memory from which contiguous blocks are lent: a buddy allocator (Knuth, TAOCP vol. 1, section 2.5).
//!
//! A request takes the smallest free power of two of units that holds it and gives the unused tail back at once: a sealed
//! value of 1 MiB + 8 B is cut from 2 MiB, but shorter values find room in what it leaves. Taking and giving back are
//! O(log n).

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use super::list::{Links, List};

/// Smallest block. Values worth a block are longer than one datagram, and the smallest datagram is 1200 B.
const UNIT_BYTES: usize = 2048;
/// Orders of power-of-two blocks: 2 KiB << 20 is 2 GiB, past what a u32 offset of a value can need.
const ORDERS: usize = 21;
/// Mark of a unit at which no free block begins.
const IN_USE: u8 = u8::MAX;

/// A lent run of units; give it back with [`Arena::release`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    first: u32,
    units: u32,
}

/// The slab and the books of what is free.
pub(crate) struct Arena {
    slab: Box<[u8]>,
    links: Links,
    free: [List; ORDERS],
    /// For each unit the order of the free block that begins there, or [`IN_USE`].
    order_at: Box<[u8]>,
}

impl Arena {
    /// Bytes an arena must have so that a block of `bytes` can be taken from it when it is empty.
    pub(crate) fn bytes_for(bytes: usize) -> usize {
        bytes.div_ceil(UNIT_BYTES).next_power_of_two() * UNIT_BYTES
    }

    /// Takes `bytes` of memory, rounded down to whole units.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes / UNIT_BYTES;
        let mut arena = Self {
            slab: vec![0; units * UNIT_BYTES].into_boxed_slice(),
            links: Links::new(units),
            free: [List::EMPTY; ORDERS],
            order_at: vec![IN_USE; units].into_boxed_slice(),
        };
        arena.give(0, units as u32);
        arena
    }

    /// Bytes [`Arena::new`] takes.
    pub(crate) fn memory_bytes(bytes: usize) -> usize {
        let units = bytes / UNIT_BYTES;
        units * (UNIT_BYTES + 1) + Links::memory_bytes(units)
    }

    /// Lends a block of at least `bytes`; `None` when no free run is long enough.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Block> {
        let units = bytes.div_ceil(UNIT_BYTES).max(1) as u32;
        let wanted = units.next_power_of_two().trailing_zeros() as usize;
        let order = (wanted..ORDERS).find(|order| !self.free[*order].is_empty())?;
        let first = self.links.pop_front(&mut self.free[order])?;
        self.order_at[first as usize] = IN_USE;
        self.give(first + units, first + (1 << order));
        Some(Block { first, units })
    }

    /// Takes a lent block back.
    pub(crate) fn release(&mut self, block: Block) {
        self.give(block.first, block.first + block.units);
    }

    /// The bytes of a lent block.
    pub(crate) fn bytes(&self, block: Block) -> &[u8] {
        &self.slab[Self::range(block)]
    }

    /// The bytes of a lent block, to be written.
    pub(crate) fn bytes_mut(&mut self, block: Block) -> &mut [u8] {
        &mut self.slab[Self::range(block)]
    }

    fn range(block: Block) -> Range<usize> {
        block.first as usize * UNIT_BYTES..(block.first + block.units) as usize * UNIT_BYTES
    }

    /// Frees the units `first..end` as the largest aligned powers of two they consist of.
    fn give(&mut self, mut first: u32, end: u32) {
        while first < end {
            let alignment = first.trailing_zeros().min(ORDERS as u32 - 1);
            let order = alignment.min((end - first).ilog2());
            self.give_aligned(first, order as u8);
            first += 1 << order;
        }
    }

    /// Frees one aligned block and joins it with its buddy as long as that is free as well.
    fn give_aligned(&mut self, mut first: u32, mut order: u8) {
        while usize::from(order) + 1 < ORDERS {
            let buddy = first ^ (1 << order);
            if self.order_at.get(buddy as usize) != Some(&order) {
                break;
            }
            self.links.unlink(&mut self.free[usize::from(order)], buddy);
            self.order_at[buddy as usize] = IN_USE;
            first &= !(1 << order);
            order += 1;
        }
        self.order_at[first as usize] = order;
        self.links.push_back(&mut self.free[usize::from(order)], first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn a_block_costs_its_units_and_no_more() {
        let mut arena = Arena::new(4 << 20);
        let blocks: Vec<_> = core::iter::from_fn(|| arena.take((1 << 20) + 8)).collect();
        assert_eq!(blocks.len(), 2, "each is cut from an aligned 2 MiB");
        let rest: Vec<_> = core::iter::from_fn(|| arena.take(UNIT_BYTES)).collect();
        assert_eq!(rest.len(), 2 * (1024 - 513), "and leaves the rest to others");
    }

    #[test]
    fn an_odd_slab_is_lent_to_the_last_unit() {
        let mut arena = Arena::new(13 * UNIT_BYTES + 1);
        let blocks: Vec<_> = core::iter::from_fn(|| arena.take(1)).collect();
        assert_eq!(blocks.len(), 13);
        blocks.into_iter().for_each(|block| arena.release(block));
        assert!(arena.take(8 * UNIT_BYTES).is_some(), "buddies joined again");
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_all_comes_back(steps in prop::collection::vec((0usize..40_000, any::<bool>()), 1..200)) {
            let mut arena = Arena::new(256 * 1024);
            let mut lent: Vec<(Block, u8)> = Vec::new();
            for (step, (bytes, give_back)) in steps.into_iter().enumerate() {
                if give_back && !lent.is_empty() {
                    let (block, mark) = lent.swap_remove(bytes % lent.len());
                    prop_assert!(arena.bytes(block).iter().all(|byte| *byte == mark));
                    arena.release(block);
                } else if let Some(block) = arena.take(bytes) {
                    prop_assert!(arena.bytes(block).len() >= bytes);
                    arena.bytes_mut(block).fill(step as u8);
                    lent.push((block, step as u8));
                }
            }
            for (block, mark) in lent {
                prop_assert!(arena.bytes(block).iter().all(|byte| *byte == mark));
                arena.release(block);
            }
            prop_assert!(arena.take(256 * 1024).is_some());
        }
    }
}
