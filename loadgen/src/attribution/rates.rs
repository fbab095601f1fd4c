//! What depends neither on flow nor on size: loss by chance, or a limit of packets or of bits a second.
//!
//! Chance predicts that each packet is lost with the same probability, whatever was sent before it. A limit predicts that what passes is
//! constant while what is sent varies, and that those are lost that find the bucket empty; whether packets or bits passed evenly tells which
//! limit. Each refutes the other: the bucket's predictions, replayed over what was sent, have nothing in common with losses by chance.

use super::bucket::{self, Charge, Fit};
use super::case::{Case, Wire};
use super::fragment_limit::DEPTHS_PACKETS;
use super::kind::{self, Kind, Offered};
use super::limits::{
    ALL_LOST, DOUBT_BELOW, EPISODE_NS, EPISODES_MIN, LOG_ODDS_MIN, LOSSES_MIN, REPLAYED_MAX,
};
use super::numbers::{best_log_likelihood, confidence, falling_root};
use super::order::{self, Chance, Ordered};
use super::traffic::{self, Sent};
use super::{Cause, Direction, Estimate, Experiment};
use crate::statistics::NORMAL_95;

/// Depths tried, in bytes: a few packets to what half a second of a slow link takes.
const DEPTHS_BYTES: [f64; 16] =
    [2e3, 4e3, 8e3, 16e3, 32e3, 64e3, 80e3, 96e3, 128e3, 160e3, 192e3, 256e3, 512e3, 1e6, 2e6, 4e6];

/// Share lost beside a limit from which on an experiment may change the answer: below it, hosts' stalls scatter as much.
const BESIDE_MIN: f64 = 0.03;
/// Confidence in a limit beside which something else seems to lose reads.
const BESIDE_CONFIDENCE: f64 = 0.8;
/// Confidence in chance where no limit could be ruled out: what is lost by chance is much more often so than by a limit.
const UNTESTED: f64 = 0.8;

/// How many times as much as independent ones the numbers of losses may scatter and be chance beyond doubt: a hundred windows tell half as much again.
const BURSTS: f64 = 1.5;
/// Share of the losses that must be missing at a lower rate for a limit to have part in them.
const OF_LIMIT_MIN: f64 = 0.1;
/// Log of the odds from which on it is told whether chance strikes before a limit: wrong once in 20 cases.
const ORDER_LOG_ODDS_MIN: f64 = 3.0;

/// Share of packets of another size (a path's first answers, a miss) up to which sizes tell nothing of the kind of a limit.
const OTHERS_MAX: f64 = 0.01;

/// A limit that fits, or none.
struct Limit {
    kind: Kind,
    fit: Fit,
    /// Log of the odds for it, by what was lost or by the experiment.
    log_odds: f64,
    /// How long whole reads waited beside those that were lost, and whether that is as long as in a queue.
    waited: Option<(f64, bool)>,
    /// The share that chance loses or changes beside it.
    of_chance: f64,
    /// The share that chance loses beside it: what is changed takes its token all the same.
    lost_of_chance: f64,
    /// Whether that strikes before it, where there is any.
    order: Option<Ordered>,
}

impl Limit {
    /// Its level in tokens a second.
    fn level(&self) -> (f64, (f64, f64)) {
        let Some(order) = self.order else { return (self.fit.limit, self.fit.interval) };
        let (low, high) = self.fit.interval;
        let (low, high) = if order.log_odds < ORDER_LOG_ODDS_MIN {
            // What chance loses before the limit asks it for nothing.
            (low * (1.0 - self.lost_of_chance), high)
        } else {
            (low * order.limit / self.fit.limit, high * order.limit / self.fit.limit)
        };
        let off = if order.chance_first { order::STEP * order.limit } else { 0.0 };
        (order.limit, (low.min(order.limit - off), high.max(order.limit + off)))
    }
}

