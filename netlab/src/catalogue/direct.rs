//! A network in which nothing happens.

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, all_go_together, wide};
use super::layout::{Mtus, through_router};
use crate::rules::Rules;

pub(super) const DIRECT: Entry = Entry {
    name: "direct",
    sentence: "two hosts and a router that loses nothing",
    story: "the network everybody believes to have",
    causes: &[],
    parameters: &[MTU, DELAY, FAMILY],
    check: all_go_together,
    plan: |spec| through_router(spec, Mtus::of(spec), &Rules::default()),
    simulated: |spec| Some(wide(spec.bytes("mtu"))),
};
