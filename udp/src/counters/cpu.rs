//! `/proc/stat`: what the CPUs of the host did since it was started, all of them together (proc(5)).

use std::collections::BTreeMap;

/// Time of all CPUs of the host, in microseconds since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuTime {
    /// They did something, for processes or for the kernel.
    pub busy_us: u64,
    /// They had nothing to do, or waited for a disk.
    pub idle_us: u64,
    /// The hypervisor gave their time to other machines.
    pub steal_us: u64,
}

/// A clock tick of /proc/stat: USER_HZ is 100 on every architecture this runs on (time(7)).
pub const TICK_US: u64 = 10_000;

impl CpuTime {
    /// Reads it now; `None` where procfs does not tell.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// Reads the text of `/proc/stat`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fields = super::lines(text).find_map(|line| line.strip_prefix("cpu "))?;
        // user nice system idle iowait irq softirq steal; guest time is part of user.
        let ticks = fields.split_whitespace().take(8).map(str::parse::<u64>);
        let ticks: Vec<u64> = ticks.collect::<Result<_, _>>().ok()?;
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else { return None };
        let us = |ticks: u64| ticks.saturating_mul(TICK_US);
        Some(Self {
            busy_us: us(user + nice + system + irq + softirq),
            idle_us: us(idle + iowait),
            steal_us: us(steal),
        })
    }

    /// The same by flat names like those of the protocols' counters.
    #[must_use]
    pub fn flat(&self) -> BTreeMap<String, u64> {
        let names = [("busy", self.busy_us), ("idle", self.idle_us), ("steal", self.steal_us)];
        names.map(|(name, us)| (format!("Cpu.{name}_us"), us)).into()
    }
}

/// The counters of the CPUs; where they cannot be read, that goes to `missing`.
pub fn cpu_counters(missing: &mut Vec<String>) -> BTreeMap<String, u64> {
    let time = CpuTime::read();
    if time.is_none() {
        missing.push("CPU time (/proc/stat)".to_owned());
    }
    time.map(|time| time.flat()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_cpus_are_told_and_nothing_is_guessed() {
        let time =
            CpuTime::parse("cpu  10 1 20 300 5 2 3 7 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n").expect("parses");
        assert_eq!(time, CpuTime { busy_us: 360_000, idle_us: 3_050_000, steal_us: 70_000 });
        assert_eq!(time.flat()["Cpu.steal_us"], 70_000);
        for text in [
            "",
            "cpu  1 2 3 4 5\n",
            "cpu  1 2 3 4 5 6 7 x\n",
            "cpu  1 2 3 4 5 6 7 8",
            "cpu0 1 2 3 4 5 6 7 8\n",
        ] {
            assert_eq!(CpuTime::parse(text), None, "{text:?}");
        }
        assert!(CpuTime::read().is_some(), "this host has procfs");
    }
}
