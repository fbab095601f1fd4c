//! Equal-cost paths, chosen by a hash of the addresses, of which one drops.

use std::net::{IpAddr, SocketAddr};

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::{Stream, mix64};
use crate::report::DropReason;

pub(super) struct BadPath {
    paths: u32,
    rate: f64,
    key: u64,
    random: Stream,
}

impl BadPath {
    pub(super) fn new(paths: u32, rate: f64, mut random: Stream) -> Self {
        Self { paths, rate, key: random.next(), random }
    }

    /// Path 0 is the bad one. Routers hash fragments by addresses alone, the first one too, so that they stay together.
    fn path(&self, packet: &Packet) -> u64 {
        let ports = packet.fragment.is_none();
        let hash = fold(fold(self.key, packet.source, ports), packet.destination, ports);
        hash % u64::from(self.paths)
    }
}

impl Node for BadPath {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let lost = self.random.chance(self.rate);
        if self.path(&packet) == 0 && lost {
            out.drop(&packet, DropReason::BadPath);
        } else {
            out.pass(packet);
        }
    }
}

fn fold(hash: u64, address: SocketAddr, with_port: bool) -> u64 {
    let bits = match address.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let port = if with_port { address.port() } else { 0 };
    mix64(mix64(mix64(hash ^ bits as u64) ^ (bits >> 64) as u64) ^ u64::from(port))
}
