//! Paths that swallow what is larger than they say.

use super::Entry;
use super::common::{DELAY, DIRECTION, DIRECTION_DOWN, FAMILY, MTU};
use super::draft::Draft;
use super::parameter::{Kind, Parameter};
use crate::limits::{BLACK_HOLE_BYTES, LAB_MTU_BYTES_MAX, LAB_MTU_BYTES_MIN};
use crate::part::Part;
use crate::rules::loss;
use crate::topology::{Direction, Link, Topology};

pub(super) const BLACK_HOLE: Entry = Entry {
    name: "black-hole",
    sentence: "packets above a size vanish, and nobody says so",
    story: "a tunnel or gateway with a smaller MTU whose ICMP is filtered: every large answer is lost, for ever",
    causes: &["mtu_black_hole"],
    parameters: &[SIZE, DIRECTION, MTU, DELAY, FAMILY],
    check: loses,
    plan,
    simulated: Some(simulated),
};

pub(super) const ASYMMETRIC: Entry = Entry {
    name: "asymmetric",
    sentence: "one way carries every packet, the other loses those above a size, and nobody says so",
    story: "a transit gateway carries 8500 one way, and another path back 9001: the size a peer announces says nothing of the path (story d)",
    causes: &["mtu_black_hole"],
    parameters: &[SIZE, ONE_WAY, MTU, DELAY, FAMILY],
    check: loses,
    plan,
    simulated: Some(simulated),
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

fn loses(part: &Part<'_>) -> Result<(), String> {
    let size = part.bytes("size");
    let mtus = part.ways().iter().map(|way| part.mtus().before_the_router(*way));
    let Some(mtu) = mtus.max().filter(|mtu| size >= *mtu) else { return Ok(()) };
    Err(format!("size={size} is not below mtu={mtu}, so nothing would vanish; lower size or raise mtu"))
}

fn plan(part: &Part<'_>, draft: &mut Draft) {
    part.ways().iter().for_each(|way| loss::oversize(&mut draft.rules, *way, part.bytes("size")));
}

fn simulated(part: &Part<'_>, mut topology: Topology) -> Topology {
    for way in part.ways() {
        let path = if *way == Direction::Up { &mut topology.up } else { &mut topology.down };
        // After the sender's own link: before a router says of anything that it is too big.
        path.links.insert(1, Link::SizeLoss { above: part.bytes("size"), rate: 1.0 });
    }
    topology
}
