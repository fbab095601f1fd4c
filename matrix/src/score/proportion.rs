//! So many of so many, with the interval that says how much that means.

use std::fmt;

use serde::Serialize;
use shingle_loadgen::statistics::share_interval;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proportion {
    /// So many
    pub hits: u64,
    /// of so many.
    pub count: u64,
}

impl Proportion {
    /// `hits` of `count`.
    pub fn new(hits: u64, count: u64) -> Self {
        Self { hits, count }
    }

    /// The share, 0 to 1; of nothing 0.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.count.max(1) as f64
    }

    /// The interval that holds the share in 95 % of cases.
    pub fn interval(self) -> (f64, f64) {
        share_interval(self.share(), self.count as f64)
    }
}

impl fmt::Display for Proportion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hits, count } = self;
        if *count == 0 {
            return f.write_str("0 of 0");
        }
        let (low, high) = self.interval();
        write!(
            f,
            "{hits} of {count}, {:.1} % ({:.1} to {:.1})",
            100.0 * self.share(),
            100.0 * low,
            100.0 * high
        )
    }
}
