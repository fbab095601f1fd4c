//! `--arrivals`: when each read is due, whatever the answers do (open loop).

use super::error::WorkloadError;
use super::limits::RATE_PER_S_MAX;
use super::random::{Purpose, Stream, generator, open_unit};
use rand::rngs::Xoshiro256PlusPlus;
use std::fmt;
use std::str::FromStr;

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Independent of each other, as of many unrelated users: exponential gaps. The default.
    #[default]
    Poisson,
    /// Equal gaps.
    Constant,
}

impl FromStr for Arrivals {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        match text {
            "poisson" => Ok(Self::Poisson),
            "constant" => Ok(Self::Constant),
            _ => Err(WorkloadError::invalid("--arrivals", text, "give poisson or constant")),
        }
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        })
    }
}

/// Intended times of one stream's reads, in nanoseconds from the start, never decreasing.
#[derive(Clone, Debug)]
pub struct Schedule {
    gap_ns: f64,
    due: Due,
}

#[derive(Clone, Debug)]
enum Due {
    /// Time of the read before, in this stream's mean gaps.
    Poisson { rng: Xoshiro256PlusPlus, at: f64 },
    /// Number of the next read among those of all streams.
    Constant { number: u64, step: u64 },
}

impl Schedule {
    /// A schedule of `rate_per_s` reads per second *over all streams*, of which this stream takes its part:
    /// with constant arrivals streams take turns, Poisson streams of a part of the rate each add up to one of
    /// the whole.
    ///
    /// # Errors
    /// If the rate is not above 0 and at most [`RATE_PER_S_MAX`].
    pub fn new(
        rate_per_s: f64,
        arrivals: Arrivals,
        seed: u64,
        stream: Stream,
    ) -> Result<Self, WorkloadError> {
        if !(rate_per_s > 0.0 && rate_per_s <= RATE_PER_S_MAX as f64) {
            let way_out = format!("give more than 0 and at most {RATE_PER_S_MAX} reads per second");
            return Err(WorkloadError::invalid("--rate", rate_per_s, way_out));
        }
        let gap_ns = 1e9 / rate_per_s;
        Ok(match arrivals {
            Arrivals::Poisson => Self {
                gap_ns: gap_ns * f64::from(stream.count()),
                due: Due::Poisson { rng: generator(seed, Purpose::Arrivals, stream), at: 0.0 },
            },
            Arrivals::Constant => Self {
                gap_ns,
                due: Due::Constant { number: stream.index().into(), step: stream.count().into() },
            },
        })
    }

    /// When the next read is due. Constant times are computed from the read's number, so rounding never adds
    /// up.
    pub fn next_ns(&mut self) -> u64 {
        match &mut self.due {
            Due::Poisson { rng, at } => {
                *at -= open_unit(rng).ln();
                (*at * self.gap_ns) as u64
            }
            Due::Constant { number, step } => {
                let due = *number as f64 * self.gap_ns;
                *number += *step;
                due.round() as u64
            }
        }
    }
}
