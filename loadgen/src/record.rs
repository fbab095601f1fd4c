//! The record of a run: one JSON document, `shingle.run/1`, that reports are made from and others script against.
//!
//! Readers ignore fields they do not know; fields are added, never renamed.

mod qualified;
mod strategies;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::attribution::{Cause, Direction, Estimate, Trial};
use crate::error::Error;
use crate::protocol::Protocol;
use crate::slo::{Broke, Slo};

pub use qualified::{
    BaselineOutcome, BaselineReport, BaselineTest, Canary, CapacityPlan, ColdPath, GeneratorCheck,
    KneeInterval,
};
pub use strategies::{Cold, Comparison, StrategyFigures};

/// The schema every record of this version names.
pub const SCHEMA: &str = "shingle.run/1";

/// One run: what was asked, on what, every stage, and the verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(expecting = "a record of a run")]
pub struct Record {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// The command with its resolved options, enough to run it again.
    pub command: String,
    /// Seconds since 1970 when it began.
    pub started_unix_s: u64,
    /// The generator's host.
    pub host: Host,
    /// The server under load.
    pub server: ServerFacts,
    /// Both ends ran in one network namespace and shared its CPUs: figures speak for both together.
    pub shared_namespace: bool,
    /// The laboratory that both ends stood in, if the run was in one.
    #[serde(default)]
    pub lab: Option<LabFacts>,
    /// The service level asked for.
    pub slo: Slo,
    /// The workload.
    pub workload: Workload,
    /// The outcome.
    pub verdict: Verdict,
    /// Every stage, in order of time.
    pub stages: Vec<Stage>,
    /// Offered rate of the stage that `causes` speaks of: the lowest that broke the service level and lost reads (the only stage of `run`).
    #[serde(default)]
    pub causes_tps: Option<f64>,
    /// Who lost the reads of that stage.
    pub causes: Vec<CauseReport>,
    /// Experiments made after that stage to decide between causes, in their order.
    #[serde(default)]
    pub trials: Vec<TrialReport>,
    /// What became of the first large answers to a destination, before the search of `qualify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<ColdPath>,
    /// How it compares with an earlier run, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineReport>,
    /// What `compare` compared, and on which path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// The figures of each strategy compared.
    #[serde(default)]
    pub strategies: Vec<StrategyFigures>,
}

impl Record {
    /// The record in a file written with `--json`.
    ///
    /// # Errors
    /// The file cannot be read, or is no record of this schema.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let json = fs::read(path).map_err(|error| Error::file("read", path, error))?;
        let unusable = |detail: String| Error::Record { path: path.to_owned(), detail };
        let record: Self = serde_json::from_slice(&json).map_err(|error| {
            let what = if error.is_data() {
                "it is JSON, but not what --json writes"
            } else {
                "it is no JSON, or was cut off"
            };
            unusable(format!("{what}: {error}"))
        })?;
        if record.schema != SCHEMA {
            return Err(unusable(format!(
                "its schema is `{}`, this program reads `{SCHEMA}`",
                record.schema
            )));
        }
        Ok(record)
    }
}

/// Facts about a host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// CPU model as the kernel names it.
    pub cpu_model: String,
    /// CPUs the process may use.
    pub cpus: Vec<usize>,
    /// Generator threads.
    pub threads: usize,
    /// Flows (source ports) of each thread.
    pub flows_per_thread: usize,
    /// Receive buffer the kernel granted a flow, in bytes as it accounts them.
    pub recv_buffer_granted_bytes: usize,
    /// MTU of the interface towards the server.
    pub interface_mtu: u32,
}

/// A laboratory: a network made of this machine's namespaces.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LabFacts {
    /// Its topology.
    pub topology: String,
    /// All settings, defaults included.
    pub settings: BTreeMap<String, String>,
    /// IP packets a second that this machine's laboratory carries without losing or delaying any by itself, as
    /// measured before the run.
    pub packets_per_s_max: f64,
}

/// Facts about the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerFacts {
    /// TCP address of its control port.
    pub address: String,
    /// What it speaks: `shingle`, `memcached-udp`, `memcached-tcp`.
    #[serde(default = "shingle")]
    pub protocol: String,
    /// Its version, where it says one.
    #[serde(default)]
    pub version: Option<String>,
    /// It was started inside this process.
    pub embedded: bool,
    /// Instance nonce; of memcached its process id.
    pub instance: u32,
    /// UDP ports under load, with their strategies.
    pub ports: Vec<String>,
    /// Workers over those ports.
    pub workers: usize,
    /// It keeps receipts: losses are told apart read by read.
    pub receipts: bool,
}

/// Records were written before there was another protocol.
fn shingle() -> String {
    Protocol::Shingle.name().to_owned()
}

