//! What a watch has seen since it began: sums that never grow in memory, and when each cause was seen.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::Interval;
use crate::attribution::{Cause, Direction};
use crate::engine::latency_histogram;
use crate::slo::{Broke, Slo};

/// Sums over all intervals.
#[derive(Clone, Debug)]
pub struct History {
    /// Seconds since 1970 when the first interval began.
    pub begun_unix_s: f64,
    /// Seconds since 1970 when the last one ended.
    pub ended_unix_s: f64,
    /// Intervals.
    pub intervals: u64,
    /// Of them, those in which this host stalled or was late, so that what was lost in them says nothing of server or path.
    pub intervals_unjudged: u64,
    /// Reads scheduled.
    pub reads: u64,
    /// Answered rightly and in time, misses included.
    pub answered: u64,
    /// Of them, those whose key was not stored.
    pub misses: u64,
    /// Misses of the last interval alone.
    pub misses_of_last: u64,
    /// Reads that lost something on the first try.
    pub first_try_lost: u64,
    /// Reads without a right answer in time.
    pub failed: u64,
    /// Reads whose answer was not the bytes stored.
    pub wrong: u64,
    /// Times the server was found to be another instance than before.
    pub restarts: u64,
    /// Times the control connection was lost.
    pub control_lost: u64,
    /// Latency of reads from their intended time, but for those that a stall of this host fell into; failed ones count as their timeout.
    pub latency: Histogram<u64>,
    /// Sum of those latencies, ns.
    pub latency_sum_ns: f64,
    /// What was lost by cause, as each interval by itself was judged.
    pub by_cause: BTreeMap<(Cause, Direction), Seen>,
}

/// A cause over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Reads lost on the first try.
    pub reads: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// In how many intervals.
    pub intervals: u64,
    /// Seconds since 1970 when the first of these began.
    pub first_unix_s: f64,
    /// And the last.
    pub last_unix_s: f64,
}

impl History {
    /// Nothing seen yet.
    pub fn begin(unix_s: f64) -> Self {
        Self {
            begun_unix_s: unix_s,
            ended_unix_s: unix_s,
            intervals: 0,
            intervals_unjudged: 0,
            reads: 0,
            answered: 0,
            misses: 0,
            misses_of_last: 0,
            first_try_lost: 0,
            failed: 0,
            wrong: 0,
            restarts: 0,
            control_lost: 0,
            latency: latency_histogram(),
            latency_sum_ns: 0.0,
            by_cause: BTreeMap::new(),
        }
    }

    /// Adds an interval.
    pub fn add(&mut self, interval: &Interval) {
        let stage = &interval.stage;
        self.ended_unix_s = interval.begin_unix_s + stage.duration_s;
        self.intervals += 1;
        self.intervals_unjudged += u64::from(interval.unjudged.is_some());
        self.reads += stage.sent;
        self.answered += stage.answered;
        self.misses += stage.misses;
        self.misses_of_last = stage.misses;
        self.first_try_lost += stage.first_try_lost;
        self.failed += stage.failed;
        self.wrong += stage.wrong;
        self.restarts += u64::from(interval.server.restarted);
        self.control_lost += u64::from(interval.server.control_lost);
        self.latency.add(&interval.latency).expect("the same bounds");
        self.latency_sum_ns += interval.latency.mean() * interval.latency.len() as f64;
        for (name, share) in &interval.causes {
            let first = Seen { first_unix_s: interval.begin_unix_s, ..Seen::default() };
            let seen = self.by_cause.entry(*name).or_insert(first);
            seen.reads += share.reads;
            seen.failed += share.failed;
            seen.intervals += 1;
            seen.last_unix_s = interval.begin_unix_s;
        }
    }

    /// failed / reads.
    pub fn failure_rate(&self) -> f64 {
        self.failed as f64 / self.reads.max(1) as f64
    }

    /// What of the service level was broken over the whole time, if anything. Misses break nothing: the path answered them.
    pub fn broke(&self, slo: Slo) -> Option<Broke> {
        slo.broken_by(self.failure_rate(), 0.0, self.latency.value_at_quantile(0.99).div_ceil(1000))
    }
}
