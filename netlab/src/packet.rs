//! What travels: a UDP datagram in an IP packet, or a fragment of one.

use std::net::SocketAddr;

use crate::limits::{FRAGMENT_UNIT_BYTES, IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES};

/// A UDP datagram as an IP packet. Its payload means nothing to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it, as seen where the packet is now (a NAT on the way rewrites it).
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// The DF bit. Without it an IPv4 packet above an MTU is fragmented; an IPv6 packet never is (RFC 8200 section 5).
    pub dont_fragment: bool,
    /// The UDP payload, or the fragment's part of it.
    pub payload: Vec<u8>,
    /// Set while the packet is a piece of a datagram. Endpoints only ever see whole datagrams.
    pub fragment: Option<Fragment>,
    pub(crate) origin: Origin,
}

/// Which piece of its datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where the piece begins, in bytes of IP payload (the 8 B of the UDP header count).
    pub offset: usize,
    /// Whether more pieces follow.
    pub more: bool,
}

/// What the network notes when an endpoint sends a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Number of the datagram in its network. Stands for the IP identification, but is never used twice.
    pub(crate) id: u64,
    pub(crate) sent_ns: u64,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl Packet {
    /// A datagram with DF set, as path-MTU discovery sends it.
    pub fn new(source: SocketAddr, destination: SocketAddr, payload: Vec<u8>) -> Self {
        let origin = Origin { id: 0, sent_ns: 0, source, destination };
        Self { source, destination, dont_fragment: true, payload, fragment: None, origin }
    }

    /// The same with DF clear: routers may fragment it.
    pub fn fragmentable(mut self) -> Self {
        self.dont_fragment = false;
        self
    }

    /// Bytes of the IP packet: payload and 28 B (IPv4) or 48 B (IPv6), or what a later fragment needs (no UDP header).
    pub fn ip_bytes(&self) -> usize {
        let ip = if self.source.is_ipv4() { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
        ip + self.data_bytes()
    }

    /// Whether it begins a datagram: a whole one, or a first fragment. Only such packets carry ports.
    pub(crate) fn begins_datagram(&self) -> bool {
        self.fragment.is_none_or(|fragment| fragment.offset == 0)
    }

    /// Bytes of IP payload.
    pub(crate) fn data_bytes(&self) -> usize {
        self.payload.len() + if self.begins_datagram() { UDP_HEADER_BYTES } else { 0 }
    }

    /// The pieces an IPv4 router makes of it for a link of `mtu` bytes.
    pub(crate) fn fragments(&self, mtu: usize) -> impl Iterator<Item = Self> {
        let udp = self.data_bytes() - self.payload.len();
        let length = self.data_bytes();
        let (base, more) = self.fragment.map_or((0, false), |fragment| (fragment.offset, fragment.more));
        let step = (mtu - IPV4_HEADER_BYTES) / FRAGMENT_UNIT_BYTES * FRAGMENT_UNIT_BYTES;
        (0..length).step_by(step).map(move |from| {
            let to = length.min(from + step);
            Self {
                payload: self.payload[from.saturating_sub(udp)..to - udp].to_vec(),
                fragment: Some(Fragment { offset: base + from, more: more || to < length }),
                origin: self.origin.clone(),
                ..*self
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: usize) -> Packet {
        let payload = (0..bytes).map(|i| i as u8).collect();
        Packet::new("198.18.0.1:1".parse().unwrap(), "198.18.0.2:2".parse().unwrap(), payload).fragmentable()
    }

    #[test]
    fn sizes_are_those_of_ip_packets() {
        assert_eq!(packet(1472).ip_bytes(), 1500);
        let six = Packet::new("[fd00::1]:1".parse().unwrap(), "[fd00::2]:2".parse().unwrap(), vec![0; 1452]);
        assert_eq!(six.ip_bytes(), 1500);
    }

    #[test]
    fn fragments_fit_begin_at_multiples_of_8_and_hold_every_byte_once() {
        for (bytes, mtu) in [(1473, 1500), (4000, 1500), (9000, 1280), (65_507, 68), (1480, 1501)] {
            let whole = packet(bytes);
            let pieces: Vec<_> = whole.fragments(mtu).collect();
            let mut next = 0;
            for piece in &pieces {
                let fragment = piece.fragment.unwrap();
                assert_eq!(fragment.offset, next);
                assert_eq!(fragment.offset % 8, 0);
                assert!(piece.ip_bytes() <= mtu);
                next += piece.data_bytes();
            }
            assert_eq!(next, bytes + 8);
            assert!(!pieces.last().unwrap().fragment.unwrap().more);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.payload.clone()).collect();
            assert_eq!(joined, whole.payload);
        }
    }

    #[test]
    fn fragments_of_fragments_keep_their_places() {
        let whole = packet(4000);
        let twice: Vec<_> =
            whole.fragments(1500).flat_map(|piece| piece.fragments(600).collect::<Vec<_>>()).collect();
        assert!(twice.iter().all(|piece| piece.ip_bytes() <= 600));
        assert_eq!(twice.iter().filter(|piece| !piece.fragment.unwrap().more).count(), 1);
        let joined: Vec<u8> = twice.iter().flat_map(|piece| piece.payload.clone()).collect();
        assert_eq!(joined, whole.payload);
    }
}
