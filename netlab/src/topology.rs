//! The description of a network: two paths, each a list of nodes with their settings. Plain data, shared by all back ends.
//!
//! Names of settings are those of the topology table in the design: mtu, size, limit, charge, burst, rate, delay.

use std::time::Duration;

use crate::limits::{REASSEMBLY_MEMORY_BYTES, REASSEMBLY_TIME_S};

/// A ring: client, the nodes up, server, the nodes down, client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// From client to server.
    pub up: Path,
    /// From server to client.
    pub down: Path,
}

/// One direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    /// The nodes, in the order in which packets meet them.
    pub links: Vec<Link>,
    /// How the host at the end puts fragments together.
    pub reassembly: Reassembly,
    /// The socket buffer at the end; without one the endpoint takes everything at once.
    pub receive_buffer: Option<ReceiveBuffer>,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// One node. Rates are probabilities per packet; a fragment is a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// A link with a path MTU. Larger packets are dropped, or fragmented if they are IPv4 without DF.
    Mtu {
        /// Bytes of an IP packet, 68 to 65535.
        mtu: u32,
        /// Whether a drop is told to the sender ([`PacketTooBig`](crate::PacketTooBig)); without it the link is a black hole.
        icmp: bool,
    },
    /// Drops packets independently of each other.
    Loss {
        /// Probability of a drop.
        rate: f64,
    },
    /// Drops large packets independently of each other: one of several parallel links carries less than the others.
    SizeLoss {
        /// Larger IP packets may be dropped; bytes.
        above: u32,
        /// Probability of a drop of one of them.
        rate: f64,
    },
    /// Drops packets in bursts: Gilbert and Elliott's two states. The mean burst has 1 / leave packets.
    BurstLoss {
        /// Probability that a burst begins with a packet.
        enter: f64,
        /// Probability that a burst ends after a packet.
        leave: f64,
        /// Probability of a drop within a burst.
        rate: f64,
    },
    /// Delays packets and keeps their order.
    Delay {
        /// One way, each packet.
        delay: Duration,
        /// Added, uniform from 0.
        jitter: Duration,
    },
    /// Holds packets back so that later ones overtake them.
    Reorder {
        /// Probability of being held back.
        rate: f64,
        /// For how long at most; uniform from 1 ns.
        delay: Duration,
    },
    /// Sends packets twice.
    Duplicate {
        /// Probability of a second copy.
        rate: f64,
        /// How much later the copy comes at most; uniform from 0.
        delay: Duration,
    },
    /// Flips bits of the payload, as a device after its own checksum: the packet is delivered.
    Corrupt {
        /// Probability of a changed packet.
        rate: f64,
        /// How many different bits flip in it.
        bits: u32,
    },
    /// Passes so many packets or bits a second.
    RateLimit {
        /// How many of what.
        limit: Limit,
        /// What becomes of the rest.
        excess: Excess,
    },
    /// Drops fragments above so many a second, as some network cards do. Limit and burst 0: no fragment passes.
    FragmentLimit {
        /// Fragments a second.
        limit: u64,
        /// Which fragments count, and can be dropped.
        charge: Charge,
        /// Fragments that may pass at once.
        burst: u64,
    },
    /// Drops fragments by chance, as a path does that treats them worse than others.
    FragmentLoss {
        /// Probability of a drop.
        rate: f64,
        /// Which fragments can be dropped.
        charge: Charge,
    },
    /// One of several equal-cost paths drops. The path is chosen by a hash of the addresses (of fragments without ports).
    BadPath {
        /// How many paths there are, at least 1.
        paths: u32,
        /// Probability of a drop on the bad one.
        rate: f64,
    },
    /// Drops everything for a while, without a word.
    Silence {
        /// When it begins.
        from: Duration,
        /// When it is over.
        until: Duration,
    },
    /// A balancer that gives each new flow to the next of its servers, and drops the packets of the first server's flows once that one is
    /// gone; new flows go to the others then. Belongs into the path up.
    Balancer {
        /// How many servers, at least 1.
        servers: u64,
        /// When the first one is gone.
        from: Duration,
        /// How long a flow must be silent to be forgotten.
        timeout: Duration,
    },
    /// A NAT before the client that changes its mapping. Belongs into the path up; answers are translated back by themselves.
    AddressChange {
        /// When.
        trigger: Trigger,
        /// What changes.
        change: Change,
        /// How many former mappings still work for answers. 0: answers to the old address are lost.
        keeps: u32,
    },
    /// A node that changes. Before the first step everything passes.
    Schedule(
        /// Sorted by time.
        Vec<Step>,
    ),
}

/// From a time on, a scheduled node is this.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it begins.
    pub from: Duration,
    /// What the node is from then on; none: everything passes.
    pub link: Option<Link>,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Packets a second.
    Packets(u64),
    /// Bits of IP packets a second.
    Bits(u64),
}

