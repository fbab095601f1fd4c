//! Two simple endpoints, to try a network without a protocol.

use std::net::SocketAddr;
use std::time::Duration;

use crate::endpoint::{Endpoint, PacketTooBig};
use crate::node::nanoseconds;
use crate::packet::Packet;

/// Sends copies of a packet at even intervals from time 0, and keeps what it receives.
pub struct Sender {
    packet: Packet,
    left: u64,
    interval_ns: u64,
    next_ns: u64,
    /// What came: when (ns), and the packet.
    pub received: Vec<(u64, Packet)>,
    /// What routers said: when (ns), and the hint.
    pub hints: Vec<(u64, PacketTooBig)>,
}

impl Sender {
    /// Sends so many copies of the packet, one each interval.
    pub fn new(packet: Packet, count: u64, interval: Duration) -> Self {
        let (received, hints) = (Vec::new(), Vec::new());
        Self { packet, left: count, interval_ns: nanoseconds(interval), next_ns: 0, received, hints }
    }

    /// Sends from 198.18.0.1:1000 to 198.18.0.2:7400, each time the same payload of so many bytes, each byte its own index mod 256.
    pub fn of_bytes(payload_bytes: usize, count: u64, interval: Duration) -> Self {
        let payload = (0..payload_bytes).map(|i| i as u8).collect();
        let client = SocketAddr::from(([198, 18, 0, 1], 1000));
        let server = SocketAddr::from(([198, 18, 0, 2], 7400));
        Self::new(Packet::new(client, server, payload), count, interval)
    }
}

impl Endpoint for Sender {
    fn receive(&mut self, now_ns: u64, packet: Packet) {
        self.received.push((now_ns, packet));
    }

    fn poll_send(&mut self, now_ns: u64) -> Option<Packet> {
        if self.left == 0 || self.next_ns > now_ns {
            return None;
        }
        self.left -= 1;
        self.next_ns += self.interval_ns;
        Some(self.packet.clone())
    }

    fn poll_timeout(&self) -> Option<u64> {
        (self.left > 0).then_some(self.next_ns)
    }

    fn handle_timeout(&mut self, _: u64) {}

    fn handle_icmp(&mut self, now_ns: u64, hint: PacketTooBig) {
        self.hints.push((now_ns, hint));
    }

    fn done(&self) -> bool {
        self.left == 0
    }
}

/// Sends every datagram back to where it came from.
#[derive(Default)]
pub struct Echo {
    waiting: std::collections::VecDeque<Packet>,
    /// How many it received.
    pub received: u64,
}

impl Echo {
    /// One that has received nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Endpoint for Echo {
    fn receive(&mut self, _: u64, mut packet: Packet) {
        (packet.source, packet.destination) = (packet.destination, packet.source);
        self.received += 1;
        self.waiting.push_back(packet);
    }

    fn poll_send(&mut self, _: u64) -> Option<Packet> {
        self.waiting.pop_front()
    }

    fn poll_timeout(&self) -> Option<u64> {
        None
    }

    fn handle_timeout(&mut self, _: u64) {}

    fn done(&self) -> bool {
        self.waiting.is_empty()
    }
}
