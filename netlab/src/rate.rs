//! Rates that never round: a bucket of tokens, and the pace of a link.

use crate::limits::SECOND_NS;

/// Fills at `limit` tokens a second up to `burst` tokens; starts full.
pub(crate) struct TokenBucket {
    limit: u64,
    /// In tokens x nanoseconds of a second, so that any limit divides evenly.
    level: u128,
    full: u128,
    filled_ns: u64,
}

impl TokenBucket {
    pub(crate) fn new(limit: u64, burst: u64) -> Self {
        let full = scaled(burst);
        Self { limit, level: full, full, filled_ns: 0 }
    }

    /// Takes this many tokens if they are there.
    pub(crate) fn take(&mut self, now_ns: u64, tokens: u64) -> bool {
        let filled = u128::from(now_ns - self.filled_ns) * u128::from(self.limit);
        self.level = self.full.min(self.level + filled);
        self.filled_ns = now_ns;
        let enough = self.level >= scaled(tokens);
        if enough {
            self.level -= scaled(tokens);
        }
        enough
    }
}

/// A link that carries `limit` units a second, one thing after the other.
pub(crate) struct Pace {
    limit: u128,
    /// When it is free, in nanoseconds x limit: only the time given out is rounded.
    free: u128,
}

impl Pace {
    /// `limit` must not be 0.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit: limit.into(), free: 0 }
    }

    /// When so many units that come now have been carried.
    pub(crate) fn carry(&mut self, now_ns: u64, units: u64) -> u64 {
        self.free = self.free.max(u128::from(now_ns) * self.limit) + scaled(units);
        u64::try_from(self.free.div_ceil(self.limit)).unwrap_or(u64::MAX)
    }
}

fn scaled(tokens: u64) -> u128 {
    u128::from(tokens) * u128::from(SECOND_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_burst_and_then_exactly_the_limit() {
        let mut bucket = TokenBucket::new(1000, 5);
        assert_eq!((0..100).filter(|_| bucket.take(0, 1)).count(), 5);
        // 3 asks a millisecond for a second: one of them is granted.
        let granted = (1..=3000).filter(|&i| bucket.take(i * SECOND_NS / 3000, 1)).count();
        assert_eq!(granted, 1000);
        assert!(!TokenBucket::new(0, 0).take(SECOND_NS, 1));
    }

    #[test]
    fn a_pace_does_not_drift() {
        let mut pace = Pace::new(3);
        assert_eq!([0; 3].map(|now_ns| pace.carry(now_ns, 1)), [333_333_334, 666_666_667, SECOND_NS]);
        assert_eq!(pace.carry(5 * SECOND_NS, 3), 6 * SECOND_NS, "an idle link saves nothing up");
    }
}
