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
    unfinished: BTreeMap<u64, Unfinished>,
    /// (when, datagram) in the order of time; some were completed meanwhile.
    deadlines: VecDeque<(u64, u64)>,
}

struct Unfinished {
    deadline_ns: u64,
    /// Sorted by place.
    pieces: Vec<Packet>,
}

impl Reassembly {
    pub(crate) fn new(settings: topology::Reassembly) -> Self {
        let topology::Reassembly { memory, time } = settings;
        let (unfinished, deadlines) = (BTreeMap::new(), VecDeque::new());
        Self { memory, time_ns: nanoseconds(time), used: 0, unfinished, deadlines }
    }

    /// Gives up datagrams whose time is over. They are noticed when the next fragment comes.
    fn expire(&mut self, out: &mut Outbox<'_>) {
        while let Some((at_ns, datagram)) = self.deadlines.pop_front_if(|(at_ns, _)| *at_ns <= out.now_ns) {
            // A copy of a completed datagram may have begun again, with a deadline of its own.
            if self.unfinished.get(&datagram).is_some_and(|unfinished| unfinished.deadline_ns == at_ns) {
                for piece in self.take(datagram) {
                    out.drop(&piece, DropReason::ReassemblyTimeout);
                }
            }
        }
    }

    fn begin(&mut self, datagram: u64, now_ns: u64) {
        let deadline_ns = now_ns.saturating_add(self.time_ns);
        self.deadlines.push_back((deadline_ns, datagram));
        self.unfinished.insert(datagram, Unfinished { deadline_ns, pieces: Vec::new() });
    }

    fn take(&mut self, datagram: u64) -> Vec<Packet> {
        let pieces = self.unfinished.remove(&datagram).map_or_else(Vec::new, |unfinished| unfinished.pieces);
        self.used -= pieces.iter().map(|piece| piece.ip_bytes() as u64).sum::<u64>();
        pieces
    }
}

impl Node for Reassembly {
    fn push(&mut self, packet: Packet, out: &mut Outbox<'_>) {
        if packet.fragment.is_none() {
            return out.pass(packet);
        }
        self.expire(out);
        let datagram = packet.origin.id;
        if !self.unfinished.contains_key(&datagram) {
            if self.used > self.memory {
                return out.drop(&packet, DropReason::ReassemblyMemory);
            }
            self.begin(datagram, out.now_ns);
        }
        let Some(Unfinished { pieces, .. }) = self.unfinished.get_mut(&datagram) else { return };
        let Some(at) = place(pieces, &packet) else {
            return out.drop(&packet, DropReason::FragmentOverlap);
        };
        self.used += packet.ip_bytes() as u64;
        pieces.insert(at, packet);
        if complete(pieces) {
            out.counts.joined += pieces.len() as u64 - 1;
            out.pass(join(self.take(datagram)));
        }
    }

    fn held(&self) -> u64 {
        self.unfinished.values().map(|unfinished| unfinished.pieces.len() as u64).sum()
    }
}

/// Where a piece belongs among the others; none if it covers what is there.
fn place(pieces: &[Packet], piece: &Packet) -> Option<usize> {
    let (from, to) = span(piece);
    let at = pieces.partition_point(|other| span(other).0 < from);
    let apart = pieces[..at].last().is_none_or(|other| span(other).1 <= from)
        && pieces[at..].first().is_none_or(|other| to <= span(other).0);
    apart.then_some(at)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Counts;

    #[test]
    fn a_copy_that_begins_after_completion_has_its_own_time() {
        let settings = topology::Reassembly { memory: 1 << 20, time: Duration::from_secs(1) };
        let mut host = Reassembly::new(settings);
        let whole = Packet::new(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into(), vec![0; 2000]);
        let pieces: Vec<Packet> = whole.fragments(1500).collect();
        let (mut counts, mut actions) = (Counts::default(), Vec::new());
        let mut push = |now_ns, piece: &Packet| {
            let mut out = Outbox { now_ns, counts: &mut counts, actions: &mut actions };
            host.push(piece.clone(), &mut out);
        };
        push(0, &pieces[0]);
        push(0, &pieces[1]);
        // The copy: the first deadline, at 1 s, comes between its pieces.
        push(900_000_000, &pieces[0]);
        push(1_100_000_000, &pieces[1]);
        assert_eq!((counts.joined, counts.dropped_total()), (2, 0));
        assert_eq!((host.held(), host.used), (0, 0));
    }
}
