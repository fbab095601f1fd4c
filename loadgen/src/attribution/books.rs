//! Everything attribution may use: the ledger of a stage and both hosts' books around it. Plain data, written and read whole, so that a
//! judgement can be made again from a file.
//!
//! Times are nanoseconds since the stage began, on the generator's clock, unless a name says otherwise. What is absent could not be had, and
//! proves nothing; `gaps` says why.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Direction;
use super::experiment::{Experiment, Trial};
use super::read_set::ReadSet;

/// A stage, as attribution sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Books {
    /// What was asked for, and on what path.
    pub stage: StageFacts,
    /// Each read that lost something on its first try.
    pub losses: Vec<Loss>,
    /// Reads lost beyond those listed (the ledger is bounded): lost on the first try, and of them failed.
    pub unlisted: (u64, u64),
    /// How all reads ended, lost or not.
    pub population: Population,
    /// Receipts, where the server keeps them and they could be fetched.
    pub receipts: Option<Receipts>,
    /// The client's side.
    pub client: ClientBooks,
    /// The server's side, where it could be asked at both ends of the stage and was the same instance.
    pub server: Option<ServerBooks>,
    /// Experiments made after the stage, in their order.
    pub trials: Vec<Trial>,
    /// Facts that could not be had.
    pub gaps: Vec<String>,
}

/// What was asked for, and on what path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageFacts {
    /// Time during which reads were scheduled.
    pub duration_ns: u64,
    /// Timeout of a read.
    pub timeout_ns: u64,
    /// Most reads that go with one datagram; fewer do where fewer are due together.
    pub reads_per_datagram: u64,
    /// Both ends talk in IPv6.
    pub ipv6: bool,
    /// The ports cut answers into datagrams of at most so many bytes of UDP payload; none: an answer is one datagram, whatever its size.
    pub chunk_datagram_bytes: Option<u32>,
    /// Bytes of an answer datagram beside a small value.
    pub answer_overhead_bytes: u32,
    /// MTU of the client's interface towards the server; 0: not known.
    pub client_mtu: u32,
    /// MTU of the server's interface towards the client, where it told.
    pub server_mtu: Option<u32>,
    /// Path MTU the server's kernel held for the client when the stage was over, where it told.
    pub path_mtu_down: Option<u32>,
    /// The generator was too late to say anything of what nothing else explains.
    pub generator_late: bool,
    /// Answers leave without DF: the server's kernel cuts them at its interface's MTU, and routers cut again what is too big for the next link.
    #[serde(default)]
    pub routers_cut: bool,
    /// Both ends count into the same kernel counters: only those of single sockets are either's.
    pub shared_counters: bool,
    /// What the server is speaks another protocol, and tells neither telemetry nor receipts.
    pub foreign: bool,
}

/// One read that lost something on its first try.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Flow its request went on.
    pub flow: u32,
    /// Sequence of its first request datagram.
    pub sequence: u32,
    /// When it was to be sent.
    pub intended_ns: u64,
    /// Size of its value as stored, bytes.
    pub value_bytes: u32,
    /// It has no right answer in time.
    pub failed: bool,
    /// How it showed.
    pub symptom: Symptom,
}

/// How a loss showed at the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Symptom {
    /// The kernel refused the request for want of buffers.
    NotSent,
    /// The kernel refused the request for another reason.
    NoRoute,
    /// The generator had no room for the read, or for the pieces of its answer.
    NoRoom,
    /// The request left when more than half of its timeout was gone, or never.
    LeftLate,
    /// Nothing came, or not all of it.
    Silent {
        /// Some of the answer arrived in time.
        part_arrived: bool,
    },
    /// The answer, or the rest of it, came after the deadline.
    Late {
        /// Time it spent in the server, if the answer told.
        residence_ns: Option<u64>,
    },
    /// An answer came whole, but its bytes failed the check.
    Corrupt,
    /// An answer came whole and sound, but it is not the value stored for this workload.
    OtherValue,
    /// The server said it would not answer.
    Refused,
    /// The server answered with an error, and did not say whose fault it was.
    ServerError,
    /// The connection the read went on broke, or there was none.
    ConnectionLost,
}

impl Symptom {
    /// Whether the server's receipt may tell more: else the read proves its cause by itself.
    pub fn receipt_tells_more(self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Late { .. })
    }
}

