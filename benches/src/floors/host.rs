//! What the two CPUs did beside the comparison: other processes, and time the hypervisor gave to others (proc_stat(5)).

use std::fs;

/// CPU time at one moment, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    total: u64,
    busy: u64,
    stolen: u64,
    /// Of this process and the children it has waited for.
    own: u64,
}

/// Shares of the host's CPU time between two moments, 0 to 1. Ticks are samples: a few percent mean nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beside {
    /// Other processes'.
    pub others: f64,
    /// Stolen by the hypervisor.
    pub stolen: f64,
}

impl CpuTimes {
    /// Reads them; `None` where procfs does not tell.
    #[must_use]
    pub fn read() -> Option<CpuTimes> {
        CpuTimes::parse(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn parse(host: &str, process: &str) -> Option<CpuTimes> {
        let cpu = host.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = cpu.split_whitespace().map_while(|field| field.parse().ok()).take(8).collect();
        let [_, _, _, idle, iowait, _, _, stolen] = ticks[..] else { return None };
        let total = ticks.iter().sum();
        // The name may hold spaces and brackets. Behind it: utime, stime, cutime, cstime are fields 14 to 17, counted from 1.
        let fields = process.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
        let own = fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(CpuTimes { total, busy: total - idle - iowait - stolen, stolen, own })
    }

    /// What went on beside since `earlier`.
    #[must_use]
    pub fn since(self, earlier: CpuTimes) -> Beside {
        let total = (self.total - earlier.total).max(1) as f64;
        let own = self.own - earlier.own;
        Beside {
            others: (self.busy - earlier.busy).saturating_sub(own) as f64 / total,
            stolen: (self.stolen - earlier.stolen) as f64 / total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_and_that_of_children_is_no_other_process() {
        let stat = |busy: u64, idle: u64, stolen: u64| {
            format!("cpu  {busy} 0 0 {idle} 0 0 0 {stolen} 0 0\ncpu0 1\n")
        };
        let process =
            |own: u64, children: u64| format!("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 {own} 0 {children} 0 20 0");
        let before = CpuTimes::parse(&stat(100, 100, 0), &process(10, 0)).expect("both are whole");
        let after = CpuTimes::parse(&stat(180, 110, 10), &process(40, 30)).expect("both are whole");
        assert_eq!(after.since(before), Beside { others: 0.2, stolen: 0.1 });
        assert_eq!(CpuTimes::parse("cpu  1 2 3", &process(1, 1)), None);
    }
}
