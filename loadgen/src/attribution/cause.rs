//! The causes a lost read can end on, their names, and what to do about each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why reads were lost. The serialised names are the same in records, reports and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The client's kernel refused or dropped the request on its way out (`ENOBUFS`, queue drops).
    ClientSendQueue,
    /// The answer reached the client's host and did not fit the socket's receive buffer.
    ClientSocketBuffer,
    /// The server's kernel refused or dropped the answer on its way out.
    ServerSendQueue,
    /// The request reached the server's host and did not fit the socket's receive buffer.
    ServerSocketBuffer,
    /// The answer spent most of its deadline in the server: in its socket buffer or in its worker.
    ServerOverload,
    /// The answer, or the rest of it, arrived after the deadline, and was not long in the server.
    TimeoutTooShort,
    /// A device passes only so many fragments a second: answers beyond lose some of theirs.
    FragmentRateLimit,
    /// A device passes no fragments at all.
    FragmentsBlocked,
    /// The receiving kernel had no memory left for fragments of unfinished datagrams.
    ReassemblyOverflow,
    /// The answer was too big for the path and lost, or refused, while or because the sender's kernel learned the path MTU.
    PmtuDiscovery,
    /// Packets above a size vanish, and nobody says so.
    MtuBlackHole,
    /// A device passes only so many packets a second.
    PacketRateLimit,
    /// A device passes only so many bits a second.
    BandwidthLimit,
    /// Packets are lost by chance, whatever their rate and size.
    PathLoss,
    /// A datagram arrived with wrong bytes and was rejected by a checksum.
    PathCorruption,
    /// Some flows (source ports) lose most of their packets, and the others none.
    FlowBlackHole,
    /// For a time nothing at all came from the server.
    ServerSilent,
    /// The generator could not keep its schedule; the read says nothing about the server.
    GeneratorLimited,
    /// Nothing on either host speaks for a cause.
    Unexplained,
}