/// Takes what limits lost, each way, and leaves what counters say chance did beside them.
pub(super) fn limits(case: &mut Case<'_>) {
    let wire = Wire::of(case.books);
    for direction in [Direction::Up, Direction::Down] {
        let open = case.open.iter().filter(|open| open.direction == direction).count() as u64;
        if open < LOSSES_MIN {
            continue;
        }
        let sent = if direction == Direction::Up { traffic::requests(case) } else { traffic::answers(case) };
        if let Some(sent) = sent
            && !refuted_by_rate(case, direction, open)
            && let Some(limit) = limit(case, direction, &sent, &wire)
        {
            limited(case, direction, &limit, &sent, &wire);
        }
    }
}

/// Takes what chance lost, each way.
pub(super) fn losses(case: &mut Case<'_>) {
    let wire = Wire::of(case.books);
    for direction in [Direction::Up, Direction::Down, Direction::Host] {
        // What a limit lost by an experiment goes first.
        for explain in [by_rate, chance] {
            let open = open_at(case, direction);
            if open.len() as u64 >= LOSSES_MIN {
                explain(case, direction, &open, &wire);
            }
        }
    }
}

/// The limit that fits what was sent and lost, if one does beyond doubt.
fn limit(case: &Case<'_>, direction: Direction, sent: &[Sent], wire: &Wire) -> Option<Limit> {
    // At a lower rate a limit loses nothing, so what is still lost is chance; changed bits are counted.
    let changed = super::counters::changed_of_arrived(case, direction);
    let tried = case.books.lower_rate(direction);
    let of_chance = tried.map_or(0.0, |(lost, reads)| lost as f64 / reads as f64).max(changed).min(0.9);
    let charges = |cost: &dyn Fn(&Sent, u32) -> f64| -> Vec<_> {
        let charge = |sent: &Sent| {
            let packets = sent.packets(wire);
            Charge {
                at_us: sent.at_us,
                cost: cost(sent, packets),
                packets,
                arrive: (1.0, 1.0),
                lost: sent.lost,
            }
        };
        // More is not replayed.
        sent.iter().take(REPLAYED_MAX).map(charge).collect()
    };
    let a_packet = |_: &Sent, _| 1.0;
    let its_bytes =
        |sent: &Sent, packets| f64::from(wire.link_bytes(sent.datagrams, sent.payload)) / f64::from(packets);
    let in_order = direction == Direction::Down;
    let by_packets = bucket::fit(&charges(&a_packet), &DEPTHS_PACKETS, of_chance, in_order);
    let by_bytes = bucket::fit(&charges(&its_bytes), &DEPTHS_BYTES, of_chance, in_order);
    let odds = |fit: &Option<Fit>| fit.map_or(f64::NEG_INFINITY, |fit| fit.log_odds);
    let (by_packets, by_bytes, by_replay) = match one_cost(sent, wire) {
        // Where all cost the same, both are one model, and differ by the depths tried.
        Some(bytes) => {
            let in_packets = [by_packets, by_bytes.map(|fit| fit.scaled(1.0 / bytes))].into_iter().flatten();
            let best = in_packets.max_by(|a, b| a.log_odds.total_cmp(&b.log_odds));
            (best, best.map(|fit| fit.scaled(bytes)), 0.0)
        }
        None => (by_packets, by_bytes, odds(&by_packets) - odds(&by_bytes)),
    };
    let holds_ms = by_packets.map_or(0.0, |fit| fit.depth / fit.limit * 1000.0);
    let lost_of_chance = 1.0 - (1.0 - of_chance) / (1.0 - changed.min(of_chance));
    let offered = Offered { of_chance, ..Offered::sent(sent, wire) };
    let kind = Kind::of(case, direction, (by_replay, holds_ms), &offered, wire);
    let in_packets = kind.cause == Cause::PacketRateLimit;
    let fit = if in_packets { by_packets } else { by_bytes }?;
    // A limit exceeded by a few per cent is too close to tell by the order of what was sent, and not by the rate.
    let by_rate = against_chance(case, direction, &open_at(case, direction));
    let log_odds = fit.log_odds.max(by_rate.unwrap_or(f64::NEG_INFINITY));
    if log_odds < LOG_ODDS_MIN {
        return None;
    }
    let waited = kind::waited_ms(case).map(|waited_ms| (waited_ms, kind::is_queue(waited_ms, holds_ms)));
    let order = (lost_of_chance > 0.0 && direction == Direction::Down).then(|| {
        let charges = if in_packets { charges(&a_packet) } else { charges(&its_bytes) };
        order::of(&charges, &fit, Chance { of_all: of_chance, lost: lost_of_chance })
    });
    Some(Limit { kind, fit, log_odds, waited, of_chance, lost_of_chance, order })
}

