//! Orders of reads that tell eviction policies apart, each a pure function of its name and size.

use std::error::Error;
use std::io::{BufWriter, Write};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use shingle_loadgen::workload::{ItemSpace, KeySampler, KeySpec, Sizing, Stream, ValueSpec};

/// Every order of reads has its random numbers from this seed.
const SEED: u64 = 42;
/// Reads a virtual second: TTLs of the trace are minutes to hours of them.
const READS_PER_S: u32 = 1000;
/// Value limit of the items, bytes.
const VALUE_BYTES_MAX: u32 = 1 << 20;

/// Reads in order, and the items they are of.
pub struct Trace {
    /// What it is called.
    pub name: &'static str,
    /// Sizes, keys and TTLs.
    pub items: ItemSpace,
    /// Numbers of items.
    pub reads: Vec<u32>,
}

/// Names of the orders that are the same for every size of cache, and how many there are.
pub const NAMES: [&str; 6] =
    ["zipf 0.8", "zipf 0.99", "zipf 1.1", "zipf 0.99 with scans", "zipf 0.99 drifting", "twitter-like trace"];

impl Trace {
    /// Makes the order of that name: `items` items, `reads` reads.
    ///
    /// # Errors
    /// Where the trace's file cannot be written or read.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn new(
        name: &'static str,
        values: &ValueSpec,
        items: u32,
        reads: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let zipf = |exponent: f64| -> Result<Self, Box<dyn Error>> {
            let space = ItemSpace::new(values, items, SEED, sizing())?;
            Ok(Self { name, reads: sample(&KeySpec::Zipf(exponent), &space, reads)?, items: space })
        };
        match name {
            "zipf 0.8" => zipf(0.8),
            "zipf 0.99" => zipf(0.99),
            "zipf 1.1" => zipf(1.1),
            "zipf 0.99 with scans" => Ok(zipf(0.99)?.with_scans()),
            "zipf 0.99 drifting" => Ok(zipf(0.99)?.drifting()),
            "twitter-like trace" => twitter_like(name, items, reads),
            _ => panic!("no order of reads {name:?}"),
        }
    }

    /// All items in turn, again and again: what least-recently-used order does worst on.
    ///
    /// # Errors
    /// Where the items cannot be made.
    pub fn new_loop(values: &ValueSpec, items: u32, reads: usize) -> Result<Self, Box<dyn Error>> {
        let space = ItemSpace::new(values, items, SEED, sizing())?;
        Ok(Self {
            name: "loop of 1.1 x the cache",
            reads: (0..items).cycle().take(reads).collect(),
            items: space,
        })
    }

    /// Bytes of key and value of an item.
    #[must_use]
    pub fn item_bytes(&self, item: u32) -> usize {
        self.items.key_bytes(item) + self.items.value_bytes(item)
    }

    /// Distinct items that are read, and the bytes of their keys and values.
    #[must_use]
    pub fn footprint(&self) -> (usize, u64) {
        let mut seen = vec![false; self.items.items() as usize];
        self.reads.iter().for_each(|item| seen[*item as usize] = true);
        let read = (0..self.items.items()).filter(|item| seen[*item as usize]);
        read.fold((0, 0), |(items, bytes), item| (items + 1, bytes + self.item_bytes(item) as u64))
    }

    /// The virtual second of the read of that number.
    #[must_use]
    pub fn second(number: usize) -> u32 {
        1 + (number / READS_PER_S as usize) as u32
    }

    /// Seconds an item lives once stored; 0: for ever.
    #[must_use]
    pub fn ttl_s(&self, item: u32) -> u32 {
        self.items.ttl(item).map_or(0, |ttl| ttl.as_secs() as u32)
    }

    /// After every 20th part of the reads, a 20th of all items is read once, one after the other: a backup, a crawler.
    fn with_scans(mut self) -> Self {
        let (part, scanned) = ((self.reads.len() / 20).max(1), self.items.items() / 20);
        let parts: Vec<_> = self.reads.chunks(part).map(<[u32]>::to_vec).collect();
        self.reads = (0..)
            .zip(parts)
            .flat_map(|(n, part): (u32, _)| {
                let from = n % 20 * scanned;
                part.into_iter().chain(from..from + scanned)
            })
            .collect();
        self
    }

    /// Popularity wanders: every 100th part of the reads, one rank in 50 is handed on to another item.
    fn drifting(mut self) -> Self {
        let (part, items) = ((self.reads.len() / 100).max(1), self.items.items());
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut holder: Vec<u32> = (0..items).collect();
        for part in self.reads.chunks_mut(part) {
            part.iter_mut().for_each(|item| *item = holder[*item as usize]);
            for _ in 0..items / 50 {
                holder.swap(rng.random_range(0..items as usize), rng.random_range(0..items as usize));
            }
        }
        self
    }
}

