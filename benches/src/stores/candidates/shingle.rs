//! The store of this tree.

use shingle_store::{Lead, Seconds, Store, StoreConfig, StoreError, Ttl};

use super::{Candidate, Capacity, Key, Touched, touch};

/// Most keys of a batch.
const BATCH_MAX: usize = 64;

pub(super) struct Shingle(Store);

impl Shingle {
    pub(super) fn new(capacity: Capacity) -> Result<Self, StoreError> {
        let Capacity { bytes: budget_bytes, value_bytes_max, .. } = capacity;
        Ok(Self(Store::new(StoreConfig { budget_bytes, value_bytes_max, instance_nonce: 1 })?))
    }
}

/// Reads as the server does: hash the whole batch and ask for the index, then for the records, then look.
pub(super) struct Prefetched(Shingle);

impl Prefetched {
    pub(super) fn new(capacity: Capacity) -> Result<Self, StoreError> {
        Shingle::new(capacity).map(Self)
    }
}

impl Candidate for Prefetched {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.0.get(key, now_s, seen)
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let Shingle(store) = &self.0;
        let reader = store.pin();
        let mut hashed = [const { None }; BATCH_MAX];
        let hashes = &mut hashed[..keys.len()];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            reader.prefetch(*hash.insert(reader.hash(key)));
        }
        let mut leads = [Lead::default(); BATCH_MAX];
        for (lead, hash) in leads.iter_mut().zip(hashes.iter().flatten()) {
            *lead = reader.prefetch_item(*hash);
        }
        let mut touched = Touched::default();
        let items =
            keys.iter().zip(leads).filter_map(|(key, lead)| reader.get_led(key, lead, Seconds(now_s)));
        items.for_each(|item| touch(item.value, &mut touched));
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        self.0.set(key, value, ttl_s, now_s);
    }

    fn items(&self) -> usize {
        self.0.items()
    }
}

impl Candidate for Shingle {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.0.pin().get(key, Seconds(now_s)).map(|item| seen(item.value)).is_some()
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let reader = self.0.pin();
        let mut touched = Touched::default();
        let items = keys.iter().filter_map(|key| reader.get(key, Seconds(now_s)));
        items.for_each(|item| touch(item.value, &mut touched));
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        let ttl = if ttl_s == 0 { Ttl::NEVER } else { Ttl(ttl_s) };
        let stored = self.0.set(key, value, ttl, Seconds(now_s));
        stored.expect("keys and values are within the limits");
    }

    fn items(&self) -> usize {
        self.0.stats().items
    }
}
