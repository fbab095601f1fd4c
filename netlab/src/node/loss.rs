//! Loss by chance, each packet for itself.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;
use crate::report::DropReason;

pub(super) struct Loss {
    pub(super) rate: f64,
    pub(super) random: Stream,
}

impl Node for Loss {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if self.random.chance(self.rate) {
            out.drop(&packet, DropReason::Loss);
        } else {
            out.pass(packet);
        }
    }
}