fn sizing() -> Sizing {
    Sizing { answer_overhead_bytes: 64, value_bytes_max: VALUE_BYTES_MAX }
}

fn sample(keys: &KeySpec, space: &ItemSpace, reads: usize) -> Result<Vec<u32>, Box<dyn Error>> {
    let mut sampler = KeySampler::new(keys, space, SEED, Stream::WHOLE)?;
    Ok((0..reads).map(|_| sampler.next_item()).collect())
}

/// A file as of github.com/twitter/cache-trace, read by the generator's own reader.
fn twitter_like(name: &'static str, items: u32, reads: usize) -> Result<Trace, Box<dyn Error>> {
    let mut file = tempfile::NamedTempFile::new()?;
    write_twitter_like(&mut BufWriter::new(&mut file), items, reads)?;
    let space = ItemSpace::new(&ValueSpec::Trace(file.path().into()), u32::MAX >> 8, SEED, sizing())?;
    let reads = space.trace().map_or(0, |summary| summary.reads as usize);
    Ok(Trace { name, reads: sample(&KeySpec::Trace, &space, reads)?, items: space })
}

/// Writes `reads` lines of gets: 70 % of a Zipf 1.0 over `items` that age (the popular ones are ever new), 20 % of keys read a few times
/// within minutes and then never again, 10 % of keys read once. Sizes are log-normal around 230 B, TTLs a minute to a day.
///
/// The shapes (one-hit wonders, short-lived bursts, TTLs of minutes beside days) are those that Yang et al., "A large scale analysis of
/// hundreds of in-memory cache clusters at Twitter", OSDI 2020, report; the numbers are ours.
///
/// # Errors
/// Those of `out`.
pub fn write_twitter_like(out: &mut impl Write, items: u32, reads: usize) -> Result<(), Box<dyn Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let popular = Zipf::new(f64::from(items), 1.0)?;
    let mut bursts: Vec<(u64, u32)> = Vec::new();
    let mut fresh = 1_u64 << 40;
    for number in 0..reads {
        let key = match rng.random_range(0..100) {
            0..70 => aged(popular.sample(&mut rng) as u64, number as u64, reads as u64, items),
            70..90 => burst(&mut rng, &mut bursts, &mut fresh),
            _ => {
                fresh += 1;
                fresh
            }
        };
        let (key_bytes, value_bytes, ttl_s) = shape(key);
        writeln!(out, "{},{key:x},{key_bytes},{value_bytes},1,get,{ttl_s}", Trace::second(number))?;
    }
    Ok(())
}

/// The key that holds a rank of popularity at a time: each rank passes to a new key four times in the whole trace, at times of its own.
fn aged(rank: u64, number: u64, reads: u64, items: u32) -> u64 {
    let life = reads.div_ceil(4).max(1);
    let generation = (number + rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % life) / life;
    rank + generation * (u64::from(items) + 1)
}

/// One of 500 keys that are in fashion; each is read 2 to 20 times, then another takes its place.
fn burst(rng: &mut Xoshiro256PlusPlus, bursts: &mut Vec<(u64, u32)>, fresh: &mut u64) -> u64 {
    while bursts.len() < 500 {
        *fresh += 1;
        bursts.push((*fresh, rng.random_range(2..=20)));
    }
    let at = rng.random_range(0..bursts.len());
    let (key, left) = bursts[at];
    if left == 1 {
        bursts.swap_remove(at);
    } else {
        bursts[at].1 -= 1;
    }
    key
}

/// Key bytes, value bytes and TTL of a key, always the same ones.
fn shape(key: u64) -> (u32, u32, u32) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(key ^ SEED);
    // The sum of twelve uniforms is normal enough, and the same on every platform.
    let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let value_bytes = (230.0 * (0.8 * normal).exp()) as u32;
    let ttl_s = [60, 300, 1800, 86_400][rng.random_range(0..4)];
    (rng.random_range(24..=64), value_bytes.clamp(10, 20_000), ttl_s)
}
