//! The laboratory that a run stands in: up before any socket is opened, read around each stage, gone with the run.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use shingle_netlab::Pauses;
use shingle_netlab::lab::{self, Entered, Lab, LabError, LabOptions, Range};

use crate::error::Error;
use crate::limits;
use crate::options::LabChoice;
use crate::record::{LabFacts, LabFigures};
use crate::workload::units;

/// A laboratory that is up; dropping it takes it down, and so does a signal that ends the process.
#[derive(Debug)]
pub struct Laboratory {
    lab: Lab,
    facts: LabFacts,
}

/// What a laboratory had counted at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    counters: BTreeMap<String, u64>,
    own_losses: BTreeMap<String, u64>,
}

impl Laboratory {
    /// Brings it up, after finding what this machine carries in one.
    ///
    /// # Errors
    /// Tools or rights are missing; nothing is left behind.
    pub fn up(choice: &LabChoice) -> Result<Self, Error> {
        let range = range()?;
        let plan = choice.spec.plan();
        let lab = Lab::up(&plan, &LabOptions { pcap: choice.pcap.clone(), ..LabOptions::default() })?;
        let facts = LabFacts {
            topology: plan.topology,
            settings: plan.settings.into_iter().collect(),
            // Each datagram it is measured with comes back.
            packets_per_s_max: 2.0 * f64::from(range.datagrams_per_second),
        };
        Ok(Self { lab, facts })
    }

    /// For the record.
    pub fn facts(&self) -> &LabFacts {
        &self.facts
    }

    /// What the programs on the two ends are to do to themselves.
    pub fn pauses(&self) -> Pauses {
        self.lab.plan().pauses
    }

    /// Where the server listens.
    pub fn server_address(&self) -> IpAddr {
        self.lab.server().address(self.lab.plan().family)
    }

    /// Addresses of the client that nothing uses, for clients whose path MTUs nobody else learns.
    pub fn spare_addresses(&self) -> Vec<IpAddr> {
        self.lab.client().addresses(self.lab.plan().family).split_off(1)
    }

    /// How long its hosts remember a path MTU, where its topology says so.
    pub fn mtu_expires(&self) -> Option<Duration> {
        units::parse_duration(self.facts.settings.get("mtu-expires")?).ok()
    }

    /// Moves the calling thread to the client until the guard is dropped, and the threads begun meanwhile for good.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn enter_client(&self) -> Result<Entered, LabError> {
        self.lab.client().enter()
    }

    /// Does `work` at the server; threads begun in it stay there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn at_server<T>(&self, work: impl FnOnce() -> T) -> Result<T, LabError> {
        self.lab.server().run(work)
    }

    /// Starts the clock of what is to come later.
    pub fn start_clock(&self) {
        self.lab.start_clock();
    }

    /// What it has counted until now.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn reading(&self) -> Result<Reading, LabError> {
        Ok(Reading { counters: self.lab.counters()?, own_losses: self.lab.own_losses()? })
    }

    /// Lets both ends forget what they learned of their paths, and waits until no fragment waits for others any more: what ran before
    /// shall not be felt. True if some still waited at the end.
    ///
    /// # Errors
    /// The path MTUs cannot be flushed.
    pub fn forget(&self) -> Result<bool, LabError> {
        let waiting = self.drain(limits::REASSEMBLY_WAIT_MAX)?;
        self.lab.flush_path_mtus()?;
        Ok(waiting)
    }

    /// Waits, no longer than this, until no fragment waits for others at either end. True if some still did then.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn drain(&self, longest: Duration) -> Result<bool, LabError> {
        let end = Instant::now() + longest;
        let mut waiting = self.fragments_wait()?;
        while waiting && Instant::now() < end {
            thread::sleep(REASSEMBLY_LOOK);
            waiting = self.fragments_wait()?;
        }
        Ok(waiting)
    }

    fn fragments_wait(&self) -> Result<bool, LabError> {
        Ok(self.lab.client().run(fragments_waiting)? + self.lab.server().run(fragments_waiting)? > 0)
    }
}

