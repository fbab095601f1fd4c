//! Loss by chance of packets above a size.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;
use crate::report::DropReason;

pub(super) struct SizeLoss {
    pub(super) above: u32,
    pub(super) rate: f64,
    pub(super) random: Stream,
}

impl Node for SizeLoss {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if packet.ip_bytes() > self.above as usize && self.random.chance(self.rate) {
            out.drop(&packet, DropReason::Loss);
        } else {
            out.pass(packet);
        }
    }
}
