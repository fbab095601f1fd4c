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

    /// How many chunks are left, and their bytes together.
    #[inline]
    pub(crate) const fn left(&self) -> (u32, u32) {
        let bytes = self.end - self.next;
        (bytes.div_ceil(self.each), bytes)
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
        let left = self.left().0 as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Chunks {}
impl FusedIterator for Chunks {}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn chunks_are_as_few_as_fit_and_balanced() {
        let sizes =
            |total, capacity| Chunks::new(total, capacity).map(|chunk| chunk.length).collect::<Vec<_>>();
        assert_eq!(sizes(10, 4), [4, 4, 2]);
        assert_eq!(sizes(1501, 1500), [751, 750]);
        assert_eq!(sizes(1500, 1500), [1500]);
        assert_eq!(sizes(1, 1500), [1]);
        assert_eq!(sizes(0, 1500), []);
        assert_eq!(sizes(2, 0), [1, 1]);
    }

    #[test]
    fn chunks_cover_the_range_for_every_small_length_and_capacity() {
        for length in 1..200_u32 {
            for capacity in 1..=length + 1 {
                let range = Range { offset: 1000, length };
                let chunks = Chunks::of_range(range, capacity);
                assert_eq!(chunks.len(), length.div_ceil(capacity) as usize, "{length} by {capacity}");
                let mut end = range.offset;
                let mut last = u32::MAX;
                for (left, chunk) in (0..chunks.len()).rev().zip(chunks.clone()) {
                    assert_eq!(chunk.offset, end);
                    assert!((1..=capacity).contains(&chunk.length) && chunk.length <= last);
                    assert!(
                        left == 0 || chunk.length == chunks.chunk_bytes(),
                        "only the last one is shorter"
                    );
                    (end, last) = (chunk.end(), chunk.length);
                }
                assert_eq!(end, range.end());
            }
        }
    }

    #[test]
    fn ranges_at_the_end_of_the_numbers_do_not_wrap() {
        let chunks = Chunks::of_range(Range { offset: u32::MAX - 3, length: 9 }, 2);
        assert_eq!(chunks.map(|chunk| chunk.length).sum::<u32>(), 3);
    }
}
