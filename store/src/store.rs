//! The store: readers on a lock-free index, writers behind one mutex that also owns the eviction queue.

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crossbeam_utils::CachePadded;
use papaya::{Guard, HashMap, HashMapRef, LocalGuard};

use crate::StoreError;
use crate::expiry::{Expiry, Seconds, Ttl};
use crate::limits::{CHANCES_PER_UPDATE_MAX, EXPIRY_LOOKAHEAD_ITEMS, KEY_BYTES_MAX, RECLAIM_AT_ONCE_BYTES};
use crate::memory::{check_budget, mem_available};
use crate::record::Record;
use crate::second_chance::{Queue, SlotId};
use crate::stats::{Counters, StoreStats, count};
use crate::version::{Version, Versions};

/// What a store is made with; fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreConfig {
    /// Bytes that keys, values and [`ITEM_OVERHEAD_BYTES`](crate::limits::ITEM_OVERHEAD_BYTES) an item may
    /// take together. Records that were replaced while somebody read them live on outside of it until they
    /// are let go.
    pub budget_bytes: usize,
    /// Largest value stored, in bytes.
    pub value_bytes_max: usize,
    /// Upper half of the versions; it must not repeat when the server starts again.
    pub instance_nonce: u32,
}

/// The cache's memory; shared between threads by reference or `Arc`.
pub struct Store {
    config: StoreConfig,
    /// Keyed SipHash, seeded at random: keys come from clients, who must not be able to choose ones that
    /// collide.
    index: Index,
    versions: Versions,
    /// Padded, as readers must not share a cache line with what writers write.
    counters: CachePadded<Counters>,
    queue: CachePadded<Mutex<Queue>>,
}

type Index = HashMap<Record, Entry, RandomState>;

/// What the index keeps of an item.
struct Entry {
    /// The same allocation as the index's key. Taken from here, the value is right whether or not the index
    /// exchanges its key with the entry, which papaya leaves open.
    record: Record,
    version: Version,
    expiry: Expiry,
    slot: SlotId,
    /// Read since the hand last came by. The one thing readers write.
    visited: AtomicBool,
}

/// Keeps what it reads alive: values stay as they are while it lives, also when they are replaced or deleted.
///
/// Hold one for a batch of reads and drop it between batches: memory replaced in its time is not freed
/// before, and is no longer charged to the budget. The last reader that could have seen a record frees it
/// when it is dropped; that is the one time a reader's thread meets the allocator.
pub struct Reader<'s> {
    index: HashMapRef<'s, Record, Entry, RandomState, LocalGuard<'s>>,
}

/// A value found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'g> {
    /// The bytes stored.
    pub value: &'g [u8],
    /// Their version.
    pub version: Version,
}

impl Reader<'_> {
    /// The value of a key; None when it is absent or expired at `now`. Takes no lock and allocates nothing.
    pub fn get(&self, key: &[u8], now: Seconds) -> Option<Item<'_>> {
        let entry = self.index.get(key)?;
        if entry.expiry.is_past(now) {
            return None;
        }
        // Look before writing: an item read often would otherwise bounce between the CPUs that read it.
        // Relaxed: the bit is a hint to the hand and publishes nothing.
        if !entry.visited.load(Ordering::Relaxed) {
            entry.visited.store(true, Ordering::Relaxed);
        }
        Some(Item { value: entry.record.value(), version: entry.version })
    }
}

impl Store {
    /// Makes an empty store.
    ///
    /// # Errors
    /// The budget must hold one item of the largest size, and must not be larger than
    /// [`BUDGET_BYTES_MAX`](crate::limits::BUDGET_BYTES_MAX) or than the memory the machine has available now
    /// (not checked where `/proc/meminfo` does not tell).
    pub fn new(config: StoreConfig) -> Result<Store, StoreError> {
        check_budget(&config, mem_available())?;
        Ok(Store {
            config,
            index: HashMap::with_hasher(RandomState::new()),
            versions: Versions::new(config.instance_nonce),
            counters: CachePadded::default(),
            queue: CachePadded::new(Mutex::new(Queue::new())),
        })
    }