/// Whether at a lower rate so large a share was lost that hardly any of these can be a limit's.
fn refuted_by_rate(case: &Case<'_>, direction: Direction, open: u64) -> bool {
    let Some((tried_lost, tried_reads)) = case.books.lower_rate(direction) else { return false };
    let by_chance = tried_lost as f64 / tried_reads.max(1) as f64 * met(case, direction);
    open as f64 - by_chance < OF_LIMIT_MIN * open as f64
}

/// When the reads that are still open in this direction were due, nanoseconds, in order.
fn open_at(case: &Case<'_>, direction: Direction) -> Vec<u64> {
    let open = case.open.iter().filter(|open| open.direction == direction);
    let mut at_ns: Vec<_> = open.map(|open| open.loss.intended_ns).collect();
    at_ns.sort_unstable();
    at_ns
}

/// What was lost at another rate, in words, where that was tried.
fn at_rate_tried(case: &Case<'_>) -> Option<String> {
    let stays = case.books.trials.iter().rev().find_map(|trial| match trial.experiment {
        Experiment::Rate { share } => trial.outcome().map(|(lost, reads)| (share, lost, reads)),
        _ => None,
    });
    stays.map(|(rate, lost, reads)| {
        format!("at {:.0} % of the rate {lost} of {reads} were lost", rate * 100.0)
    })
}

/// Bytes of each packet on the link, where all but a few have the same.
fn one_cost(sent: &[Sent], wire: &Wire) -> Option<f64> {
    let cost = |sent: &Sent| {
        let bytes = wire.link_bytes(sent.datagrams, sent.payload);
        f64::from(bytes) / f64::from(sent.packets(wire))
    };
    let mut costs: Vec<_> = sent.iter().take(REPLAYED_MAX).map(cost).collect();
    let middle = costs.len() / 2;
    let common = (!costs.is_empty()).then(|| *costs.select_nth_unstable_by(middle, f64::total_cmp).1)?;
    let others = costs.iter().filter(|cost| **cost != common).count();
    (others as f64 <= OTHERS_MAX * costs.len() as f64).then_some(common)
}

