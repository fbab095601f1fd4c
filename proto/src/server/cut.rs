//! A value that is sent in chunks: which, and how many of them the credit pays for (`PROTOCOL.md`, sections 3.3 and 3.5).

use super::budget::Budget;
use crate::chunk::{Chunks, Range};
use crate::limits::{CHUNK_BYTES, LEVEL_BYTES_MAX};
use crate::wire::{Chunk, Ranges};

/// The chunks of a value, or of ranges of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a, 'd> {
    pub(super) id: u32,
    pub(super) version: u64,
    pub(super) sealed: &'d [u8],
    /// What was asked for again; `None` for the whole value.
    pub(super) ranges: Option<Ranges<'a>>,
    /// How many chunks are sent, from the first on.
    pub(super) send: usize,
    /// The last chunk is padded to the length of the others.
    pub(super) level: bool,
}

impl<'a, 'd> Cut<'a, 'd> {
    /// Takes the first chunk if the budget allows.
    #[inline]
    pub(super) fn fit_first(&mut self, capacity: u32, budget: &mut Budget) {
        let first = self.chunks(capacity).next();
        self.send = usize::from(first.is_some_and(|first| budget.chunk(first)));
    }

    /// Takes the chunks behind the first as far as the budget goes.
    #[inline]
    pub(super) fn fit_rest(&mut self, capacity: u32, budget: &mut Budget) {
        let mut chunks = self.chunks(capacity);
        chunks.next();
        loop {
            // Mostly the credit pays for all of a range, which need not be counted chunk by chunk.
            let (count, bytes) = chunks.current.left();
            if budget.chunks(count, bytes) {
                self.send += count as usize;
                chunks.current = Chunks::new(0, 1);
            }
            if !chunks.next().is_some_and(|chunk| budget.chunk(chunk)) {
                break;
            }
            self.send += 1;
        }
        self.level = self.ranges.is_none() && self.fit_level(capacity, budget);
    }

    /// Takes the padding that levels the chunks of a whole value, where all of them are sent, it is little, and the budget
    /// allows.
    #[inline]
    fn fit_level(&self, capacity: u32, budget: &mut Budget) -> bool {
        let chunks = self.chunks(capacity).current;
        let (count, bytes) = chunks.left();
        let padding = (count * chunks.chunk_bytes() - bytes) as usize;
        self.send == count as usize && (1..=LEVEL_BYTES_MAX).contains(&padding) && budget.pad(padding)
    }

    /// All chunks, none longer than `capacity`. Each range is balanced by itself; what lies past the value is left out.
    #[inline]
    pub(super) fn chunks(&self, capacity: u32) -> CutChunks<'a> {
        let whole = Range { offset: 0, length: self.sealed.len() as u32 };
        let current = if self.ranges.is_none() { whole } else { Range { length: 0, ..whole } };
        CutChunks {
            current: Chunks::of_range(current, capacity),
            ranges: self.ranges,
            total: whole.length,
            capacity,
        }
    }

    #[inline]
    pub(super) fn chunk(&self, range: Range) -> Chunk<'d> {
        let bytes = &self.sealed[range.offset as usize..range.end() as usize];
        Chunk {
            id: self.id,
            version: self.version,
            total: self.sealed.len() as u32,
            offset: range.offset,
            bytes,
        }
    }
}

/// The chunks of a [`Cut`].
#[derive(Clone, Debug)]
pub(super) struct CutChunks<'a> {
    current: Chunks,
    /// The ranges behind the current one.
    ranges: Option<Ranges<'a>>,
    total: u32,
    capacity: u32,
}

impl CutChunks<'_> {
    /// By how many bytes this chunk is shorter than the others of its range.
    #[inline]
    pub(super) const fn short_by(&self, chunk: Range) -> usize {
        (self.current.chunk_bytes() - chunk.length) as usize
    }
}

impl Iterator for CutChunks<'_> {
    type Item = Range;

    #[inline]
    fn next(&mut self) -> Option<Range> {
        loop {
            if let Some(chunk) = self.current.next() {
                return Some(chunk);
            }
            let (range, behind) = self.ranges?.split_first();
            self.ranges = behind;
            let offset = range.offset.min(self.total);
            let length = range.end().min(self.total) - offset;
            self.current = Chunks::of_range(Range { offset, length }, self.capacity);
        }
    }
}

/// Bytes of a chunk that fit a datagram.
#[inline]
pub(super) const fn capacity(datagram_bytes: usize, prefix_bytes: usize) -> u32 {
    datagram_bytes.saturating_sub(prefix_bytes + CHUNK_BYTES) as u32
}
