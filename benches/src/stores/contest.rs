//! Candidates filled with the same items that take turns in every round.

use std::error::Error;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::candidates::{Candidate, Capacity, Key, Named, key};

/// Bytes of the values of timed sections.
pub(super) const VALUE_BYTES: usize = 100;
/// Keys of a batch: as many as a server's worker receives at once.
pub(super) const BATCH: usize = 64;
/// How long a candidate is measured in one round. Many times the stalls of a shared machine would be too long to interleave.
pub(super) const SLICE: Duration = Duration::from_millis(30);
/// Nothing expires in timed sections.
pub(super) const NOW_S: u32 = 1;
/// Where every sequence of random items begins.
const SEED: u64 = 42;

/// A candidate with its items.
pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) cache: Box<dyn Candidate>,
}

/// A capacity in which so many items of the timed sections fit with room to spare.
pub(super) fn roomy(items: u32) -> Capacity {
    let items = items as usize;
    Capacity { bytes: (items * 480).max(4 << 20), overhead_bytes: 0, items: items * 4, value_bytes_max: 4096 }
}

impl Contestant {
    /// Makes a candidate and stores items 0 to `items` - 1.
    pub(super) fn filled(named: &Named, items: u32) -> Result<Self, Box<dyn Error>> {
        let cache = (named.make)(roomy(items))?;
        (0..items).for_each(|item| cache.set(&key(item), &value(item), 0, NOW_S));
        let held = (0..items).filter(|item| cache.get(&key(*item), NOW_S, &mut |_| ())).count();
        // Sets of 32 overflow by chance: one candidate cannot hold quite all.
        if held < items as usize / 1000 * 999 {
            return Err(
                format!("{}: holds {held} of {items} items in a capacity for more", named.name).into()
            );
        }
        Ok(Self { name: named.name, cache })
    }
}

/// The value of an item.
pub(super) fn value(item: u32) -> [u8; VALUE_BYTES] {
    [item as u8; VALUE_BYTES]
}

/// Random items, by a linear congruential generator (Knuth's MMIX): next to free, and its high bits are good enough to scatter reads.
pub(super) struct Draw {
    state: u64,
    items: u32,
}

impl Draw {
    pub(super) fn new(items: u32, stream: u64) -> Self {
        Self { state: SEED.wrapping_add(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)), items }
    }

    pub(super) fn next(&mut self) -> u32 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.state >> 32) * u64::from(self.items)) >> 32) as u32
    }
}

/// Does `step` for [`SLICE`], which returns how many operations it did; operations a second. The clock is read every 16 steps.
pub(super) fn rate(mut step: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    let mut done = 0;
    loop {
        (0..16).for_each(|_| done += step());
        let took = start.elapsed();
        if took >= SLICE {
            return done as f64 / took.as_secs_f64();
        }
    }
}

/// What a second thread does meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    /// Nothing, but busily: an idle CPU would change the clock and the share of the other one.
    Spinning,
    /// Replaces random values, this long after one another.
    Paced(Duration),
    /// Replaces random values as fast as it can.
    FlatOut,
}

/// Runs `main` beside such a thread; what `main` brought, and updates a second.
pub(super) fn beside<T>(
    cache: &dyn Candidate,
    items: u32,
    what: Beside,
    main: impl FnOnce() -> T,
) -> (T, f64) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let (start, mut draw, mut done) = (Instant::now(), Draw::new(items, 99), 0_u32);
            while !stop.load(Ordering::Relaxed) {
                match what {
                    Beside::Paced(gap) if start.elapsed() >= gap * done => {}
                    Beside::FlatOut => {}
                    _ => {
                        spin_loop();
                        continue;
                    }
                }
                let item = draw.next();
                cache.set(&key(item), &value(item), 0, NOW_S);
                done += 1;
            }
            f64::from(done) / start.elapsed().as_secs_f64()
        });
        let brought = main();
        stop.store(true, Ordering::Relaxed);
        (brought, writer.join().expect("the writer does not panic"))
    })
}

/// Calls `each` for every contestant, beginning with another one every round.
pub(super) fn round<T>(contestants: &mut [T], number: usize, mut each: impl FnMut(usize, &mut T)) {
    let count = contestants.len();
    for turn in 0..count {
        let at = (turn + number) % count;
        each(at, &mut contestants[at]);
    }
}

/// Fills a batch with the keys of the next items.
pub(super) fn keys(next: impl FnMut() -> u32) -> [Key; BATCH] {
    let mut next = next;
    std::array::from_fn(|_| key(next()))
}