fn limited(case: &mut Case<'_>, direction: Direction, limit: &Limit, sent: &[Sent], wire: &Wire) {
    let (cause, fit) = (limit.kind.cause, limit.fit);
    // What the limit let through, chance lost in part.
    let lost = case.open.iter().filter(|open| open.direction == direction).count() as f64;
    let reads = (sent.len() as u64 * case.books.reads_each()) as f64;
    take_share(case, cause, direction, (lost - limit.of_chance * reads) / (1.0 - limit.of_chance));
    let (packets, bits) = (
        passed(sent, |sent| f64::from(sent.packets(wire))),
        passed(sent, |sent| f64::from(wire.link_bytes(sent.datagrams, sent.payload)) * 8.0),
    );
    let tried = at_rate_tried(case);
    let share = case.share(cause, direction);
    share.confidence = confidence(limit.log_odds);
    doubt(share, limit.kind);
    // Of requests the order is not known closely enough for it.
    let untried = tried.is_none() && limit.of_chance == 0.0;
    if direction == Direction::Up && untried {
        share.confidence = share.confidence.min(BESIDE_CONFIDENCE);
        share.evidence.push(
            "requests that never arrived are known by their number alone: whether chance has part in them, a lower rate would tell".to_owned(),
        );
    }
    if direction == Direction::Down && fit.agreement.beside > BESIDE_MIN && untried {
        share.confidence = share.confidence.min(BESIDE_CONFIDENCE);
        share.evidence.push(format!(
            "the numbers lost scatter as if some {:.0} % of what passed were lost beside it: a lower rate would tell",
            fit.agreement.beside * 100.0
        ));
    }
    let (unit, factor) = if cause == Cause::PacketRateLimit { ("packets/s", 1.0) } else { ("bits/s", 8.0) };
    share.evidence.extend(tried);
    let part =
        if fit.replayed < sent.len() { format!("the first {} of ", fit.replayed) } else { String::new() };
    share.evidence.push(format!(
        "a device that passes {:.0} {unit}, and {:.0} {} at once after a rest, would have lost {:.0} of {part}what was sent; {:.0} were lost, {:.0} of them the very same",
        fit.limit * factor,
        fit.depth,
        if factor == 1.0 { "packets" } else { "bytes" },
        fit.agreement.predicted(),
        fit.agreement.observed(),
        fit.agreement.both
    ));
    share.evidence.push(format!(
        "{:.0} packets and {:.3} Mbit passed a second; over tenths of the time packets varied by {:.1} %, bits by {:.1} %",
        packets.0,
        bits.0 / 1e6,
        packets.1 * 100.0,
        bits.1 * 100.0
    ));
    if let Some((waited_ms, is_queue)) = limit.waited {
        let so = if is_queue {
            "it waited in a queue, as it mostly does at a limit of bits"
        } else {
            "hardly anything waited, as where packets are counted"
        };
        share.evidence.push(format!(
            "what passed took {waited_ms:.1} ms longer than the fastest read of the stage: {so}"
        ));
    }
    if let Some(order) = limit.order.filter(|order| order.log_odds >= ORDER_LOG_ODDS_MIN) {
        let place = if order.chance_first { "before it, and leaves it less to pass" } else { "behind it" };
        share.evidence.push(format!(
            "which answers came whole tells that chance takes its share {place}: odds of e^{:.0}",
            order.log_odds
        ));
    }
    if direction == Direction::Up && cause == Cause::BandwidthLimit {
        // How long requests are is not in the books.
        return;
    }
    let (level, (low, high)) = limit.level();
    let estimate = Estimate::new(level * factor, unit, (low * factor, high * factor));
    share.estimates.insert("limit".into(), estimate);
}

/// Puts so many of what is open in this direction down to a limit: of reads that all look alike it gets its number.
fn take_share(case: &mut Case<'_>, cause: Cause, direction: Direction, of_limit: f64) {
    let lost = case.open.iter().filter(|open| open.direction == direction).count() as f64;
    let (mut due, quota) = (0.0, of_limit.clamp(0.0, lost) / lost.max(1.0));
    case.take((cause, None), |_, open| {
        due += if open.direction == direction { quota } else { 0.0 };
        let taken = open.direction == direction && due >= 1.0 - 1e-9;
        due -= if taken { 1.0 } else { 0.0 };
        taken
    });
}

/// Lowers the confidence to that in the kind, and says what it may be instead.
fn doubt(share: &mut super::Share, kind: Kind) {
    share.confidence = share.confidence.min(confidence(kind.log_odds));
    share.rival = (confidence(kind.log_odds) < DOUBT_BELOW).then(|| kind.other());
}

/// What passed a second, and by what share of it tenths of the time differ (one standard deviation).
fn passed(sent: &[Sent], size: impl Fn(&Sent) -> f64) -> (f64, f64) {
    const STRETCHES: usize = 10;
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else { return (0.0, 0.0) };
    let length = (last.at_us - first.at_us) / STRETCHES as u64 + 1;
    let mut stretches = [0.0; STRETCHES];
    for sent in sent.iter().filter(|sent| sent.lost != Some(true) && !sent.astray) {
        stretches[((sent.at_us - first.at_us) / length) as usize] += size(sent);
    }
    let mean = stretches.iter().sum::<f64>() / STRETCHES as f64;
    let variance = stretches.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (STRETCHES - 1) as f64;
    (mean * 1e6 / length as f64, variance.sqrt() / mean.max(f64::MIN_POSITIVE))
}

