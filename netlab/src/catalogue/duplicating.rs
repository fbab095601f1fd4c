//! A path that delivers some packets twice.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, all_go_together, troubled, wide};
use super::layout::{Mtus, ROUTER_CLIENT, ROUTER_SERVER, through_router};
use super::parameter::Parameter;
use crate::limits::DUPLICATE_PPM;
use crate::rules::{Rules, copies};
use crate::topology::{Direction, Link};

pub(super) const DUPLICATING: Entry = Entry {
    name: "duplicating",
    sentence: "some packets arrive twice",
    story: "networks may do so (RFC 8085 section 3.3), and reads must not mind",
    causes: &[],
    parameters: &[
        Parameter { sentence: "share of packets that are sent on twice", default: DUPLICATE_PPM, ..RATE },
        DIRECTION,
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan: |spec| {
        let mut rules = Rules::default();
        for way in spec.ways() {
            let device = if *way == Direction::Up { ROUTER_SERVER } else { ROUTER_CLIENT };
            copies::made(&mut rules, *way, device, spec.number("rate"));
        }
        through_router(spec, Mtus::of(spec), &rules)
    },
    simulated: |spec| {
        let link = Link::Duplicate { rate: spec.share("rate"), delay: std::time::Duration::ZERO };
        Some(troubled(spec, wide(spec.bytes("mtu")), &link))
    },
};