/// How all reads of a stage ended, by size, time and flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Population {
    /// By size of the value: bin n holds sizes from n * `size_bin_bytes` on; the last takes all above.
    pub by_size: Vec<Counts>,
    /// Width of a bin of `by_size`, bytes.
    pub size_bin_bytes: u32,
    /// By intended time: window n begins at n * `window_ns`.
    pub windows: Vec<Window>,
    /// Length of a window.
    pub window_ns: u64,
    /// By flow.
    pub flows: Vec<FlowCounts>,
    /// When the generator's host stood still, seen by idle threads: from when, and for how long.
    #[serde(default)]
    pub stalls_ns: Vec<(u64, u64)>,
}

/// Reads ended, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Reads that ended.
    pub reads: u64,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u64,
    /// Of them, those that failed.
    pub failed: u64,
}

/// The reads of a short stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Reads that ended.
    pub reads: u32,
    /// Of them, those that lost something on the first try.
    pub first_try_lost: u32,
    /// Bytes of the values of all of them.
    pub bytes: u64,
    /// Bytes of the values of those that lost something.
    pub bytes_lost: u64,
    /// Latency of those that lost nothing, microseconds: their sum, and the longest.
    #[serde(default)]
    pub latency_us: u64,
    /// See [`latency_us`](Self::latency_us).
    #[serde(default)]
    pub latency_max_us: u32,
    /// The shortest of them; 0: there was none.
    #[serde(default)]
    pub latency_min_us: u32,
}

/// The reads of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowCounts {
    /// Its number.
    pub flow: u32,
    /// Source port.
    pub source_port: u16,
    /// Server port.
    pub server_port: u16,
    /// Its reads.
    pub counts: Counts,
    /// Intended time of its last read that lost nothing; none: all lost something.
    pub last_whole_ns: Option<u64>,
}

/// What the server's receipts say of a request datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptOutcome {
    /// Answered; microseconds from arrival to send.
    Answered {
        /// Residence, microseconds.
        residence_us: u32,
    },
    /// The kernel refused (a part of) the answer.
    SendRefused,
    /// A challenge was sent instead.
    Challenged,
}

/// What the server says of one request datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Flow of the request.
    pub flow: u32,
    /// Its sequence.
    pub sequence: u32,
    /// 0: the first try.
    pub attempt: u8,
    /// What was done with it.
    pub outcome: ReceiptOutcome,
    /// Datagrams of the answer.
    pub datagrams: u16,
    /// Bytes of those datagrams (UDP payload).
    pub bytes: u32,
    /// When the request arrived: microseconds since 1970 on the server's clock.
    pub arrival_unix_us: u64,
}

/// The server's receipts of a stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Receipts {
    /// All of them, worker by worker, in each one's order.
    pub all: Vec<Receipt>,
    /// Receipts overwritten before they could be read: absence then proves nothing.
    pub overwritten: u64,
}

impl Books {
    /// The receipts, where none is missing.
    pub(super) fn all_receipts(&self) -> Option<&Receipts> {
        self.receipts.as_ref().filter(|_| self.receipts_missing() == 0)
    }

    /// Share of the stage's reads that lost nothing.
    pub(super) fn whole_share(&self) -> f64 {
        let of = |count: fn(&Window) -> u32| {
            self.population.windows.iter().map(|window| f64::from(count(window))).sum::<f64>()
        };
        1.0 - of(|window| window.first_try_lost) / of(|window| window.reads).max(1.0)
    }

    /// Reads of the stage.
    pub(super) fn reads(&self) -> u64 {
        self.population.by_size.iter().map(|counts| counts.reads).sum()
    }

    /// Reads lost in this direction, and all that came so far, of an experiment at a rate so much lower that no limit can have lost any: below
    /// what passed in the stage.
    pub(super) fn lower_rate(&self, direction: Direction) -> Option<(u64, u64)> {
        let passed = self.whole_share();
        self.trials.iter().rev().find_map(|trial| match trial.experiment {
            Experiment::Rate { share } if share < 0.9 * passed => trial.outcome_towards(direction),
            _ => None,
        })
    }

    /// Receipts that are not there, although their requests arrived: overwritten before they could be read, or fewer than whole reads
    /// tell of. While one is missing, absence proves nothing.
    pub(super) fn receipts_missing(&self) -> u64 {
        let Some(receipts) = &self.receipts else { return 0 };
        let whole = |flow: &FlowCounts| flow.counts.reads.saturating_sub(flow.counts.first_try_lost);
        let whole: u64 = self.population.flows.iter().map(whole).sum();
        let arrived = whole / self.stage.reads_per_datagram.max(1);
        receipts.overwritten.saturating_add(arrived.saturating_sub(receipts.all.len() as u64))
    }

