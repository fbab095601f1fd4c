//! The memory part of foyer: shards behind read-write locks, S3-FIFO as the policy.

use std::hash::RandomState;

use foyer_memory::{Cache, CacheBuilder, CacheProperties, S3FifoConfig};

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped, weight};

type Bytes = Box<[u8]>;

pub(super) struct Foyer(Cache<Bytes, Bytes, RandomState, CacheProperties>);

impl Foyer {
    pub(super) fn new(capacity: Capacity) -> Self {
        let overhead_bytes = capacity.overhead_bytes;
        let builder = CacheBuilder::new(capacity.bytes)
            .with_eviction_config(S3FifoConfig::default())
            .with_hash_builder(RandomState::new())
            .with_weighter(move |key: &Bytes, stored: &Bytes| weight(key, stored, overhead_bytes));
        Self(builder.build())
    }
}

impl Candidate for Foyer {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.0.get(key).is_some_and(|entry| unstamped(entry.value(), now_s).map(seen).is_some())
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let mut touched = Touched::default();
        for key in keys {
            let Some(entry) = self.0.get(&key[..]) else { continue };
            if let Some(value) = unstamped(entry.value(), now_s) {
                touch(value, &mut touched);
            }
        }
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        self.0.insert(key.into(), stamped(value, ttl_s, now_s));
    }

    fn items(&self) -> usize {
        self.0.entries()
    }
}
