//! Runs in which some flows lose and others do not: one of several paths, or of several servers behind a balancer, is bad.

use shingle_loadgen::attribution::{Cause, Direction};

use super::Recipe;
use super::draft::{cause, draft, percent};
use crate::dice::Dice;
use crate::limits;
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const FLOW_BLACK_HOLE: Recipe = Recipe {
    name: "flow_black_hole",
    topologies: &["bad-path"],
    sentence: "one of several equal paths loses much or all of its packets, up or down; every flow has at least 50 reads",
    ranges: &[&ranges::PATHS, &ranges::BAD_PATH_RATE, &ranges::FLOWS_OVER_PATHS],
    draw: bad_path,
};

pub(super) const BALANCER: Recipe = Recipe {
    name: "balancer",
    topologies: &["balancer"],
    sentence: "a balancer sends the known flows of a server that is gone nowhere, and new ones to another: some flows are dead, or all where it was the only one",
    ranges: &[&ranges::SERVERS, &ranges::SILENT_AFTER],
    draw: balancer,
};

const MTU: u32 = 9001;
/// Fewest reads of a flow: one in five of them lost stands out.
const READS_A_FLOW_MIN: f64 = 50.0;

fn bad_path(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "bad-path");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off", "interface"]).to_owned();
    run.flows = dice.whole(&ranges::FLOWS_OVER_PATHS);
    let paths = dice.whole(&ranges::PATHS);
    let rate = if dice.below(3) == 0 { 100.0 } else { dice.of_range(&ranges::BAD_PATH_RATE) };
    let way = dice.one(&["down", "up"]);
    run.set("paths", paths);
    run.set("rate", percent(rate));
    run.set("direction", way);
    let told_apart = run.reads() / run.flows as f64 >= READS_A_FLOW_MIN && run.flows >= 2 * paths;
    told_apart.then_some(())?;
    let lost = run.reads() / paths as f64 * rate / 100.0;
    // Packets down come by path to the router at the client's end, those up to the other.
    let (host, direction) = if way == "down" { ("far", Direction::Down) } else { ("router", Direction::Up) };
    let path = |number| format!("{host}.p{number}_{way}");
    let truth = Source::FlowsOnPath { bad: path(0), all: (0..paths).map(path).collect() };
    let numbers = vec![Number { name: "flows".into(), direction: Some(direction), truth }];
    let counters = vec![format!("{host}.bad_path_{way}")];
    run.losing(MTU, vec![Expected { counters, numbers, ..cause(Cause::FlowBlackHole, lost) }])
}

fn balancer(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "balancer");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
    let servers = dice.whole(&ranges::SERVERS);
    let after_ms = dice.whole(&ranges::SILENT_AFTER);
    run.flows = run.flows.max(2 * servers);
    run.set("servers", servers);
    run.set("after", format!("{after_ms}ms"));
    let gone_s = limits::STAGE.as_secs_f64() - after_ms as f64 / 1e3;
    let lost = run.rate as f64 / servers as f64 * gone_s;
    let counters = vec!["router.silenced".to_owned()];
    run.losing(MTU, vec![Expected { counters, ..cause(Cause::FlowBlackHole, lost) }])
}
