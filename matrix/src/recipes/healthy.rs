//! Runs in which no read may be lost: nothing happens, what happens does not matter, or the load keeps clear of it.

use super::Recipe;
use super::draft::{draft, percent};
use crate::dice::Dice;
use crate::ranges;
use crate::scenario::Scenario;

pub(super) const HEALTHY_NETWORK: Recipe = Recipe {
    name: super::HEALTHY,
    topologies: TOPOLOGIES,
    sentence: "nothing happens, what happens does not matter (copies, reordering, fragments on a healthy path, all troubles of large answers with chunked), or the \
               load is at most half of a limit",
    ranges: &[],
    draw: healthy,
};

const TOPOLOGIES: &[&str] = &[
    "direct",
    "duplicating",
    "reordering",
    "narrow",
    "fragment-limit",
    "fragments-blocked",
    "black-hole",
    "asymmetric",
    "packet-limit",
    "bandwidth-limit",
];

fn healthy(dice: &mut Dice) -> Option<Scenario> {
    let lab = dice.one(TOPOLOGIES);
    let mut run = draft(dice, lab);
    run.strategy = "chunked".to_owned();
    if dice.below(3) == 0 {
        run.values = format!("fixed:{}", 64 + dice.below(8_000));
    }
    match lab {
        "direct" => {
            run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
            // With fragments that all arrive, if answers are large.
            run.set("mtu", dice.one(&[9001, 1500]));
        }
        "duplicating" => run.set("rate", percent(1.0 + 9.0 * dice.unit())),
        "reordering" => {
            run.set("rate", percent(5.0 + 45.0 * dice.unit()));
            run.set("extra", format!("{}us", 200 + dice.below(3_000)));
            run.rate = run.rate.min(8_000); // Each packet waits in a queue of a program.
        }
        "narrow" => {
            run.set("mtu", dice.whole(&ranges::NARROW_MTU));
            run.set("icmp", dice.one(&["on", "off"]));
        }
        "fragment-limit" => run.set("limit", format!("{}/s", dice.whole(&ranges::FRAGMENT_LIMIT))),
        "black-hole" | "asymmetric" => run.set("size", dice.whole(&ranges::BLACK_HOLE_SIZE)),
        "packet-limit" => {
            // Answers of one packet, half as many as pass, and a bucket of a twentieth of a second.
            run.set("limit", format!("{}/s", 2 * run.rate));
            run.set("burst", run.rate / 10);
        }
        "bandwidth-limit" => {
            // Of some 500 bytes each: half of what passes.
            run.values = "object-metadata".to_owned();
            run.set("limit", format!("{}kbit", run.rate.max(1_000) * 8));
            run.set("queue", "256KiB");
        }
        _ => {}
    }
    // Where paths are narrow, answers are cut to 1500 or a little less.
    run.losing(1400, Vec::new())
}
