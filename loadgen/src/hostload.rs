//! What else the host's CPUs did during a stage: other processes, and time stolen by the hypervisor (proc(5), /proc/stat).

use std::fs;

use shingle_udp::counters::{CpuTime, TICK_US};

/// CPU time of the host and of this process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    host: CpuTime,
    /// Of this process, microseconds.
    own_us: u64,
}

/// Shares of the host's CPU time, 0 to 1. Tick sampling makes them rough: a few percent mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostLoad {
    /// Spent by other processes.
    pub others: f64,
    /// Stolen by the hypervisor.
    pub stolen: f64,
}

impl CpuTimes {
    /// Reads them now; `None` where procfs does not tell.
    pub fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(host: &str, process: &str) -> Option<Self> {
        // The name of the process may hold spaces and brackets: fields begin after the last one.
        let mut after_name = process.rsplit_once(')')?.1.split_whitespace().skip(11);
        let own = after_name.next()?.parse::<u64>().ok()? + after_name.next()?.parse::<u64>().ok()?;
        Some(Self { host: CpuTime::parse(host)?, own_us: own * TICK_US })
    }

    /// Shares since `earlier`. `known_us` of CPU time were a server's under load on this host: no other's.
    pub fn since(self, earlier: Self, known_us: u64) -> HostLoad {
        let risen = |of: fn(&CpuTime) -> u64| of(&self.host).saturating_sub(of(&earlier.host));
        let (busy, stolen) = (risen(|time| time.busy_us), risen(|time| time.steal_us));
        let total = (busy + stolen + risen(|time| time.idle_us)).max(1) as f64;
        let own = self.own_us.saturating_sub(earlier.own_us) + known_us;
        HostLoad { others: busy.saturating_sub(own) as f64 / total, stolen: stolen as f64 / total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: &str = "12 (load ) gen) S 1 2 3 4 5 6 7 8 9 10 30 20 0 0 20 0 1 0 5";

    #[test]
    fn shares_are_of_all_cpus() {
        let before =
            CpuTimes::parse("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1\n", "1 (x) S 1 2 3 4 5 6 7 8 9 10 0 0 0")
                .expect("parses");
        let after = CpuTimes::parse("cpu  160 0 140 880 0 0 0 20 0 0\n", PROCESS).expect("parses");
        assert_eq!(after.own_us, 500_000);
        assert_eq!(after.since(before, 0), HostLoad { others: 0.25, stolen: 0.1 });
        assert_eq!(after.since(before, 300_000), HostLoad { others: 0.1, stolen: 0.1 });
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        assert_eq!(CpuTimes::parse("", PROCESS), None);
        assert_eq!(CpuTimes::parse("cpu  1 2 3 4 5 6 7 8\n", "12 (x) S 1"), None);
        assert!(CpuTimes::read().is_some(), "this host has procfs");
    }
}
