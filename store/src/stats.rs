//! The store's books: written by writers, readable by anybody at any time without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the store holds and did since it was made. Each figure is exact; taken while writers run, they may be
/// an update apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Items held, expired ones that no writer came by yet included.
    pub items: usize,
    /// Bytes of keys, values and overhead charged to the budget; never above it.
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
    items: AtomicUsize,
    bytes_used: AtomicUsize,
    pub(crate) evictions: AtomicU64,
    pub(crate) expirations: AtomicU64,
    pub(crate) sets: AtomicU64,
    pub(crate) deletes: AtomicU64,
}

impl Counters {
    pub(crate) fn bytes_used(&self) -> usize {
        self.bytes_used.load(Ordering::Relaxed)
    }

    pub(crate) fn add_item(&self, cost_bytes: usize) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.bytes_used.fetch_add(cost_bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove_item(&self, cost_bytes: usize) {
        self.items.fetch_sub(1, Ordering::Relaxed);
        self.bytes_used.fetch_sub(cost_bytes, Ordering::Relaxed);
    }

    /// Back to an empty store; returns the items there were.
    pub(crate) fn clear_items(&self) -> usize {
        self.bytes_used.store(0, Ordering::Relaxed);
        self.items.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, budget_bytes: usize) -> StoreStats {
        StoreStats {
            items: self.items.load(Ordering::Relaxed),
            bytes_used: self.bytes_used.load(Ordering::Relaxed),
            budget_bytes,
            evictions: self.evictions.load(Ordering::Relaxed),
            expirations: self.expirations.load(Ordering::Relaxed),
            sets: self.sets.load(Ordering::Relaxed),
            deletes: self.deletes.load(Ordering::Relaxed),
        }
    }
}

/// Adds one. Relaxed: a counter orders nothing.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
