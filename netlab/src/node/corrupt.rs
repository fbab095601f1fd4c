//! Some packets have bits flipped after every checksum on the way was right, and are delivered.

use super::{Node, Outbox};
use crate::packet::Packet;
use crate::random::Stream;

pub(super) struct Corrupt {
    pub(super) rate: f64,
    pub(super) bits: u32,
    pub(super) random: Stream,
}

impl Node for Corrupt {
    fn push(&mut self, mut packet: Packet, out: &mut Outbox<'_>) {
        if self.random.chance(self.rate) && !packet.payload.is_empty() {
            out.counts.changed += 1;
            self.flip(&mut packet.payload);
        }
        out.pass(packet);
    }
}

impl Corrupt {
    /// Flips different bits: the same one twice would leave the payload as it was.
    fn flip(&mut self, payload: &mut [u8]) {
        let all = payload.len() as u64 * 8;
        let wanted = all.min(self.bits.into()) as usize;
        let mut flipped = Vec::with_capacity(wanted);
        while flipped.len() < wanted {
            let bit = self.random.below(all);
            if !flipped.contains(&bit) {
                flipped.push(bit);
                payload[(bit / 8) as usize] ^= 1 << (bit % 8);
            }
        }
    }
}
