//! A worker's counters: written by the worker alone, read by anybody at any time.

use std::sync::atomic::{AtomicU64, Ordering};

use shingle_proto::wire::DropReason;

use crate::limits::SIZE_CLASS_BYTES;

/// A number with one writer. Its addition is a load and a store, not a locked instruction; relaxed, as a counter orders
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The books of one worker; the names are those of [`WorkerReport`](crate::stats::WorkerReport).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: Counter,
    pub(crate) gets: Counter,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) refused: Counter,
    pub(crate) challenged: Counter,
    pub(crate) answers: Counter,
    pub(crate) answer_bytes: Counter,
    pub(crate) send_system_calls: Counter,
    pub(crate) recv_system_calls: Counter,
    pub(crate) send_failed: Counter,
    pub(crate) send_retried: Counter,
    pub(crate) socket_errors: Counter,
    pub(crate) drops: [Counter; DropReason::COUNT],
    pub(crate) socket_drops: Counter,
    pub(crate) allocations: Counter,
    pub(crate) cpu_time_us: Counter,
    pub(crate) size_classes: [Counter; SIZE_CLASS_BYTES.len() + 1],
}

impl Counters {
    #[inline]
    pub(crate) fn drop(&self, reason: DropReason) {
        self.drops[reason.index()].add(1);
    }

    /// Counts the answer to one request datagram, `bytes` long in all, in its class.
    #[inline]
    pub(crate) fn classify(&self, bytes: u64) {
        let class = SIZE_CLASS_BYTES.iter().position(|&bytes_max| bytes <= bytes_max);
        self.size_classes[class.unwrap_or(SIZE_CLASS_BYTES.len())].add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_include_their_upper_end() {
        let counters = Counters::default();
        for bytes in [0, 128, 129, 1472, 1473, u64::MAX] {
            counters.classify(bytes);
        }
        let classes: Vec<u64> = counters.size_classes.iter().map(Counter::get).collect();
        assert_eq!(classes, [2, 1, 1, 1, 0, 1]);
    }
}
