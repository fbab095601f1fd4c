//! Some packets are held back, so that later ones overtake them.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;

pub(super) struct Reorder {
    pub(super) rate: f64,
    pub(super) delay_ns: u64,
    pub(super) random: Stream,
}

impl Node for Reorder {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let back_ns = self.random.below(self.delay_ns).saturating_add(1).min(self.delay_ns);
        if self.random.chance(self.rate) {
            out.counts.changed += 1;
            out.pass_at(out.now_ns.saturating_add(back_ns), packet);
        } else {
            out.pass(packet);
        }
    }
}
