//! How probable it is that a stage met the service level, given that its reads are a sample of what the rate does: one just at the limit is
//! met by half. Pure.
//!
//! Both halves of the service level are shares: of reads that fail, and of reads later than the bound on the 99th percentile, of which one in
//! a hundred may be. The share of n reads scatters around the true one by sqrt(limit (1 - limit) / n), more where losses come together: by the
//! variance of the stage's intervals over that of chance, where it is larger.

use hdrhistogram::Histogram;

use crate::limits;
use crate::record::{Interval, Stage};
use crate::slo::{Broke, Slo};
use crate::statistics::normal_cdf;

/// Share of reads that may be later than the bound on the 99th percentile.
const LATE_SHARE: f64 = 0.01;

/// The probability that the rate of this stage meets the service level, as far as one stage can tell: 0 to 1, at least 0.5 where the stage
/// met it. `latencies` are those of its intervals.
pub fn chance_met(stage: &Stage, latencies: &[Histogram<u64>], slo: &Slo) -> f64 {
    let hard = if stage.broke.is_none() { 1.0 } else { 0.0 };
    // Spoiled by the host, or broken by what is no matter of chance.
    if !stage.valid || stage.broke == Some(Broke::Misses) || stage.sent == 0 {
        return hard;
    }
    let parts: Vec<_> = valid_intervals(stage).map(failed_of).collect();
    let failed = if parts.is_empty() {
        Counted { hits: stage.failed, reads: stage.sent }
    } else {
        parts.iter().fold(Counted::default(), |sum, part| Counted {
            hits: sum.hits + part.hits,
            reads: sum.reads + part.reads,
        })
    };
    let few_fail = failed.below(slo.failure_rate, dispersion(&parts));
    let late: Vec<_> = latencies.iter().map(|latency| late_of(latency, slo.p99_us * 1000)).collect();
    let all = late.iter().fold(Counted::default(), |sum, part| Counted {
        hits: sum.hits + part.hits,
        reads: sum.reads + part.reads,
    });
    let chance = few_fail * all.below(LATE_SHARE, dispersion(&late));
    if stage.broke.is_none() { chance.max(0.5) } else { chance.min(0.499) }
}

/// Whether a stage with this chance leaves open if its rate meets the service level.
pub fn is_close(chance_met: f64) -> bool {
    let (broken, met) = limits::CLOSE_CHANCES;
    (broken..=met).contains(&chance_met)
}

/// So many of so many reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Those meant.
    pub hits: u64,
    /// All.
    pub reads: u64,
}

impl Counted {
    /// Their share, 0 to 1.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.reads.max(1) as f64
    }

    /// The probability that the true share is below a limit.
    fn below(self, limit: f64, dispersion: f64) -> f64 {
        if self.reads == 0 || limit >= 1.0 {
            return 1.0;
        }
        if limit <= 0.0 {
            return if self.hits == 0 { 1.0 } else { 0.0 };
        }
        let deviation = (dispersion * limit * (1.0 - limit) / self.reads as f64).sqrt();
        normal_cdf((limit - self.share()) / deviation)
    }
}

/// The intervals in which the host did not stall; all where it did in each.
pub fn valid_intervals(stage: &Stage) -> impl Iterator<Item = &Interval> {
    let any = stage.intervals.iter().any(|interval| interval.valid);
    stage.intervals.iter().filter(move |interval| interval.valid || !any)
}

/// The reads of an interval that failed.
pub fn failed_of(interval: &Interval) -> Counted {
    Counted { hits: interval.failed, reads: interval.reads }
}

fn late_of(latency: &Histogram<u64>, bound_ns: u64) -> Counted {
    Counted { hits: latency.count_between(bound_ns + 1, latency.high()), reads: latency.len() }
}

/// How much more the shares of the parts vary than chance would have it: their variance over the binomial one; 1 where it is less, or where
/// there is nothing to tell it by.
pub fn dispersion(parts: &[Counted]) -> f64 {
    let (hits, reads) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.hits, sum.1 + part.reads));
    let share = Counted { hits, reads }.share();
    if parts.len() < 2 || share <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    let squares: f64 = parts
        .iter()
        .filter(|part| part.reads > 0)
        .map(|part| {
            let expected = part.reads as f64 * share;
            (part.hits as f64 - expected).powi(2) / (expected * (1.0 - share))
        })
        .sum();
    (squares / (parts.len() - 1) as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(failed: [u64; 3]) -> Stage {
        let interval = |failed: &u64| Interval { reads: 30_000, failed: *failed, ..Interval::default() };
        let failed_sum: u64 = failed.iter().sum();
        let slo = Slo::default();
        let rate = failed_sum as f64 / 90_000.0;
        Stage {
            valid: true,
            sent: 90_000,
            failed: failed_sum,
            failure_rate: rate,
            broke: slo.broken_by(rate, 0.0, 100),
            intervals: failed.iter().map(interval).collect(),
            ..Stage::default()
        }
    }

    fn chance(failed: [u64; 3]) -> f64 {
        chance_met(&stage(failed), &[], &Slo::default())
    }

    #[test]
    fn at_the_limit_half_and_away_from_it_sure() {
        assert_eq!(chance([150, 150, 150]), 0.5);
        assert!(chance([100, 100, 100]) > 0.999 && chance([200, 200, 200]) < 0.001);
        // 0.53 % of 90,000: one and a quarter standard deviations.
        let close = chance([159, 159, 159]);
        assert!((0.05..0.15).contains(&close) && is_close(close), "{close}");
    }

    #[test]
    fn losses_that_come_together_say_less() {
        assert!(chance([0, 0, 300]) < chance([100, 100, 100]));
    }

    #[test]
    fn late_reads_count_as_lost_ones_do() {
        let mut latency = Histogram::<u64>::new_with_bounds(1_000, 100_000_000_000, 3).expect("constants");
        latency.record_n(100_000, 9_850).expect("in range");
        latency.record_n(5_000_000, 150).expect("in range");
        let mut late = stage([0; 3]);
        late.broke = Some(Broke::P99);
        assert!(chance_met(&late, &[latency.clone()], &Slo::default()) < 0.001);
        late.broke = None;
        assert_eq!(chance_met(&late, &[], &Slo::default()), 1.0);
        late.valid = false;
        assert_eq!(chance_met(&late, &[latency], &Slo::default()), 1.0, "spoiled: as it was judged");
    }
}
