//! The reads of a stage that wait for a cause: models take out what they explain, one after the other.

use super::limits::{ETHERNET_BYTES, IPV4_UDP_BYTES, IPV6_UDP_BYTES, MTU_BYTES_DEFAULT};
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
}

impl<'a> Case<'a> {
    /// Puts down to a cause the open reads that `chosen` picks, by their place in `open`; how many these were.
    pub(super) fn take(
        &mut self,
        (cause, direction): (Cause, Option<Direction>),
        mut chosen: impl FnMut(usize, &Open<'a>) -> bool,
    ) -> u64 {
        let (mut index, mut taken) = (0, 0);
        let shares = &mut self.shares;
        self.open.retain(|open| {
            let keep = !chosen(index, open);
            index += 1;
            if !keep {
                taken += 1;
                shares.entry((cause, direction.unwrap_or(open.direction))).or_default().add(open.loss);
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

    /// The direction of a model's share: that of the reads, where it was told.
    pub(super) fn told(&self, direction: Direction) -> Direction {
        let told = self.open.iter().any(|open| open.direction == direction);
        if told { direction } else { Direction::Host }
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
    chunk: Option<u32>,
    /// MTU at which packets are cut into fragments, as far as known.
    pub(super) mtu: u32,
    ipv6: bool,
}

impl Wire {
    pub(super) fn of(books: &Books) -> Self {
        let stage = &books.stage;
        let known = [stage.path_mtu_down, stage.server_mtu, Some(stage.client_mtu)];
        // 0: nobody told.
        let known = known.into_iter().flatten().filter(|mtu| *mtu > 0);
        Self {
            headers: if stage.ipv6 { IPV6_UDP_BYTES } else { IPV4_UDP_BYTES },
            overhead: stage.answer_overhead_bytes,
            chunk: stage.chunk_datagram_bytes.filter(|bytes| *bytes > 0),
            mtu: known.min().unwrap_or(MTU_BYTES_DEFAULT),
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
        // RFC 791: fragments but the last carry multiples of 8 bytes; RFC 8200 section 4.5: each of IPv6 has a header of 8 more.
        let room = self.mtu.saturating_sub(self.headers - 8 + if self.ipv6 { 8 } else { 0 }) / 8 * 8;
        (payload + 8).div_ceil(room.max(8))
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
        assert_eq!((wire(false, Some(1472)).packets(1416), wire(false, Some(1472)).packets(2000)), (1, 2));
    }
}
