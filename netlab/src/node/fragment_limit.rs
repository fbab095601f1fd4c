//! A card that passes so many fragments a second and drops the rest; whole datagrams pass untouched.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::rate::TokenBucket;
use crate::report::DropReason;
use crate::topology::Charge;

pub(super) struct FragmentLimit {
    bucket: TokenBucket,
    charge: Charge,
}

impl FragmentLimit {
    pub(super) fn new(limit: u64, charge: Charge, burst: u64) -> Self {
        Self { bucket: TokenBucket::new(limit, burst), charge }
    }
}

impl Node for FragmentLimit {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if self.charge.names(&packet) && !self.bucket.take(out.now_ns, 1) {
            out.drop(&packet, DropReason::FragmentLimit);
        } else {
            out.pass(packet);
        }
    }
}

impl Charge {
    /// Whether a packet is a fragment of this kind.
    pub(super) fn names(self, packet: &Packet) -> bool {
        packet.fragment.is_some_and(|fragment| match self {
            Self::First => fragment.offset == 0,
            Self::Rest => fragment.offset > 0,
            Self::All => true,
        })
    }
}
