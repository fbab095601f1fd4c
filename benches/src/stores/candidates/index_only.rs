//! The maps that readers never wait for: an index without budget or eviction, which their user would have to add.

use papaya::{Guard, HashMap as PapayaMap};
use scc::hash_index::Entry;
use scc::{Guard as SccGuard, HashIndex};
use std::hash::RandomState;

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped};

pub(super) struct Papaya(PapayaMap<Box<[u8]>, Box<[u8]>>);

impl Papaya {
    pub(super) fn new(_: Capacity) -> Self {
        Self(PapayaMap::new())
    }

    fn read<'g>(&self, key: &[u8], now_s: u32, guard: &'g impl Guard) -> Option<&'g [u8]> {
        unstamped(self.0.get(key, guard)?, now_s)
    }
}

impl Candidate for Papaya {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.read(key, now_s, &self.0.guard()).map(seen).is_some()
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let guard = self.0.guard();
        let mut touched = Touched::default();
        keys.iter()
            .filter_map(|key| self.read(key, now_s, &guard))
            .for_each(|value| touch(value, &mut touched));
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        self.0.pin().insert(key.into(), stamped(value, ttl_s, now_s));
    }

    fn items(&self) -> usize {
        self.0.len()
    }
}

pub(super) struct SccIndex(HashIndex<Box<[u8]>, Box<[u8]>, RandomState>);

impl SccIndex {
    pub(super) fn new(_: Capacity) -> Self {
        Self(HashIndex::default())
    }

    fn read<'g>(&'g self, key: &[u8], now_s: u32, guard: &'g SccGuard) -> Option<&'g [u8]> {
        unstamped(self.0.peek(key, guard)?, now_s)
    }
}

impl Candidate for SccIndex {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        self.read(key, now_s, &SccGuard::new()).map(seen).is_some()
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let guard = SccGuard::new();
        let mut touched = Touched::default();
        keys.iter()
            .filter_map(|key| self.read(key, now_s, &guard))
            .for_each(|value| touch(value, &mut touched));
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        let stored = stamped(value, ttl_s, now_s);
        match self.0.entry_sync(key.into()) {
            Entry::Occupied(mut entry) => entry.update(stored),
            Entry::Vacant(entry) => drop(entry.insert_entry(stored)),
        }
    }

    fn items(&self) -> usize {
        self.0.len()
    }
}
