//! What depends neither on flow nor on size: loss by chance, or a limit of packets or of bits a second.
//!
//! Chance predicts that each packet is lost with the same probability, whatever was sent before it. A limit predicts that what passes is
//! constant while what is sent varies, and that those are lost that find the bucket empty; whether packets or bits passed evenly tells which
//! limit. Each refutes the other: the bucket's predictions, replayed over what was sent, have nothing in common with losses by chance.

use super::bucket::{self, Charge, Fit};
use super::case::{Case, Wire};
use super::fragments::DEPTHS_PACKETS;
use super::limits::{ALL_LOST, EPISODE_NS, EPISODES_MIN, LOG_ODDS_MIN, LOSSES_MIN, NORMAL_95};
use super::numbers::{confidence, falling_root};
use super::traffic::{self, Sent};
use super::{Books, Cause, Direction, Estimate, Experiment};

/// Depths tried, in bytes: a few packets to what half a second of a slow link takes.
const DEPTHS_BYTES: [f64; 16] =
    [2e3, 4e3, 8e3, 16e3, 32e3, 64e3, 80e3, 96e3, 128e3, 160e3, 192e3, 256e3, 512e3, 1e6, 2e6, 4e6];

/// Waiting below this is what hosts do to any packet.
const WAITED_MS_MIN: f64 = 0.5;
/// What waiting, or none, says of the kind of a limit: shapers without a queue and policers that delay are seldom (log of the odds).
const WAITING_LOG_ODDS: f64 = 6.0;

/// Share lost beside a limit from which on an experiment may change the answer: below it, hosts' stalls scatter as much.
const BESIDE_MIN: f64 = 0.03;
/// Confidence in a limit beside which something else seems to lose reads.
const BESIDE_CONFIDENCE: f64 = 0.8;

/// A limit that fits, or none.
struct Limit {
    cause: Cause,
    fit: Fit,
    /// By how much it fits better than the limit of the other kind (log of the odds).
    apart: f64,
    /// How long whole reads waited beside those that were lost.
    waited_ms: Option<f64>,
    /// The share that chance loses beside it.
    of_chance: f64,
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
        let open = case.open.iter().filter(|open| open.direction == direction);
        let open: Vec<_> = open.map(|open| open.loss.intended_ns).collect();
        if open.len() as u64 >= LOSSES_MIN {
            chance(case, direction, open, &wire);
        }
    }
}

/// The limit that fits what was sent and lost, if one does beyond doubt.
fn limit(case: &Case<'_>, direction: Direction, sent: &[Sent], wire: &Wire) -> Option<Limit> {
    // At a lower rate a limit loses nothing, so what is still lost is chance; changed bits are counted.
    let changed = super::counters::corrupted(case, direction) as f64 / sent.len().max(1) as f64;
    let tried = lost_at_a_lower_rate(case).filter(|_| direction == Direction::Down);
    let of_chance = tried.unwrap_or(0.0).max(changed).min(0.9);
    let charges = |cost: &dyn Fn(&Sent, u32) -> f64| -> Vec<_> {
        let charge = |sent: &Sent| {
            let packets = sent.packets(wire);
            Charge { at_us: sent.at_us, cost: cost(sent, packets), packets, lost: sent.lost }
        };
        sent.iter().map(charge).collect()
    };
    let by_packets =
        bucket::fit(&charges(&|_, _| 1.0), &DEPTHS_PACKETS, of_chance, direction == Direction::Down);
    let link_bytes = |sent: &Sent| f64::from(wire.link_bytes(sent.datagrams, sent.payload));
    let by_bytes = bucket::fit(
        &charges(&|sent, packets| link_bytes(sent) / f64::from(packets)),
        &DEPTHS_BYTES,
        of_chance,
        direction == Direction::Down,
    );
    let odds = |fit: &Option<Fit>| fit.map_or(f64::NEG_INFINITY, |fit| fit.log_odds);
    let apart = odds(&by_packets) - odds(&by_bytes);
    // What is shaped waits before it is lost, what is policed does not: where sizes are alike, that is all that tells.
    let waited_ms = waited_ms(case);
    let holds_ms = by_packets.map_or(0.0, |fit| fit.depth / fit.limit * 1000.0);
    let by_waiting = waited_ms.map_or(0.0, |waited_ms| {
        let waits = waited_ms > WAITED_MS_MIN.max(holds_ms / 10.0);
        if waits { -WAITING_LOG_ODDS } else { WAITING_LOG_ODDS / 2.0 }
    });
    let most = 2.0 * WAITING_LOG_ODDS;
    let apart = apart.clamp(-most, most) + by_waiting;
    let (cause, fit) =
        if apart >= 0.0 { (Cause::PacketRateLimit, by_packets) } else { (Cause::BandwidthLimit, by_bytes) };
    let fit = fit.filter(|fit| fit.log_odds >= LOG_ODDS_MIN)?;
    Some(Limit { cause, fit, apart: apart.abs(), waited_ms, of_chance })
}

