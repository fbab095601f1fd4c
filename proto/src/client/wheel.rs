//! Timers of all reads: a hierarchical timing wheel (Varghese and Lauck, 1987) over linked indices.
//!
//! One timer an index. Setting, moving and cancelling are O(1) and allocate nothing; a timer moves down at most once a
//! level. The resolution is one tick of 65.5 µs: a timer never fires early and at most one tick after its time, if the
//! caller looks then.

use alloc::boxed::Box;
use alloc::vec;

use crate::reassembly::{Links, List, NONE};

/// A tick is 2^16 ns.
const TICK_BITS: u32 = 16;
/// A level has 64 buckets, so that one word tells which are occupied.
const LEVEL_BITS: u32 = 6;
const BUCKETS: usize = 1 << LEVEL_BITS;
/// 8 levels of 6 bits and the tick's 16 cover every u64 of nanoseconds.
const LEVELS: usize = 8;
const TICK_MAX: u64 = (1 << (LEVEL_BITS * LEVELS as u32)) - 1;

#[derive(Clone, Copy)]
struct Timer {
    tick: u64,
    /// Level and bucket as one number; [`NONE`] when not set.
    bucket: u32,
}

/// Timers for the indices below a fixed count.
pub(crate) struct Wheel {
    /// All ticks before this one are done with.
    now: u64,
    occupied: [u64; LEVELS],
    buckets: [List; BUCKETS * LEVELS],
    links: Links,
    timers: Box<[Timer]>,
}

impl Wheel {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            now: 0,
            occupied: [0; LEVELS],
            buckets: [List::EMPTY; BUCKETS * LEVELS],
            links: Links::new(count),
            timers: vec![Timer { tick: 0, bucket: NONE }; count].into_boxed_slice(),
        }
    }

    /// Bytes [`Wheel::new`] takes.
    pub(crate) fn memory_bytes(count: usize) -> usize {
        count * size_of::<Timer>() + Links::memory_bytes(count)
    }

    /// Sets or moves the timer of `index` to `at_ns`. A time behind the last tick of the numbers never comes: the timer is cleared.
    pub(crate) fn set(&mut self, index: u32, at_ns: u64) {
        let tick = at_ns.div_ceil(1 << TICK_BITS).max(self.now);
        if tick > TICK_MAX {
            return self.cancel(index);
        }
        let timer = self.timers[index as usize];
        if timer.bucket != NONE {
            if timer.tick == tick {
                return;
            }
            self.cancel(index);
        }
        self.place(index, tick);
    }

    /// Clears the timer of `index`, if set.
    pub(crate) fn cancel(&mut self, index: u32) {
        let bucket = core::mem::replace(&mut self.timers[index as usize].bucket, NONE);
        if bucket == NONE {
            return;
        }
        let list = &mut self.buckets[bucket as usize];
        self.links.unlink(list, index);
        if list.is_empty() {
            self.occupied[bucket as usize / BUCKETS] &= !(1 << (bucket as usize % BUCKETS));
        }
    }

    /// Takes one timer that is due; `None` when none is left that is.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<u32> {
        let now = now_ns >> TICK_BITS;
        while let Some((level, bucket, start)) = self.first() {
            if start > now {
                break;
            }
            self.now = self.now.max(start);
            let bucket = level * BUCKETS + bucket;
            if level == 0 {
                let index = self.buckets[bucket].head();
                self.cancel(index);
                return Some(index);
            }
            // The whole bucket moves down, or a lower level would not be earlier than what is left of it.
            while !self.buckets[bucket].is_empty() {
                let index = self.buckets[bucket].head();
                self.cancel(index);
                self.place(index, self.timers[index as usize].tick);
            }
        }
        self.now = self.now.max(now.min(TICK_MAX));
        None
    }

    /// When to look again: never after the first timer, and before it only to move timers down a level.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.first().map(|(_, _, start)| start << TICK_BITS)
    }

    /// The first occupied bucket and the tick it begins at. Timers of a level differ from `now` in that level's digit
    /// and no higher one, so a lower level is always earlier.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|word| *word != 0)?;
        let bucket = self.occupied[level].trailing_zeros() as usize;
        let shift = LEVEL_BITS * level as u32;
        let upper = self.now >> shift >> LEVEL_BITS << LEVEL_BITS;
        Some((level, bucket, (upper | bucket as u64) << shift))
    }

    fn place(&mut self, index: u32, tick: u64) {
        let level = (tick ^ self.now).checked_ilog2().unwrap_or(0) / LEVEL_BITS;
        let bucket = (tick >> (LEVEL_BITS * level)) as usize % BUCKETS;
        let number = level as usize * BUCKETS + bucket;
        self.links.push_back(&mut self.buckets[number], index);
        self.occupied[level as usize] |= 1 << bucket;
        self.timers[index as usize] = Timer { tick, bucket: number as u32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    const TICK_NS: u64 = 1 << TICK_BITS;

    #[test]
    fn a_timer_fires_within_one_tick_and_never_early() {
        for at in [1, TICK_NS, 5_000_000, 100_000_000, 3_600_000_000_000, u64::MAX - 3 * TICK_NS] {
            let mut wheel = Wheel::new(1);
            wheel.set(0, at);
            let mut looks = 0;
            while let Some(next) = wheel.next_ns() {
                assert!(next < at + TICK_NS, "{next} is late for {at}");
                if wheel.pop(next).is_some() {
                    assert!(next >= at, "{next} is early for {at}");
                }
                looks += 1;
            }
            assert!(looks <= LEVELS, "{looks} looks for one timer");
        }
    }

    #[test]
    fn a_timer_behind_the_last_tick_never_fires() {
        let mut wheel = Wheel::new(1);
        wheel.set(0, 1);
        wheel.set(0, u64::MAX);
        assert_eq!((wheel.next_ns(), wheel.pop(u64::MAX)), (None, None));
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            start in prop_oneof![Just(0u64), any::<u32>().prop_map(u64::from), any::<u64>().prop_map(|t| t / 2)],
            steps in prop::collection::vec((0u32..20, prop_oneof![0u64..2_000_000, 0u64..10_000_000_000], 0u64..50_000_000), 1..150),
        ) {
            let mut wheel = Wheel::new(20);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = start;
            for (index, delay, pass) in steps {
                if delay % 7 == 0 {
                    wheel.cancel(index);
                    model.remove(&index);
                } else {
                    wheel.set(index, now + delay);
                    model.insert(index, now + delay);
                }
                now += pass;
                while let Some(fired) = wheel.pop(now) {
                    let due = model.remove(&fired).expect("set");
                    prop_assert!(due <= now);
                }
                prop_assert!(model.values().all(|due| *due > now - now % TICK_NS), "one is overdue");
                prop_assert_eq!(wheel.next_ns().is_some(), !model.is_empty());
                if let Some(next) = wheel.next_ns() {
                    prop_assert!(next < model.values().min().expect("same") + TICK_NS);
                }
            }
        }
    }
}
