//! A while in which nothing passes and nobody says so.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::report::DropReason;

pub(super) struct Silence {
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
}

impl Node for Silence {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if (self.from_ns..self.until_ns).contains(&out.now_ns) {
            out.drop(&packet, DropReason::Silence);
        } else {
            out.pass(packet);
        }
    }
}
