//! What a socket is asked to do, decided before it is bound.

use std::time::Duration;

use crate::mtu::MtuDiscovery;

/// Options of a [`Socket`](crate::Socket), applied in [`Socket::bind`](crate::Socket::bind).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// Receive buffer asked for, in bytes of payload; the kernel doubles it for its own overhead. 0 leaves the
    /// system's default. What was granted: [`Socket::recv_buffer_granted_bytes`](crate::Socket::recv_buffer_granted_bytes).
    pub recv_buffer_bytes: usize,
    /// Send buffer asked for, in bytes; 0 leaves the system's default.
    pub send_buffer_bytes: usize,
    /// How the kernel treats datagrams longer than the path MTU; `None` leaves the system's default (normally
    /// [`MtuDiscovery::Want`]).
    pub mtu_discovery: Option<MtuDiscovery>,
    /// Let several sockets bind this address and share its datagrams by flow (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Queue ICMP and local errors with their cause (IP_RECVERR). Without it a send that the local queue drops
    /// looks like success, and errors of unconnected sockets are never seen. Entries take room in the receive buffer
    /// until [`Socket::drain_errors`](crate::Socket::drain_errors) takes them.
    pub recv_error_queue: bool,
    /// Stamp every datagram with the time the kernel received it (SO_TIMESTAMPNS).
    pub timestamps: bool,
    /// Tell with each datagram how many the socket had dropped before (SO_RXQ_OVFL).
    pub drop_counter: bool,
    /// Let the kernel hand over trains of equal datagrams in one slot (UDP_GRO); [`RecvBatch`](crate::RecvBatch)
    /// takes them apart. Silently off where the kernel does not know it.
    pub gro: bool,
    /// How long the kernel polls the network card for this socket when there is nothing to receive (SO_BUSY_POLL; whole
    /// microseconds, zero: not at all). Silently off where the process has no right to it (CAP_NET_ADMIN); without effect
    /// on devices that cannot be polled, such as loopback.
    pub busy_poll: Duration,
    /// An IPv6 socket takes IPv6 only (IPV6_V6ONLY). Otherwise IPv4 peers reach it too and are shown as IPv4.
    pub only_v6: bool,
}

impl Default for SocketOptions {
    /// The system's buffers and MTU discovery, with the error queue and the drop counter on.
    fn default() -> Self {
        SocketOptions {
            recv_buffer_bytes: 0,
            send_buffer_bytes: 0,
            mtu_discovery: None,
            reuse_port: false,
            recv_error_queue: true,
            timestamps: false,
            drop_counter: true,
            gro: false,
            busy_poll: Duration::ZERO,
            only_v6: false,
        }
    }
}
