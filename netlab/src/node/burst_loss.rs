//! Loss in bursts, after Gilbert (1960) and Elliott (1963): a good state that passes all and a bad one that drops at a rate.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;
use crate::report::DropReason;

pub(super) struct BurstLoss {
    enter: f64,
    leave: f64,
    rate: f64,
    in_burst: bool,
    random: Stream,
}

impl BurstLoss {
    pub(super) fn new(enter: f64, leave: f64, rate: f64, random: Stream) -> Self {
        Self { enter, leave, rate, in_burst: false, random }
    }
}

impl Node for BurstLoss {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        // The state changes between packets: a burst of `leave` 1 is one packet.
        let change = if self.in_burst { self.leave } else { self.enter };
        self.in_burst ^= self.random.chance(change);
        let lost = self.random.chance(self.rate);
        if self.in_burst && lost {
            out.drop(&packet, DropReason::BurstLoss);
        } else {
            out.pass(packet);
        }
    }
}
