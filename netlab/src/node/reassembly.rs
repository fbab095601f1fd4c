//! A host that puts fragments together: whole datagrams go on, unfinished ones take memory until their time is over.

use std::collections::{BTreeMap, VecDeque};

use super::{Node, Outbox, nanoseconds};
use crate::packet::Packet;
use crate::report::DropReason;
use crate::topology;

pub(crate) struct Reassembly {
    memory: u64,
    time_ns: u64,
    used: u64,
    unfinished: BTreeMap<u64, Vec<Packet>>,
    /// (when, datagram) in the order of time; datagrams completed meanwhile are still in it.
    deadlines: VecDeque<(u64, u64)>,
}

impl Reassembly {
    pub(crate) fn new(settings: topology::Reassembly) -> Self {
        let topology::Reassembly { memory, time } = settings;
        let (unfinished, deadlines) = (BTreeMap::new(), VecDeque::new());
        Self { memory, time_ns: nanoseconds(time), used: 0, unfinished, deadlines }
    }

    /// Gives up datagrams whose time is over. They are noticed when the next fragment comes.
    fn expire(&mut self, out: &mut Outbox<'_>) {
        while let Some(&(deadline_ns, datagram)) =
            self.deadlines.front().filter(|(at_ns, _)| *at_ns <= out.now_ns)
        {
            self.deadlines.pop_front();
            for fragment in self.unfinished.remove(&datagram).into_iter().flatten() {
                self.used -= fragment.ip_bytes() as u64;
                out.drop(&fragment, DropReason::ReassemblyTimeout);
            }
            debug_assert!(deadline_ns <= out.now_ns);
        }
    }
}

impl Node for Reassembly {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if packet.fragment.is_none() {
            return out.pass(packet);
        }
        self.expire(out);
        let datagram = packet.origin.id;
        let begun = self.unfinished.contains_key(&datagram);
        if !begun && self.used > self.memory {
            return out.drop(&packet, DropReason::ReassemblyMemory);
        }
        if !begun {
            self.deadlines.push_back((out.now_ns.saturating_add(self.time_ns), datagram));
        }
        let pieces = self.unfinished.entry(datagram).or_default();
        let at = pieces.partition_point(|piece| span(piece).0 < span(&packet).0);
        let overlaps = at > 0 && span(&pieces[at - 1]).1 > span(&packet).0
            || at < pieces.len() && span(&pieces[at]).0 < span(&packet).1;
        if overlaps {
            return out.drop(&packet, DropReason::FragmentOverlap);
        }
        self.used += packet.ip_bytes() as u64;
        pieces.insert(at, packet);
        if complete(pieces) {
            let pieces = self.unfinished.remove(&datagram).unwrap_or_default();
            self.used -= pieces.iter().map(|piece| piece.ip_bytes() as u64).sum::<u64>();
            out.counts.joined += pieces.len() as u64 - 1;
            out.pass(join(pieces));
        }
    }

    fn held(&self) -> u64 {
        self.unfinished.values().map(|pieces| pieces.len() as u64).sum()
    }
}

/// First byte, and first byte after it, in the datagram.
fn span(piece: &Packet) -> (usize, usize) {
    let offset = piece.fragment.map_or(0, |fragment| fragment.offset);
    (offset, offset + piece.data_bytes())
}

fn complete(pieces: &[Packet]) -> bool {
    let begins = pieces.first().is_some_and(|piece| span(piece).0 == 0);
    let ends = pieces.last().is_some_and(|piece| piece.fragment.is_some_and(|fragment| !fragment.more));
    begins && ends && pieces.windows(2).all(|pair| span(&pair[0]).1 == span(&pair[1]).0)
}

fn join(pieces: Vec<Packet>) -> Packet {
    let mut pieces = pieces.into_iter();
    let mut whole = pieces.next().expect("a complete datagram has a first fragment");
    pieces.for_each(|piece| whole.payload.extend_from_slice(&piece.payload));
    whole.fragment = None;
    whole
}