/// Which way the lost datagrams were going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
    /// On a host, or it could not be told.
    Host,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ClientSendQueue,
        Self::ClientSocketBuffer,
        Self::ServerSendQueue,
        Self::ServerSocketBuffer,
        Self::ServerOverload,
        Self::TimeoutTooShort,
        Self::FragmentRateLimit,
        Self::FragmentsBlocked,
        Self::ReassemblyOverflow,
        Self::PmtuDiscovery,
        Self::MtuBlackHole,
        Self::PacketRateLimit,
        Self::BandwidthLimit,
        Self::PathLoss,
        Self::PathCorruption,
        Self::FlowBlackHole,
        Self::ServerSilent,
        Self::GeneratorLimited,
        Self::Unexplained,
    ];

    /// The name used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientSendQueue => "client_send_queue",
            Self::ClientSocketBuffer => "client_socket_buffer",
            Self::ServerSendQueue => "server_send_queue",
            Self::ServerSocketBuffer => "server_socket_buffer",
            Self::ServerOverload => "server_overload",
            Self::TimeoutTooShort => "timeout_too_short",
            Self::FragmentRateLimit => "fragment_rate_limit",
            Self::FragmentsBlocked => "fragments_blocked",
            Self::ReassemblyOverflow => "reassembly_overflow",
            Self::PmtuDiscovery => "pmtu_discovery",
            Self::MtuBlackHole => "mtu_black_hole",
            Self::PacketRateLimit => "packet_rate_limit",
            Self::BandwidthLimit => "bandwidth_limit",
            Self::PathLoss => "path_loss",
            Self::PathCorruption => "path_corruption",
            Self::FlowBlackHole => "flow_black_hole",
            Self::ServerSilent => "server_silent",
            Self::GeneratorLimited => "generator_limited",
            Self::Unexplained => "unexplained",
        }
    }

    /// Whether it strikes between the hosts: how far what it lost had come nobody knows.
    pub(super) fn is_on_the_way(self) -> bool {
        matches!(
            self,
            Self::FragmentRateLimit
                | Self::FragmentsBlocked
                | Self::PmtuDiscovery
                | Self::MtuBlackHole
                | Self::PacketRateLimit
                | Self::BandwidthLimit
                | Self::PathLoss
                | Self::PathCorruption
                | Self::FlowBlackHole
                | Self::ServerSilent
        )
    }

    /// Where it happens, in words.
    pub fn place(self, direction: Direction) -> &'static str {
        match (self, direction) {
            (Self::ClientSendQueue, _) => "the client's kernel, before the request left",
            (Self::ClientSocketBuffer, _) => "the client's socket receive buffer",
            (Self::ServerSendQueue, _) => "the server's kernel, before the answer left",
            (Self::ServerSocketBuffer, _) => "the server's socket receive buffer",
            (Self::ServerOverload, _) => "the server's socket buffer and worker",
            (Self::TimeoutTooShort, _) => "the deadline at the client",
            (Self::FragmentRateLimit, _) => "a device that makes or passes the server's fragments",
            (Self::FragmentsBlocked, _) => "a device or firewall between the hosts",
            (Self::ReassemblyOverflow, Direction::Up) => "the server's kernel, reassembling requests",
            (Self::ReassemblyOverflow, _) => "the client's kernel, reassembling answers",
            (Self::PmtuDiscovery, _) => "the narrowest link on the way, while its MTU is learned",
            (
                Self::MtuBlackHole | Self::PacketRateLimit | Self::BandwidthLimit | Self::PathLoss,
                Direction::Up,
            ) => "between client and server, requests",
            (Self::MtuBlackHole | Self::PacketRateLimit | Self::BandwidthLimit | Self::PathLoss, _) => {
                "between server and client, answers"
            }
            (Self::FlowBlackHole, _) => "one of several paths, or of several servers behind a load balancer",
            (Self::ServerSilent, _) => "the server, or everything before it",
            (Self::PathCorruption, Direction::Up) => "between client and server, requests",
            (Self::PathCorruption, _) => "between server and client, answers",
            (Self::GeneratorLimited, _) => "the generator",
            (Self::Unexplained, Direction::Up) => {
                "after the client sent the request, before the server's worker saw it"
            }
            (Self::Unexplained, Direction::Down) => {
                "after the server sent the answer, before the client saw it"
            }
            (Self::Unexplained, Direction::Host) => "could not be told",
        }
    }

    /// What a person can do about it where the server is memcached, if that is another thing.
    pub fn remedy_for_memcached(self) -> Option<&'static str> {
        match self {
            Self::ServerSocketBuffer => Some(
                "memcached reads one datagram a system call and never raises its receive buffer: give it more threads (-t) and CPUs, raise sysctl net.core.rmem_default and start it again, or read over TCP.",
            ),
            Self::ServerOverload => Some(
                "Give memcached more threads (-t) and its host more CPUs; if it comes in bursts, look for pauses of it (CPU steal, swapping, other processes on its CPUs).",
            ),
            Self::FragmentRateLimit
            | Self::FragmentsBlocked
            | Self::ReassemblyOverflow
            | Self::PmtuDiscovery
            | Self::MtuBlackHole => Some(
                "memcached's datagrams have up to 1400 bytes, whatever the path carries: find the link that is narrower (tracepath) and widen it, and let ICMP through (type 3 code 4; ICMPv6 type 2); or read over TCP (--protocol memcached-tcp), which keeps to what the path carries.",
            ),
            Self::PacketRateLimit => Some(
                "Send fewer packets (--gets-per-datagram), use more hosts, or an instance type with a larger packet allowance; see ethtool -S (pps_allowance_exceeded).",
            ),
            Self::PathLoss => Some(
                "Chance loss between the hosts: see ethtool -S and switch counters on the way. Over UDP a read of memcached is sent once: read over TCP (--protocol memcached-tcp), which sends again what was lost.",
            ),
            Self::Unexplained => Some(
                "memcached counts no datagrams and keeps no receipts, and over UDP nothing can be asked for again. On its host, see the drops of its socket in /proc/net/udp; between the hosts, NIC counters (ethtool -S) and rate limits; or read over TCP.",
            ),
            _ => None,
        }
    }

    /// What a person can do about it. `receipts` says that the server's receipts were there to look at.
    pub fn remedy(self, receipts: bool) -> &'static str {
        match self {
            Self::ClientSendQueue => {
                "Raise the send buffer (sysctl net.core.wmem_max) and the queue length of the client's interface (ip link set DEV txqueuelen), or send from more hosts."
            }
            Self::ClientSocketBuffer => {
                "Raise sysctl net.core.rmem_max on the client and use more flows (--flows), so that each socket takes fewer answers at once; the kernel charges buffer overhead, not payload."
            }
            Self::ServerSendQueue => {
                "Raise sysctl net.core.wmem_max and the queue length of the server's interface (ip link set DEV txqueuelen); see tc -s qdisc for its drops."
            }
            Self::ServerSocketBuffer => {
                "If the server's workers are short of CPU, give the port more (--workers-per-port) or the server a bigger host. If not, drops come in bursts: raise sysctl net.core.rmem_max on the server and start it again, and look for pauses of the server."
            }
            Self::ServerOverload => {
                "Give the port more workers (--workers-per-port) or the server more CPUs; if it comes in bursts, look for pauses of the server (CPU steal, swapping, other processes on its CPUs)."
            }
            Self::TimeoutTooShort => {
                "The answers were under way: raise --timeout, or find what delays the path (queues, a slow link, the client's own CPU)."
            }
            Self::FragmentRateLimit => {
                "Send no fragments: read from a chunked port (cache-server --udp-port PORT=chunked, the default; here --strategy chunked), whose answers are cut to what the path carries. On AWS the limit is the network card's (1024 fragments/s): its driver counts them as packets if loaded with enable_frag_bypass=1 (cat /sys/module/ena/parameters/enable_frag_bypass)."
            }
            Self::FragmentsBlocked => {
                "Send no fragments: read from a chunked port (cache-server --udp-port PORT=chunked, the default; here --strategy chunked), whose answers are cut to what the path carries; or let the firewall on the way pass fragments, which carry no ports."
            }
            Self::ReassemblyOverflow => {
                "Send no fragments: read from a chunked port (cache-server --udp-port PORT=chunked, the default; here --strategy chunked). Until then give the client's kernel more memory for them (sysctl -w net.ipv4.ipfrag_high_thresh=268435456, net.ipv6.ip6frag_high_thresh for IPv6), and find what loses single fragments, whose rest fills it."
            }
            Self::PmtuDiscovery => {
                "Read from a chunked port (cache-server --udp-port PORT=chunked, the default; here --strategy chunked): it sends nothing that the path was not proved to carry."
            }
            Self::MtuBlackHole => {
                "Read from a chunked port (cache-server --udp-port PORT=chunked, the default; here --strategy chunked), or let ICMP through (type 3 code 4; ICMPv6 type 2), by which the server's host learns what passes. Until then give its route to the clients that MTU (ip route replace ... mtu BYTES): longer answers then leave in fragments, which some networks drop."
            }
            Self::PacketRateLimit => {
                "Send fewer packets (--gets-per-datagram, larger path MTU), use more hosts, or an instance type with a larger packet allowance; see ethtool -S (pps_allowance_exceeded)."
            }
            Self::BandwidthLimit => {
                "Send fewer bytes (compressed values), use more hosts, or an instance type with more bandwidth; see ethtool -S (bw_out_allowance_exceeded)."
            }
            Self::PathLoss => {
                "Chance loss between the hosts: see ethtool -S and switch counters on the way; a retry (--retries) saves most such reads."
            }
            Self::FlowBlackHole => {
                "Give the network's owner the lossy flows' ports: one of several equal-cost paths is bad, or a load balancer sends them to a server that does not answer (look at its targets). A client escapes by a new source port."
            }
            Self::ServerSilent => {
                "Look whether the server was stopped, hung or cut off at that time (its log, its host's console, security groups, load balancer targets)."
            }
            Self::PathCorruption => {
                "A device changes bits on the path, after or despite its own checksums. Compare flows and hosts to find it; check NICs (ethtool -S), switches and tunnels, and try for a short while with checksum offload off (ethtool -K DEV rx off tx off; it costs CPU time, and the same with `on` undoes it)."
            }
            Self::GeneratorLimited => {
                "Give the generator more CPUs or threads (--threads), or run it on a host of its own, and measure again."
            }
            Self::Unexplained if receipts => {
                "No counter that could be read on either host accounts for these datagrams: look between the hosts, at NIC counters (ethtool -S), rate limits of the provider, path MTU and fragments."
            }
            Self::Unexplained => {
                "No counter that could be read on either host accounts for these datagrams. Start the server with --receipts to tell the direction read by read; then look between the hosts, at NIC counters (ethtool -S), rate limits of the provider, path MTU and fragments."
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Direction {
    /// The name used in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Host => "host",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `--protocol memcached-udp` refuses, and what only a server of Shingle has.
    #[test]
    fn nobody_with_a_memcached_is_sent_to_what_it_has_not() {
        let not_there = [
            "--retries",
            "--strategy",
            "--path-mtu",
            "path MTU)",
            "--train",
            "--token-file",
            "--lab",
            "--workers-per-port",
            "--receipts",
            "cache-server",
            "chunked",
        ];
        for cause in Cause::ALL {
            let remedy = cause.remedy_for_memcached().unwrap_or_else(|| cause.remedy(false));
            let found = not_there.iter().find(|word| remedy.contains(**word));
            assert_eq!(found, None, "{cause}: {remedy}");
        }
    }

    #[test]
    fn records_use_the_same_names() {
        for cause in
            [Cause::ClientSendQueue, Cause::ServerOverload, Cause::Unexplained, Cause::GeneratorLimited]
        {
            let json = serde_json::to_string(&cause).expect("a unit variant serialises");
            assert_eq!(json, format!("\"{}\"", cause.name()));
        }
    }
}
