//! Which bytes of a value are there: a sorted list of disjoint intervals with a fixed capacity.

use core::ops::Range;

/// Intervals one value may be in at a time. Chunks mostly arrive in order and merge; 64 leaves room for every fourth
/// chunk missing from the largest window (256 KiB of 1200 B datagrams). A chunk that finds no room is asked for again.
const INTERVALS_MAX: usize = 64;

/// What inserting a range did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    /// At least one byte was new.
    New,
    /// Every byte was there before.
    Known,
    /// The list is full: nothing was kept.
    Full,
}

/// The parts of `0..total` that arrived.
#[derive(Clone)]
pub(crate) struct Intervals {
    items: [(u32, u32); INTERVALS_MAX],
    count: usize,
    bytes: u32,
}

impl Intervals {
    pub(crate) const EMPTY: Self = Self { items: [(0, 0); INTERVALS_MAX], count: 0, bytes: 0 };

    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        (self.count, self.bytes) = (0, 0);
    }

    /// Bytes covered.
    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Adds `start..end`, merging with what it touches.
    pub(crate) fn insert(&mut self, start: u32, end: u32) -> Inserted {
        let items = &self.items[..self.count];
        // The items from `first` to `last` (exclusive) touch the new range and melt into it.
        let first = items.partition_point(|item| item.1 < start);
        let last = first + items[first..].partition_point(|item| item.0 <= end);
        if first == last {
            return self.insert_apart(first, start, end);
        }
        let merged = (start.min(items[first].0), end.max(items[last - 1].1));
        let before: u32 = items[first..last].iter().map(|item| item.1 - item.0).sum();
        let added = merged.1 - merged.0 - before;
        if added == 0 {
            return Inserted::Known;
        }
        self.items[first] = merged;
        self.items.copy_within(last..self.count, first + 1);
        self.count -= last - first - 1;
        self.bytes += added;
        Inserted::New
    }

    fn insert_apart(&mut self, at: usize, start: u32, end: u32) -> Inserted {
        if start == end {
            return Inserted::Known;
        }
        if self.count == INTERVALS_MAX {
            return Inserted::Full;
        }
        self.items.copy_within(at..self.count, at + 1);
        self.items[at] = (start, end);
        self.count += 1;
        self.bytes += end - start;
        Inserted::New
    }

    /// Whether all of `0..end` is there.
    pub(crate) fn covers(&self, end: u32) -> bool {
        end == 0 || (self.count > 0 && self.items[0].0 == 0 && self.items[0].1 >= end)
    }

    /// What is missing of `0..end`, in rising order.
    pub(crate) fn gaps(&self, end: u32) -> impl Iterator<Item = Range<u32>> {
        let items = &self.items[..self.count];
        let starts = core::iter::once(0).chain(items.iter().map(|item| item.1));
        let ends = items.iter().map(|item| item.0).chain(core::iter::once(end));
        starts.zip(ends).map(move |(start, stop)| start..stop.min(end)).filter(|gap| gap.start < gap.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    #[test]
    fn a_full_list_refuses_only_what_needs_a_new_interval() {
        let mut intervals = Intervals::EMPTY;
        for i in 0..INTERVALS_MAX as u32 {
            assert_eq!(intervals.insert(i * 10, i * 10 + 5), Inserted::New);
        }
        assert_eq!(intervals.insert(5000, 5001), Inserted::Full);
        assert_eq!(intervals.bytes(), 5 * INTERVALS_MAX as u32);
        assert_eq!(intervals.insert(5, 10), Inserted::New, "joins two, which makes room");
        assert_eq!(intervals.insert(5000, 5001), Inserted::New);
    }

    proptest! {
        #[test]
        fn agrees_with_a_bitmap(ranges in prop::collection::vec((0u32..300, 0u32..40), 1..60)) {
            let mut intervals = Intervals::EMPTY;
            let mut bitmap = vec![false; 340];
            for (start, length) in ranges {
                let range = &mut bitmap[start as usize..(start + length) as usize];
                let new = range.iter().any(|there| !there);
                range.fill(true);
                prop_assert_eq!(intervals.insert(start, start + length), if new { Inserted::New } else { Inserted::Known });
                let gaps: Vec<_> = intervals.gaps(340).collect();
                for (at, there) in bitmap.iter().enumerate() {
                    prop_assert_eq!(*there, !gaps.iter().any(|gap| gap.contains(&(at as u32))));
                }
                prop_assert_eq!(intervals.bytes() as usize, bitmap.iter().filter(|there| **there).count());
                prop_assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start));
                let prefix = bitmap.iter().position(|there| !there).unwrap_or(340) as u32;
                prop_assert!(intervals.covers(prefix) && !intervals.covers(prefix + 1));
            }
        }
    }
}