/// The share that was lost at a lower rate, where one was tried at which surely no limit lost anything: it was below what passed in the stage.
fn lost_at_a_lower_rate(case: &Case<'_>) -> Option<f64> {
    let whole = whole_share(case.books);
    case.books.trials.iter().rev().find_map(|trial| match trial.experiment {
        Experiment::Rate { share }
            if share < 0.9 * whole && trial.failed.is_none() && trial.counts.reads > 0 =>
        {
            Some(trial.counts.first_try_lost as f64 / trial.counts.reads as f64)
        }
        _ => None,
    })
}

/// Share of the stage's reads that lost nothing.
pub(super) fn whole_share(books: &Books) -> f64 {
    let counts = books.population.windows.iter();
    let (reads, lost) = counts.fold((0u64, 0u64), |sum, window| {
        (sum.0 + u64::from(window.reads), sum.1 + u64::from(window.first_try_lost))
    });
    1.0 - lost as f64 / reads.max(1) as f64
}

/// How much longer whole reads took than the shortest of all, where reads were lost: in the median window.
fn waited_ms(case: &Case<'_>) -> Option<f64> {
    let windows = &case.books.population.windows;
    let shortest = windows.iter().map(|window| window.latency_min_us).filter(|us| *us > 0).min()?;
    let mut means: Vec<_> = windows
        .iter()
        .filter(|window| window.first_try_lost > 0 && window.reads > window.first_try_lost)
        .map(|window| window.latency_us as f64 / f64::from(window.reads - window.first_try_lost))
        .collect();
    means.sort_by(f64::total_cmp);
    means.get(means.len() / 2).map(|mean| (mean - f64::from(shortest)) / 1000.0)
}

fn limited(case: &mut Case<'_>, direction: Direction, limit: &Limit, sent: &[Sent], wire: &Wire) {
    let (cause, fit) = (limit.cause, limit.fit);
    // What the limit let through, chance lost in part: of reads that all look alike it gets its number.
    let lost = case.open.iter().filter(|open| open.direction == direction).count() as f64;
    let of_limit = ((lost - limit.of_chance * sent.len() as f64) / (1.0 - limit.of_chance)).clamp(0.0, lost);
    let (mut due, quota) = (0.0, of_limit / lost.max(1.0));
    case.take((cause, None), |_, open| {
        due += if open.direction == direction { quota } else { 0.0 };
        let taken = open.direction == direction && due >= 1.0 - 1e-9;
        due -= if taken { 1.0 } else { 0.0 };
        taken
    });
    let (packets, bits) = (
        passed(sent, |sent| f64::from(sent.packets(wire))),
        passed(sent, |sent| f64::from(wire.link_bytes(sent.datagrams, sent.payload)) * 8.0),
    );
    let share = case.share(cause, direction);
    share.confidence = confidence(fit.log_odds).min(confidence(limit.apart));
    // Of requests the order is not known closely enough for it.
    if direction == Direction::Down && fit.agreement.beside > BESIDE_MIN && limit.of_chance == 0.0 {
        share.confidence = share.confidence.min(BESIDE_CONFIDENCE);
        share.evidence.push(format!(
            "the numbers lost scatter as if some {:.0} % of what passed were lost beside it: a lower rate would tell",
            fit.agreement.beside * 100.0
        ));
    }
    let (unit, factor) = if cause == Cause::PacketRateLimit { ("packets/s", 1.0) } else { ("bits/s", 8.0) };
    share.evidence.push(format!(
        "a limit of {:.0} {unit} that lets {:.0} {} through at once, replayed over what was sent, would lose {:.0}; of these {:.0} were lost indeed, and {:.0} were lost in all",
        fit.limit * factor,
        fit.depth,
        if factor == 1.0 { "packets" } else { "bytes" },
        fit.agreement.predicted(),
        fit.agreement.both,
        fit.agreement.observed()
    ));
    share.evidence.push(format!(
        "{:.0} packets and {:.3} Mbit passed a second; over tenths of the time packets varied by {:.1} %, bits by {:.1} %",
        packets.0,
        bits.0 / 1e6,
        packets.1 * 100.0,
        bits.1 * 100.0
    ));
    if let Some(waited_ms) = limit.waited_ms {
        let so = match cause {
            Cause::BandwidthLimit => "it waited in a queue, as at a limit of bits",
            _ => "hardly anything waited, as where packets are counted",
        };
        share.evidence.push(format!(
            "what passed took {waited_ms:.1} ms longer than the fastest read of the stage: {so}"
        ));
    }
    if direction == Direction::Up && cause == Cause::BandwidthLimit {
        // How long requests are is not in the books.
        return;
    }
    let interval = (fit.interval.0 * factor, fit.interval.1 * factor);
    share.estimates.insert("limit".into(), Estimate::new(fit.limit * factor, unit, interval));
}

