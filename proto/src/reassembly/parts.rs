//! The pool of values that are partly there.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::arena::{Arena, Block};
use super::intervals::{Inserted, Intervals};
use crate::limits::SEAL_BYTES;

/// One value on its way.
#[derive(Clone)]
pub(crate) struct Part {
    /// Version of every byte that is kept.
    pub(crate) version: u64,
    /// Length of the sealed value.
    pub(crate) total: u32,
    /// As far as the answer under way is known to go; everything missing before it is lost once the gap passes.
    pub(crate) expected_end: u32,
    /// Largest datagram that brought a chunk since the newest request; 0 where none did.
    pub(crate) datagram_bytes: u16,
    /// What arrived.
    pub(crate) arrived: Intervals,
    block: Option<Block>,
}

impl Part {
    /// Whether a chunk with these marks is of this value.
    pub(crate) fn takes(&self, version: u64, total: u32) -> bool {
        (self.version, self.total) == (version, total)
    }

    /// Whether every byte arrived.
    pub(crate) fn complete(&self) -> bool {
        self.arrived.bytes() == self.total
    }
}

/// All parts of one flow and the arena their bytes are in.
pub(crate) struct Parts {
    items: Box<[Part]>,
    /// A stack of the free ones, so that the part used last, which is in the CPU's caches, is used next; never longer than there are parts.
    free: Vec<u32>,
    arena: Arena,
    holding: usize,
}

impl Parts {
    /// Arena bytes below which a value of `value_bytes_max` might never find a block.
    pub(crate) fn arena_bytes_min(value_bytes_max: usize) -> usize {
        Arena::bytes_for(value_bytes_max + SEAL_BYTES)
    }

    /// Memory for `count` parts and `arena_bytes` of values.
    pub(crate) fn new(count: usize, arena_bytes: usize) -> Self {
        let empty = Part {
            version: 0,
            total: 0,
            expected_end: 0,
            datagram_bytes: 0,
            arrived: Intervals::EMPTY,
            block: None,
        };
        let mut free = Vec::with_capacity(count);
        free.extend((0..count as u32).rev());
        Self {
            items: vec![empty; count].into_boxed_slice(),
            free,
            arena: Arena::new(arena_bytes),
            holding: 0,
        }
    }

    /// Bytes [`Parts::new`] takes.
    pub(crate) fn memory_bytes(count: usize, arena_bytes: usize) -> usize {
        count * (size_of::<Part>() + size_of::<u32>()) + Arena::memory_bytes(arena_bytes)
    }

    /// Whether no part is free, whatever the arena has.
    pub(crate) fn is_used_up(&self) -> bool {
        self.free.is_empty()
    }

    /// Values whose bytes are held: those still waited for.
    pub(crate) fn holding(&self) -> usize {
        self.holding
    }

    /// Begins a value of `total` bytes; `None` when no part or no block is free.
    pub(crate) fn begin(&mut self, version: u64, total: u32) -> Option<u32> {
        if self.is_used_up() {
            return None;
        }
        let block = self.arena.take(total as usize)?;
        let index = self.begin_books(version, total)?;
        self.items[index as usize].block = Some(block);
        self.holding += 1;
        Some(index)
    }

    /// Begins a value of which only the books are kept, to know whether all of it arrives; `None` when no part is free.
    pub(crate) fn begin_books(&mut self, version: u64, total: u32) -> Option<u32> {
        let index = self.free.pop()?;
        let part = &mut self.items[index as usize];
        (part.version, part.total, part.expected_end, part.datagram_bytes) = (version, total, 0, 0);
        part.arrived.clear();
        debug_assert!(part.block.is_none(), "given back with the part");
        Some(index)
    }

    pub(crate) fn get(&self, index: u32) -> &Part {
        &self.items[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Part {
        &mut self.items[index as usize]
    }

    /// Keeps one chunk. The caller has checked that it lies within the value's total.
    pub(crate) fn write(&mut self, index: u32, offset: u32, bytes: &[u8]) -> Inserted {
        let part = &mut self.items[index as usize];
        let inserted = part.arrived.insert(offset, offset + bytes.len() as u32);
        if let (Inserted::New, Some(block)) = (inserted, part.block) {
            self.arena.bytes_mut(block)[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        inserted
    }

    /// The bytes of a value, as far as they arrived.
    pub(crate) fn sealed(&self, index: u32) -> &[u8] {
        let part = &self.items[index as usize];
        part.block.map_or(&[], |block| &self.arena.bytes(block)[..part.total as usize])
    }

    /// Gives the bytes back and keeps the books.
    pub(crate) fn release_bytes(&mut self, index: u32) {
        if let Some(block) = self.items[index as usize].block.take() {
            self.arena.release(block);
            self.holding -= 1;
        }
    }

    /// Gives a part back.
    pub(crate) fn release(&mut self, index: u32) {
        self.release_bytes(index);
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_is_used_up_says_so_and_recovers() {
        let mut parts = Parts::new(2, 8192);
        let a = parts.begin(1, 4096).expect("first");
        assert_eq!(parts.begin(1, 8192), None, "no block is long enough");
        let b = parts.begin(1, 4096).expect("second");
        assert_eq!(parts.begin(1, 1), None, "no part is free");
        parts.release(a);
        parts.release_bytes(b);
        assert!(parts.begin(1, 8192).is_some(), "both blocks came back");
        assert_eq!(parts.write(b, 0, &[1; 4096]), Inserted::New);
        assert!(parts.get(b).complete(), "books go on without bytes");
        assert_eq!(parts.sealed(b), b"");
    }
}
