//! What a bad link does to the datagrams of one flow in one direction. Pure: bytes and times in, bytes out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// Longest time a datagram is held back behind later ones when none come: well under the protocol's gap.
const HELD_MAX: Duration = Duration::from_millis(1);
/// Most later datagrams that overtake one held back.
const OVERTAKEN_BY_MAX: u32 = 8;

/// Probabilities of each fault, and a delay that all datagrams get.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub drop: f64,
    pub duplicate: f64,
    pub reorder: f64,
    /// One bit of the datagram; the kernel computes a new UDP checksum when it is sent on.
    pub flip: f64,
    pub delay: Duration,
}

/// How often each fault happened.
#[derive(Debug, Default)]
pub struct FaultCounts {
    pub passed: AtomicU64,
    pub dropped: AtomicU64,
    pub duplicated: AtomicU64,
    pub reordered: AtomicU64,
    pub flipped: AtomicU64,
}

/// One direction of one flow.
pub struct Link {
    faults: Faults,
    rng: Xoshiro256PlusPlus,
    held: Vec<Held>,
    line: VecDeque<(Instant, Vec<u8>)>,
}

struct Held {
    overtaken_by: u32,
    until: Instant,
    bytes: Vec<u8>,
}

impl Link {
    pub fn new(faults: Faults, seed: u64) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self { faults, rng, held: Vec::new(), line: VecDeque::new() }
    }

    /// Takes a datagram.
    pub fn take(&mut self, now: Instant, bytes: &[u8], counts: &FaultCounts) {
        let Faults { drop, duplicate, .. } = self.faults;
        count(&counts.passed, true);
        if !count(&counts.dropped, self.rng.random_bool(drop)) {
            let copies = if count(&counts.duplicated, self.rng.random_bool(duplicate)) { 2 } else { 1 };
            for _ in 0..copies {
                self.take_copy(now, bytes.to_vec(), counts);
            }
        }
        self.overtake(now);
    }

    fn take_copy(&mut self, now: Instant, mut bytes: Vec<u8>, counts: &FaultCounts) {
        if !bytes.is_empty() && count(&counts.flipped, self.rng.random_bool(self.faults.flip)) {
            let bit = self.rng.random_range(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if count(&counts.reordered, self.rng.random_bool(self.faults.reorder)) {
            let overtaken_by = self.rng.random_range(1..=OVERTAKEN_BY_MAX);
            // This datagram itself counts one down.
            self.held.push(Held { overtaken_by: overtaken_by + 1, until: now + HELD_MAX, bytes });
        } else {
            self.line.push_back((now + self.faults.delay, bytes));
        }
    }

    fn overtake(&mut self, now: Instant) {
        self.held.iter_mut().for_each(|held| held.overtaken_by = held.overtaken_by.saturating_sub(1));
        self.release(now);
    }

    fn release(&mut self, now: Instant) {
        let delay = self.faults.delay;
        let released = self.held.extract_if(.., |held| held.overtaken_by == 0 || held.until <= now);
        self.line.extend(released.map(|held| (now + delay, held.bytes)));
    }

    /// Moves what is due at `now` to `out`.
    pub fn give(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        self.release(now);
        while self.line.front().is_some_and(|(due, _)| *due <= now) {
            out.extend(self.line.pop_front().map(|(_, bytes)| bytes));
        }
    }

    /// When there may be something to give.
    pub fn next(&self) -> Option<Instant> {
        let held = self.held.iter().map(|held| held.until);
        held.chain(self.line.front().map(|(due, _)| *due)).min()
    }
}

fn count(counter: &AtomicU64, happened: bool) -> bool {
    counter.fetch_add(u64::from(happened), Ordering::Relaxed);
    happened
}
