//! `--keys`: which item each read asks for.

use super::error::WorkloadError;
use super::items::ItemSpace;
use super::limits::ZIPF_EXPONENT_MAX;
use super::random::{Permutation, Purpose, Stream, below, generator};
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Zipf};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Popularity of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum KeySpec {
    /// Every item is as likely as any other.
    #[default]
    Uniform,
    /// Zipf: the item of rank r is read in proportion to r^-S, 0 <= S <= 10. Ranks are scattered over the
    /// items by a shuffle, so popularity tells nothing about size. With S above 1 a handful of items get most
    /// reads, and shares of sizes hold for items but not for reads.
    Zipf(f64),
    /// The reads of the trace that the values come from, in its order, from the beginning again after its
    /// end.
    Trace,
}

const WHAT: &str = "--keys";

impl FromStr for KeySpec {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        match text.split_once(':') {
            None if text == "uniform" => Ok(Self::Uniform),
            None if text == "trace" => Ok(Self::Trace),
            Some(("zipf", exponent)) => match exponent.parse::<f64>() {
                Ok(s) if (0.0..=ZIPF_EXPONENT_MAX).contains(&s) => Ok(Self::Zipf(s)),
                _ => Err(WorkloadError::invalid(WHAT, text, exponent_range())),
            },
            _ => {
                let way_out = "give uniform, zipf:S (zipf:0.99), or trace with --values trace:FILE";
                Err(WorkloadError::invalid(WHAT, text, way_out))
            }
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::Trace => f.write_str("trace"),
        }
    }
}

fn exponent_range() -> String {
    format!("give an exponent from 0 (uniform) to {ZIPF_EXPONENT_MAX}, such as zipf:0.99")
}

/// Draws the items to read, for one stream. Draws do not allocate.
#[derive(Clone, Debug)]
pub struct KeySampler {
    items: u32,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Uniform(Xoshiro256PlusPlus),
    Zipf { rng: Xoshiro256PlusPlus, ranks: Zipf<f64>, item_of_rank: Permutation },
    Trace { reads: Arc<[u32]>, at: usize, step: usize },
}

impl KeySampler {
    /// Samples `space` for one stream. Streams of random keys are independent; streams of a trace take turns,
    /// so that together they replay its order.
    ///
    /// # Errors
    /// If a Zipf exponent is out of range, or a trace's order is asked for where values come from no trace.
    pub fn new(keys: &KeySpec, space: &ItemSpace, seed: u64, stream: Stream) -> Result<Self, WorkloadError> {
        let items = space.items();
        let rng = generator(seed, Purpose::Reads, stream);
        let source = match keys {
            KeySpec::Uniform => Source::Uniform(rng),
            KeySpec::Zipf(exponent) => Source::Zipf {
                rng,
                ranks: zipf(items, *exponent)?,
                item_of_rank: Permutation::new(items, seed, Purpose::Popularity),
            },
            KeySpec::Trace => {
                let reads = space.trace_reads().ok_or_else(|| {
                    let way_out = "only --values trace:FILE brings an order of reads; give uniform or zipf:S";
                    WorkloadError::invalid(WHAT, keys, way_out)
                })?;
                let at = stream.index() as usize % reads.len();
                Source::Trace { reads: Arc::clone(reads), at, step: stream.count() as usize % reads.len() }
            }
        };
        Ok(Self { items, source })
    }

    /// The item of the next read.
    pub fn next_item(&mut self) -> u32 {
        match &mut self.source {
            Source::Uniform(rng) => below(rng, self.items),
            Source::Zipf { rng, ranks, item_of_rank } => {
                let rank = ranks.sample(rng) as u32;
                item_of_rank.apply(rank.clamp(1, self.items) - 1)
            }
            Source::Trace { reads, at, step } => {
                let item = reads[*at];
                *at = (*at + *step) % reads.len();
                item
            }
        }
    }
}

fn zipf(items: u32, exponent: f64) -> Result<Zipf<f64>, WorkloadError> {
    // Close to 1 the library's formula loses all its digits; 1 itself is a case of its own and as good.
    let exponent = if (exponent - 1.0).abs() < 1e-6 { 1.0 } else { exponent };
    if !(0.0..=ZIPF_EXPONENT_MAX).contains(&exponent) {
        return Err(WorkloadError::invalid(WHAT, KeySpec::Zipf(exponent), exponent_range()));
    }
    Zipf::new(f64::from(items), exponent)
        .map_err(|e| WorkloadError::invalid(WHAT, KeySpec::Zipf(exponent), e.to_string()))
}
