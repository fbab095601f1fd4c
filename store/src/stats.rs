//! The store's books: written by writers, readable by anybody at any time without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What the store holds and did since it was made. Each figure is exact; taken while writers run, they may be
/// an update apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Items held, expired ones that no writer came by yet included.
    pub items: usize,
    /// Bytes of the records held (header, key and value), of the index and of the store's books; never above the
    /// budget. What is between the two is free, garbage of updates, or kept ready for the next ones.
    pub bytes_used: usize,
    /// The budget.
    pub budget_bytes: usize,
    /// Live items removed to make room.
    pub evictions: u64,
    /// Expired items removed.
    pub expirations: u64,
    /// Updates carried out, new keys and replaced values alike.
    pub sets: u64,
    /// Items removed by a delete; deletes of absent keys and flushes do not count.
    pub deletes: u64,
}

/// The counters behind [`StoreStats`]; changed under the writers' mutex only.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) items: Counter,
    pub(crate) bytes_used: Counter,
    pub(crate) evictions: Counter,
    pub(crate) expirations: Counter,
    pub(crate) sets: Counter,
    pub(crate) deletes: Counter,
}

impl Counters {
    pub(crate) fn snapshot(&self, budget_bytes: usize) -> StoreStats {
        StoreStats {
            items: self.items.get(),
            bytes_used: self.bytes_used.get(),
            budget_bytes,
            evictions: self.evictions.get() as u64,
            expirations: self.expirations.get() as u64,
            sets: self.sets.get() as u64,
            deletes: self.deletes.get() as u64,
        }
    }
}

/// Written by one thread at a time, read by any. Relaxed: a counter orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn put(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.put(self.get() + 1);
    }

    pub(crate) fn down(&self) {
        self.put(self.get() - 1);
    }
}
