//! A path that flips bits.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, troubled, wide};
use super::layout::{Mtus, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::CORRUPT_PPM;
use crate::rules::{Rules, corrupt};
use crate::spec::Spec;
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
    plan: |spec| {
        let mut rules = Rules::default();
        let flip = if caught(spec) { corrupt::one_bit } else { corrupt::two_bits };
        spec.ways().iter().for_each(|way| flip(&mut rules, *way, spec.number("rate")));
        through_router(spec, Mtus::of(spec), &rules)
    },
    simulated: |spec| {
        // Simulated packets have no UDP checksum: what it would catch is lost.
        let rate = spec.share("rate");
        let link = if caught(spec) { Link::Loss { rate } } else { Link::Corrupt { rate, bits: 2 } };
        Some(troubled(spec, wide(spec.bytes("mtu")), &link))
    },
};

fn caught(spec: &Spec) -> bool {
    spec.word("checksum") == "wrong"
}
