//! Ratios of interleaved rounds: median, interval, verdict.

use serde::Serialize;

use super::limits::CONTROL_WIDTH_MAX;

/// A median with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Median of the rounds.
    pub median: f64,
    /// Upper end.
    pub high: f64,
}

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval reaches the target.
    Met,
    /// The whole interval lies below it.
    Missed,
    /// The target lies within the interval, and the control of the same run is as wide: run it again on a quieter machine.
    ControlTooWide,
    /// Nothing to reach.
    Shown,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::ControlTooWide => "A/A interval too wide",
            Verdict::Shown => "",
        }
    }
}

impl Interval {
    /// Median and distribution-free interval of the median of independent rounds, from order statistics (Conover, Practical
    /// Nonparametric Statistics, section 3.2): the `r` smallest and `r` largest are left out, `r` as large as the binomial
    /// distribution allows with 95 % confidence.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Interval {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (n, out) = (sorted.len(), left_out(values.len()));
        let median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
        Interval { low: sorted[out], median, high: sorted[n - 1 - out] }
    }

    /// Interval of the ratios, round by round.
    ///
    /// # Panics
    /// If there are none, or not as many of one as of the other.
    #[must_use]
    pub fn of_ratios(over: &[f64], under: &[f64]) -> Interval {
        assert_eq!(over.len(), under.len());
        let ratios: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        Interval::of(&ratios)
    }

    /// Whether at least `target` is reached, given the control's interval.
    #[must_use]
    pub fn at_least(self, target: f64, control: Option<Interval>) -> Verdict {
        let wide = control.is_some_and(|control| control.high - control.low > CONTROL_WIDTH_MAX);
        match () {
            () if self.low >= target => Verdict::Met,
            () if self.high < target => Verdict::Missed,
            () if wide => Verdict::ControlTooWide,
            () => Verdict::Met,
        }
    }

    /// Whether at most `target` is reached: the same, upside down.
    #[must_use]
    pub fn at_most(self, target: f64, control: Option<Interval>) -> Verdict {
        let mirrored = Interval { low: -self.high, median: -self.median, high: -self.low };
        mirrored.at_least(-target, control)
    }
}

/// How many of the smallest, and of the largest, of `n` values can be left out: the most for which the chance that the median
/// lies outside what remains is at most 5 %.
fn left_out(n: usize) -> usize {
    let mut chance = 0.5_f64.powi(n as i32);
    let (mut below, mut out) = (chance, 0);
    // `below`: the chance that at most `out` values lie below the median.
    while 2.0 * below <= 0.05 && out + 1 < n.div_ceil(2) {
        out += 1;
        chance *= (n + 1 - out) as f64 / out as f64;
        below += chance;
    }
    out.saturating_sub(usize::from(2.0 * below > 0.05))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Ranks (from 1) of the lower limit for 95 %: n = 6: 1, 10: 2, 15: 4, 20: 6, 25: 8, 101: 41.
        for (n, rank) in [(6, 1), (10, 2), (15, 4), (20, 6), (25, 8), (101, 41)] {
            assert_eq!(left_out(n) + 1, rank, "{n} rounds");
        }
    }

    #[test]
    fn the_interval_encloses_the_median() {
        let values: Vec<f64> = (1..=15).rev().map(f64::from).collect();
        assert_eq!(Interval::of(&values), Interval { low: 4.0, median: 8.0, high: 12.0 });
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(Interval::of(&[4.0, 1.0, 2.0, 3.0, 6.0, 5.0]).median, 3.5);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (over, under) = ([2.0, 40.0, 600.0], [1.0, 10.0, 200.0]);
        assert_eq!(Interval::of_ratios(&over, &under), Interval { low: 2.0, median: 3.0, high: 4.0 });
    }

    #[test]
    fn a_target_is_missed_only_by_the_whole_interval() {
        let interval = Interval { low: 0.9, median: 0.94, high: 0.97 };
        let control = |width| Some(Interval { low: 1.0 - width / 2.0, median: 1.0, high: 1.0 + width / 2.0 });
        assert_eq!(interval.at_least(0.98, control(0.1)), Verdict::Missed);
        assert_eq!(interval.at_least(0.95, control(0.1)), Verdict::Met);
        assert_eq!(interval.at_least(0.95, control(0.3)), Verdict::ControlTooWide);
        assert_eq!(interval.at_least(0.9, control(0.3)), Verdict::Met);
        assert_eq!(interval.at_most(0.89, control(0.1)), Verdict::Missed);
        assert_eq!(interval.at_most(0.95, control(0.1)), Verdict::Met);
    }
}
