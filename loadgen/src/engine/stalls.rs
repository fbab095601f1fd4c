//! The stall watch: an idle thread that sleeps for short times and notes when it slept too long.
//!
//! What it sees is the host's doing (a virtual machine taken off its CPU, a frozen kernel), not the service's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use shingle_udp::monotonic_ns;

use crate::limits::{STALL_NS_MIN, STALL_WATCH_SLEEP};

/// One stall: start and length in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the thread went to sleep.
    pub start_ns: u64,
    /// How much longer it slept than asked.
    pub length_ns: u64,
}

/// Watches until `stop` is set and returns the stalls seen.
pub(super) fn watch(stop: &AtomicBool) -> Vec<Stall> {
    let mut stalls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start_ns = monotonic_ns();
        thread::sleep(STALL_WATCH_SLEEP);
        let over_ns = (monotonic_ns() - start_ns).saturating_sub(STALL_WATCH_SLEEP.as_nanos() as u64);
        if over_ns >= STALL_NS_MIN {
            stalls.push(Stall { start_ns, length_ns: over_ns });
        }
    }
    stalls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_told_to() {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&stop));
            thread::sleep(STALL_WATCH_SLEEP * 5);
            stop.store(true, Ordering::Relaxed);
            let stalls = watcher.join().expect("no panic");
            assert!(stalls.iter().all(|stall| stall.length_ns >= STALL_NS_MIN));
        });
    }
}
