//! When a whole request is repeated, and whether it may be (section 10.3).

use super::ClientConfig;

/// What a retry costs, in hundredths of itself: a read adds a percentage.
const RETRY: u32 = 100;
/// Retries a flow may send before its reads have earned any.
const RESERVE: u32 = 10 * RETRY;
/// Most retries that are saved up: what one burst of loss may use, however long all went well before.
const SAVED_MAX: u32 = 100 * RETRY;

/// A token bucket filled by reads, as the retry budgets of gRPC and Finagle: when a server is in trouble, retries would add to it.
pub(super) struct RetryBudget(u32);

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self(RESERVE)
    }

    /// A read began.
    pub(super) fn earn(&mut self, percent: u8) {
        self.0 = (self.0 + u32::from(percent)).min(SAVED_MAX);
    }

    /// Whether one retry may be sent; it is paid for then.
    pub(super) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(RETRY);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// How long the answer to a request is waited for before the read is sent for the time `retried + 1` again: doubling, so that all fit the timeout,
/// and up to an eighth more or less by the datagram's name, so that what was lost together is not repeated together.
pub(super) fn patience_ns(config: &ClientConfig, retried: u8, sequence: u32) -> u64 {
    let parts = (2 << config.retries) - 1;
    let patience = (config.timeout_ns / parts) << retried;
    let name = (u64::from(config.flow) << 32) | u64::from(sequence);
    let chance = name.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
    let jitter = (u128::from(patience / 4) * u128::from(chance)) >> 16;
    patience - patience / 8 + jitter as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_doubles_within_the_timeout_and_differs_between_datagrams() {
        for retries in 0..=10 {
            let config = ClientConfig { retries, flow: 7, ..ClientConfig::default() };
            let mut sum = 0;
            for retried in 0..=retries {
                let plain = (config.timeout_ns / ((2 << retries) - 1)) << retried;
                let of = |sequence| patience_ns(&config, retried, sequence);
                let (least, most) = (0..1000)
                    .map(of)
                    .fold((u64::MAX, 0), |(least, most), patience| (least.min(patience), most.max(patience)));
                assert!(least >= plain / 8 * 7 && most <= plain / 8 * 9 + 8, "{least} to {most} for {plain}");
                assert!(most - least > plain / 5, "spread over a quarter: {least} to {most}");
                assert_ne!(of(1), of(2));
                sum += plain;
            }
            assert!(sum <= config.timeout_ns);
        }
        let config = ClientConfig { retries: 10, timeout_ns: u64::MAX, ..ClientConfig::default() };
        assert!(patience_ns(&config, 10, 3) > 1 << 62, "no overflow");
    }

    #[test]
    fn a_budget_gives_its_reserve_and_then_what_reads_earn() {
        let mut budget = RetryBudget::new();
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
        (0..100).for_each(|_| budget.earn(20));
        assert_eq!((0..100).filter(|_| budget.take()).count(), 20);
        (0..1_000_000).for_each(|_| budget.earn(255));
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 100, "the cap");
    }
}
