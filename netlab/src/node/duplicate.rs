//! Some packets come twice, the copy at once or later.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;

pub(super) struct Duplicate {
    pub(super) rate: f64,
    pub(super) delay_ns: u64,
    pub(super) random: Stream,
}

impl Node for Duplicate {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        let later_ns = self.random.between(0, self.delay_ns);
        let copy = self.random.chance(self.rate).then(|| packet.clone());
        out.pass(packet);
        if let Some(copy) = copy {
            out.counts.made += 1;
            out.pass_at(out.now_ns.saturating_add(later_ns), copy);
        }
    }
}
