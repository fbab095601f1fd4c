//! scc's HashCache: LRU within sets of 32 items, bounded by a number of items.

use scc::HashCache;
use scc::hash_cache::Entry;

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped};

pub(super) struct SccCache(HashCache<Box<[u8]>, Box<[u8]>>);

impl SccCache {
    pub(super) fn new(capacity: Capacity) -> Self {
        // Sets are full before a cache grows, so it begins at its largest; it rounds up to a power of two, so it gets one.
        let items = (capacity.items + 1).next_power_of_two() / 2;
        Self(HashCache::with_capacity(items, items))
    }
}

impl Candidate for SccCache {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        // `get_sync` marks the item as used, which `read_sync` does not.
        let Some(entry) = self.0.get_sync(key) else { return false };
        unstamped(entry.get(), now_s).map(seen).is_some()
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let mut touched = Touched::default();
        for key in keys {
            let Some(entry) = self.0.get_sync(&key[..]) else { continue };
            if let Some(value) = unstamped(entry.get(), now_s) {
                touch(value, &mut touched);
            }
        }
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        let stored = stamped(value, ttl_s, now_s);
        match self.0.entry_sync(key.into()) {
            Entry::Occupied(mut entry) => drop(entry.put(stored)),
            Entry::Vacant(entry) => drop(entry.put_entry(stored)),
        }
    }

    fn items(&self) -> usize {
        self.0.len()
    }
}