/// Takes what chance lost, unless it was but a few moments.
fn chance(case: &mut Case<'_>, direction: Direction, at_ns: &[u64], wire: &Wire) {
    let replayed = case.books.all_receipts().is_some();
    let dispersion = dispersion(case, at_ns);
    let mut moments: Vec<_> = at_ns.iter().map(|at| at / EPISODE_NS).collect();
    moments.dedup();
    let episodes = moments.len() as u64;
    if episodes < EPISODES_MIN {
        return;
    }
    let (probability, reads, packets) = probability(case, direction, at_ns.len() as f64, wire);
    if probability > ALL_LOST {
        // Chance would have let some through.
        return;
    }
    let tried = at_rate_tried(case);
    let relative = NORMAL_95 * (dispersion * (1.0 - probability) / at_ns.len() as f64).sqrt();
    let lost = case.take((Cause::PathLoss, None), |_, open| open.direction == direction);
    let share = case.share(Cause::PathLoss, direction);
    // Few moments of loss may be another's doing that nobody counted.
    share.confidence = confidence((episodes as f64 / EPISODES_MIN as f64).ln() + 1.0);
    if !replayed && tried.is_none() {
        share.confidence = share.confidence.min(UNTESTED);
        share.evidence.push(
            "without receipts of all answers a limit could not be ruled out: the same reads at a lower rate would tell".to_owned(),
        );
    }
    let what = if direction == Direction::Up { "requests" } else { "answers" };
    share.evidence.push(format!(
        "{lost} of {reads:.0} {what} were lost, at {episodes} separate moments, in no relation to size, flow or what was sent before ({packets:.2} packets each)"
    ));
    if dispersion > BURSTS {
        share.evidence.push(format!(
            "they come in bursts: their number scatters {dispersion:.1} times as much as that of losses one by one"
        ));
        if tried.is_none() {
            // A limit exceeded now and then by a few per cent is too close to it for the order of what was sent to tell.
            share.confidence = share.confidence.min(UNTESTED);
        }
    }
    share.evidence.extend(tried);
    let interval = (probability * (1.0 - relative).max(0.0), (probability * (1.0 + relative)).min(1.0));
    share.estimates.insert("probability".into(), Estimate::new(probability, "probability", interval));
}

/// Takes what a limit lost of which only an experiment tells: at a lower rate a far smaller share was lost.
fn by_rate(case: &mut Case<'_>, direction: Direction, at_ns: &[u64], wire: &Wire) {
    let Some((log_odds, (tried_lost, tried_reads))) =
        against_chance(case, direction, at_ns).zip(case.books.lower_rate(direction))
    else {
        return;
    };
    let (lost, reads) = (at_ns.len() as f64, met(case, direction));
    let of_chance = tried_lost as f64 / tried_reads.max(1) as f64;
    let offered = Offered { of_chance, ..Offered::asked(case.books, wire) };
    let kind = Kind::of(case, direction, (0.0, 0.0), &offered, wire);
    let passed = (reads - lost) * 1e9 / case.books.stage.duration_ns.max(1) as f64;
    let of_limit = (lost - of_chance * reads) / (1.0 - of_chance).max(0.01);
    // Too few for a cause of their own.
    let of_limit = if lost - of_limit < LOSSES_MIN as f64 { lost } else { of_limit };
    take_share(case, kind.cause, direction, of_limit);
    let share = case.share(kind.cause, direction);
    share.confidence = confidence(log_odds);
    doubt(share, kind);
    share.evidence.push(format!(
        "{lost:.0} of {reads:.0} reads were lost, and {tried_lost} of {tried_reads} at a lower rate: chance would lose the same share; {passed:.0} reads a second came whole"
    ));
}

