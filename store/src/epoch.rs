//! Which readers are where in time, so that memory is used again only when nobody can see its old content.
//!
//! A reader writes the epoch of its arrival into a slot; a writer that has unlinked something begins a new
//! epoch, and waits with the memory until every slot is empty or of a later one. That is epoch-based
//! reclamation (Fraser, "Practical lock-freedom", 2004) with slots that belong to no thread: pinning is one
//! compare-and-swap on a slot that the thread alone uses unless there are more threads than slots.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use crossbeam_utils::CachePadded;

/// A slot holds an epoch, shifted, and below it how many readers are pinned in it.
const COUNT_BITS: u32 = 16;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// The epochs of one store.
pub(crate) struct Epochs {
    now: CachePadded<AtomicU64>,
    slots: Box<[CachePadded<AtomicU64>]>,
}

/// A reader's stay. What was linked when it began stays as it is until it is dropped.
pub(crate) struct Pin<'e> {
    slot: &'e AtomicU64,
}

/// When something was unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

impl Epochs {
    pub(crate) fn new(slots: usize) -> Epochs {
        assert!(slots > 0);
        Epochs {
            now: CachePadded::new(AtomicU64::new(1)),
            slots: (0..slots).map(|_| CachePadded::default()).collect(),
        }
    }

    /// Bytes that so many slots take.
    pub(crate) fn bytes(slots: usize) -> usize {
        slots * size_of::<CachePadded<AtomicU64>>()
    }

    /// Begins a reader's stay. Waits for nobody: a slot that is taken is passed by, and when all are, the
    /// thread joins the readers of the latest epoch.
    ///
    /// # Panics
    /// When 65,535 readers share a slot already: more would be counted as an epoch.
    #[inline]
    pub(crate) fn pin(&self) -> Pin<'_> {
        // Acquire, paired with the Release in `advance`: a reader of the new epoch sees what was unlinked
        // before it, so it need not be waited for.
        let epoch = self.now.load(Ordering::Acquire);
        let first = thread_number() % self.slots.len();
        let slot = &*self.slots[first];
        let found = slot.load(Ordering::Relaxed);
        if found & COUNT_MASK != 0
            || slot
                .compare_exchange(found, epoch << COUNT_BITS | 1, Ordering::SeqCst, Ordering::Relaxed)
                .is_err()
        {
            return self.pin_elsewhere(first, epoch);
        }
        arrive(slot)
    }

    #[cold]
    fn pin_elsewhere(&self, first: usize, epoch: u64) -> Pin<'_> {
        let (before, from) = self.slots.split_at(first);
        for slot in from.iter().chain(before) {
            let found = slot.load(Ordering::Relaxed);
            let taken = epoch << COUNT_BITS | 1;
            if found & COUNT_MASK == 0
                && slot.compare_exchange(found, taken, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            {
                return arrive(slot);
            }
        }
        // Sharing keeps the epoch found. The latest is joined, of equals the first one: so the others empty as their
        // readers leave, and are taken in a new epoch, which is joined from then on. Readers without end could
        // otherwise keep an old epoch alive for ever.
        // Should the epoch found be later than ours, then who took the slot had seen all that was unlinked before
        // it; the exchange takes that over (SeqCst acquires as well).
        let by_epoch = |slot: &&CachePadded<AtomicU64>| slot.load(Ordering::Relaxed) >> COUNT_BITS;
        let slot = self.slots.iter().rev().max_by_key(by_epoch).expect("there are slots");
        slot.fetch_update(Ordering::SeqCst, Ordering::Relaxed, |found| match found & COUNT_MASK {
            0 => Some(epoch << COUNT_BITS | 1),
            COUNT_MASK => None,
            _ => Some(found + 1),
        })
        .expect("fewer than 65,536 readers share a slot");
        arrive(slot)
    }

    /// Ends the epoch in which the writer unlinked something; returns what [`Epochs::all_left`] takes.
    /// Under the writers' mutex only.
    pub(crate) fn advance(&self) -> Epoch {
        let ended = self.now.load(Ordering::Relaxed);
        // Release: see `pin`.
        self.now.store(ended + 1, Ordering::Release);
        Epoch(ended)
    }

    /// The oldest epoch somebody may still be in, or the present one: what was unlinked in an earlier one
    /// has no reader any more.
    pub(crate) fn oldest(&self) -> Epoch {
        // Paired with the fence in `arrive`. If a slot's load below does not see a reader's arrival, this
        // fence comes before the reader's, and the reader sees everything unlinked before this call.
        fence(Ordering::SeqCst);
        let mut oldest = self.now.load(Ordering::Relaxed);
        for slot in &self.slots {
            // Acquire, paired with the Release in `Pin::drop`: the reads of those who left come before the
            // memory is written again. Arrivals in between are read-modify-writes and carry it on.
            let found = slot.load(Ordering::Acquire);
            if found & COUNT_MASK != 0 {
                oldest = oldest.min(found >> COUNT_BITS);
            }
        }
        Epoch(oldest)
    }
}

/// The arrival must be seen before anything is read: a store followed by loads of other places, which only
/// sequentially consistent fences keep in order.
#[inline]
fn arrive(slot: &AtomicU64) -> Pin<'_> {
    fence(Ordering::SeqCst);
    Pin { slot }
}

impl Drop for Pin<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: see `oldest`. The epoch stays behind; without readers it says nothing.
        self.slot.fetch_sub(1, Ordering::Release);
    }
}

/// A number of this thread, counted up from 0 as threads first ask: neighbours get slots of their own.
#[inline]
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Const and without a destructor: no allocation.
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let number = NUMBER.get();
    if number != usize::MAX {
        return number;
    }
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn memory_waits_for_readers_that_came_before_and_for_no_others() {
        let epochs = Epochs::new(4);
        let unlinked = epochs.advance();
        assert!(unlinked < epochs.oldest(), "nobody is here");
        let before = epochs.pin();
        let unlinked = epochs.advance();
        let after = epochs.pin();
        assert!(unlinked >= epochs.oldest());
        drop(before);
        assert!(unlinked < epochs.oldest());
        drop(after);
    }

    #[test]
    fn readers_beyond_the_slots_share_and_the_oldest_counts() {
        let epochs = Epochs::new(2);
        let mut pins = vec![epochs.pin()];
        let unlinked = epochs.advance();
        pins.extend((0..100).map(|_| epochs.pin()));
        for _ in 0..100 {
            assert!(unlinked >= epochs.oldest());
            pins.pop();
        }
        // One of the two first comers is left, or none.
        drop(pins);
        assert!(unlinked < epochs.oldest());
        assert!(epochs.slots.iter().all(|slot| slot.load(Ordering::Relaxed) & COUNT_MASK == 0));
    }

    #[test]
    fn readers_without_end_keep_no_epoch_alive() {
        let epochs = Epochs::new(3);
        let mut pins: VecDeque<_> = (0..10).map(|_| epochs.pin()).collect();
        for _ in 0..1000 {
            let unlinked = epochs.advance();
            // Each of those who are here leaves, but never before the next has come; twice, as the first of the
            // next may have joined those before.
            for _ in 0..2 * pins.len() {
                pins.push_back(epochs.pin());
                pins.pop_front();
            }
            assert!(unlinked < epochs.oldest());
        }
    }

    #[test]
    #[should_panic(expected = "share a slot")]
    fn readers_are_never_counted_as_an_epoch() {
        let epochs = Epochs::new(1);
        for _ in 0..=COUNT_MASK {
            std::mem::forget(epochs.pin());
        }
    }
}
