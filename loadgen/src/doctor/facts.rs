//! The facts a diagnosis follows from: plain data, so that findings can be tested with made-up ones. What could not be read is absent here
//! and named in [`Facts::unknown`].

pub mod demand;
pub mod host;
pub mod path;
pub mod server;

use std::collections::BTreeMap;

use serde::Serialize;

/// All of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// What is asked of host and path.
    pub demand: Demand,
    /// This host.
    pub here: Host,
    /// The way to the server, if one was named.
    pub path: Option<Path>,
    /// The server, if one was named and it tells.
    pub server: Option<Server>,
    /// What could not be read, with the reason.
    pub unknown: Vec<String>,
}

/// The reads that shall be carried.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Demand {
    /// Reads a second.
    pub rate_per_s: f64,
    /// How long a program may stand still without losing datagrams, in seconds.
    pub pause_s: f64,
    /// Sockets this host reads with: threads times flows.
    pub sockets: usize,
    /// UDP payload of answers, in bytes up to which (bins of 16), and their share of the reads.
    pub answers: BTreeMap<u32, f64>,
}

impl Demand {
    /// Share of answers whose UDP payload is above this many bytes.
    pub fn share_above(&self, payload_bytes: u32) -> f64 {
        self.answers.range(payload_bytes + 1..).map(|(_, share)| share).sum()
    }

    /// Longest UDP payload of an answer, in bytes.
    pub fn longest_bytes(&self) -> u32 {
        self.answers.keys().next_back().copied().unwrap_or(0)
    }
}

/// One host and its network namespace.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Host {
    /// By name, as [`shingle_udp::settings`] gives them.
    pub settings: BTreeMap<String, String>,
    /// What the kernel counted since the host was started, by `PROTOCOL.Name`.
    pub counters: BTreeMap<String, u64>,
    /// Datagrams dropped at UDP sockets that are open, by their local port, where there were any: of a server's host its own sockets alone.
    pub socket_drops: BTreeMap<u16, u64>,
    /// Network cards: the one that leads to the server, or all that are up.
    pub cards: Vec<Card>,
    /// What a socket that asks for the generator's buffers gets.
    pub buffers: Option<Buffers>,
    /// CPUs, watched for a moment.
    pub cpu: Option<Cpu>,
    /// An IPv6 socket can be opened here.
    pub has_ipv6: bool,
}

impl Host {
    /// A setting that is one number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.settings.get(name)?.parse().ok()
    }
}

/// A network device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Bytes of an IP packet.
    pub mtu_bytes: u32,
    /// Its driver; empty where it does not tell.
    pub driver: String,
    /// That driver's version.
    pub driver_version: String,
    /// Offloads at work, by the kernel's names; absent ones are not known.
    pub offloads: BTreeMap<String, bool>,
    /// What RSS chooses a queue by for UDP over IPv4, such as `sdfn`.
    pub hash_v4: Option<String>,
    /// The same over IPv6.
    pub hash_v6: Option<String>,
    /// Queues that receive.
    pub queues: Option<u32>,
    /// Packets a receive ring holds, and the most it can be set to.
    pub ring: Option<(u32, u32)>,
    /// The driver's own counters.
    pub counters: BTreeMap<String, u64>,
    /// Kind of the queueing discipline at its root.
    pub qdisc: Option<String>,
    /// Packets that one dropped since it was set up.
    pub qdisc_drops: u64,
}

/// Socket buffers, in bytes as the kernel accounts them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Buffers {
    /// Asked for, payload.
    pub asked_bytes: u64,
    /// Granted to a receive queue.
    pub receive_granted_bytes: u64,
    /// Granted to what is sent.
    pub send_granted_bytes: u64,
    /// What the kernel charges for one datagram up to this payload, measured here.
    pub charges: BTreeMap<u32, u32>,
}

impl Buffers {
    /// What is charged for a datagram of this payload: that of the next larger size measured.
    pub fn charge(&self, payload_bytes: u32) -> Option<u32> {
        self.charges
            .range(payload_bytes..)
            .next()
            .or_else(|| self.charges.iter().next_back())
            .map(|(_, charge)| *charge)
    }
}

/// CPUs over the moment they were watched: shares of the time of all of them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cpu {
    /// Used by other processes.
    pub others: f64,
    /// Given to other machines by the hypervisor.
    pub stolen: f64,
}

/// The way to the server and back.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Path {
    /// The server's address.
    pub peer: String,
    /// The address packets to it leave from.
    pub own: Option<String>,
    /// It is an IPv6 address.
    pub is_ipv6: bool,
    /// Both ends share this host's network namespace.
    pub shares_host: bool,
    /// The device packets leave through.
    pub device: String,
    /// That device's MTU, bytes.
    pub interface_mtu: Option<u32>,
    /// MTU somebody gave the route.
    pub route_mtu: Option<u32>,
    /// That MTU is locked.
    pub is_mtu_locked: bool,
    /// Path MTU this host had learned before the doctor sent anything.
    pub learned_mtu: Option<u32>,
    /// Largest IP packet the server's own interface takes, as far as it tells (its limit of 9001 included).
    pub server_mtu: Option<u32>,
    /// Largest IP packet shown to pass from the server to here.
    pub down_mtu: Option<u32>,
    /// Largest IP packet shown to pass from here to the server.
    pub up_mtu: Option<u32>,
    /// What became of packets that are too big for the way up.
    pub icmp_up: Option<Icmp>,
    /// What became of packets that are too big for the way down.
    pub icmp_down: Option<Icmp>,
    /// The server answers over UDP; `None` where that was not tried.
    pub udp_answers: Option<bool>,
}

/// Whether the sender of a packet that is too big hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Icmp {
    /// An ICMP "fragmentation needed" or "packet too big" came.
    Arrives,
    /// None came for any of several packets.
    Silent,
}

/// The server as it describes itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Server {
    /// Where.
    pub address: String,
    /// Its UDP ports.
    pub ports: Vec<Port>,
    /// Its host, as far as its statistics tell: settings and counters.
    pub host: Option<Host>,
    /// MTU of its device towards this host, bytes.
    pub interface_mtu: Option<u32>,
    /// Path MTU its kernel held for this host before the doctor probed.
    pub held_mtu: Option<u32>,
}

/// A UDP port of the server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Port {
    /// Its number.
    pub port: u16,
    /// Its strategy, by name.
    pub strategy: String,
    /// Receive buffers of its workers as granted, bytes; empty where it does not tell.
    pub receive_granted_bytes: Vec<u64>,
}

impl Port {
    /// Whether it sends an answer in one datagram, whatever the path carries.
    pub fn answers_whole(&self) -> bool {
        self.leaves_fragments() || self.strategy == "df-strict"
    }

    /// Whether its answers, where they do not fit the path, are sent in datagrams that a host or router has to fragment.
    pub fn leaves_fragments(&self) -> bool {
        matches!(self.strategy.as_str(), "kernel-pmtud" | "df-off" | "interface")
    }
}
