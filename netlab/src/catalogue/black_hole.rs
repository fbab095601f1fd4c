//! Paths that swallow what is larger than they say.

use super::Entry;
use super::common::{DELAY, DIRECTION, DIRECTION_DOWN, FAMILY, MTU, troubled, wide};
use super::layout::{Mtus, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::{BLACK_HOLE_BYTES, LAB_MTU_BYTES_MAX, LAB_MTU_BYTES_MIN};
use crate::plan::Plan;
use crate::rules::{Rules, loss};
use crate::spec::Spec;
use crate::topology::{Link, Topology};

pub(super) const BLACK_HOLE: Entry = Entry {
    name: "black-hole",
    sentence: "packets above a size vanish, and nobody says so",
    story: "a tunnel or gateway with a smaller MTU whose ICMP is filtered: every large answer is lost, for ever",
    causes: &["mtu_black_hole"],
    parameters: &[SIZE, DIRECTION, MTU, DELAY, FAMILY],
    check: loses,
    plan,
    simulated,
};

pub(super) const ASYMMETRIC: Entry = Entry {
    name: "asymmetric",
    sentence: "one way carries every packet, the other loses those above a size, and nobody says so",
    story: "a transit gateway carries 8500 one way, and another path back 9001: the size a peer announces says nothing of the path (story d)",
    causes: &["mtu_black_hole"],
    parameters: &[SIZE, ONE_WAY, MTU, DELAY, FAMILY],
    check: loses,
    plan,
    simulated,
};

const SIZE: Parameter = Parameter {
    name: "size",
    sentence: "largest IP packet that passes",
    kind: Kind::Bytes,
    default: BLACK_HOLE_BYTES,
    range: (LAB_MTU_BYTES_MIN, LAB_MTU_BYTES_MAX),
};

const ONE_WAY: Parameter = Parameter {
    sentence: "which way loses: down is from the server to the client",
    kind: Kind::Choice(&["up", "down"]),
    default: 1,
    range: (0, 1),
    ..DIRECTION_DOWN
};

fn loses(spec: &Spec) -> Result<(), String> {
    let (size, mtu) = (spec.number("size"), spec.number("mtu"));
    if size < mtu {
        return Ok(());
    }
    Err(format!("size={size} is not below mtu={mtu}, so nothing would vanish; lower size or raise mtu"))
}

fn plan(spec: &Spec) -> Plan {
    let mut rules = Rules::default();
    spec.ways().iter().for_each(|way| loss::oversize(&mut rules, *way, spec.bytes("size")));
    through_router(spec, Mtus::of(spec), &rules)
}

fn simulated(spec: &Spec) -> Option<Topology> {
    let link = Link::SizeLoss { above: spec.bytes("size"), rate: 1.0 };
    Some(troubled(spec, wide(spec.bytes("mtu")), &link))
}