/// What a rate limit does with packets above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// A policer: drops them; so many packets or bits may pass at once. A packet of more bits than that never passes.
    Police {
        /// Packets or bits, as the limit.
        burst: u64,
    },
    /// A queue: sends them later; drops what finds so many waiting.
    Queue {
        /// Packets.
        size: usize,
    },
}

/// Which fragments something happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// The first of each datagram.
    First,
    /// All but the first.
    Rest,
    /// All.
    All,
}

/// When an address changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once, at this time.
    At(Duration),
    /// After each so many packets up.
    Every(u64),
}

/// What an address change changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The source port; the address stays.
    Port,
    /// The source address, to one of 198.19.0.0/16 or fd00:19::/32; the port stays.
    Address,
}

/// How a host puts fragments together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reassembly {
    /// Bytes of fragments it may hold; above it no further datagram is begun (Linux: `ipfrag_high_thresh`, 4 MiB).
    pub memory: u64,
    /// How long it waits for the last fragment (Linux: `ipfrag_time`, 30 s).
    pub time: Duration,
}

impl Default for Reassembly {
    fn default() -> Self {
        Self { memory: REASSEMBLY_MEMORY_BYTES, time: Duration::from_secs(REASSEMBLY_TIME_S) }
    }
}

/// A socket's receive buffer.
///
/// It takes a datagram if what it is charged still fits, or if it is empty. Linux lets the last datagram overshoot: who gets along
/// with this one gets along with that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Bytes the kernel granted: twice the `SO_RCVBUF` asked for.
    pub size: u32,
    /// What a datagram is charged, by rising payload size; beyond the last step the last charge holds.
    pub truesize: Vec<Truesize>,
    /// Who empties it.
    pub drain: Drain,
}

/// Datagrams up to a size are charged alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truesize {
    /// Largest payload of the step, in bytes.
    pub payload_bytes_max: u32,
    /// What the kernel charges for it: the `truesize` of a socket buffer, in bytes.
    pub charged_bytes: u32,
}

/// How a receive buffer empties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// So many datagrams a second.
    Rate(u64),
    /// Whenever the endpoint [reads](crate::Endpoint::reads).
    Endpoint,
}

impl ReceiveBuffer {
    /// Linux's default size, charged as measured on loopback (Linux 6.18).
    pub fn linux_default(drain: Drain) -> Self {
        let steps = [(199, 832), (647, 1280), (1671, 2304), (3719, 4352), (7815, 8448), (65_507, 16_640)];
        let step = |(payload_bytes_max, charged_bytes)| Truesize { payload_bytes_max, charged_bytes };
        Self { size: 212_992, truesize: steps.map(step).into(), drain }
    }
}

impl Topology {
    /// A perfect network: nothing is lost, nothing takes time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node at the end of the path up.
    pub fn up(mut self, link: Link) -> Self {
        self.up.links.push(link);
        self
    }

    /// Adds a node at the end of the path down.
    pub fn down(mut self, link: Link) -> Self {
        self.down.links.push(link);
        self
    }

    /// Adds a node at the end of each path.
    pub fn both(self, link: Link) -> Self {
        self.up(link.clone()).down(link)
    }
}

impl Path {
    /// The true path MTU for packets that meet every node at this time, in bytes of an IP packet; none: no node limits it.
    pub fn mtu(&self, at: Duration) -> Option<u32> {
        self.links.iter().filter_map(|link| link.mtu(at)).min()
    }
}

impl Link {
    /// A delay without jitter.
    pub fn delay(delay: Duration) -> Self {
        Self::Delay { delay, jitter: Duration::ZERO }
    }

    /// The node's name, as in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mtu { .. } => "mtu",
            Self::Loss { .. } => "loss",
            Self::SizeLoss { .. } => "size_loss",
            Self::BurstLoss { .. } => "burst_loss",
            Self::Delay { .. } => "delay",
            Self::Reorder { .. } => "reorder",
            Self::Duplicate { .. } => "duplicate",
            Self::Corrupt { .. } => "corrupt",
            Self::RateLimit { .. } => "rate_limit",
            Self::FragmentLimit { .. } => "fragment_limit",
            Self::FragmentLoss { .. } => "fragment_loss",
            Self::BadPath { .. } => "bad_path",
            Self::Silence { .. } => "silence",
            Self::Balancer { .. } => "balancer",
            Self::AddressChange { .. } => "address_change",
            Self::Schedule(_) => "schedule",
        }
    }

    fn mtu(&self, at: Duration) -> Option<u32> {
        match self {
            Self::Mtu { mtu, .. } => Some(*mtu),
            Self::Schedule(steps) => {
                let now = steps.iter().rev().find(|step| step.from <= at)?;
                now.link.as_ref()?.mtu(at)
            }
            _ => None,
        }
    }
}
