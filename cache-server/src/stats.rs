//! Statistics as they travel: the JSON document of STATS, made by the server and read by the generator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything a server tells about itself. Counters count since its start and never go back; readers ignore fields they
/// do not know, and take absent ones as zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsReport {
    /// The instance's nonce (PROTOCOL.md, section 3.3): another one means that the server was restarted.
    pub nonce: u32,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// When this was taken: microseconds since 1970 on the server's clock.
    pub taken_unix_us: u64,
    /// Version of the software.
    pub version: String,
    /// The server is leaving.
    pub draining: bool,
    /// The store.
    pub store: StoreReport,
    /// Every UDP port, in the order of WELCOME.
    pub ports: Vec<PortReport>,
    /// Datagrams of all workers not answered, by reason (`short`, `magic`, `version`, `checksum`, `kind`, `frame`,
    /// `oversized`, `source`).
    pub drops: BTreeMap<String, u64>,
    /// The control plane.
    pub control: ControlReport,
    /// Counters of the server's network namespace by `PROTOCOL.Name`, such as `Udp.RcvbufErrors`, and of its host's CPUs (`Cpu.busy_us`,
    /// `Cpu.idle_us`, `Cpu.steal_us`).
    pub kernel: BTreeMap<String, u64>,
    /// The path to whoever asked over TCP; none where nobody did, as in the server's own process.
    pub path: Option<PathReport>,
    /// Settings of the server's host and network namespace by name, such as `net.core.rmem_max`, as the kernel gives them
    /// ([`shingle_udp::settings`]).
    pub settings: BTreeMap<String, String>,
    /// What could not be read, by name: its figures are absent, not zero.
    pub missing: Vec<String>,
}

/// What the server's kernel holds of the path to a peer; absent where it does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathReport {
    /// MTU of the interface towards it, bytes of an IP packet.
    pub interface_mtu: Option<u32>,
    /// Path MTU learned, or else the route's: bytes of an IP packet.
    pub path_mtu: Option<u32>,
}

/// What the store holds and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreReport {
    /// Items held, expired ones that nobody came by yet included.
    pub items: u64,
    /// Bytes charged to the budget: keys, values and overhead.
    pub used_bytes: u64,
    /// The budget in bytes.
    pub budget_bytes: u64,
    /// Longest value stored, in bytes.
    pub value_bytes_max: u64,
    /// Live items removed to make room.
    pub evictions: u64,
    /// Expired items removed.
    pub expirations: u64,
    /// Values stored.
    pub sets: u64,
    /// Items deleted.
    pub deletes: u64,
}

/// One UDP port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortReport {
    /// The port's number.
    pub port: u16,
    /// Name of its strategy, as on the command line.
    pub strategy: String,
    /// Largest datagram it sends to IPv4 peers where nobody else limits it, in bytes of UDP payload.
    pub datagram_bytes_max: u64,
    /// Its workers.
    pub workers: Vec<WorkerReport>,
}

/// One worker: a thread with a socket of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerReport {
    /// Its number among all workers, as in TELEMETRY and RECEIPTS.
    pub worker: u8,
    /// The CPU it is pinned to; `None` where the kernel did not allow it.
    pub cpu: Option<u32>,
    /// Datagrams received, those that were dropped included.
    pub requests: u64,
    /// Reads (GET and REREQUEST) in them.
    pub gets: u64,
    /// Reads answered with a value or a part of it.
    pub hits: u64,
    /// Reads of keys that are not stored.
    pub misses: u64,
    /// Reads refused, for any of the reasons of PROTOCOL.md, section 3.4.
    pub refused: u64,
    /// Datagrams answered with a challenge, for want of a valid cookie.
    pub challenged: u64,
    /// Answer datagrams handed to the kernel.
    pub answers: u64,
    /// Bytes of those datagrams (UDP payload).
    pub answer_bytes: u64,
    /// System calls that sent, or waited for room to send.
    pub send_system_calls: u64,
    /// System calls that received.
    pub recv_system_calls: u64,
    /// Messages (an answer's train of datagrams) the kernel refused for good.
    pub send_failed: u64,
    /// Messages sent again after an error, most often somebody else's.
    pub send_retried: u64,
    /// Entries of the socket's error queue: ICMP errors and local ones that earlier datagrams caused.
    pub socket_errors: u64,
    /// Datagrams not answered, by reason, as in [`StatsReport::drops`].
    pub drops: BTreeMap<String, u64>,
    /// Datagrams the kernel dropped at this worker's socket, for want of buffer or for a wrong checksum. A train that reached the
    /// socket as one (UDP_GRO) counts once, as the kernel counts it: the datagrams lost are at least as many.
    pub socket_drops: u64,
    /// The socket's receive buffer as granted, in the kernel's accounting.
    pub recv_buffer_granted_bytes: u64,
    /// Times the read path asked for memory: 0, or something is wrong. Counts only where the counting allocator is
    /// installed, as it is in `cache-server`.
    pub allocations: u64,
    /// CPU time used in microseconds, up to 0.1 s old.
    pub cpu_time_us: u64,
    /// Answers (all datagrams that answer one request) by their bytes.
    pub size_classes: Vec<SizeClass>,
    /// Receipts written since the start; 0 where none are kept.
    pub receipts: u64,
}

/// Answers up to a size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SizeClass {
    /// Upper end of the class in bytes, included; `None`: whatever is longer.
    pub bytes_max: Option<u64>,
    /// Answers in it.
    pub answers: u64,
}

/// The control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlReport {
    /// TCP connections open.
    pub connections: u64,
    /// TCP connections accepted.
    pub accepted: u64,
    /// Connections closed for being idle longest when the limit was reached.
    pub evicted: u64,
    /// Connections closed for a message that was malformed, too long or too slow, or for answers not read.
    pub malformed: u64,
    /// Messages received over TCP.
    pub messages: u64,
    /// Reads answered over TCP; they are not in the workers' figures.
    pub reads: u64,
}

impl StatsReport {
    /// All workers of all ports.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerReport> {
        self.ports.iter().flat_map(|port| &port.workers)
    }
}
