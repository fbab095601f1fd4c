//! The store: readers on an index without locks, writers behind one mutex.

use std::fmt;
use std::sync::{Mutex, MutexGuard};

use crossbeam_utils::CachePadded;

use crate::StoreError;
use crate::arena::Arena;
use crate::epoch::Epochs;
use crate::expiry::{Seconds, Ttl};
use crate::hash::{KeyHash, KeyHasher};
use crate::limits::KEY_BYTES_MAX;
use crate::memory::mem_available;
use crate::plan::Plan;
use crate::reader::Reader;
use crate::shared::Shared;
use crate::stats::StoreStats;
use crate::version::Version;
use crate::writer::Writer;

/// What a store is made with; fixed for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreConfig {
    /// Bytes that all the store takes may have: records, index, books, garbage, and what readers hold.
    pub budget_bytes: usize,
    /// Largest value stored, in bytes.
    pub value_bytes_max: usize,
    /// Upper half of the versions; it must not repeat when the server starts again.
    pub instance_nonce: u32,
}

/// The cache's memory; shared between threads by reference or `Arc`.
pub struct Store {
    config: StoreConfig,
    shared: Shared,
    writer: CachePadded<Mutex<Writer>>,
}

impl Store {
    /// Makes an empty store. Its memory is mapped at once and backed by the kernel as it is first used.
    ///
    /// # Errors
    /// The budget must hold the few segments that a store works with, each at least as large as the largest
    /// item, and must not be larger than [`BUDGET_BYTES_MAX`](crate::limits::BUDGET_BYTES_MAX) or than the memory
    /// the machine has available now (not checked where `/proc/meminfo` does not tell).
    pub fn new(config: StoreConfig) -> Result<Store, StoreError> {
        let plan = Plan::new(&config, mem_available())?;
        let arena = Arena::new(plan.segments * plan.segment_bytes).map_err(|error| {
            StoreError::MemoryRefused { budget_bytes: config.budget_bytes, reason: error.to_string() }
        })?;
        let (writer, index) = Writer::new(&plan, &arena, config.instance_nonce);
        let shared = Shared {
            index,
            arena,
            epochs: Epochs::new(plan.reader_slots),
            hasher: KeyHasher::random(),
            instance_nonce: config.instance_nonce,
            counters: CachePadded::default(),
        };
        shared.counters.bytes_used.put(writer.bytes_used());
        Ok(Store { config, shared, writer: CachePadded::new(Mutex::new(writer)) })
    }

    /// Begins a batch of reads. Allocates nothing and waits for nobody.
    #[inline]
    pub fn pin(&self) -> Reader<'_> {
        Reader::new(&self.shared)
    }

    /// A key's hash, as [`Reader`] takes it.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.shared.hasher.hash(key)
    }

    /// Stores a value under a key for `ttl` from `now` on, replacing the old value if there is one; readers
    /// see the old or the new one. Evicts others when there is no room.
    ///
    /// # Errors
    /// Keys have 1 to [`KEY_BYTES_MAX`] bytes, values at most `value_bytes_max`. Memory that readers hold for
    /// longer than [`READERS_WAIT_MS_MAX`](crate::limits::READERS_WAIT_MS_MAX) is an error when no other is left:
    /// a thread that holds a [`Reader`] waits for itself. The key keeps its old value on any error.
    pub fn set(&self, key: &[u8], value: &[u8], ttl: Ttl, now: Seconds) -> Result<Version, StoreError> {
        self.check(key, value)?;
        let counters = &self.shared.counters;
        self.write(|writer| writer.set(&self.shared, key, value, ttl, now).inspect(|_| counters.sets.up()))
    }

    /// Removes a key; false when it was absent. An expired item that is still held counts as present.
    pub fn delete(&self, key: &[u8]) -> bool {
        let counters = &self.shared.counters;
        self.write(|writer| {
            writer.delete(&self.shared, key) && {
                counters.deletes.up();
                true
            }
        })
    }

    /// Removes everything and returns how many items that were. Readers see some gone before others.
    pub fn flush(&self) -> usize {
        self.write(|writer| writer.flush(&self.shared))
    }

    /// The books. Takes no lock.
    pub fn stats(&self) -> StoreStats {
        self.shared.counters.snapshot(self.config.budget_bytes)
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

    /// A writer's turn. A panic in one leaves the books unfit for use, so the next one panics as well.
    fn write<T>(&self, turn: impl FnOnce(&mut Writer) -> T) -> T {
        let mut writer: MutexGuard<'_, Writer> =
            self.writer.lock().expect("an earlier writer panicked: the store's books are no longer right");
        let result = turn(&mut writer);
        self.shared.counters.bytes_used.put(writer.bytes_used());
        result
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
