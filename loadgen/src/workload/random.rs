//! Where every random number of a workload comes from.
//!
//! xoshiro256++ rather than `SmallRng` or `StdRng`: those two may change their algorithm with any release of
//! `rand`, and a record's seed must give the same run years later. It is also the fastest of the usual ones
//! (about 1 ns).

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// One of several equal parts of a run, such as one worker thread: part `index` of `count`. Parts draw from
/// independent random streams, and together offer exactly the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    index: u32,
    count: u32,
}

impl Stream {
    /// The whole run as one part.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Part `index` (from 0) of `count`.
    ///
    /// # Panics
    /// If `index` is not below `count`.
    pub fn new(index: u32, count: u32) -> Self {
        assert!(index < count, "stream {index} does not exist: there are {count}, numbered from 0");
        Self { index, count }
    }

    /// Number of this part, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Number of parts.
    pub fn count(self) -> u32 {
        self.count
    }
}

/// What random numbers are for. Each purpose has streams of its own, so that none repeats another's numbers.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    ValueSizes = 1,
    KeySizes,
    Ttls,
    Popularity,
    Reads,
    Arrivals,
}

/// The seed of one stream of one purpose.
pub(super) fn derive_seed(seed: u64, purpose: Purpose, stream: u32) -> u64 {
    mix64(mix64(seed).wrapping_add(((purpose as u64) << 32) | u64::from(stream)))
}

/// The generator of one stream of one purpose.
pub(super) fn generator(seed: u64, purpose: Purpose, stream: Stream) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(derive_seed(seed, purpose, stream.index))
}

/// A number in (0, 1), both ends excluded, so that its logarithm is finite.
pub(super) fn open_unit(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// A number below `n`, uniform within 2^-32.
pub(super) fn below(rng: &mut impl Rng, n: u32) -> u32 {
    ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u32
}

/// A one-to-one mixing of 64 bits (the finaliser of SplitMix64, Steele et al., OOPSLA 2014).
pub(super) const fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A shuffle of 0..n that needs no memory: one-to-one mixing of the next power of two, walked until it is
/// below n (two steps at most on average).
#[derive(Clone, Debug)]
pub(super) struct Permutation {
    n: u32,
    mask: u32,
    shift: u32,
    keys: [u32; 4],
}

impl Permutation {
    pub(super) fn new(n: u32, seed: u64, purpose: Purpose) -> Self {
        let bits = 32 - n.saturating_sub(1).leading_zeros();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(derive_seed(seed, purpose, 0));
        Self {
            n,
            mask: ((1_u64 << bits) - 1) as u32,
            shift: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|_| rng.next_u32()),
        }
    }

    /// Where `i` goes.
    pub(super) fn apply(&self, i: u32) -> u32 {
        debug_assert!(i < self.n, "{i} is not below {}", self.n);
        let mut x = i;
        loop {
            for key in self.keys {
                x = x.wrapping_add(key) & self.mask;
                x = x.wrapping_mul(0x9e37_79b1 ^ (key & !1)) & self.mask;
                x ^= x >> self.shift;
            }
            if x < self.n {
                return x;
            }
        }
    }

    /// The middle of the part of [0, 1] that `i` stands for, when the n items share it out evenly.
    pub(super) fn quantile(&self, i: u32) -> f64 {
        (f64::from(self.apply(i)) + 0.5) / f64::from(self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_visit_everything_once() {
        for n in [1, 2, 3, 7, 8, 9, 1000, 1024, 1025, 65_537] {
            let permutation = Permutation::new(n, 42, Purpose::Popularity);
            let mut seen = vec![false; n as usize];
            (0..n).for_each(|i| seen[permutation.apply(i) as usize] = true);
            assert!(seen.iter().all(|&s| s), "{n} items");
        }
    }

    #[test]
    fn two_purposes_shuffle_independently() {
        // Of the 10 % first in one order, about 10 % are among the 10 % first in the other.
        let n = 100_000;
        let (a, b) =
            (Permutation::new(n, 7, Purpose::Popularity), Permutation::new(n, 7, Purpose::ValueSizes));
        let both = (0..n).filter(|&i| a.apply(i) < n / 10 && b.apply(i) < n / 10).count();
        assert!((850..1150).contains(&both), "{both}");
    }

    #[test]
    fn the_generator_never_changes() {
        let mut rng = generator(1, Purpose::Reads, Stream::WHOLE);
        let first: [u64; 2] = std::array::from_fn(|_| rng.next_u64());
        // Computed from the published definitions of SplitMix64 and xoshiro256++.
        assert_eq!(first, [13_409_964_521_147_329_445, 7_837_862_715_072_881_748]);
    }
}