/// What passed a second, and by what share of it tenths of the time differ (one standard deviation).
fn passed(sent: &[Sent], size: impl Fn(&Sent) -> f64) -> (f64, f64) {
    const STRETCHES: usize = 10;
    let (Some(first), Some(last)) = (sent.first(), sent.last()) else { return (0.0, 0.0) };
    let length = (last.at_us - first.at_us) / STRETCHES as u64 + 1;
    let mut stretches = [0.0; STRETCHES];
    for sent in sent.iter().filter(|sent| sent.lost != Some(true)) {
        stretches[((sent.at_us - first.at_us) / length) as usize] += size(sent);
    }
    let mean = stretches.iter().sum::<f64>() / STRETCHES as f64;
    let variance = stretches.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (STRETCHES - 1) as f64;
    (mean * 1e6 / length as f64, variance.sqrt() / mean.max(f64::MIN_POSITIVE))
}

/// Takes what chance lost, unless it was but a few moments.
fn chance(case: &mut Case<'_>, direction: Direction, mut at_ns: Vec<u64>, wire: &Wire) {
    at_ns.sort_unstable();
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
    let stays = case.books.trials.iter().rev().find_map(|trial| match trial.experiment {
        Experiment::Rate { share } if trial.failed.is_none() => {
            Some((share, trial.counts.first_try_lost, trial.counts.reads))
        }
        _ => None,
    });
    let dispersion = dispersion(case, &at_ns);
    let relative = NORMAL_95 * (dispersion * (1.0 - probability) / at_ns.len() as f64).sqrt();
    let lost = case.take((Cause::PathLoss, None), |_, open| open.direction == direction);
    let share = case.share(Cause::PathLoss, direction);
    // Few moments of loss may be another's doing that nobody counted.
    share.confidence = confidence((episodes as f64 / EPISODES_MIN as f64).ln() + 1.0);
    let what = if direction == Direction::Up { "requests" } else { "answers" };
    share.evidence.push(format!(
        "{lost} of {reads:.0} {what} were lost, at {episodes} separate moments, in no relation to size, flow or what was sent before ({packets:.2} packets each)"
    ));
    if dispersion > 2.0 {
        share.evidence.push(format!(
            "they come in bursts: their number scatters {dispersion:.1} times as much as that of losses one by one"
        ));
    }
    if let Some((rate, lost, reads)) = stays {
        share.evidence.push(format!("at {:.0} % of the rate {lost} of {reads} were lost", rate * 100.0));
    }
    let interval = (probability * (1.0 - relative).max(0.0), (probability * (1.0 + relative)).min(1.0));
    share.estimates.insert("probability".into(), Estimate::new(probability, "probability", interval));
}

/// The loss probability of a packet that makes so many reads be lost; of how many reads, and packets each.
fn probability(case: &Case<'_>, direction: Direction, lost: f64, wire: &Wire) -> (f64, f64, f64) {
    let population = &case.books.population;
    let each = case.books.reads_each() as f64;
    let all: u64 = population.by_size.iter().map(|counts| counts.reads).sum();
    if direction == Direction::Up {
        let datagrams = (all as f64 / each).max(1.0);
        return ((lost / each / datagrams).min(1.0), datagrams, 1.0);
    }
    // Answers to requests that never arrived were not sent.
    let up: u64 =
        case.shares.iter().filter(|((_, way), _)| *way == Direction::Up).map(|(_, share)| share.reads).sum();
    let sent = 1.0 - (up as f64 / all.max(1) as f64).min(0.99);
    let bins: Vec<_> = population
        .by_size
        .iter()
        .enumerate()
        .filter(|(_, counts)| counts.reads > 0)
        .map(|(index, counts)| {
            let middle = index as u32 * population.size_bin_bytes + population.size_bin_bytes / 2;
            (counts.reads as f64 * sent, f64::from(wire.packets(middle)))
        })
        .collect();
    let reads: f64 = bins.iter().map(|(reads, _)| reads).sum();
    let packets = bins.iter().map(|(reads, packets)| reads * packets).sum::<f64>() / reads.max(1.0);
    let expected = |probability: f64| {
        bins.iter().map(|(reads, packets)| reads * (1.0 - (1.0 - probability).powf(*packets))).sum::<f64>()
    };
    let probability = falling_root(0.0, 1.0, 40, |probability| lost - expected(probability));
    (probability, reads, packets)
}

/// By how much the losses scatter over time more than independent ones.
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
