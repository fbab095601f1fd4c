//! Balanced chunks: how a sealed value, or a range of it, is cut (`PROTOCOL.md`, section 3.3).

use core::iter::FusedIterator;

/// A piece of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// First byte, counted from the start of the sealed value.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

impl Range {
    /// First byte after the range.
    #[inline]
    #[must_use]
    pub const fn end(self) -> u32 {
        self.offset.saturating_add(self.length)
    }
}

/// The chunks of one value or range: as few as the capacity allows, all of one length but the last, which is no longer.
#[derive(Clone, Debug)]
pub struct Chunks {
    next: u32,
    end: u32,
    each: u32,
}

impl Chunks {
    /// Cuts `total` bytes into chunks of at most `capacity` bytes. A capacity of 0 counts as 1.
    #[inline]
    #[must_use]
    pub const fn new(total: u32, capacity: u32) -> Self {
        Self::of_range(Range { offset: 0, length: total }, capacity)
    }

    /// Cuts one range, balanced by itself, into chunks of at most `capacity` bytes. A capacity of 0 counts as 1.
    #[inline]
    #[must_use]
    pub const fn of_range(range: Range, capacity: u32) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        let length = range.end() - range.offset;
        let chunks = length.div_ceil(capacity);
        let each = if chunks == 0 { 1 } else { length.div_ceil(chunks) };
        Chunks { next: range.offset, end: range.offset + length, each }
    }

    /// Length of every chunk but the last.
    #[inline]
    #[must_use]
    pub const fn chunk_bytes(&self) -> u32 {
        self.each
    }
}

impl Iterator for Chunks {
    type Item = Range;

    #[inline]
    fn next(&mut self) -> Option<Range> {
        if self.next >= self.end {
            return None;
        }
        let offset = self.next;
        let length = self.each.min(self.end - offset);
        self.next = offset + length;
        Some(Range { offset, length })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next).div_ceil(self.each) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Chunks {}
impl FusedIterator for Chunks {}