    /// Reads that went with one datagram in the mean: those due together share one, up to as many as asked for.
    pub(super) fn reads_each(&self) -> u64 {
        let most = self.stage.reads_per_datagram.max(1);
        let reads: u64 = self.population.flows.iter().map(|flow| flow.counts.reads).sum();
        let sent = self.client.datagrams_sent;
        if reads == 0 || sent == 0 { most } else { (reads.saturating_add(sent / 2) / sent).clamp(1, most) }
    }
}

impl Receipts {
    /// The receipts of these losses' first requests, by flow and sequence.
    pub fn of(&self, losses: &[Loss]) -> HashMap<(u32, u32), Receipt> {
        let lost = ReadSet::of(losses.iter());
        let named = self.all.iter().map(|receipt| ((receipt.flow, receipt.sequence), *receipt));
        // Room for all at once: growing, it would hash each again and again.
        let mut found = HashMap::with_capacity(losses.len().min(self.all.len()));
        found.extend(named.filter(|(name, _)| lost.contains(*name)));
        found
    }
}

/// Books of the client's side: what rose during the stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClientBooks {
    /// Request datagrams the kernel took.
    pub datagrams_sent: u64,
    /// Datagrams dropped at the flows' sockets for want of buffer.
    pub socket_drops: u64,
    /// Datagrams that failed the protocol's checksum.
    pub checksum_drops: u64,
    /// Datagrams the kernel dropped for a wrong UDP checksum.
    pub kernel_checksum_drops: u64,
    /// Pieces of answers for which the generator had no memory.
    pub reassembly_full: u64,
    /// What else its host counted.
    pub host: HostCounters,
}

/// Books of the server's side: what rose during the stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerBooks {
    /// Request datagrams its workers received and understood.
    pub requests: u64,
    /// Answer datagrams handed to its kernel.
    pub answers: u64,
    /// Datagrams dropped at its workers' sockets for want of buffer.
    pub socket_drops: u64,
    /// Datagrams that failed the protocol's checksum.
    pub checksum_drops: u64,
    /// Datagrams the kernel dropped for a wrong UDP checksum.
    pub kernel_checksum_drops: u64,
    /// Answers the kernel refused.
    pub sends_refused: u64,
    /// Keys it did not find, but had no way to say so of: their reads look lost.
    pub keys_not_told_of: u64,
    /// CPU time of its busiest worker; 0 where it is not known.
    pub busiest_worker_ns: u64,
    /// What else its host counted.
    pub host: HostCounters,
}

/// What the counters of one host's kernel and devices rose by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HostCounters {
    /// By `PROTOCOL.Name` as in /proc/net/snmp (`Ip.FragCreates`, `Ip6.ReasmFails`), `Qdisc.DEVICE.Drops`, `Nic.DEVICE.NAME`. Absent:
    /// not known, which is not 0.
    pub risen: BTreeMap<String, u64>,
    /// The same counters over time, where they were looked at meanwhile.
    pub series: Series,
}

/// Counters looked at several times.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Series {
    /// Names, as in [`HostCounters::risen`].
    pub names: Vec<String>,
    /// When, and what each had risen by since the stage began.
    pub rows: Vec<(u64, Vec<u64>)>,
}

impl HostCounters {
    /// What a counter of one IP version rose by, such as `Ip` and `ReasmFails`; none where it is not known. The other version's tells nothing
    /// of a run: it is 0 there, which is not what is not known here.
    pub fn of_version(&self, ipv6: bool, protocol: &str, name: &str) -> Option<u64> {
        self.risen.get(&format!("{protocol}{}.{name}", if ipv6 { "6" } else { "" })).copied()
    }

    /// What a counter rose by in IPv4 and IPv6 together, such as `Ip` and `ReasmFails`; none where neither is known.
    pub fn both(&self, protocol: &str, name: &str) -> Option<u64> {
        let of = |protocol: &str| self.risen.get(&format!("{protocol}.{name}")).copied();
        match (of(protocol), of(&format!("{protocol}6"))) {
            (None, None) => None,
            (v4, v6) => Some(v4.unwrap_or(0) + v6.unwrap_or(0)),
        }
    }
}

impl Counts {
    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        self.reads += other.reads;
        self.first_try_lost += other.first_try_lost;
        self.failed += other.failed;
    }
}
