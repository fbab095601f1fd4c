//! The reads of a stage that wait for a cause: models take out what they explain, one after the other.

use std::collections::HashMap;

use super::findings::{self, Finding, Told};
use super::limits::{ETHERNET_BYTES, IPV4_UDP_BYTES, IPV6_UDP_BYTES, MTU_BYTES_DEFAULT, PROVEN};
use super::{Attribution, Books, Cause, Direction, Loss, Share};

/// A lost read without a cause yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open<'a> {
    pub(super) loss: &'a Loss,
    /// Which way its datagram was lost; `Host`: that could not be told.
    pub(super) direction: Direction,
}

/// The books, what is open of them, and what was settled.
pub(super) struct Case<'a> {
    pub(super) books: &'a Books,
    pub(super) open: Vec<Open<'a>>,
    pub(super) shares: Attribution,
    /// Reads by flow that never arrived, so that nothing was sent back, whatever it is put down to.
    pub(super) unheard: HashMap<u32, u64>,
    /// Reads whose answers were lost on the way to what was put down to a cause: nobody knows how far they came.
    pub(super) astray: Vec<&'a Loss>,
}

impl<'a> Case<'a> {
    /// What each read proves by itself is settled; the others are open.
    pub(super) fn open(books: &'a Books) -> Self {
        let mut case = Self {
            books,
            open: Vec::with_capacity(books.losses.len()),
            shares: Attribution::new(),
            unheard: HashMap::new(),
            astray: Vec::new(),
        };
        let receipts = books.receipts.as_ref().map(|receipts| receipts.of(&books.losses));
        for loss in &books.losses {
            match findings::told_by(loss, books, receipts.as_ref()) {
                Told::Proven(finding) => prove(&mut case.shares, finding, loss),
                Told::Lost(direction) => case.open.push(Open { loss, direction }),
            }
        }
        case
    }

    /// Counts what never arrived, once that is told as far as it can be.
    pub(super) fn count_unheard(&mut self) {
        for open in self.open.iter().filter(|open| open.direction == Direction::Up) {
            *self.unheard.entry(open.loss.flow).or_default() += 1;
        }
    }

    /// Puts down to a cause the open reads that `chosen` picks, by their place in `open`; how many these were.
    pub(super) fn take(
        &mut self,
        (cause, direction): (Cause, Option<Direction>),
        mut chosen: impl FnMut(usize, &Open<'a>) -> bool,
    ) -> u64 {
        let (mut index, mut taken) = (0, 0);
        let (shares, astray) = (&mut self.shares, &mut self.astray);
        self.open.retain(|open| {
            let keep = !chosen(index, open);
            index += 1;
            if !keep {
                taken += 1;
                shares.entry((cause, direction.unwrap_or(open.direction))).or_default().add(open.loss);
                astray.extend(
                    (open.direction == Direction::Down && cause.is_on_the_way()).then_some(open.loss),
                );
            }
            keep
        });
        taken
    }

    /// The share of a cause, to write evidence into.
    pub(super) fn share(&mut self, cause: Cause, direction: Direction) -> &mut Share {
        self.shares.entry((cause, direction)).or_default()
    }

    /// Open reads lost this way, or possibly this way.
    pub(super) fn open_towards(&self, direction: Direction) -> impl Iterator<Item = &Open<'a>> {
        self.open.iter().filter(move |open| open.direction == direction || open.direction == Direction::Host)
    }

    /// Reads by the size of their values of which something is known to have come so far that a cause in this direction could strike it, and of
    /// them those that wait for one: what was lost the other way, or is another cause's, tells nothing of it.
    pub(super) fn met(&self, direction: Direction) -> Vec<(u64, u64)> {
        let population = &self.books.population;
        let mut bins: Vec<_> = population
            .by_size
            .iter()
            .map(|counts| (counts.reads.saturating_sub(counts.first_try_lost), 0))
            .collect();
        let Some(last) = bins.len().checked_sub(1) else { return bins };
        for open in self.open_towards(direction) {
            let bin =
                &mut bins[((open.loss.value_bytes / population.size_bin_bytes.max(1)) as usize).min(last)];
            *bin = (bin.0 + 1, bin.1 + 1);
        }
        bins
    }

    /// The direction of a model's share: that of the reads, where it was told.
    pub(super) fn told(&self, direction: Direction) -> Direction {
        let told = self.open.iter().any(|open| open.direction == direction);
        if told { direction } else { Direction::Host }
    }
}

fn prove(shares: &mut Attribution, finding: &Finding, loss: &Loss) {
    let share = shares.entry((finding.cause, finding.direction)).or_default();
    share.reads += 1;
    share.failed += u64::from(loss.failed);
    share.confidence = if finding.cause == Cause::Unexplained { 0.0 } else { PROVEN };
    share.remedy = share.remedy.or(finding.remedy);
    if !share.evidence.iter().any(|known| known == finding.evidence) {
        share.evidence.push(finding.evidence.to_owned());
    }
}

impl Share {
    /// One more read.
    pub(super) fn add(&mut self, loss: &Loss) {
        self.reads += 1;
        self.failed += u64::from(loss.failed);
    }
}

/// Sizes on the wire, from the facts of the stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    /// Headers of IP and UDP.
    pub(super) headers: u32,
    /// Bytes beside the value in an answer's datagram.
    overhead: u32,
    /// Largest UDP payload of a chunk; none: an answer is one datagram.
    pub(super) chunk: Option<u32>,
    /// MTU at which packets are cut into fragments, as far as known.
    pub(super) mtu: u32,
    /// MTU at which the server's kernel cuts before a router cuts its fragments again.
    cut_before: Option<u32>,
    pub(super) ipv6: bool,
}

