//! The part of a record that compares strategies: what was compared on which path, and the figures of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CauseReport, Percentiles};
use crate::attribution::Cause;
use crate::slo::Broke;

/// What was compared, and on which path.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Rate of the rounds, reads/s.
    pub offered_tps: f64,
    /// Rounds; in each every strategy had its turn.
    pub rounds: usize,
    /// Length of a turn, seconds.
    pub round_s: f64,
    /// Whether the path is one of IPv6.
    pub ipv6: bool,
    /// MTU of the interface towards the server.
    pub interface_mtu: u32,
    /// Path MTU from the server as its probes found it, bytes of an IP packet; absent where no strategy compared serves probes.
    pub path_mtu: Option<u32>,
    /// Share of the items whose answer does not fit one datagram of that path, 0 to 1.
    pub answers_above_path: f64,
    /// Bytes of the longest answer, UDP payload.
    pub answer_bytes_max: usize,
    /// Bytes of a sample of values as a `compressed` port stores them, over their bytes; absent where none was compared.
    pub compressed_share: Option<f64>,
    /// Share of those items whose answer does not fit one datagram of the path when compressed.
    pub compressed_above_path: Option<f64>,
    /// Learned path MTUs were flushed before each turn, so that each began cold.
    pub cold_measured: bool,
    /// Why not.
    pub cold_not_measured_because: Option<String>,
    /// The highest rate within the service level was searched for.
    pub searched: bool,
    /// The strategy recommended.
    pub recommended: Option<String>,
}

/// Figures of one strategy: medians over its rounds where they are not said to be sums.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StrategyFigures {
    /// Its name.
    pub strategy: String,
    /// What it does on a path of this family, in words.
    pub does: String,
    /// Rate of the rounds, reads/s.
    pub offered_tps: f64,
    /// Rate at which answers arrived in time, reads/s.
    pub achieved_tps: f64,
    /// Rounds that the medians are over: the valid ones, or all where none was.
    pub rounds: usize,
    /// Whether they were valid.
    pub valid: bool,
    /// Of them, those that met the service level: where the medians broke it and some did, it is undecided.
    pub rounds_met: usize,
    /// What of the service level the medians broke.
    pub broke: Option<Broke>,
    /// Reads scheduled, a sum.
    pub sent: u64,
    /// Reads answered rightly and in time, a sum.
    pub answered: u64,
    /// Reads that found nothing stored, a sum.
    pub misses: u64,
    /// Reads whose first exchange lost something, a sum.
    pub first_try_lost: u64,
    /// Their share of the reads.
    pub first_try_lost_rate: f64,
    /// Reads without a right answer in time, a sum.
    pub failed: u64,
    /// Their share of the reads.
    pub failure_rate: f64,
    /// Reads the server refused because their answers were too big, a sum; they are among the failed.
    pub refused: u64,
    /// Latency from the intended time.
    pub latency_us: Percentiles,
    /// Failed reads by cause, a sum.
    pub losses: BTreeMap<Cause, u64>,
    /// Who lost the reads of the round that lost most.
    pub causes: Vec<CauseReport>,
    /// The generator set the limit in most rounds.
    pub generator_limited: bool,
    /// Bytes of values delivered in time, a second.
    pub goodput_bytes_per_s: f64,
    /// Request datagrams a read, those for missing parts included.
    pub requests_per_read: f64,
    /// Answer datagrams a read.
    pub datagrams_per_read: f64,
    /// IP packets a read that the answers made when they left the server's host.
    pub packets_per_read: f64,
    /// Fragments a second that the server's host made.
    pub fragments_sent_per_s: f64,
    /// Fragments a second that arrived at the generator's host: those of routers too.
    pub fragments_received_per_s: f64,
    /// CPU time of the server's workers, microseconds a read.
    pub server_cpu_us_per_read: f64,
    /// CPU time of the generator's threads, microseconds a read, without that in which they only looked for something to do.
    pub generator_cpu_us_per_read: f64,
    /// Least and most over the rounds, by the names of the fields; latencies by `p50`, `p99`, `p999`.
    pub spread: BTreeMap<String, [f64; 2]>,
    /// The first and the later large answers to a destination whose path MTU nobody knows yet; absent where that was not measured.
    pub cold: Option<Cold>,
    /// Highest rate that met the service level, reads/s; 0 if none did, absent where it was not searched for.
    pub tps_at_slo: Option<f64>,
    /// Lowest rate that did not; absent where none broke it.
    pub broken_at_tps: Option<f64>,
    /// What broke there.
    pub broke_first: Option<Broke>,
}

/// Large answers to a destination whose path MTU was just forgotten, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cold {
    /// Bytes of the value read.
    pub value_bytes: usize,
    /// First answers after forgetting.
    pub first: u32,
    /// Of them, those that did not come whole on the first try.
    pub first_lost: u32,
    /// Answers after those.
    pub later: u32,
    /// Of them, those that did not.
    pub later_lost: u32,
    /// Answers of both kinds that the server refused instead.
    pub refused: u32,
}

impl StrategyFigures {
    /// Least and most of a figure over the rounds.
    pub fn spread_of(&self, name: &str) -> [f64; 2] {
        self.spread.get(name).copied().unwrap_or_default()
    }
}