/// What this machine carries, measured by the first laboratory of the process.
fn range() -> Result<Range, LabError> {
    static RANGE: OnceLock<Range> = OnceLock::new();
    match RANGE.get() {
        Some(range) => Ok(*range),
        None => lab::range().map(|measured| *RANGE.get_or_init(|| measured)),
    }
}

/// How often is looked for fragments that wait.
const REASSEMBLY_LOOK: Duration = Duration::from_millis(20);

impl Reading {
    /// What rose since `earlier`.
    pub fn since(&self, earlier: &Self) -> LabFigures {
        let rise = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let growth = |(name, now): (&String, &u64)| {
                (name.clone(), now.saturating_sub(before.get(name).copied().unwrap_or(0)))
            };
            now.iter().map(growth).collect::<BTreeMap<_, _>>()
        };
        let mut own_losses = rise(&self.own_losses, &earlier.own_losses);
        own_losses.retain(|_, packets| *packets > 0);
        LabFigures { counters: rise(&self.counters, &earlier.counters), own_losses, packets_per_s: 0.0 }
    }
}

impl LabFigures {
    /// Whether the laboratory lost any packet by itself, or held up so many that a stage of so many reads says little.
    pub fn has_spoiled(&self, reads: u64) -> bool {
        let (late, lost): (Vec<_>, Vec<_>) =
            self.own_losses.iter().partition(|(place, _)| place.ends_with(".late"));
        let late: u64 = late.into_iter().map(|(_, packets)| packets).sum();
        !lost.is_empty() || late as f64 > limits::DISTURBED_SHARE_MAX * reads as f64
    }
}

/// Datagrams of both families of which the calling thread's host holds fragments that wait for others; 0 where it does not tell.
pub(crate) fn fragments_waiting() -> u64 {
    let files = ["sockstat", "sockstat6"].map(|name| format!("/proc/thread-self/net/{name}"));
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .map(|text| incomplete_datagrams(&text))
        .sum()
}

/// Datagrams of which fragments have arrived and others not (`FRAG: inuse N memory M`, net/ipv4/proc.c; `FRAG6` net/ipv6/proc.c).
fn incomplete_datagrams(sockstat: &str) -> u64 {
    let inuse = |line: &str| line.strip_prefix("FRAG")?.split_whitespace().nth(2)?.parse::<u64>().ok();
    sockstat.lines().filter_map(inuse).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_that_wait_are_found_in_both_families() {
        let v4 = "sockets: used 5\nUDP: inuse 3 mem 2\nFRAG: inuse 2 memory 4096\n";
        assert_eq!(incomplete_datagrams(v4), 2);
        assert_eq!(incomplete_datagrams("UDP6: inuse 0\nFRAG6: inuse 1 memory 4096\n"), 1);
        assert_eq!(incomplete_datagrams("FRAG: inuse 0 memory 0\n"), 0);
    }

    #[test]
    fn only_what_rose_is_a_loss_of_its_own() {
        let reading = |dropped, counted| Reading {
            counters: [("router.frag_dropped".to_owned(), counted)].into(),
            own_losses: [("router.rs.rx_dropped".to_owned(), dropped)].into(),
        };
        let figures = reading(5, 9).since(&reading(5, 2));
        assert!(figures.own_losses.is_empty());
        assert_eq!(figures.counters["router.frag_dropped"], 7);
        let lost = reading(6, 9).since(&reading(5, 2));
        assert_eq!(lost.own_losses["router.rs.rx_dropped"], 1);
        assert!(lost.has_spoiled(1_000_000) && !figures.has_spoiled(1));
        let late = |packets| LabFigures {
            own_losses: [("router.hold0.late".to_owned(), packets)].into(),
            ..LabFigures::default()
        };
        assert!(late(101).has_spoiled(1000) && !late(100).has_spoiled(1000));
    }
}
