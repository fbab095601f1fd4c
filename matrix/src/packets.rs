//! What answers are on the wire: packets, fragments and bytes, from their sizes. Pure.

use shingle_loadgen::limits::ANSWER_OVERHEAD_BYTES;
use shingle_loadgen::workload::{ItemSpace, Sizing, VALUE_BYTES_CEILING, ValueSpec};

use crate::limits;

const UDP_HEADER_BYTES: u32 = 8;

/// Header of an IP packet without options.
pub fn ip_header_bytes(ipv6: bool) -> u32 {
    if ipv6 { 40 } else { 20 }
}

/// Bytes of a whole IP packet with an answer of this value in one datagram.
pub fn answer_packet_bytes(value_bytes: u32, ipv6: bool) -> u32 {
    value_bytes + ANSWER_OVERHEAD_BYTES + UDP_HEADER_BYTES + ip_header_bytes(ipv6)
}

/// Value whose answer makes a whole IP packet of so many bytes.
pub fn value_of_packet(packet_bytes: u32, ipv6: bool) -> u32 {
    packet_bytes.saturating_sub(answer_packet_bytes(0, ipv6))
}

/// Packets that an IP packet of so many bytes becomes where links carry `mtu`: it itself, or its fragments.
pub fn fragments(packet_bytes: u32, mtu: u32, ipv6: bool) -> u32 {
    if packet_bytes <= mtu {
        return 1;
    }
    // An extension header of 8 bytes makes fragments of IPv6 (RFC 8200 section 4.5); data goes by multiples of 8.
    let header = ip_header_bytes(ipv6) + if ipv6 { 8 } else { 0 };
    let room = (mtu - header) / 8 * 8;
    (packet_bytes - ip_header_bytes(ipv6)).div_ceil(room)
}

/// Bytes of a request's packet with its Ethernet header.
pub fn request_frame_bytes(ipv6: bool) -> f64 {
    f64::from(limits::REQUEST_BYTES + UDP_HEADER_BYTES + ip_header_bytes(ipv6) + limits::ETHERNET_BYTES)
}

/// The sizes that a workload stores.
pub struct Values {
    sizes: Vec<u32>,
}

impl Values {
    /// Those of a spec as `loadgen` would store them; none if it would not.
    pub fn of(spec: &str, seed: u64) -> Option<Self> {
        let spec: ValueSpec = spec.parse().ok()?;
        let sizing =
            Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max: VALUE_BYTES_CEILING };
        let space = ItemSpace::new(&spec, limits::ITEMS, seed, sizing).ok()?;
        Some(Self { sizes: (0..space.items()).map(|item| space.value_bytes(item) as u32).collect() })
    }

    /// Mean over all reads, which ask for each value equally often, of something of a value's size.
    pub fn mean(&self, of: impl Fn(u32) -> f64) -> f64 {
        self.sizes.iter().map(|size| of(*size)).sum::<f64>() / self.sizes.len().max(1) as f64
    }

    /// Share of the reads whose value is such.
    pub fn share(&self, is: impl Fn(u32) -> bool) -> f64 {
        self.mean(|size| f64::from(u8::from(is(size))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_cut_as_kernels_cut_them() {
        // 1480 bytes fit 1500 in IPv4, and 1448 beside two headers in IPv6.
        for (packet, mtu, ipv6, pieces) in [
            (1500, 1500, false, 1),
            (1501, 1500, false, 2),
            (20 + 2 * 1480, 1500, false, 2),
            (20 + 2 * 1480 + 1, 1500, false, 3),
            (40 + 2 * 1448, 1500, true, 2),
            (40 + 2 * 1448 + 1, 1500, true, 3),
        ] {
            assert_eq!(fragments(packet, mtu, ipv6), pieces, "{packet} over {mtu}");
        }
    }

    #[test]
    fn a_value_and_its_packet_are_each_others() {
        assert_eq!(answer_packet_bytes(1416, false), 1500);
        assert_eq!(value_of_packet(1500, false), 1416);
        assert_eq!(value_of_packet(answer_packet_bytes(77, true), true), 77);
    }

    #[test]
    fn means_go_over_what_is_stored() {
        let values = Values::of("bimodal:100,300,50%", 1).expect("a spec");
        assert_eq!(values.share(|size| size == 300), 0.5);
        assert_eq!(values.mean(f64::from), 200.0);
        assert!(Values::of("nonsense", 1).is_none());
    }
}