/// Log of the odds for a limit against chance, where at a lower rate a far smaller share was lost.
fn against_chance(case: &Case<'_>, direction: Direction, at_ns: &[u64]) -> Option<f64> {
    let (tried_lost, tried_reads) = case.books.lower_rate(direction)?;
    let (lost, reads) = (at_ns.len() as f64, met(case, direction));
    let (tried_lost, tried_reads) = (tried_lost as f64, tried_reads as f64);
    let apart = best_log_likelihood(lost, reads) + best_log_likelihood(tried_lost, tried_reads)
        - best_log_likelihood(lost + tried_lost, reads + tried_reads);
    // Half of the share may be the doing of a few bursts more or less.
    let apart = apart / dispersion(case, at_ns);
    (apart >= LOG_ODDS_MIN && 2.0 * tried_lost * reads <= lost * tried_reads).then_some(apart)
}

/// Reads that came so far that they could be lost in this direction: requests all do.
fn met(case: &Case<'_>, direction: Direction) -> f64 {
    if direction == Direction::Up {
        return case.books.reads() as f64;
    }
    case.met(direction).iter().map(|(reads, _)| *reads as f64).sum()
}

/// The loss probability of a packet that makes so many reads be lost; of how many reads, and packets each.
fn probability(case: &Case<'_>, direction: Direction, lost: f64, wire: &Wire) -> (f64, f64, f64) {
    let population = &case.books.population;
    let each = case.books.reads_each() as f64;
    let all: u64 = population.by_size.iter().map(|counts| counts.reads).sum();
    if direction == Direction::Up {
        let taken = case.shares.iter().filter(|((cause, way), _)| *way == direction && cause.is_on_the_way());
        let taken = taken.map(|(_, share)| share.reads).sum::<u64>();
        let datagrams = (all.saturating_sub(taken) as f64 / each).max(1.0);
        return ((lost / each / datagrams).min(1.0), datagrams, 1.0);
    }
    // What other causes took never came as far: of those that chance met, all that it did not lose came whole.
    let bins: Vec<_> = population
        .by_size
        .iter()
        .enumerate()
        .filter(|(_, counts)| counts.reads > 0)
        .map(|(index, counts)| {
            let middle = index as u32 * population.size_bin_bytes + population.size_bin_bytes / 2;
            ((counts.reads - counts.first_try_lost) as f64, f64::from(wire.packets(middle)))
        })
        .collect();
    let whole: f64 = bins.iter().map(|(whole, _)| whole).sum();
    let packets = bins.iter().map(|(whole, packets)| whole * packets).sum::<f64>() / whole.max(1.0);
    let met = |probability: f64| -> f64 {
        bins.iter().map(|(whole, packets)| whole * (1.0 - probability).powf(-packets)).sum()
    };
    let probability = falling_root(0.0, 1.0, 40, |probability| lost - (met(probability) - whole));
    (probability, whole + lost, packets)
}

/// By how much the losses, in the order of time, scatter over it more than independent ones.
fn dispersion(case: &Case<'_>, at_ns: &[u64]) -> f64 {
    let population = &case.books.population;
    let reads: f64 = population.windows.iter().map(|window| f64::from(window.reads)).sum();
    let share = at_ns.len() as f64 / reads.max(1.0);
    // Windows put together until each expects a few losses.
    let together =
        (5.0 / (share * reads / population.windows.len().max(1) as f64).max(1e-9)).ceil().max(1.0) as usize;
    let (mut sum, mut count) = (0.0, 0.0f64);
    for (index, windows) in population.windows.chunks(together).enumerate() {
        let from = (index * together) as u64 * population.window_ns;
        let to = from + windows.len() as u64 * population.window_ns;
        let lost = (at_ns.partition_point(|at| *at < to) - at_ns.partition_point(|at| *at < from)) as f64;
        let expected = share * windows.iter().map(|window| f64::from(window.reads)).sum::<f64>();
        if expected > 0.0 {
            sum += (lost - expected).powi(2) / (expected * (1.0 - share).max(0.01));
            count += 1.0;
        }
    }
    if count < 3.0 { 1.0 } else { (sum / (count - 1.0)).max(1.0) }
}
