//! A link that carries packets of at most so many bytes.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::report::DropReason;

pub(super) struct Mtu {
    pub(super) mtu: u32,
    pub(super) icmp: bool,
}

impl Node for Mtu {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if packet.ip_bytes() <= self.mtu as usize {
            out.pass(packet);
        } else if packet.dont_fragment || packet.source.is_ipv6() {
            out.drop(&packet, DropReason::TooBig);
            if self.icmp {
                out.hint(&packet, self.mtu);
            }
        } else {
            let before = out.actions.len();
            packet.fragments(self.mtu as usize).for_each(|fragment| out.pass(fragment));
            out.counts.made += (out.actions.len() - before - 1) as u64;
        }
    }
}
