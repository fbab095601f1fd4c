//! Where a drawn run's random numbers come from: a stream of its own for each run of each recipe, so that any run can be drawn again alone.
//!
//! xoshiro256++ and the few draws below rather than `SmallRng` and `random_range`: those may change with any release of `rand`, and a seed in a
//! table of results must give the same run years later.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::ranges::Range;

/// A stream of random numbers.
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// The stream of one run: of this seed, of the recipe of this name, by its number.
    pub fn of(seed: u64, recipe: &str, number: u32) -> Self {
        // FNV-1a over the name: stable, and enough to keep recipes apart.
        let name = recipe.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut mixed = Xoshiro256PlusPlus::seed_from_u64(seed ^ name.rotate_left(17));
        let run = mixed.next_u64() ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Xoshiro256PlusPlus::seed_from_u64(run))
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number below `n`, 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A number between two, every ratio as likely as another of its size.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// A number of a range, every ratio as likely as another of its size: ten times as much as little is as much of a difference anywhere.
    pub fn of_range(&mut self, range: &Range) -> f64 {
        self.between(range.low, range.high)
    }

    /// A whole number of a range.
    pub fn whole(&mut self, range: &Range) -> u64 {
        (self.of_range(range).round()).clamp(range.low.ceil(), range.high.floor()) as u64
    }
}
