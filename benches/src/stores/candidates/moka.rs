//! moka: a concurrent map with TinyLFU behind it, after Caffeine.

use std::sync::Arc;

use moka::sync::Cache;

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped, weight};

type Bytes = Box<[u8]>;

pub(super) struct Moka(Cache<Bytes, Arc<[u8]>>);

impl Moka {
    pub(super) fn new(capacity: Capacity) -> Self {
        let overhead_bytes = capacity.overhead_bytes;
        let builder = Cache::builder()
            .max_capacity(capacity.bytes as u64)
            .weigher(move |key: &Bytes, stored: &Arc<[u8]>| weight(key, stored, overhead_bytes) as u32);
        Self(builder.build())
    }
}

impl Candidate for Moka {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.0.get(key).is_some_and(|stored| unstamped(&stored, now_s).map(seen).is_some())
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let mut touched = Touched::default();
        for key in keys {
            let Some(stored) = self.0.get(&key[..]) else { continue };
            if let Some(value) = unstamped(&stored, now_s) {
                touch(value, &mut touched);
            }
        }
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        self.0.insert(key.into(), stamped(value, ttl_s, now_s));
    }

    fn items(&self) -> usize {
        self.0.run_pending_tasks();
        self.0.entry_count() as usize
    }
}
