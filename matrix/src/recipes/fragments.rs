//! Runs that lose answers because they are fragmented: limited, blocked, or without memory at the receiver.

use shingle_loadgen::attribution::Cause;

use super::Recipe;
use super::draft::{cause, draft, percent, some_large};
use crate::dice::Dice;
use crate::limits;
use crate::packets::{answer_packet_bytes, fragments, ip_header_bytes, value_of_packet};
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const FRAGMENT_RATE_LIMIT: Recipe = Recipe {
    name: "fragment_rate_limit",
    topologies: &["fragment-limit"],
    sentence: "answers are fragmented by the server's kernel (kernel-pmtud; in IPv4 also df-off over a server link little wider than the client's), and more \
               fragments are made than the card passes; charge first, rest or all",
    ranges: &[
        &ranges::FRAGMENT_LIMIT,
        &ranges::FRAGMENT_EXCESS,
        &ranges::FRAGMENT_BURST,
        &ranges::NARROW_MTU,
        &ranges::FRAGMENTS,
    ],
    draw: limited,
};

pub(super) const FRAGMENTS_BLOCKED: Recipe = Recipe {
    name: "fragments_blocked",
    topologies: &["fragments-blocked"],
    sentence: "the same answers, and no fragment passes, down or either way",
    ranges: &[&ranges::NARROW_MTU, &ranges::FRAGMENTS],
    draw: blocked,
};

pub(super) const REASSEMBLY_OVERFLOW: Recipe = Recipe {
    name: "reassembly_overflow",
    topologies: &["small-reassembly"],
    sentence: "orphans of lost fragments fill the client's memory, which then takes no fragment: at least three reads find no memory for one whose fragment \
               was lost",
    ranges: &[&ranges::REASSEMBLY_MEMORY, &ranges::REASSEMBLY_TIME, &ranges::FRAGMENT_LOSS],
    draw: overflowing,
};

/// Draws where the server cuts: at the client's MTU once it learned it, or at its own.
fn cut_at(dice: &mut Dice, run: &mut Scenario) -> u32 {
    let mtu = dice.whole(&ranges::NARROW_MTU) as u32;
    run.set("mtu", mtu);
    if run.ipv6 || dice.below(3) > 0 {
        return mtu;
    }
    run.strategy = "df-off".to_owned();
    let own = mtu + 8 + dice.below(200) as u32;
    run.set("server-mtu", own);
    own
}

/// MTU of the server's link where nothing else is set. In IPv4 a kernel cuts what is larger without DF, and never learns of a narrower path.
const SERVER_MTU: u32 = 9001;

/// Object metadata where links carry 1500, or large answers of a few fragments.
fn values(dice: &mut Dice, cut_at: u32, ipv6: bool) -> String {
    if (1_400..=1_600).contains(&cut_at) && dice.below(2) == 0 {
        return "object-metadata".to_owned();
    }
    let pieces = dice.whole(&ranges::FRAGMENTS) as u32;
    let room = cut_at - ip_header_bytes(ipv6) - 16;
    // The last fragment has between a tenth and all of a whole one.
    let last = (f64::from(room) * (0.1 + 0.9 * dice.unit())) as u32;
    let packet = ip_header_bytes(ipv6) + room * (pieces - 1) + last;
    some_large(dice, value_of_packet(packet.min(SERVER_MTU), ipv6))
}

fn limited(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "fragment-limit");
    let cut_at = cut_at(dice, &mut run);
    run.values = values(dice, cut_at, run.ipv6);
    let limit = dice.whole(&ranges::FRAGMENT_LIMIT);
    let charge = dice.one(&["first", "rest", "all"]);
    run.set("limit", format!("{limit}/s"));
    run.set("charge", charge);
    run.set("burst", dice.whole(&ranges::FRAGMENT_BURST));
    let (ipv6, stored) = (run.ipv6, run.stored()?);
    let pieces = |size| fragments(answer_packet_bytes(size, ipv6), cut_at, ipv6);
    let charged = |size| match (pieces(size), charge) {
        (1, _) => 0.0,
        (_, "first") => 1.0,
        (pieces, "rest") => f64::from(pieces - 1),
        (pieces, _) => f64::from(pieces),
    };
    let excess = dice.of_range(&ranges::FRAGMENT_EXCESS);
    run.rate_for(excess * limit as f64, stored.mean(charged))?;
    // At least one charged fragment of each answer, dropped with the excess's probability.
    let lost = run.reads() * stored.share(|size| pieces(size) > 1) * (1.0 - 1.0 / excess);
    let numbers = vec![Number { name: "limit".into(), direction: None, truth: Source::Set(limit as f64) }];
    run.losing(cut_at, vec![Expected { numbers, ..cause(Cause::FragmentRateLimit, lost) }])
}

fn blocked(dice: &mut Dice) -> Option<Scenario> {
    let mut run = draft(dice, "fragments-blocked");
    let cut_at = cut_at(dice, &mut run);
    run.values = values(dice, cut_at, run.ipv6);
    run.set("direction", dice.one(&["down", "both"]));
    let ipv6 = run.ipv6;
    let lost = run.reads() * run.stored()?.share(|size| answer_packet_bytes(size, ipv6) > cut_at);
    run.losing(cut_at, vec![cause(Cause::FragmentsBlocked, lost)])
}

fn overflowing(dice: &mut Dice) -> Option<Scenario> {
    // What the kernel charges for a fragment is known for this size.
    const MTU: u32 = 1500;
    let mut run = draft(dice, "small-reassembly");
    let value = value_of_packet(MTU + 100 + dice.below(1_200) as u32, run.ipv6);
    run.values = some_large(dice, value);
    let loss = dice.of_range(&ranges::FRAGMENT_LOSS);
    let memory_kib = dice.whole(&ranges::REASSEMBLY_MEMORY);
    run.set("loss", percent(loss));
    run.set("reassembly-memory", format!("{memory_kib}KiB"));
    run.set("reassembly-time", format!("{}s", dice.whole(&ranges::REASSEMBLY_TIME)));
    let large_per_s = run.rate as f64 * run.stored()?.share(|size| size == value);
    let orphans_per_s = large_per_s * loss / 100.0;
    let full_after_s = memory_kib as f64 * 1024.0 / limits::FRAGMENT_CHARGE_BYTES / orphans_per_s;
    let open_s = (full_after_s - limits::WARM_UP_S).max(0.0);
    let lost = large_per_s * (limits::STAGE.as_secs_f64() - open_s);
    let by_chance = orphans_per_s * open_s;
    (lost >= 3.0 * by_chance).then_some(())?;
    run.losing(MTU, vec![cause(Cause::ReassemblyOverflow, lost)])
}
