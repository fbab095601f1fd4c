//! Packets take one of two paths, and one is slower.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, RATE, all_go_together, troubled};
use super::draft::{Draft, Slower};
use super::parameter::{Kind, Parameter};
use crate::limits::{DELAY_NS_MAX, REORDER_EXTRA_NS, REORDER_PPM};
use crate::part::Part;
use crate::rules::chance;
use crate::topology::Link;

pub(super) const REORDERING: Entry = Entry {
    name: "reordering",
    sentence: "a share of the packets takes a slower path, so that later ones overtake them",
    story: "packets are sprayed over paths with different latency; selective acknowledgement made it harmless (story e)",
    causes: &[],
    parameters: &[
        Parameter { sentence: "share of packets that take the slower path", default: REORDER_PPM, ..RATE },
        Parameter {
            name: "extra",
            sentence: "how much longer the slower path takes",
            kind: Kind::Duration,
            default: REORDER_EXTRA_NS,
            range: (0, DELAY_NS_MAX),
        },
        DIRECTION_DOWN,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan,
    simulated: Some(|part, topology| {
        let link = Link::Reorder { rate: part.share("rate"), delay: part.duration("extra") };
        troubled(part, topology, &link)
    }),
};

/// Marks of packets on the faster and on the slower path.
const FASTER: u32 = 1;
const SLOWER: u32 = 2;

fn plan(part: &Part<'_>, draft: &mut Draft) {
    let rules = &mut draft.rules;
    rules.before(&format!("meta mark set {FASTER}"));
    for way in part.ways() {
        rules.counter(&format!("slower_{way}"));
        if let Some(chance) = chance(part.number("rate")) {
            rules.way(*way, &format!("{chance}meta mark set {SLOWER} counter name slower_{way}"));
        }
    }
    let extra = part.duration("extra");
    draft.slower = Some(Slower { ways: part.ways(), faster_mark: FASTER, slower_mark: SLOWER, extra });
}
