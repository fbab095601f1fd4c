//! The path under the comparison: what one datagram of it carries, and which answers need more.

use shingle_proto::limits::{IPV4_OVERHEAD_BYTES, IPV6_OVERHEAD_BYTES, SEAL_BYTES, datagram_bytes};
use shingle_proto::seal;
use shingle_proto::wire::Strategy;

use crate::limits::{self, ANSWER_OVERHEAD_BYTES};
use crate::target::Target;
use crate::workload::ItemSpace;

/// What is known of the path from the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// Whether it is one of IPv6.
    pub(super) ipv6: bool,
    /// MTU of the interface towards the server.
    pub(super) interface_mtu: u32,
    /// Largest datagram that probes proved to come through; absent where nobody serves probes.
    proved: Option<u16>,
}

/// A sample of values as a compressed port stores them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compressed {
    /// Their bytes over those of the values.
    pub(super) share: f64,
    /// Share of those whose answer does not fit one datagram of the path.
    pub(super) above: f64,
}

/// Whether a server is reached over IPv6.
pub(super) fn is_ipv6(target: &Target) -> bool {
    target.ports[0].0.ip().to_canonical().is_ipv6()
}

/// Bytes of the longest answer in one datagram, UDP payload.
pub(super) fn answer_bytes_max(space: &ItemSpace) -> usize {
    (0..space.items()).map(|item| answer_bytes(space, item)).max().unwrap_or(0)
}

fn answer_bytes(space: &ItemSpace, item: u32) -> usize {
    space.value_bytes(item) + ANSWER_OVERHEAD_BYTES as usize
}

impl Path {
    /// As the targets of these strategies found it.
    ///
    /// # Panics
    /// Without a target.
    pub(super) fn of<'a>(targets: impl Iterator<Item = (Strategy, &'a Target)>) -> Self {
        let targets: Vec<_> = targets.collect();
        let probed =
            |strategy| matches!(strategy, Strategy::Chunked | Strategy::Compressed | Strategy::DfStrict);
        let proved =
            targets.iter().filter(|(strategy, _)| probed(*strategy)).map(|(_, target)| target.datagram_max);
        let first = targets.first().expect("strategies to compare").1;
        Self { ipv6: is_ipv6(first), interface_mtu: first.interface_mtu, proved: proved.max() }
    }

    /// The path MTU that probes found, bytes of an IP packet.
    pub(super) fn path_mtu(&self) -> Option<u32> {
        let headers = if self.ipv6 { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES };
        self.proved.map(|bytes| u32::from(bytes) + headers as u32)
    }

    /// Bytes of UDP payload that one datagram of the path carries, as far as is known.
    fn room(&self) -> usize {
        self.proved.map_or_else(|| datagram_bytes(self.interface_mtu as usize, self.ipv6), usize::from)
    }

    /// Share of items whose answer does not fit one datagram.
    pub(super) fn answers_above(&self, space: &ItemSpace) -> f64 {
        let room = self.room().saturating_sub(ANSWER_OVERHEAD_BYTES as usize);
        f64::from(space.values_above(room)) / f64::from(space.items())
    }

    /// The item with the shortest of those answers, which any strategy may send.
    pub(super) fn an_item_above(&self, space: &ItemSpace) -> Option<u32> {
        let above = (0..space.items()).filter(|item| answer_bytes(space, *item) > self.room());
        above.min_by_key(|item| space.value_bytes(*item))
    }

    /// Compresses a sample of the values as the server does.
    pub(super) fn compressed(&self, space: &ItemSpace) -> Compressed {
        let step = (space.items() as usize / limits::COMPRESSED_SAMPLE_ITEMS).max(1);
        let (mut plain, mut stored, mut above, mut items) = (0, 0, 0, 0);
        for item in (0..space.items()).step_by(step) {
            let (mut key, mut value) = ([0; 250], vec![0; space.value_bytes(item)]);
            let bytes = seal::compress(space.key(item, &mut key), space.fill_value(item, &mut value))
                .map_or(value.len(), |sealed| sealed.len() - SEAL_BYTES);
            (plain, stored, items) = (plain + value.len(), stored + bytes, items + 1);
            above += usize::from(bytes + ANSWER_OVERHEAD_BYTES as usize > self.room());
        }
        Compressed { share: stored as f64 / plain.max(1) as f64, above: above as f64 / items.max(1) as f64 }
    }
}
