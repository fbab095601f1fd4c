//! Runs with two causes that lose comparable numbers: one of another recipe, with chance loss or flipped bits beside it.

use shingle_loadgen::attribution::Cause;

use super::Recipe;
use super::draft::{cause, percent};
use crate::dice::Dice;
use crate::limits;
use crate::packets::{answer_packet_bytes, fragments};
use crate::ranges;
use crate::scenario::{Beside, Expected, Scenario};

pub(super) const TWO_CAUSES: Recipe = Recipe {
    name: super::PAIR,
    topologies: &[
        "fragment-limit+lossy",
        "fragments-blocked+lossy",
        "black-hole+corrupting",
        "packet-limit+lossy",
        "and others",
    ],
    sentence: "a run of another recipe through a second topology as well, which loses or changes packets by chance, down, up or either way, at a rate that loses \
               half to twice as many reads",
    ranges: &[&ranges::PAIR_RATIO],
    draw: two,
};

/// Recipes whose topology can stand before another one.
const FIRSTS: [&Recipe; 9] = [
    &super::fragments::FRAGMENT_RATE_LIMIT,
    &super::fragments::FRAGMENTS_BLOCKED,
    &super::sizes::MTU_BLACK_HOLE,
    &super::rates::PACKET_RATE_LIMIT,
    &super::rates::BANDWIDTH_LIMIT,
    &super::rates::SERVER_SEND_QUEUE,
    &super::flows::FLOW_BLACK_HOLE,
    &super::silence::SERVER_SILENT,
    &super::hosts::SERVER_OVERLOAD,
];

/// Settings of the links and hosts themselves, of which a pair has one for both.
const SHARED: [&str; 4] = ["mtu=", "server-mtu=", "reassembly-memory=", "reassembly-time="];

/// Which way the second strikes: mostly answers, which most causes are about.
const WAYS: [&[&str]; 4] = [&["down"], &["down"], &["up"], &["up", "down"]];

fn two(dice: &mut Dice) -> Option<Scenario> {
    let first = dice.one(&FIRSTS);
    let mut run = (first.draw)(dice)?;
    let lost = run.causes[0].lost;
    let (second, name, counter) =
        dice.one(&[("lossy", Cause::PathLoss, "lost"), ("corrupting", Cause::PathCorruption, "corrupted")]);
    // A silent server's reads are lost whether their requests were or not.
    let ways = if std::ptr::eq(first, &super::silence::SERVER_SILENT) { &WAYS[..1] } else { &WAYS[..] };
    let ways = dice.one(ways);
    let goes = |way| f64::from(u8::from(ways.contains(&way)));
    let (up, down) = (goes("up"), goes("down"));
    // What one cause lost cannot be lost by the other: of what never came to it, it loses none.
    let others = run.reads() - lost;
    let (struck, spared) = (up * run.reads() + down * others, up * spared(&run)?);
    let ratio = dice.of_range(&ranges::PAIR_RATIO);
    let share = ratio * lost / (struck + ratio * spared);
    let rate = 100.0 * share;
    let possible = others > 2.0 * limits::LOST_MIN && (0.5..=20.0).contains(&rate);
    possible.then_some(())?;
    run.causes[0].lost -= share * spared;
    let lab = run.lab.clone();
    for setting in run.settings.iter_mut().filter(|it| !SHARED.iter().any(|name| it.starts_with(name))) {
        *setting = format!("{lab}.{setting}");
    }
    run.lab = format!("{lab}+{second}");
    run.set(&format!("{second}.rate"), percent(rate));
    run.set(&format!("{second}.direction"), if ways.len() > 1 { "both" } else { ways[0] });
    let mut causes = std::mem::take(&mut run.causes);
    // Requests are struck at the router at the client's end, or at the other where there are two.
    let at = |way: &&str| if *way == "up" { &["router", "far"][..] } else { &["router"] };
    let of_way =
        |way: &&str| at(way).iter().map(|host| format!("{host}.{counter}_{way}")).collect::<Vec<_>>();
    let counters = ways.iter().flat_map(of_way).collect();
    let beside = if ways.contains(&"down") { beside(&run, causes[0].accepted[0], name)? } else { None };
    causes.push(Expected { counters, beside, ..cause(name, struck * share) });
    causes.sort_by(|a, b| b.lost.total_cmp(&a.lost));
    run.losing(1500, causes)
}

/// Reads that the first cause loses fewer, for each that never comes to it: a limit has one less to lose of those it counts, others their share.
/// Settings are still those of the first alone.
fn spared(run: &Scenario) -> Option<f64> {
    let first = &run.causes[0];
    Some(match first.accepted[0] {
        Cause::FragmentRateLimit => run.stored()?.share(|size| pieces(run, size) > 1) * run.reads(),
        Cause::PacketRateLimit | Cause::BandwidthLimit | Cause::ServerSendQueue => run.reads(),
        _ => first.lost,
    })
}

/// Packets of an answer to a read of such a value, where the server's kernel cuts it.
fn pieces(run: &Scenario, size: u32) -> u32 {
    let set = |name: &str| run.settings.iter().find_map(|it| it.strip_prefix(name)?.parse::<u32>().ok());
    let cut_at = set("server-mtu=").or(set("mtu=")).unwrap_or(limits::WIDE_MTU);
    fragments(answer_packet_bytes(size, run.ipv6), cut_at, run.ipv6)
}

/// The reads of which packets are struck though the first cause loses them: fragments that a limit lets through go on, and a shaper, which comes
/// last, drops what was changed. Settings are still those of the first alone.
fn beside(run: &Scenario, first: Cause, second: Cause) -> Option<Option<Beside>> {
    let is_of_fragments = matches!(first, Cause::FragmentRateLimit | Cause::FragmentsBlocked);
    let is_shaped = first == Cause::BandwidthLimit && second == Cause::PathCorruption;
    if !is_of_fragments && !is_shaped {
        return Some(None);
    }
    let pieces = |size| pieces(run, size);
    let concerns = |size| is_shaped || pieces(size) > 1;
    let values = run.stored()?;
    let share = values.share(concerns);
    let packets = values.mean(|size| if concerns(size) { f64::from(pieces(size)) } else { 0.0 }) / share;
    Some(Some(Beside { share, packets }))
}
