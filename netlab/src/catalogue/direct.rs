//! A network in which nothing happens.

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, all_go_together};

pub(super) const DIRECT: Entry = Entry {
    name: "direct",
    sentence: "two hosts and a router that loses nothing",
    story: "the network everybody believes to have",
    causes: &[],
    parameters: &[MTU, DELAY, FAMILY],
    check: all_go_together,
    plan: |_, _| {},
    simulated: Some(|_, topology| topology),
};
