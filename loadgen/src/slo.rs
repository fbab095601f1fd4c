//! The service level a run is judged by: the share of reads that may fail, and the 99th percentile of latency.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::workload::units;

/// Service level: failures at or below a rate *and* the 99th percentile at or below a latency.
///
/// A failed read counts into the percentile as one that took the whole timeout, so a loss cannot improve the latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Largest share of scheduled reads that may fail, 0 to 1.
    pub failure_rate: f64,
    /// Largest 99th percentile of latency from the intended time, in microseconds.
    pub p99_us: u64,
}

impl Default for Slo {
    fn default() -> Self {
        Self { failure_rate: 0.005, p99_us: 1000 }
    }
}

/// What of the service level a stage broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broke {
    /// More reads failed than allowed.
    FailureRate,
    /// More reads found nothing stored than may fail, though every item was stored.
    Misses,
    /// The 99th percentile of latency was above its bound.
    P99,
}

impl Broke {
    /// The remark in a table.
    pub fn remark(self) -> &'static str {
        match self {
            Self::FailureRate => "failures broken",
            Self::Misses => "items missing",
            Self::P99 => "p99 broken",
        }
    }

    /// The words of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::FailureRate => "the failure rate",
            Self::Misses => "the share of reads that found nothing stored",
            Self::P99 => "the 99th percentile of latency",
        }
    }
}

impl Slo {
    /// What a stage with these figures broke first, if anything: lost reads weigh more than missing items, and these more than late
    /// answers.
    pub fn broken_by(&self, failure_rate: f64, miss_rate: f64, p99_us: u64) -> Option<Broke> {
        if failure_rate > self.failure_rate {
            Some(Broke::FailureRate)
        } else if miss_rate > self.failure_rate {
            Some(Broke::Misses)
        } else if p99_us > self.p99_us {
            Some(Broke::P99)
        } else {
            None
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99 = units::format_duration(Duration::from_micros(self.p99_us));
        write!(f, "failures={},p99={p99}", units::format_percent(self.failure_rate))
    }
}

impl FromStr for Slo {
    type Err = String;

    /// Reads `failures=0.5%,p99=1ms`; either half may be left out and then keeps its default.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut slo = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                format!("`{part}` is not NAME=VALUE; write the service level as `failures=0.5%,p99=1ms`")
            })?;
            match name.trim() {
                "failures" => {
                    slo.failure_rate = units::parse_percent(value).map_err(|error| error.to_string())?
                }
                "p99" => {
                    slo.p99_us =
                        p99_us(units::parse_duration(value).map_err(|error| error.to_string())?, value)?
                }
                other => {
                    return Err(format!(
                        "`{other}` is not part of a service level; the parts are `failures` and `p99`, as in `failures=0.5%,p99=1ms`"
                    ));
                }
            }
        }
        Ok(slo)
    }
}

fn p99_us(bound: Duration, text: &str) -> Result<u64, String> {
    match u64::try_from(bound.as_micros()) {
        Ok(us @ 1..=60_000_000) => Ok(us),
        _ => Err(format!("p99 of `{text}` is out of range; allowed are 1us to 60s, as in `p99=1ms`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_halves_and_keeps_defaults() {
        assert_eq!("failures=1%,p99=2ms".parse(), Ok(Slo { failure_rate: 0.01, p99_us: 2000 }));
        assert_eq!("p99=500us".parse(), Ok(Slo { failure_rate: 0.005, p99_us: 500 }));
        let shown = Slo::default().to_string();
        assert_eq!(shown.parse::<Slo>(), Ok(Slo::default()));
    }

    #[test]
    fn says_what_is_wrong() {
        for bad in ["", "p99", "p98=1ms", "p99=0s", "p99=2h", "failures=101%", "failures=-1%"] {
            let error = bad.parse::<Slo>().expect_err(bad);
            assert!(error.len() > 20, "{bad}: {error}");
        }
    }

    #[test]
    fn failures_are_named_before_latency() {
        let slo = Slo::default();
        assert_eq!(slo.broken_by(0.006, 1.0, 5000), Some(Broke::FailureRate));
        assert_eq!(slo.broken_by(0.005, 0.006, 5000), Some(Broke::Misses));
        assert_eq!(slo.broken_by(0.005, 0.005, 1001), Some(Broke::P99));
        assert_eq!(slo.broken_by(0.005, 0.005, 1000), None);
    }
}