/// What was stored and read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Workload {
    /// Stored items.
    pub items: u64,
    /// `--values` as resolved.
    pub values: String,
    /// `--content`; empty where nobody said.
    #[serde(default)]
    pub content: String,
    /// `--keys` as resolved.
    pub keys: String,
    /// `--arrivals`.
    pub arrivals: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Mean value size in bytes over the items.
    pub value_bytes_mean: f64,
    /// Gets in one request datagram.
    pub gets_per_datagram: usize,
    /// Most requests that shared a send (UDP_SEGMENT); 0 where nobody said.
    #[serde(default)]
    pub train: usize,
    /// Timeout of a read, microseconds from its intended time.
    pub timeout_us: u64,
    /// Whole requests sent again when nothing arrived.
    pub retries: u8,
}

/// Whether the service level was met, and up to which rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// Highest rate that met the service level, reads/s; 0 if none did. Of a search the best estimate of it.
    pub tps_at_slo: u64,
    /// Where it lies, as far as a search can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tps_interval: Option<KneeInterval>,
    /// What broke first above it.
    pub broke_first: Option<Broke>,
    /// Hosts needed for a fleet's load, where one was given.
    pub hosts_needed: Option<u64>,
    /// How that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<CapacityPlan>,
    /// The same in words a person can act on.
    pub words: Vec<String>,
}

/// The outcome of a run; the process's exit status follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Service level met (exit status 0).
    Pass,
    /// Not met (exit status 1).
    Fail,
    /// The generator could not offer the load: nothing is said about the server (exit status 3).
    GeneratorLimited,
    /// A signal ended it before it was over; it ended the process too, when the record was written.
    CutShort,
}

impl Outcome {
    /// The process's exit status.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::GeneratorLimited => 3,
            // What a shell makes of SIGINT.
            Self::CutShort => 130,
        }
    }
}

/// One stage: a rate held for a time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    /// The strategy it was run with, where several were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Time it was to last, s, where a signal ended it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short_of_s: Option<f64>,
    /// Rate asked for, reads/s; 0 for a closed loop (`--rate max`).
    pub offered_tps: f64,
    /// Rate at which answers arrived in time, reads/s.
    pub achieved_tps: f64,
    /// Seconds during which reads were scheduled.
    pub duration_s: f64,
    /// False if too little of it is left to judge the service by: the host stalled, or the laboratory lost packets of its own.
    pub valid: bool,
    /// Why it is not.
    #[serde(default)]
    pub invalid_because: Vec<String>,
    /// Reads that a stall of the host fell into. They are in the counts, but in no distribution.
    pub disturbed: u64,
    /// What of the service level it broke.
    pub broke: Option<Broke>,
    /// How probable it is that its rate meets the service level, as far as one stage can tell: its reads are a sample. 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance_met: Option<f64>,
    /// Reads scheduled; each ends in exactly one of `answered` and `failed`.
    pub sent: u64,
    /// Reads answered rightly and in time, misses included.
    pub answered: u64,
    /// Of the answered ones, those whose key was not stored.
    pub misses: u64,
    /// Reads whose first exchange lost something, whether they were saved or not.
    pub first_try_lost: u64,
    /// Reads without a right answer in time.
    pub failed: u64,
    /// Of the failed ones, those whose answer was not the bytes stored. Must be 0.
    pub wrong: u64,
    /// failed / sent.
    pub failure_rate: f64,
    /// Latency from the intended time over the undisturbed reads; a failed read counts as its timeout.
    pub latency_us: Percentiles,
    /// The same over all reads.
    pub latency_with_stalls_us: Percentiles,
    /// Latency from the send of the request, answered reads only.
    pub service_us: Percentiles,
    /// How late requests left, against their intended time.
    pub slip_us: Percentiles,
    /// Time spent in the server, from its kernel's receive timestamp to the send.
    pub residence_us: Percentiles,
    /// Failed reads by cause; their sum is `failed`.
    pub losses: BTreeMap<Cause, u64>,
    /// Reads lost on the first try by cause; their sum is `first_try_lost`.
    pub first_try_losses: BTreeMap<Cause, u64>,
    /// The generator, not the server or the path, set the limit.
    pub generator_limited: bool,
    /// Why it is thought so.
    pub generator_limited_because: Vec<String>,
    /// What the generator says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorCheck>,
    /// Re-requests for missing parts.
    pub rerequests: u64,
    /// Answers that came out of order within their flow.
    pub reordered: u64,
    /// Answers that came twice.
    pub duplicates: u64,
    /// Challenge round trips.
    pub challenges: u64,
    /// Bytes of values delivered a second (goodput).
    pub goodput_bytes_per_s: f64,
    /// The reads whose answers, in one datagram, are longer than the path from the server is known to carry.
    #[serde(default)]
    pub above_path: AbovePath,
    /// By size of the answer.
    pub by_size: Vec<SizeClass>,
    /// By flow.
    pub by_flow: Vec<FlowFigures>,
    /// Over time.
    pub intervals: Vec<Interval>,
    /// The server said in its answers that it was leaving.
    pub server_draining: bool,
    /// Share of this host's CPU time that other processes took, 0 to 1 (rough: sampled by the kernel).
    pub cpu_others: f64,
    /// Share of it that the hypervisor took.
    pub cpu_stolen: f64,
    /// Stalls of the host seen by idle threads on the CPUs in use.
    pub stalls: Vec<Stall>,
    /// What the laboratory did meanwhile, where the run was in one.
    #[serde(default)]
    pub lab: Option<LabFigures>,
    /// Low-volume clients beside the load.
    pub canary: Canary,
    /// What counters on both hosts rose by, `client.` and `server.` before their names.
    pub counters: BTreeMap<String, u64>,
    /// Facts that could not be had, and so were not used.
    pub gaps: Vec<String>,
}