impl Wire {
    pub(super) fn of(books: &Books) -> Self {
        let stage = &books.stage;
        let known = [stage.path_mtu_down, stage.server_mtu, Some(stage.client_mtu)];
        // 0: nobody told.
        let known = known.into_iter().flatten().filter(|mtu| *mtu > 0);
        let mtu = known.min().unwrap_or(MTU_BYTES_DEFAULT);
        Self {
            headers: if stage.ipv6 { IPV6_UDP_BYTES } else { IPV4_UDP_BYTES },
            overhead: stage.answer_overhead_bytes,
            chunk: stage.chunk_datagram_bytes.filter(|bytes| *bytes > 0),
            mtu,
            cut_before: stage.server_mtu.filter(|server_mtu| stage.routers_cut && *server_mtu > mtu),
            ipv6: stage.ipv6,
        }
    }

    /// An answer is one datagram, whatever its size.
    pub(super) fn whole(&self) -> bool {
        self.chunk.is_none()
    }

    /// IP packet of an answer to a read of such a value, sent as one datagram.
    pub(super) fn ip_bytes(&self, value_bytes: u32) -> u32 {
        value_bytes + self.overhead + self.headers
    }

    /// Packets a datagram of such a UDP payload makes.
    pub(super) fn fragments(&self, payload: u32) -> u32 {
        if payload + self.headers <= self.mtu {
            return 1;
        }
        let (each, last) = self.cut_again(payload);
        (self.server_fragments(payload) - 1) * each + last
    }

    /// Fragments the server's kernel makes of a datagram of such a UDP payload.
    pub(super) fn server_fragments(&self, payload: u32) -> u32 {
        let mtu = self.cut_mtu();
        if payload + self.headers <= mtu { 1 } else { (payload + 8).div_ceil(self.fragment_room(mtu)) }
    }

    /// Fragments that arrive for each that the server's kernel makes of a datagram of such a UDP payload, and for the last of them.
    pub(super) fn cut_again(&self, payload: u32) -> (u32, u32) {
        let Some(mtu) = self.cut_before else { return (1, 1) };
        let (there, here) = (self.fragment_room(mtu), self.fragment_room(self.mtu));
        let last = payload + 8 - (self.server_fragments(payload) - 1) * there;
        (there.div_ceil(here), last.div_ceil(here))
    }

    /// Bytes that a fragment of a packet this large carries. RFC 791: fragments but the last carry multiples of 8; RFC 8200 section 4.5: each
    /// of IPv6 has a header of 8 more.
    fn fragment_room(&self, mtu: u32) -> u32 {
        let header = self.headers - 8 + if self.ipv6 { 8 } else { 0 };
        (mtu.saturating_sub(header) / 8 * 8).max(8)
    }

    /// MTU at which the server's kernel cuts.
    pub(super) fn cut_mtu(&self) -> u32 {
        self.cut_before.unwrap_or(self.mtu)
    }

    /// Routers cut again what the server's kernel cut.
    pub(super) fn cuts_twice(&self) -> bool {
        self.cut_before.is_some()
    }

    /// Packets of the answer to a read of such a value.
    pub(super) fn packets(&self, value_bytes: u32) -> u32 {
        match self.chunk {
            Some(chunk) => (value_bytes + self.overhead).div_ceil(chunk).max(1),
            None => self.fragments(value_bytes + self.overhead),
        }
    }

    /// Bytes that a link counts for an answer of so many datagrams with so much payload in all.
    pub(super) fn link_bytes(&self, datagrams: u32, payload: u32) -> u32 {
        let datagrams = datagrams.max(1);
        let packets = datagrams * self.fragments(payload / datagrams);
        payload + packets * (self.headers - 8 + ETHERNET_BYTES) + datagrams * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::StageFacts;

    fn wire(ipv6: bool, chunk: Option<u32>) -> Wire {
        let stage = StageFacts {
            ipv6,
            chunk_datagram_bytes: chunk,
            answer_overhead_bytes: 56,
            client_mtu: 1500,
            ..StageFacts::default()
        };
        Wire::of(&Books { stage, ..Books::default() })
    }

    #[test]
    fn an_mtu_of_zero_is_none() {
        let stage = StageFacts { path_mtu_down: Some(0), server_mtu: Some(0), ..StageFacts::default() };
        assert_eq!(Wire::of(&Books { stage, ..Books::default() }).mtu, MTU_BYTES_DEFAULT);
    }

    #[test]
    fn packets_follow_the_rules_of_fragments_and_chunks() {
        let v4 = wire(false, None);
        assert_eq!((v4.packets(1416), v4.packets(1417), v4.ip_bytes(1416)), (1, 2, 1500));
        // Two fragments carry 2 x 1480 bytes, the UDP header among them.
        assert_eq!((v4.fragments(2952), v4.fragments(2953)), (2, 3));
        let v6 = wire(true, None);
        assert_eq!((v6.fragments(1452), v6.fragments(1453)), (1, 2));
        assert_eq!((v6.fragments(2 * 1448 - 8), v6.fragments(2 * 1448 - 7)), (2, 3));
        // A router cuts each fragment of 2,144 bytes again.
        let stage = StageFacts {
            routers_cut: true,
            server_mtu: Some(2169),
            client_mtu: 2062,
            ..StageFacts::default()
        };
        let twice = Wire::of(&Books { stage, ..Books::default() });
        assert_eq!((twice.fragments(2000), twice.fragments(2100), twice.fragments(4890)), (1, 2, 5));
        assert_eq!((wire(false, Some(1472)).packets(1416), wire(false, Some(1472)).packets(2000)), (1, 2));
    }
}
