//! What anybody would write first: shards, each a mutex around a hash map and a list in order of use.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};

use super::{Candidate, Capacity, Key, Touched, stamped, touch, unstamped, weight};

const NONE: u32 = u32::MAX;

pub(super) struct Sharded {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    index: HashMap<Arc<[u8]>, u32>,
    nodes: Vec<Node>,
    vacant: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: usize,
    bytes_max: usize,
    overhead_bytes: usize,
}

struct Node {
    key: Arc<[u8]>,
    stored: Box<[u8]>,
    newer: u32,
    older: u32,
}

impl Sharded {
    pub(super) fn new(capacity: Capacity, shards: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                index: HashMap::new(),
                nodes: Vec::new(),
                vacant: Vec::new(),
                newest: NONE,
                oldest: NONE,
                bytes: 0,
                bytes_max: capacity.bytes / shards,
                overhead_bytes: capacity.overhead_bytes,
            })
        };
        Self { hasher: RandomState::new(), shards: (0..shards).map(|_| shard()).collect() }
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % self.shards.len()]
    }
}

impl Candidate for Sharded {
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool {
        let mut shard = self.shard(key).lock().expect("no writer panics");
        shard.get(key, now_s).map(seen).is_some()
    }

    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched {
        let mut touched = Touched::default();
        for key in keys {
            let mut shard = self.shard(key).lock().expect("no writer panics");
            if let Some(value) = shard.get(key, now_s) {
                touch(value, &mut touched);
            }
        }
        touched
    }

    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32) {
        let stored = stamped(value, ttl_s, now_s);
        self.shard(key).lock().expect("no writer panics").set(key, stored);
    }

    fn items(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("no writer panics").index.len()).sum()
    }
}

impl Shard {
    fn get(&mut self, key: &[u8], now_s: u32) -> Option<&[u8]> {
        let id = *self.index.get(key)?;
        if self.newest != id {
            self.unlink(id);
            self.link(id);
        }
        unstamped(&self.nodes[id as usize].stored, now_s)
    }

    fn set(&mut self, key: &[u8], stored: Box<[u8]>) {
        if let Some(id) = self.index.get(key).copied() {
            let old = std::mem::replace(&mut self.nodes[id as usize].stored, stored);
            self.bytes = self.bytes + self.nodes[id as usize].stored.len() - old.len();
            self.unlink(id);
            self.link(id);
        } else {
            self.bytes += weight(key, &stored, self.overhead_bytes);
            let key: Arc<[u8]> = key.into();
            let node = Node { key: Arc::clone(&key), stored, newer: NONE, older: NONE };
            let id = self.vacant.pop().unwrap_or(self.nodes.len() as u32);
            if id as usize == self.nodes.len() {
                self.nodes.push(node);
            } else {
                self.nodes[id as usize] = node;
            }
            self.index.insert(key, id);
            self.link(id);
        }
        while self.bytes > self.bytes_max && self.oldest != NONE {
            self.evict();
        }
    }

    fn evict(&mut self) {
        let id = self.oldest;
        self.unlink(id);
        let node = &mut self.nodes[id as usize];
        self.bytes -= weight(&node.key, &node.stored, self.overhead_bytes);
        self.index.remove(&node.key);
        node.stored = Box::default();
        node.key = Arc::default();
        self.vacant.push(id);
    }

    fn link(&mut self, id: u32) {
        let older = std::mem::replace(&mut self.newest, id);
        (self.nodes[id as usize].newer, self.nodes[id as usize].older) = (NONE, older);
        match older {
            NONE => self.oldest = id,
            older => self.nodes[older as usize].newer = id,
        }
    }

    fn unlink(&mut self, id: u32) {
        let Node { newer, older, .. } = self.nodes[id as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
    }
}
