//! Runs that offer more packets or bits than pass: through a device on the way, or a host's own queue.

use shingle_loadgen::attribution::{Cause, Direction};

use super::Recipe;
use super::draft::{cause, draft};
use crate::dice::Dice;
use crate::limits;
use crate::packets::{answer_packet_bytes, request_frame_bytes};
use crate::ranges;
use crate::scenario::{Expected, Number, Scenario, Source};

pub(super) const PACKET_RATE_LIMIT: Recipe = Recipe {
    name: "packet_rate_limit",
    topologies: &["packet-limit"],
    sentence: "answers or requests of one packet each, more than pass",
    ranges: &[&ranges::PACKET_LIMIT, &ranges::PACKET_BURST, &ranges::RATE_EXCESS],
    draw: packets_limited,
};

pub(super) const BANDWIDTH_LIMIT: Recipe = Recipe {
    name: "bandwidth_limit",
    topologies: &["bandwidth-limit"],
    sentence: "more bytes of answers than pass; what waits in the queue is in time",
    ranges: &[&ranges::BANDWIDTH, &ranges::QUEUE_DELAY, &ranges::RATE_EXCESS],
    draw: bits_limited,
};

pub(super) const CLIENT_SEND_QUEUE: Recipe = Recipe {
    name: "client_send_queue",
    topologies: &["slow-queue"],
    sentence: "more requests than leave the client's own queue; what waits in it is in time",
    ranges: &[&ranges::REQUEST_BANDWIDTH, &ranges::QUEUE_DELAY, &ranges::RATE_EXCESS],
    draw: requests_queued,
};

pub(super) const SERVER_SEND_QUEUE: Recipe = Recipe {
    name: "server_send_queue",
    topologies: &["slow-queue"],
    sentence: "more answers than leave the server's own queue; what waits in it is in time",
    ranges: &[&ranges::BANDWIDTH, &ranges::QUEUE_DELAY, &ranges::RATE_EXCESS],
    draw: answers_queued,
};

const MTU: u32 = 9001;
/// Smallest queue that a laboratory makes, and the burst of its own hosts' queues.
const QUEUE_BYTES_MIN: u64 = 16 * 1024;

/// A load whose answers are one packet each on wide links.
fn whole_answers(dice: &mut Dice, lab: &str) -> Scenario {
    let mut run = draft(dice, lab);
    run.strategy = dice.one(&["chunked", "kernel-pmtud", "df-off", "interface"]).to_owned();
    if dice.below(3) == 0 {
        run.values = format!("fixed:{}", 64 + dice.below(4_000));
    }
    run
}

fn packets_limited(dice: &mut Dice) -> Option<Scenario> {
    let mut run = whole_answers(dice, "packet-limit");
    let (limit, burst) = (dice.whole(&ranges::PACKET_LIMIT), dice.whole(&ranges::PACKET_BURST));
    let way = dice.one(&["down", "down", "up"]);
    run.set("limit", format!("{limit}/s"));
    run.set("burst", burst);
    run.set("direction", way);
    let excess = dice.of_range(&ranges::RATE_EXCESS);
    run.rate_for(limit as f64 * excess, 1.0)?;
    let lost = run.reads() * (1.0 - 1.0 / excess) - burst as f64;
    let direction = Some(if way == "up" { Direction::Up } else { Direction::Down });
    let numbers = vec![Number { name: "limit".into(), direction, truth: Source::Set(limit as f64) }];
    let counters = vec![format!("router.limited_{way}")];
    run.losing(MTU, vec![Expected { counters, numbers, ..cause(Cause::PacketRateLimit, lost) }])
}

/// Offers a queue of so many bits a second more than that; its length in bytes, and the reads lost.
fn overfilled(dice: &mut Dice, run: &mut Scenario, bits_per_s: f64, frame_bytes: f64) -> Option<(u64, f64)> {
    let waiting = bits_per_s / 8.0 * dice.of_range(&ranges::QUEUE_DELAY) / 1e3;
    let queue = (waiting as u64).max(QUEUE_BYTES_MIN);
    let held = (queue + QUEUE_BYTES_MIN) as f64;
    // The smallest queue of a slow link may take too long for the timeout.
    (held * 8.0 / bits_per_s * 1e3 <= run.timeout_ms as f64 / 2.0).then_some(())?;
    let excess = dice.of_range(&ranges::RATE_EXCESS);
    run.rate_for(bits_per_s * excess / 8.0, frame_bytes)?;
    Some((queue, run.reads() * (1.0 - 1.0 / excess) - held / frame_bytes))
}

fn answer_frame_bytes(run: &Scenario) -> Option<f64> {
    let ipv6 = run.ipv6;
    Some(run.stored()?.mean(|size| f64::from(answer_packet_bytes(size, ipv6) + limits::ETHERNET_BYTES)))
}

fn bits_limited(dice: &mut Dice) -> Option<Scenario> {
    let mut run = whole_answers(dice, "bandwidth-limit");
    let kbits = (dice.of_range(&ranges::BANDWIDTH) * 1e3).round();
    let frame = answer_frame_bytes(&run)?;
    let (queue, lost) = overfilled(dice, &mut run, kbits * 1e3, frame)?;
    run.set("limit", format!("{kbits}kbit"));
    run.set("queue", queue);
    run.set("burst", QUEUE_BYTES_MIN);
    let truth = Source::Set(kbits * 1e3);
    let numbers = vec![Number { name: "limit".into(), direction: Some(Direction::Down), truth }];
    run.losing(MTU, vec![Expected { numbers, ..cause(Cause::BandwidthLimit, lost) }])
}

fn requests_queued(dice: &mut Dice) -> Option<Scenario> {
    let mut run = whole_answers(dice, "slow-queue");
    run.timeout_ms *= 2; // The smallest queue of a slow link takes long.
    let (mbits, frame) = (dice.of_range(&ranges::REQUEST_BANDWIDTH), request_frame_bytes(run.ipv6));
    queued(dice, run, "client", (mbits, frame), Cause::ClientSendQueue)
}

fn answers_queued(dice: &mut Dice) -> Option<Scenario> {
    let run = whole_answers(dice, "slow-queue");
    let (mbits, frame) = (dice.of_range(&ranges::BANDWIDTH), answer_frame_bytes(&run)?);
    queued(dice, run, "server", (mbits, frame), Cause::ServerSendQueue)
}

fn queued(
    dice: &mut Dice,
    mut run: Scenario,
    end: &str,
    (mbits, frame_bytes): (f64, f64),
    name: Cause,
) -> Option<Scenario> {
    let kbits = (mbits * 1e3).round();
    let (queue, lost) = overfilled(dice, &mut run, kbits * 1e3, frame_bytes)?;
    run.set("end", end);
    run.set("rate", format!("{kbits}kbit"));
    run.set("queue", queue);
    run.losing(MTU, vec![cause(name, lost)])
}
