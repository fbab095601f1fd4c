//! `net/softnet_stat`: packets each CPU took from network devices (net/core/net-procfs.c). The kernel keeps these
//! for the whole host, not for a namespace.

/// What one CPU did. The kernel's counters have 32 bits and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoftnetCpu {
    /// Which CPU; its place in the file on kernels that do not name it (before 5.10).
    pub cpu: u32,
    /// Packets taken from a queue.
    pub processed: u32,
    /// Packets dropped because the CPU's backlog was full (sysctl net.core.netdev_max_backlog).
    pub dropped: u32,
    /// Times it stopped with packets left because its budget was used up (sysctl net.core.netdev_budget).
    pub time_squeeze: u32,
}

/// Every CPU's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Softnet(Vec<SoftnetCpu>);

impl Softnet {
    /// Reads the text of `net/softnet_stat`; lines with less than three counters are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let cpu = |(place, line): (usize, &str)| {
            let mut fields = line.split_whitespace().map(|field| u32::from_str_radix(field, 16).ok());
            let (processed, dropped, time_squeeze) = (fields.next()??, fields.next()??, fields.next()??);
            let cpu = fields.nth(9).flatten().unwrap_or(place as u32);
            Some(SoftnetCpu { cpu, processed, dropped, time_squeeze })
        };
        Softnet(super::lines(text).enumerate().filter_map(cpu).collect())
    }

    /// The CPUs, in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = &SoftnetCpu> {
        self.0.iter()
    }

    /// The sum of `counter` over all CPUs.
    pub(super) fn total(&self, counter: fn(&SoftnetCpu) -> u32) -> u64 {
        self.0.iter().map(|cpu| u64::from(counter(cpu))).sum()
    }

    /// What `counter` grew by on the CPUs that are in both, across a wrap if there was one.
    pub(super) fn growth(&self, earlier: &Softnet, counter: fn(&SoftnetCpu) -> u32) -> u64 {
        let before = |cpu: u32| earlier.0.iter().find(|before| before.cpu == cpu);
        let grew = |now: &SoftnetCpu| Some(counter(now).wrapping_sub(counter(before(now.cpu)?)));
        self.0.iter().filter_map(grew).map(u64::from).sum()
    }
}
