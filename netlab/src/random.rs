//! Where every random number of a network comes from: one seed, split into a stream for each purpose.
//!
//! xoshiro256++ and the few draws below rather than `SmallRng` and `random_range`: those may change with any release of `rand`,
//! and a seed in a failure message must give the same run years later.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// A stream of random numbers.
pub(crate) struct Stream(Xoshiro256PlusPlus);

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability. Draws one number whatever the probability, so that a changed rate does not shift the rest.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `n` (0 if `n` is 0), uniform within 2^-64 x n.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number of low..=high.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below((high - low).saturating_add(1))
    }
}

/// The seed of a part of what `seed` stands for, by name and number: parts draw independently, so that a new part leaves the
/// others' draws as they were.
pub(crate) fn derive(seed: u64, name: &str, number: u64) -> u64 {
    let named = name.bytes().fold(mix64(seed), |state, byte| mix64(state ^ u64::from(byte)));
    mix64(named.wrapping_add(number))
}

/// A one-to-one mixing of 64 bits (the finaliser of SplitMix64, Steele et al., OOPSLA 2014).
pub(crate) const fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_keep_their_bounds_and_chances() {
        let mut stream = Stream::new(1);
        assert!((0..1000).all(|_| !stream.chance(0.0)));
        assert!((0..1000).all(|_| stream.chance(1.0)));
        let hits = (0..100_000).filter(|_| stream.chance(0.1)).count();
        // Three standard deviations are 285.
        assert!((9_715..=10_285).contains(&hits), "{hits}");
        let mut seen = [0; 3];
        (0..3000).for_each(|_| seen[stream.between(5, 7) as usize - 5] += 1);
        assert!(seen.iter().all(|&n| n > 900), "{seen:?}");
    }

    #[test]
    fn parts_differ_by_seed_name_and_number() {
        let all = [derive(1, "loss", 0), derive(1, "loss", 1), derive(1, "delay", 0), derive(2, "loss", 0)];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])), "{all:?}");
    }

    #[test]
    fn the_generator_never_changes() {
        let mut stream = Stream::new(1);
        // Computed from the published definitions of SplitMix64 and xoshiro256++.
        let first = [14_971_601_782_005_023_387, 13_781_649_495_232_077_965, 1_847_458_086_238_483_744];
        assert_eq!([0; 3].map(|_| stream.next()), first);
    }
}
