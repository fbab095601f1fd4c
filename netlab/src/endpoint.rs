//! What stands at the two ends of a network.

use std::net::SocketAddr;

use crate::packet::Packet;

/// A client or a server, without clock or socket of its own.
///
/// After any call that may change it, the network takes packets from [`poll_send`](Self::poll_send) until there are none, then asks
/// [`poll_timeout`](Self::poll_timeout) when to come back. Times are nanoseconds since the network began, at 0.
pub trait Endpoint {
    /// A whole datagram arrived.
    fn receive(&mut self, now_ns: u64, packet: Packet);

    /// The next packet to send now. Called until it gives none.
    fn poll_send(&mut self, now_ns: u64) -> Option<Packet>;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called. Valid until anything else is called; a time in the past means now.
    fn poll_timeout(&self) -> Option<u64>;

    /// The time last given by [`poll_timeout`](Self::poll_timeout) has come. Must move it on, or send.
    fn handle_timeout(&mut self, now_ns: u64);

    /// A router says that a packet of this endpoint was dropped for its size. Ignored unless written.
    fn handle_icmp(&mut self, now_ns: u64, hint: PacketTooBig) {
        let _ = (now_ns, hint);
    }

    /// Whether it reads from its socket buffer now: asked only where the buffer drains as the endpoint reads
    /// ([`Drain::Endpoint`](crate::Drain)), after every other call.
    fn reads(&self) -> bool {
        true
    }

    /// Whether its work is complete. A network ends when both ends are done and nothing travels any more; timers do not keep it up.
    fn done(&self) -> bool;
}

/// ICMP "fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201). Arrives as long after the drop as the packet had travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTooBig {
    /// The next link's MTU: bytes of an IP packet.
    pub mtu: u32,
    /// Source of the dropped packet, as its sender wrote it.
    pub source: SocketAddr,
    /// Destination of the dropped packet, as its sender wrote it.
    pub destination: SocketAddr,
}
