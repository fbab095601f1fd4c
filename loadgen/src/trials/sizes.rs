//! The largest size that passes, from reads of which any may be lost by chance: a bisection in several places at once, with a sequential
//! test on its upper end.
//!
//! What came, passed: that is certain. What did not come may have been lost by chance, so a size counts as lost only after so many reads in a
//! row that all of them being lost by chance is less likely than [`ERROR_MAX`]; each of them counts only if a read of a size that
//! passes, sent right after it on the same flow, did come, so that bursts, pauses and dead flows prove nothing. Pure.

use std::collections::BTreeMap;

/// Chance that one size is taken for lost although it passes. A search judges a handful of sizes so.
pub(super) const ERROR_MAX: f64 = 1e-5;
/// Share of reads lost by chance that is assumed where fewer were seen to be: what a handful of reads cannot tell from none.
const CHANCE_LOSS_MIN: f64 = 0.05;
/// Share of reads lost by chance above which too many reads are needed.
const CHANCE_LOSS_MAX: f64 = 0.75;
/// Sizes tried at once.
const PLACES: u32 = 15;

/// The sizes there are to be tried.
#[derive(Clone, Debug)]
pub(super) enum Sizes {
    /// All between the bounds.
    All,
    /// These, in rising order.
    These(Vec<u32>),
}

/// A search under way.
#[derive(Clone, Debug)]
pub(super) struct SizeSearch {
    sizes: Sizes,
    passed: u32,
    /// Sizes that did not come, and how often.
    lost: BTreeMap<u32, u32>,
    reads_to_judge: u32,
}

/// What is to be read next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Sizes to read once.
    pub(super) once: Vec<u32>,
    /// A size to read so many times, each followed by a read of the size that passed.
    pub(super) judged: (u32, u32),
}

impl SizeSearch {
    /// Between a size that passed and one that was lost; of reads that pass, this share at most is lost by chance. None where that
    /// is too much to tell anything.
    pub(super) fn new(sizes: Sizes, passed: u32, lost: u32, chance_loss: f64) -> Option<Self> {
        if chance_loss > CHANCE_LOSS_MAX {
            return None;
        }
        let reads_to_judge = (ERROR_MAX.ln() / chance_loss.max(CHANCE_LOSS_MIN).ln()).ceil() as u32;
        Some(Self { sizes, passed, lost: [(lost, 0)].into(), reads_to_judge })
    }

    /// Largest size known to pass.
    pub(super) fn passed(&self) -> u32 {
        self.passed
    }

    /// Smallest size that did not come, of those above; none where all did.
    pub(super) fn lost(&self) -> Option<u32> {
        self.lost.keys().next().copied()
    }

    /// What to read next; none when the search is over.
    pub(super) fn next(&self) -> Option<Round> {
        let (lost, times) = self.lost.first_key_value().map(|(size, times)| (*size, *times))?;
        let once = self.between(lost);
        let left = self.reads_to_judge.saturating_sub(times);
        (!once.is_empty() || left > 0).then_some(Round { once, judged: (lost, left) })
    }

    /// A read came.
    pub(super) fn came(&mut self, size: u32) {
        self.passed = self.passed.max(size);
        self.lost = self.lost.split_off(&(self.passed + 1));
    }

    /// A read did not come. `counts` says that a neighbour that passes did.
    pub(super) fn missed(&mut self, size: u32, counts: bool) {
        if size > self.passed {
            *self.lost.entry(size).or_default() += u32::from(counts);
        }
    }

    /// Sizes evenly spread between what passed and this.
    fn between(&self, lost: u32) -> Vec<u32> {
        match &self.sizes {
            Sizes::All => {
                let gap = u64::from(lost - self.passed);
                let places = (gap - 1).min(PLACES.into());
                (1..=places).map(|place| self.passed + (place * gap / (places + 1)) as u32).collect()
            }
            Sizes::These(sizes) => {
                let inside = sizes.iter().filter(|size| (self.passed + 1..lost).contains(*size));
                let inside: Vec<_> = inside.copied().collect();
                let places = inside.len().min(PLACES as usize);
                (0..places).map(|place| inside[(2 * place + 1) * inside.len() / (2 * places)]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

    use super::*;

    /// Runs a search over a path that carries up to `limit` bytes and loses `loss` of what it carries; gives its bounds and its reads.
    fn found(
        sizes: Sizes,
        (passed, lost): (u32, u32),
        limit: u32,
        loss: f64,
        seed: u64,
    ) -> (u32, Option<u32>, u32) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut search = SizeSearch::new(sizes, passed, lost, loss).expect("a loss that can be told");
        let mut reads = 0;
        let mut read = |size: u32| {
            reads += 1;
            size <= limit && random.random::<f64>() >= loss
        };
        while let Some(Round { once, judged }) = search.next() {
            for size in once {
                if read(size) { search.came(size) } else { search.missed(size, false) }
            }
            for _ in 0..judged.1 {
                let control = search.passed();
                if read(judged.0) { search.came(judged.0) } else { search.missed(judged.0, read(control)) }
            }
        }
        (search.passed(), search.lost(), reads)
    }

    #[test]
    fn the_byte_is_found_whatever_is_lost_by_chance() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        for seed in 0..500 {
            let limit = random.random_range(1200..65_507);
            let loss = random.random_range(0.0..0.6);
            let (passed, lost, reads) = found(Sizes::All, (1200, 65_507), limit, loss, seed);
            assert_eq!((passed, lost), (limit, Some(limit + 1)), "loss {loss}, seed {seed}");
            assert!(reads < 2000, "{reads} reads");
        }
    }

    #[test]
    fn where_all_comes_there_is_no_bound() {
        let (passed, lost, reads) = found(Sizes::All, (1200, 9000), 65_507, 0.3, 1);
        assert_eq!((passed, lost), (9000, None));
        assert!(reads < 60, "{reads} reads");
    }

    #[test]
    fn of_sizes_that_are_stored_the_nearest_are_found() {
        let stored = vec![1300, 2000, 4711, 4712, 8000, 8400, 8900];
        let (passed, lost, _) = found(Sizes::These(stored.clone()), (1200, 8950), 8399, 0.1, 3);
        assert_eq!((passed, lost), (8000, Some(8400)));
        assert_eq!(found(Sizes::These(vec![]), (1200, 8950), 8399, 0.0, 3).1, Some(8950));
        let (passed, lost, _) = found(Sizes::These(stored), (1200, 8950), 4711, 0.4, 9);
        assert_eq!((passed, lost), (4711, Some(4712)));
    }

    #[test]
    fn a_path_that_loses_most_tells_nothing() {
        assert!(SizeSearch::new(Sizes::All, 1200, 9000, 0.9).is_none());
        assert_eq!(SizeSearch::new(Sizes::All, 1200, 9000, 0.0).unwrap().reads_to_judge, 4);
    }
}