impl Stage {
    /// The latencies the stage is judged by: those of undisturbed reads, or of all where too few are left.
    pub fn judged_us(&self) -> &Percentiles {
        if self.valid { &self.latency_us } else { &self.latency_with_stalls_us }
    }

    /// The rate it stands for: what was offered, or what a closed loop reached.
    pub fn tps(&self) -> f64 {
        if self.offered_tps > 0.0 { self.offered_tps } else { self.achieved_tps }
    }
}

/// What a laboratory did during a stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LabFigures {
    /// What its counters rose by, `HOST.COUNTER`.
    pub counters: BTreeMap<String, u64>,
    /// Packets that the laboratory lost or held up beyond its word, by where: reads lost with them are nobody's else.
    pub own_losses: BTreeMap<String, u64>,
    /// IP packets a second over the client's wire, both ways.
    pub packets_per_s: f64,
}

/// A latency distribution in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the percentiles")]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// Figures of the reads whose values are of like size.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SizeClass {
    /// Largest value size of the class, bytes.
    pub value_bytes_max: u64,
    /// Reads that ended.
    pub reads: u64,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// 99th percentile of latency over all reads, disturbed ones included, microseconds.
    pub p99_us: f64,
}

/// Figures of the reads whose answers, in one datagram, are longer than the path carries: what depends on fragments where answers are not
/// cut.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct AbovePath {
    /// Largest UDP payload that the path from the server is known to carry whole, bytes; 0: not known.
    pub datagram_bytes_max: usize,
    /// Reads that ended.
    pub reads: u64,
    /// Their share of all reads, 0 to 1.
    pub share: f64,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u64,
    /// Of them, those that failed.
    pub failed: u64,
}

/// Figures of one flow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FlowFigures {
    /// Flow number.
    pub flow: u32,
    /// Source port.
    pub source_port: u16,
    /// Server port.
    pub server_port: u16,
    /// Reads that ended.
    pub reads: u64,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u64,
    /// Of them, those that failed.
    pub failed: u64,
}

/// Figures of a stretch of time, by the reads' intended times.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Start, seconds from the start of the stage.
    pub start_s: f64,
    /// Length, seconds.
    pub length_s: f64,
    /// Reads that ended.
    pub reads: u64,
    /// Of them, those that a stall of the host fell into.
    pub disturbed: u64,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Median latency, microseconds.
    pub p50_us: f64,
    /// 99th percentile of latency, microseconds.
    pub p99_us: f64,
    /// False if stalls of the host left too little of it.
    pub valid: bool,
}

/// A time during which the host ran nothing for this process.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Stall {
    /// Start, seconds from the start of the stage.
    pub start_s: f64,
    /// Length, milliseconds.
    pub length_ms: f64,
}

/// One cause of lost reads, with what speaks for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CauseReport {
    /// Its name.
    pub cause: Cause,
    /// Which way the lost datagrams went.
    pub direction: Direction,
    /// Where they were lost, in words.
    #[serde(rename = "where")]
    pub place: String,
    /// Reads lost on the first try.
    pub reads: u64,
    /// Of them, those that failed for good.
    pub failed: u64,
    /// Share of all reads lost on the first try, 0 to 1.
    pub share: f64,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// Counters, sizes, flows and times that speak for it.
    pub evidence: Vec<String>,
    /// Numbers estimated for it, by name.
    #[serde(default)]
    pub estimate: BTreeMap<String, Estimate>,
    /// The flows it struck, by number, where it strikes some and not others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<u32>,
    /// What to do.
    pub remedy: String,
}

/// An experiment, in words and figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialReport {
    /// What was done, in words.
    pub done: String,
    /// What came of it, in words.
    pub outcome: String,
    /// What it changed of what the lost reads are put down to, in words.
    pub decided: String,
    /// Its figures.
    #[serde(flatten)]
    pub trial: Trial,
}
