//! Runs that lose answers because of their size: refused for a path MTU that was learned, or swallowed by a path that says nothing.

use shingle_loadgen::attribution::Cause;

use super::Recipe;
use super::draft::{cause, draft, some_large};
use crate::dice::Dice;
use crate::limits;
use crate::packets::{answer_packet_bytes, value_of_packet};
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const PMTU_DISCOVERY: Recipe = Recipe {
    name: "pmtu_discovery",
    topologies: &["narrow"],
    sentence: "a narrow path that says so, and a port that never fragments (df-strict): the server's kernel refuses what is too big",
    ranges: &[&ranges::NARROW_MTU],
    draw: refused,
};

pub(super) const MTU_BLACK_HOLE: Recipe = Recipe {
    name: "mtu_black_hole",
    topologies: &["black-hole", "asymmetric", "narrow"],
    sentence: "whole packets (kernel-pmtud, df-off, df-strict, interface), some or all of them above what the path carries, down or either way; on narrow without \
               ICMP kernel-pmtud alone, whose packets no router may cut",
    ranges: &[&ranges::BLACK_HOLE_SIZE],
    draw: swallowed,
};

/// Values of which the large ones make packets above a size: all, some, or object metadata around it.
fn around(dice: &mut Dice, size: u32, ipv6: bool) -> String {
    let above = value_of_packet(size + 1 + dice.below(u64::from(limits::WIDE_MTU - size)) as u32, ipv6);
    match dice.below(8) {
        0 => format!("fixed:{above}"),
        1 | 2 if size < 2_000 => "object-metadata".to_owned(),
        _ => some_large(dice, above),
    }
}

fn refused(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "narrow");
    let mtu = dice.whole(&ranges::NARROW_MTU) as u32;
    run.set("mtu", mtu);
    run.strategy = "df-strict".to_owned();
    run.values = around(dice, mtu, run.ipv6);
    too_big(run, mtu, Cause::PmtuDiscovery, "path_mtu")
}

fn swallowed(dice: &mut Dice) -> Option<Scenario> {
    let lab = dice.one(&["black-hole", "black-hole", "asymmetric", "narrow"]);
    let mut run = draft(dice, lab);
    let size = dice.whole(&ranges::BLACK_HOLE_SIZE) as u32;
    if lab == "narrow" {
        run.set("mtu", size);
        run.set("icmp", "off");
    } else {
        run.set("size", size);
        run.set("direction", if lab == "asymmetric" { "down" } else { dice.one(&["down", "both"]) });
        run.strategy = dice.one(&["kernel-pmtud", "df-off", "df-strict", "interface"]).to_owned();
    }
    run.values = around(dice, size, run.ipv6);
    too_big(run, size, Cause::MtuBlackHole, "size")
}

fn too_big(run: Scenario, passes_bytes: u32, name: Cause, number: &str) -> Option<Scenario> {
    let ipv6 = run.ipv6;
    let lost = run.reads() * run.stored()?.share(|size| answer_packet_bytes(size, ipv6) > passes_bytes);
    let number = Number { name: number.into(), direction: None, truth: Source::Set(f64::from(passes_bytes)) };
    run.losing(limits::WIDE_MTU, vec![Expected { numbers: vec![number], ..cause(name, lost) }])
}
