//! Runs that lose packets by chance: whole, or some of their bits.

use shingle_loadgen::attribution::{Cause, Direction};

use super::Recipe;
use super::draft::{cause, draft, percent, some_large};
use crate::dice::Dice;
use crate::packets::{answer_packet_bytes, fragments, value_of_packet};
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const PATH_LOSS: Recipe = Recipe {
    name: "path_loss",
    topologies: &["lossy"],
    sentence: "packets of every strategy are lost, up, down or either way, alone or in bursts; on links of 9001, or of 1500 with fragments among them",
    ranges: &[&ranges::LOSS, &ranges::LOSS_BURST],
    draw: lossy,
};

pub(super) const PATH_CORRUPTION: Recipe = Recipe {
    name: "path_corruption",
    topologies: &["corrupting"],
    sentence: "bits flip in packets of every strategy, up, down or either way, with UDP checksums that show it or not",
    ranges: &[&ranges::CORRUPTION],
    draw: corrupting,
};

fn lossy(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "lossy");
    let rate = dice.of_range(&ranges::LOSS);
    run.set("burst", if dice.below(2) == 0 { 1 } else { dice.whole(&ranges::LOSS_BURST) });
    struck(dice, run, rate, Cause::PathLoss, "lost")
}

fn corrupting(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "corrupting");
    let rate = dice.of_range(&ranges::CORRUPTION);
    run.set("checksum", dice.one(&["wrong", "right"]));
    struck(dice, run, rate, Cause::PathCorruption, "corrupted")
}

fn struck(
    dice: &mut Dice,
    mut run: Scenario,
    of_hundred: f64,
    name: Cause,
    counter: &str,
) -> Option<Scenario> {
    let mtu = dice.one(&[9001, 9001, 1500]);
    let ways = dice.one(&["both", "up", "down"]);
    run.set("rate", percent(of_hundred));
    run.set("direction", ways);
    run.set("mtu", mtu);
    run.strategy = dice.one(&["chunked", "chunked", "kernel-pmtud", "df-off", "interface"]).to_owned();
    // What its link does not carry is no datagram of `interface`.
    let largest = if run.strategy == "interface" { mtu.min(8_000) } else { 8_000 };
    run.values = match dice.below(3) {
        0 if largest > 2_500 => "object-metadata".to_owned(),
        1 => format!("fixed:{}", dice.whole(&ranges::SMALL_VALUE)),
        _ => {
            let packet = dice.between(1_400.0, f64::from(largest)) as u32;
            some_large(dice, value_of_packet(packet, run.ipv6))
        }
    };
    let ipv6 = run.ipv6;
    let answer = run.stored()?.mean(|size| f64::from(fragments(answer_packet_bytes(size, ipv6), mtu, ipv6)));
    let packets = match ways {
        "up" => 1.0,
        "down" => answer,
        _ => 1.0 + answer,
    };
    let lost = run.reads() * (1.0 - (1.0 - of_hundred / 100.0).powf(packets));
    let struck = [("down", Direction::Down), ("up", Direction::Up)];
    let struck = struck.into_iter().filter(|(way, _)| ways == "both" || ways == *way);
    let lost_at = |way: &str| format!("router.{counter}_{way}");
    let number = |(way, direction)| Number {
        name: "probability".into(),
        direction: Some(direction),
        truth: Source::Counted { lost: lost_at(way), seen: format!("router.{way}_seen") },
    };
    let counters = struck.clone().map(|(way, _)| lost_at(way)).collect();
    let numbers = struck.map(number).collect();
    run.losing(mtu, vec![Expected { counters, numbers, ..cause(name, lost) }])
}
