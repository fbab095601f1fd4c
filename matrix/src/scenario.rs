//! A drawn run: the laboratory, the load, and what must be found. Plain data.

use serde::{Deserialize, Serialize};
use shingle_loadgen::attribution::{Cause, Direction};

use crate::limits;
use shingle_loadgen::workload::units;

/// A run as drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The laboratory's topology, or two joined by `+`.
    pub lab: String,
    /// Its settings beside `family`.
    pub settings: Vec<String>,
    /// The ends talk in IPv6.
    pub ipv6: bool,
    /// How answers that do not fit the path are sent.
    pub strategy: String,
    /// What is stored.
    pub values: String,
    /// Reads/s.
    pub rate: u64,
    /// Source ports.
    pub flows: u64,
    /// `poisson` or `constant`.
    pub arrivals: String,
    /// Of a read.
    pub timeout_ms: u64,
    /// Of the workload.
    pub seed: u64,
    /// What must be found, most lost first.
    pub causes: Vec<Expected>,
}

/// A cause that must be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The names that are right for it: one, or several where the catalogue names several.
    pub accepted: Vec<Cause>,
    /// Reads it is expected to lose.
    pub lost: f64,
    /// Counters of the laboratory whose sum is the reads it lost, where each packet lost is a read lost; empty where there are none.
    pub counters: Vec<String>,
    /// Packets that it struck were in part those of reads that the other cause loses: only the share struck counts, of the reads that the other
    /// left.
    #[serde(default)]
    pub beside: Option<Beside>,
    /// What must be estimated for it.
    pub numbers: Vec<Number>,
}

/// The reads of which the other cause loses some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Their share of all reads; the others' answers are of one packet.
    pub share: f64,
    /// Packets of their answers, in the mean.
    pub packets: f64,
}

/// A number that must be estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Its name among the cause's estimates.
    pub name: String,
    /// Of which way; none: of any.
    pub direction: Option<Direction>,
    /// Where the true value comes from.
    pub truth: Source,
}

/// Where a true value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// From what was set.
    Set(f64),
    /// From the laboratory's counters: lost over seen.
    Counted {
        /// Packets it happened to.
        lost: String,
        /// Packets there were.
        seen: String,
    },
    /// From the counters of equal paths and the reads of each flow: the flows that lost most and have the bad path's share.
    FlowsOnPath {
        /// The bad path's counter.
        bad: String,
        /// Counters of all paths.
        all: Vec<String>,
    },
}

impl Scenario {
    /// Nothing is to be found.
    pub fn is_healthy(&self) -> bool {
        self.causes.is_empty()
    }

    /// The arguments after which `loadgen` repeats this run.
    pub fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = vec!["run".into(), "--lab".into(), self.lab.clone()];
        // In a pair the family is both topologies'.
        let family = format!("family={}", if self.ipv6 { 6 } else { 4 });
        for setting in self.settings.iter().chain([&family]) {
            words.extend(["--set".into(), setting.clone()]);
        }
        for (flag, value) in [
            ("--strategy", self.strategy.clone()),
            ("--values", self.values.clone()),
            ("--items", limits::ITEMS.to_string()),
            ("--rate", self.rate.to_string()),
            ("--duration", units::format_duration(limits::STAGE)),
            ("--threads", "1".into()),
            ("--flows", self.flows.to_string()),
            ("--arrivals", self.arrivals.clone()),
            ("--timeout", format!("{}ms", self.timeout_ms)),
            ("--seed", self.seed.to_string()),
            ("--slo", limits::SLO.into()),
        ] {
            words.extend([flag.to_owned(), value]);
        }
        words
    }

    /// The command that repeats it.
    pub fn command(&self) -> String {
        format!("loadgen {}", self.arguments().join(" "))
    }
}
