//! A path that flips bits.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, troubled};
use super::parameter::{Kind, Parameter};
use crate::limits::CORRUPT_PPM;
use crate::part::Part;
use crate::rules::corrupt;
use crate::topology::Link;

pub(super) const CORRUPTING: Entry = Entry {
    name: "corrupting",
    sentence: "a device flips bits in packets, beyond their headers",
    story: "a network device flips single bits, and checksums made after it find nothing wrong (story h)",
    causes: &["path_corruption"],
    parameters: &[
        Parameter { sentence: "share of packets with flipped bits", default: CORRUPT_PPM, ..RATE },
        Parameter {
            name: "checksum",
            sentence: "what the UDP checksum says: wrong after one flipped bit, right after two that cancel out, so that only the application can tell",
            kind: Kind::Choice(&["wrong", "right"]),
            default: 0,
            range: (0, 1),
        },
        DIRECTION,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: super::common::all_go_together,
    plan: |part, draft| {
        let flip = if caught(part) { corrupt::one_bit } else { corrupt::two_bits };
        part.ways().iter().for_each(|way| flip(&mut draft.rules, *way, part.number("rate")));
    },
    simulated: Some(|part, topology| {
        // Simulated packets have no UDP checksum: what it would catch is lost.
        let rate = part.share("rate");
        let link = if caught(part) { Link::Loss { rate } } else { Link::Corrupt { rate, bits: 2 } };
        troubled(part, topology, &link)
    }),
};

fn caught(part: &Part<'_>) -> bool {
    part.word("checksum") == "wrong"
}
