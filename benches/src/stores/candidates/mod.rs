//! The candidates behind one small trait, each in the configuration that suits it best.
//!
//! All take keys of bytes and hash them with the standard library's keyed SipHash (or, in our store, its own keyed hash): keys come
//! from clients, who must not be able to choose ones that collide. TTLs are part of the work: where a crate has none that
//! a virtual clock can drive, four bytes in front of the value hold the second of expiry.

mod baseline;
mod foyer;
mod index_only;
mod moka;
mod quick_cache;
mod scc;
mod shingle;

use std::error::Error;

/// Bytes of the keys that timed sections use.
pub const KEY_BYTES: usize = 20;

/// A key of the timed sections.
pub type Key = [u8; KEY_BYTES];

/// What a candidate may hold.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Bytes of keys, values and overhead.
    pub bytes: usize,
    /// Bytes an item is charged beside its key and value, where the crate lets its user say.
    pub overhead_bytes: usize,
    /// About how many items that will be.
    pub items: usize,
    /// Longest value, bytes.
    pub value_bytes_max: usize,
}

/// What a batch of reads found, with something of every cache line of every value in it, so that nothing read can be left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Touched {
    /// Keys that were there.
    pub hits: u64,
    /// Sum over their bytes.
    pub sum: u64,
}

/// A cache as the server would use one: by any number of threads at once.
pub trait Candidate: Send + Sync {
    /// Shows the value of a key; false when it is absent or expired.
    fn get(&self, key: &[u8], now_s: u32, seen: &mut dyn FnMut(&[u8])) -> bool;
    /// Reads a batch, the way the crate does that best.
    fn get_many(&self, keys: &[Key], now_s: u32) -> Touched;
    /// Stores a value for `ttl_s` seconds (0: for ever).
    fn set(&self, key: &[u8], value: &[u8], ttl_s: u32, now_s: u32);
    /// Items held, as far as the crate tells.
    fn items(&self) -> usize;
}

/// Makes a candidate; fails where it cannot work with so little or so much.
pub type Make = fn(Capacity) -> Result<Box<dyn Candidate>, Box<dyn Error>>;

/// A candidate by name.
pub struct Named {
    /// As in tables and on the command line.
    pub name: &'static str,
    /// Version and last release.
    pub source: &'static str,
    /// How it is used here.
    pub configuration: &'static str,
    /// Whether it evicts; the others are an index alone, and take part where nothing is evicted.
    pub evicts: bool,
    /// Whether it keeps its budget by itself, overhead included (the others hold what their user charges).
    pub own_budget: bool,
    /// Makes one.
    pub make: Make,
}

/// What the others are compared with.
pub const BASELINE: &str = "mutex+lru";

/// Our store, read in another way: for reads alone.
pub const PREFETCHED: &str = "shingle, prefetched";

/// Every candidate; the baseline first.
pub const CANDIDATES: [Named; 10] = [
    Named {
        name: BASELINE,
        source: "std",
        configuration: "16 shards, each a Mutex around a HashMap and an LRU list; bytes, an exact LRU in each shard",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(baseline::Sharded::new(capacity, 16))),
    },
    Named {
        name: "papaya",
        source: "papaya 0.2.5, 2026-08-21",
        configuration: "HashMap of boxed slices, one pin a batch; an index, without eviction",
        evicts: false,
        own_budget: false,
        make: |capacity| Ok(Box::new(index_only::Papaya::new(capacity))),
    },
    Named {
        name: "scc-index",
        source: "scc 3.8.8, 2026-09-01",
        configuration: "HashIndex (reads without a lock) of boxed slices, one guard a batch; an index, without eviction",
        evicts: false,
        own_budget: false,
        make: |capacity| Ok(Box::new(index_only::SccIndex::new(capacity))),
    },
    Named {
        name: "scc-cache",
        source: "scc 3.8.8, 2026-09-01",
        configuration: "HashCache of boxed slices: LRU within sets of 32; holds a number of items (a power of two), not bytes",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(scc::SccCache::new(capacity))),
    },
    Named {
        name: "quick_cache",
        source: "quick_cache 0.7.0, 2026-06-26",
        configuration: "sync::Cache of Arc<[u8]>, shards and shares as by default (Clock-PRO kin of S3-FIFO), weighed in bytes",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(quick_cache::QuickCache::new(capacity)?)),
    },
    Named {
        name: "foyer",
        source: "foyer-memory 0.22.6, 2026-09-09",
        configuration: "Cache of boxed slices with S3-FIFO (reads share a lock), 8 shards as by default, weighed in bytes",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(foyer::Foyer::new(capacity))),
    },
    Named {
        name: "moka",
        source: "moka 0.12.16, 2026",
        configuration: "sync::Cache of Arc<[u8]> with TinyLFU as by default, weighed in bytes",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(moka::Moka::new(capacity))),
    },
    Named {
        name: "shingle",
        source: "shingle-store of this tree",
        configuration: "one pin a batch, then one get a key",
        evicts: true,
        own_budget: true,
        make: |capacity| Ok(Box::new(shingle::Shingle::new(capacity)?)),
    },
    Named {
        name: PREFETCHED,
        source: "shingle-store of this tree",
        configuration: "the same; a batch is hashed and asked for from memory before it is looked up, as the server does",
        evicts: true,
        own_budget: true,
        make: |capacity| Ok(Box::new(shingle::Prefetched::new(capacity)?)),
    },
    Named {
        name: "lru-exact",
        source: "std",
        configuration: "one shard of the baseline: an exact LRU over all items",
        evicts: true,
        own_budget: false,
        make: |capacity| Ok(Box::new(baseline::Sharded::new(capacity, 1))),
    },
];

/// The key of an item, spread over all of its bytes.
#[must_use]
pub fn key(item: u32) -> Key {
    let mut key = *b"shingle-item-bench-0";
    key[..8].copy_from_slice(&u64::from(item).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    key
}

/// Reads a byte of each cache line of a value, as sending it would.
#[inline]
fn touch(value: &[u8], touched: &mut Touched) {
    touched.hits += 1;
    touched.sum += value.len() as u64 + value.iter().step_by(64).map(|byte| u64::from(*byte)).sum::<u64>();
}

/// Bytes in front of a value that say when it expires.
const STAMP_BYTES: usize = 4;

/// A value behind its second of expiry, in one allocation.
fn stamped<T: FromIterator<u8>>(value: &[u8], ttl_s: u32, now_s: u32) -> T {
    let expires_s = if ttl_s == 0 { u32::MAX } else { now_s + ttl_s };
    expires_s.to_le_bytes().into_iter().chain(value.iter().copied()).collect()
}

/// The value, unless it has expired.
#[inline]
fn unstamped(stored: &[u8], now_s: u32) -> Option<&[u8]> {
    let (stamp, value) = stored.split_first_chunk::<STAMP_BYTES>()?;
    (now_s < u32::from_le_bytes(*stamp)).then_some(value)
}

/// What an item weighs against [`Capacity::bytes`].
fn weight(key: &[u8], stored: &[u8], overhead_bytes: usize) -> usize {
    key.len() + stored.len() - STAMP_BYTES + overhead_bytes
}
