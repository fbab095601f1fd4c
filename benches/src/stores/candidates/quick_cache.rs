//! quick_cache: shards behind read-write locks, Clock-PRO as the policy.

use std::error::Error;
use std::hash::RandomState;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped, weight};

type Stored = Arc<[u8]>;

pub(super) struct QuickCache(Cache<Box<[u8]>, Stored, Weigh, RandomState>);

#[derive(Clone)]
struct Weigh {
    overhead_bytes: usize,
}

impl Weighter<Box<[u8]>, Stored> for Weigh {
    fn weight(&self, key: &Box<[u8]>, stored: &Stored) -> u64 {
        weight(key, stored, self.overhead_bytes) as u64
    }
}

impl QuickCache {
    pub(super) fn new(capacity: Capacity) -> Result<Self, Box<dyn Error>> {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity.items)
            .weight_capacity(capacity.bytes as u64)
            .build()
            .map_err(|error| error.to_string())?;
        let weigh = Weigh { overhead_bytes: capacity.overhead_bytes };
        Ok(Self(Cache::with_options(options, weigh, RandomState::new(), DefaultLifecycle::default())))
    }
}

impl Candidate for QuickCache {
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
        self.0.len()
    }
}