    /// Begins a batch of reads. Allocates at a thread's first pin only.
    pub fn pin(&self) -> Reader<'_> {
        Reader { index: self.index.pin() }
    }

    /// Stores a value under a key for `ttl` from `now` on, replacing the old value if there is one; readers
    /// see the old or the new one. Evicts others when there is no room.
    ///
    /// # Errors
    /// Keys have 1 to [`KEY_BYTES_MAX`] bytes, values at most `value_bytes_max`. Nothing is changed on an
    /// error.
    pub fn set(&self, key: &[u8], value: &[u8], ttl: Ttl, now: Seconds) -> Result<Version, StoreError> {
        self.check(key, value)?;
        // Copied before the mutex is taken: other writers need not wait for it.
        let record = Record::new(key, value);
        let expiry = Expiry::new(ttl, now);
        let guard = self.index.guard();
        let mut queue = self.lock();
        let version = self.versions.next()?;
        // The old value leaves the queue first, so that making room cannot take it from its readers, and
        // leaves the index last, in exchange for the new one.
        let replaced = self.index.get(key, &guard);
        if let Some(old) = replaced {
            self.counters.remove_item(queue.remove(old.slot).cost_bytes());
        }
        self.make_room(record.cost_bytes(), now, &mut queue, &guard);
        self.counters.add_item(record.cost_bytes());
        let slot = queue.push(record.clone(), expiry);
        let entry = Entry { record: record.clone(), version, expiry, slot, visited: AtomicBool::new(false) };
        self.index.insert(record, entry, &guard);
        count(&self.counters.sets);
        if let Some(old) = replaced {
            reclaim_soon(old, &guard);
        }
        Ok(version)
    }

    /// Removes a key; false when it was absent. An expired item that is still held counts as present.
    pub fn delete(&self, key: &[u8]) -> bool {
        let guard = self.index.guard();
        let mut queue = self.lock();
        let found = self.remove(key, &mut queue, &guard);
        if found {
            count(&self.counters.deletes);
        }
        found
    }

    /// Removes everything and returns how many items that were. Readers see some gone before others.
    pub fn flush(&self) -> usize {
        let guard = self.index.guard();
        let mut queue = self.lock();
        let items = self.counters.clear_items();
        *queue = Queue::new();
        self.index.clear(&guard);
        guard.flush();
        items
    }

    /// The books. Takes no lock.
    pub fn stats(&self) -> StoreStats {
        self.counters.snapshot(self.config.budget_bytes)
    }

    fn check(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (key_bytes, value_bytes, value_bytes_max) = (key.len(), value.len(), self.config.value_bytes_max);
        if key.is_empty() {
            return Err(StoreError::KeyEmpty);
        }
        if key_bytes > KEY_BYTES_MAX {
            return Err(StoreError::KeyTooLong { key_bytes });
        }
        if value_bytes > value_bytes_max {
            return Err(StoreError::ValueTooLarge { value_bytes, value_bytes_max });
        }
        Ok(())
    }

    /// The writers' turn. A panic in one leaves queue and books unfit for use, so the next one panics as
    /// well.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("an earlier writer panicked: the store's books are no longer right")
    }

    /// Makes `cost_bytes` fit: expired items near the hand go first, then the oldest not read since the hand
    /// last came by. `new` saw to it that the largest item fits an empty store.
    fn make_room(&self, cost_bytes: usize, now: Seconds, queue: &mut Queue, guard: &LocalGuard<'_>) {
        let mut chances = CHANCES_PER_UPDATE_MAX;
        while self.counters.bytes_used() + cost_bytes > self.config.budget_bytes {
            if let Some(expired) = queue.first_expired(EXPIRY_LOOKAHEAD_ITEMS, now) {
                self.remove(expired.key(), queue, guard);
                count(&self.counters.expirations);
                continue;
            }
            let oldest = queue.oldest().expect("an empty store has room");
            let entry = self.index.get(oldest.key(), guard).expect("queue and index hold the same items");
            if chances > 0 && entry.visited.swap(false, Ordering::Relaxed) {
                chances -= 1;
                queue.move_to_youngest(entry.slot);
            } else {
                self.remove(oldest.key(), queue, guard);
                count(&self.counters.evictions);
            }
        }
    }

    /// Takes a key out of index, queue and budget; false when it is absent.
    fn remove(&self, key: &[u8], queue: &mut Queue, guard: &LocalGuard<'_>) -> bool {
        let Some(entry) = self.index.remove(key, guard) else { return false };
        self.counters.remove_item(queue.remove(entry.slot).cost_bytes());
        reclaim_soon(entry, guard);
        true
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("config", &self.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Large records start on their way out when the last reader leaves; small ones wait for their batch to fill.
fn reclaim_soon(removed: &Entry, guard: &LocalGuard<'_>) {
    if removed.record.cost_bytes() >= RECLAIM_AT_ONCE_BYTES {
        guard.flush();
    }
}
