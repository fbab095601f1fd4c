//! What a laboratory is built of: hosts, wires, and what each host is told. Plain data between the catalogue, which thinks it up, and the
//! kernel back end, which carries it out.

use std::net::IpAddr;
use std::time::Duration;

/// A network of hosts in namespaces of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Name of the topology it came from.
    pub topology: String,
    /// All its parameters with their values, defaults included, for records.
    pub settings: Vec<(String, String)>,
    /// The family in which the two ends talk. Addresses of both are always there.
    pub family: Family,
    /// The client first, the server second, then whatever is between them.
    pub hosts: Vec<HostPlan>,
    /// The wires between them.
    pub wires: Vec<Wire>,
    /// What the programs on the two ends do to themselves.
    pub pauses: Pauses,
}

/// Of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, from 198.18.0.0/15 (RFC 2544).
    #[default]
    V4,
    /// IPv6, from fd00::/8 (RFC 4193).
    V6,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostPlan {
    /// `client`, `server`, `router`, ...
    pub name: String,
    /// Whether it forwards packets (both families).
    pub forwards: bool,
    /// Device, address and prefix length. The first of each family is the host's own; further ones of the client are for low-volume
    /// clients beside it.
    pub addresses: Vec<(String, IpAddr, u8)>,
    /// Words of `ip route add`, of either family, such as `default via 198.18.1.1`.
    pub routes: Vec<String>,
    /// Keys below /proc/sys with dots, and values. Those of IPv6 that a user namespace lacks are passed over.
    pub sysctls: Vec<(String, String)>,
    /// A script for `nft -f`; may be empty. Its named counters are the laboratory's counters.
    pub rules: String,
    /// Words of `tc`, such as `qdisc add dev rs root tbf ...`.
    pub shaping: Vec<String>,
    /// Packets that wait here on their way through.
    pub holds: Vec<Hold>,
    /// Scripts for `nft -f` that come later.
    pub later: Vec<Later>,
}

/// Forwarded packets with a mark wait before they go on, in the order in which they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The device they come in by.
    pub device: String,
    /// Their firewall mark, set by the host's rules; none: all packets.
    pub mark: Option<u32>,
    /// How long each waits.
    pub delay: Duration,
}

/// A script that is applied some time after the laboratory's clock was started.
#[derive(Clone, Debug, PartialEq)]
pub struct Later {
    /// Since the start of the clock.
    pub after: Duration,
    /// The script.
    pub rules: String,
}

/// A veth pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Wire {
    /// Its two ends.
    pub ends: [WireEnd; 2],
}

/// One end of a wire.
#[derive(Clone, Debug, PartialEq)]
pub struct WireEnd {
    /// Index into [`Plan::hosts`].
    pub host: usize,
    /// Name of the device there.
    pub device: String,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// Pauses of the programs on the two ends: (length, interval).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// Of the server.
    pub server: Option<(Duration, Duration)>,
    /// Of the client.
    pub client: Option<(Duration, Duration)>,
}

impl Family {
    /// Whether an address is of this family.
    pub fn is_of(self, address: IpAddr) -> bool {
        (self == Self::V4) == address.is_ipv4()
    }
}
