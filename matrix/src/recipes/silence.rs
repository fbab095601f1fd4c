//! Runs in which the server falls silent.

use shingle_loadgen::attribution::Cause;

use super::Recipe;
use super::draft::{cause, draft};
use crate::dice::Dice;
use crate::limits;
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const SERVER_SILENT: Recipe = Recipe {
    name: "server_silent",
    topologies: &["dead-server"],
    sentence: "the server is cut off within the stage, for good or for a while, its TCP with it or not",
    ranges: &[&ranges::SILENT_AFTER, &ranges::SILENT_FOR],
    draw: silent,
};

fn silent(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "dead-server");
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off"]).to_owned();
    let after_ms = dice.whole(&ranges::SILENT_AFTER);
    run.set("after", format!("{after_ms}ms"));
    let mut gone_ms = limits::STAGE.as_millis() as u64 - after_ms;
    if dice.below(2) == 1 {
        gone_ms = dice.whole(&ranges::SILENT_FOR);
        run.set("back", format!("{}ms", after_ms + gone_ms));
    }
    run.set("tcp", dice.one(&["silent", "alive"]));
    let number = |name: &str, ms: u64| Number {
        name: name.to_owned(),
        direction: None,
        truth: Source::Set(ms as f64 / 1e3),
    };
    let numbers = vec![number("begin", after_ms), number("length", gone_ms)];
    let lost = run.rate as f64 * gone_ms as f64 / 1e3;
    run.losing(9001, vec![Expected { numbers, ..cause(Cause::ServerSilent, lost) }])
}
