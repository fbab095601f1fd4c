//! So many of so many, with the interval that says how much that means.

use std::fmt;

use serde::Serialize;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proportion {
    /// So many
    pub hits: u64,
    /// of so many.
    pub count: u64,
}

/// Normal quantile of a two-sided interval of 95 %.
const Z: f64 = 1.959_964;

impl Proportion {
    /// `hits` of `count`.
    pub fn new(hits: u64, count: u64) -> Self {
        Self { hits, count }
    }

    /// The share, 0 to 1; of nothing 0.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.count.max(1) as f64
    }

    /// Wilson's score interval of 95 % (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927): it keeps its
    /// word for few runs and for shares near 0 and 1.
    pub fn interval(self) -> (f64, f64) {
        if self.count == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.count as f64, self.share());
        let denominator = 1.0 + Z * Z / n;
        let centre = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        (((centre - spread) / denominator).max(0.0), ((centre + spread) / denominator).min(1.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_match_published_ones() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        for (hits, count, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = Proportion::new(hits, count).interval();
            assert!(
                (interval.0 - low).abs() < 1e-4 && (interval.1 - high).abs() < 1e-4,
                "{hits}/{count}: {interval:?}"
            );
        }
        assert_eq!(Proportion::default().interval(), (0.0, 1.0));
    }
}
