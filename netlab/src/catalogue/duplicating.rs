//! A path that delivers some packets twice.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, all_go_together, troubled};
use super::layout::{ROUTER_CLIENT, ROUTER_SERVER};
use super::parameter::Parameter;
use crate::limits::DUPLICATE_PPM;
use crate::rules::copies;
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
    plan: |part, draft| {
        for way in part.ways() {
            let device = if *way == Direction::Up { ROUTER_SERVER } else { ROUTER_CLIENT };
            copies::made(&mut draft.rules, *way, device, part.number("rate"));
        }
    },
    simulated: Some(|part, topology| {
        let link = Link::Duplicate { rate: part.share("rate"), delay: std::time::Duration::ZERO };
        troubled(part, topology, &link)
    }),
};
