//! The few statistics that the models need.

use super::Estimate;
use super::limits::TESTED_MAX;
use crate::statistics;

/// Log-likelihood of `lost` of `reads` at the probability that fits them best.
pub(super) fn best_log_likelihood(lost: f64, reads: f64) -> f64 {
    if reads <= 0.0 { 0.0 } else { log_likelihood(lost, reads, lost / reads) }
}

/// Log-likelihood of `lost` of `reads` at this probability (without the binomial coefficient, which models share).
pub(super) fn log_likelihood(lost: f64, reads: f64, probability: f64) -> f64 {
    let term = |count: f64, probability: f64| {
        if count <= 0.0 { 0.0 } else { count * probability.max(f64::MIN_POSITIVE).ln() }
    };
    term(lost, probability) + term(reads - lost, 1.0 - probability)
}

/// The share that `lost` of `reads` tells of, with the interval that holds it in 95 % of cases (`dispersion` is by how much the counts
/// scatter more than independent ones).
pub(super) fn share_interval(lost: f64, reads: f64, dispersion: f64) -> (f64, f64) {
    statistics::share_interval((lost / reads.max(1.0)).min(1.0), (reads / dispersion.max(1.0)).max(1.0))
}

/// Standard deviation of a share counted in so many reads.
pub(super) fn share_sd(share: f64, reads: u64) -> f64 {
    (share * (1.0 - share) / reads.max(1) as f64).sqrt()
}

/// How sure a model is whose likelihood is e^`log_odds` times that of the next best.
pub(super) fn confidence(log_odds: f64) -> f64 {
    (1.0 / (1.0 + (-log_odds).exp())).min(TESTED_MAX)
}

/// Finds where a falling function crosses zero, by halving; where it falls by and large only, one of the places where it does.
pub(super) fn falling_root(mut low: f64, mut high: f64, halvings: u32, value: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..halvings {
        let middle = f64::midpoint(low, high);
        if value(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The same for a function that takes three places at a time for hardly more than one: two halvings each.
pub(super) fn falling_root_by_threes(
    mut low: f64,
    mut high: f64,
    halvings: u32,
    values: impl Fn([f64; 3]) -> [f64; 3],
) -> f64 {
    for _ in 0..halvings.div_ceil(2) {
        let middle = f64::midpoint(low, high);
        let places = [f64::midpoint(low, middle), middle, f64::midpoint(middle, high)];
        let above = values(places).iter().take_while(|value| **value > 0.0).count();
        (low, high) = (if above > 0 { places[above - 1] } else { low }, *places.get(above).unwrap_or(&high));
    }
    f64::midpoint(low, high)
}

impl Estimate {
    /// A number with what it counts, and its interval.
    pub(super) fn new(value: f64, unit: &str, interval: impl Into<Option<(f64, f64)>>) -> Self {
        Self { value, unit: unit.to_owned(), interval: interval.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_share_and_widen_with_dispersion() {
        let (low, high) = share_interval(50.0, 1000.0, 1.0);
        assert!(low < 0.05 && high > 0.05 && low > 0.037 && high < 0.066, "{low} {high}");
        let (wider_low, wider_high) = share_interval(50.0, 1000.0, 4.0);
        assert!(wider_low < low && wider_high > high);
        assert_eq!(share_interval(0.0, 100.0, 1.0).0, 0.0);
    }

    #[test]
    fn likelihoods_prefer_what_was_seen() {
        let best = best_log_likelihood(10.0, 100.0);
        assert!(best > log_likelihood(10.0, 100.0, 0.2) && best > log_likelihood(10.0, 100.0, 0.05));
        assert_eq!(best_log_likelihood(0.0, 100.0), 0.0);
        assert!(log_likelihood(1.0, 10.0, 0.0) < -100.0);
    }

    #[test]
    fn a_root_is_found() {
        let by_threes = |places: [f64; 3]| places.map(|x| 2.0 - x * x);
        assert_eq!(
            falling_root_by_threes(0.0, 10.0, 40, by_threes),
            falling_root(0.0, 10.0, 40, |x| 2.0 - x * x)
        );
        let root = falling_root(0.0, 10.0, 40, |x| 2.0 - x * x);
        assert!((root - 2f64.sqrt()).abs() < 1e-9);
    }
}
