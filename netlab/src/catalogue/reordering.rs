//! Packets take one of two paths, and one is slower.

use super::Entry;
use super::common::{DELAY, DIRECTION_DOWN, FAMILY, MTU, RATE, all_go_together, troubled, wide};
use super::layout::{Mtus, ROUTER, ROUTER_CLIENT, ROUTER_SERVER, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::{DELAY_NS_MAX, REORDER_EXTRA_NS, REORDER_PPM};
use crate::plan::{Hold, Plan};
use crate::rules::{Rules, chance};
use crate::spec::Spec;
use crate::topology::{Direction, Link};

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
    simulated: |spec| {
        let link = Link::Reorder { rate: spec.share("rate"), delay: spec.duration("extra") };
        Some(troubled(spec, wide(spec.bytes("mtu")), &link))
    },
};

/// Marks of packets on the faster and on the slower path.
const FASTER: u32 = 1;
const SLOWER: u32 = 2;

fn plan(spec: &Spec) -> Plan {
    let mut rules = Rules::default();
    rules.before(&format!("meta mark set {FASTER}"));
    for way in spec.ways() {
        rules.counter(&format!("slower_{way}"));
        if let Some(chance) = chance(spec.number("rate")) {
            rules.way(*way, &format!("{chance}meta mark set {SLOWER} counter name slower_{way}"));
        }
    }
    let mut plan = through_router(spec, Mtus::of(spec), &rules);
    let (delay, extra) = (spec.duration("delay"), spec.duration("extra"));
    let hold = |device: &str, mark, delay| Hold { device: device.into(), mark: Some(mark), delay };
    let mut holds = Vec::new();
    for (way, device) in [(Direction::Up, ROUTER_CLIENT), (Direction::Down, ROUTER_SERVER)] {
        holds.push(hold(device, FASTER, delay));
        if spec.ways().contains(&way) {
            holds.push(hold(device, SLOWER, delay + extra));
        }
    }
    holds.retain(|hold| !hold.delay.is_zero());
    plan.hosts[ROUTER].holds = holds;
    plan
}
