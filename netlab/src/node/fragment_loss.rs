//! Loss by chance of fragments; whole datagrams pass untouched.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;
use crate::report::DropReason;
use crate::topology::Charge;

pub(super) struct FragmentLoss {
    pub(super) rate: f64,
    pub(super) charge: Charge,
    pub(super) random: Stream,
}

impl Node for FragmentLoss {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if self.charge.names(&packet) && self.random.chance(self.rate) {
            out.drop(&packet, DropReason::Loss);
        } else {
            out.pass(packet);
        }
    }
}
