//! Fragments that a device passes only so many of a second, and those that find no memory where they are put together.
//!
//! The limit is a token bucket that takes a token for each fragment it counts (the first of a datagram, all but it, or all). Predicts that
//! small answers pass, that fragments pass at a constant rate whatever is sent, that losses begin where large answers times counted fragments
//! exceed the rate, and which answers are lost: those that find the bucket empty. A constant share lost, at any rate, refutes it.

use super::bucket::{self, Charge, Fit};
use super::case::{Case, Wire};
use super::limits::{COUNTED_ALONE, EPISODE_NS, LOG_ODDS_MIN, LOSSES_MIN};
use super::numbers::confidence;
use super::sizes::{SizeCounters, Step};
use super::traffic::{self, Sent};
use super::{Cause, Direction, Estimate};

/// Depths tried, in packets: each some half more than the one before.
pub(super) const DEPTHS_PACKETS: [f64; 20] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 300.0, 500.0, 700.0,
    1000.0, 2000.0, 5000.0,
];

/// Which fragments of a datagram take tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    First,
    Rest,
    All,
}

impl Counted {
    fn of(self, fragments: u32) -> u32 {
        match self {
            _ if fragments < 2 => 0,
            Self::First => 1,
            Self::Rest => fragments - 1,
            Self::All => fragments,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::First => "first fragments",
            Self::Rest => "fragments after the first",
            Self::All => "fragments",
        }
    }
}

/// Takes the large answers whose fragments found no memory at the client.
pub(super) fn overflowed(case: &mut Case<'_>, wire: &Wire, counters: &SizeCounters) {
    let client = &case.books.client.host;
    if case.books.stage.shared_counters {
        return;
    }
    let (Some(failed), Some(timed_out)) =
        (client.both("Ip", "ReasmFails"), client.both("Ip", "ReasmTimeout"))
    else {
        return;
    };
    let refused = failed.saturating_sub(timed_out);
    if refused == 0 {
        return;
    }
    // Above its memory's mark the kernel refuses each fragment that comes, and counts each.
    let population = &case.books.population;
    let cut = |index: usize| wire.packets(index as u32 * population.size_bin_bytes) > 1;
    let answers: u64 = population
        .by_size
        .iter()
        .enumerate()
        .filter(|(index, _)| cut(*index))
        .map(|(_, counts)| counts.reads)
        .sum();
    let each = counters.fragments_arrived.unwrap_or(2 * answers) as f64 / answers.max(1) as f64;
    let reads = (refused as f64 / each.clamp(1.0, 64.0)).round() as u64;
    let large: Vec<_> = case
        .open
        .iter()
        .enumerate()
        .filter(|(_, open)| open.direction != Direction::Up && wire.packets(open.loss.value_bytes) > 1)
        .map(|(index, open)| (open.loss.intended_ns, index))
        .collect();
    let chosen = crowded(large, reads as usize);
    let direction = case.told(Direction::Down);
    let taken = case.take((Cause::ReassemblyOverflow, None), |index, _| chosen.binary_search(&index).is_ok());
    if taken > 0 {
        let share = case.share(Cause::ReassemblyOverflow, direction);
        share.confidence = COUNTED_ALONE;
        share.evidence.push(format!(
            "the client's kernel refused {refused} fragments for want of memory (ReasmFails without ReasmTimeout), and all these answers are such as are cut into fragments"
        ));
    }
}

/// Of losses by time, the places of so many in the most crowded stretches: where memory is full, one loss follows the other.
pub(super) fn crowded(mut open: Vec<(u64, usize)>, count: usize) -> Vec<usize> {
    open.sort_unstable();
    if count < open.len() {
        let times: Vec<_> = open.iter().map(|(at, _)| *at).collect();
        let neighbours = |at: u64| {
            times.partition_point(|time| *time <= at + EPISODE_NS)
                - times.partition_point(|time| *time + EPISODE_NS < at)
        };
        open.sort_by_cached_key(|(at, _)| std::cmp::Reverse(neighbours(*at)));
        open.truncate(count);
    }
    let mut places: Vec<_> = open.into_iter().map(|(_, index)| index).collect();
    places.sort_unstable();
    places
}

/// Takes all large answers where so few fragments pass that hardly any answer is whole: fragments arrive, but not just the first or the later
/// ones of each, as a firewall would have it that passes those.
pub(super) fn starved(case: &mut Case<'_>, step: &Step, counters: &SizeCounters) -> bool {
    let (Some(made), Some(arrived)) = (counters.fragments_made, counters.fragments_arrived) else {
        return false;
    };
    let cut = counters.fragmented.unwrap_or(step.reads);
    let all_of = |count: u64| arrived.abs_diff(count) as f64 <= 0.02 * count as f64;
    if arrived < LOSSES_MIN || all_of(cut) || all_of(made.saturating_sub(cut)) || all_of(made) {
        return false;
    }
    let Some(limit) = a_second(case, arrived) else { return false };
    let direction = case.told(Direction::Down);
    let reads = super::sizes::take_above(case, Cause::FragmentRateLimit, step);
    let share = case.share(Cause::FragmentRateLimit, direction);
    share.confidence = confidence(reads as f64).min(COUNTED_ALONE);
    share.evidence.push(format!(
        "{} of {} answers that are cut into fragments were lost; of {made} fragments {arrived} arrived, {:.0} a second",
        step.lost, step.reads, limit.value
    ));
    share.estimates.insert("limit".into(), limit);
    true
}

/// Fragments that arrived a second, by the counters read meanwhile: between the first quarter of the stage, when a bucket was still full, and its
/// end.
fn a_second(case: &Case<'_>, arrived: u64) -> Option<Estimate> {
    let (series, duration_ns) = (&case.books.client.host.series, case.books.stage.duration_ns);
    let places: Vec<_> = ["Ip.ReasmReqds", "Ip6.ReasmReqds"]
        .iter()
        .filter_map(|name| series.names.iter().position(|other| other == name))
        .collect();
    let rows: Vec<_> = series
        .rows
        .iter()
        .filter(|(at, _)| (duration_ns / 4..=duration_ns).contains(at))
        .map(|(at, counts)| (*at, places.iter().filter_map(|place| counts.get(*place)).sum::<u64>()))
        .collect();
    let (count, length_ns) = match rows.as_slice() {
        [first, .., last] if last.1 > first.1 => (last.1 - first.1, last.0 - first.0),
        _ => (arrived, duration_ns),
    };
    let rate = count as f64 * 1e9 / length_ns.max(1) as f64;
    let relative = 2.0 / (count as f64).sqrt().max(1.0);
    (count > 0).then(|| Estimate::new(rate, "packets/s", (rate * (1.0 - relative), rate * (1.0 + relative))))
}

/// Takes what a limit of fragments lost beyond chance.
pub(super) fn limited(case: &mut Case<'_>, wire: &Wire, step: &Step, counters: &SizeCounters) {
    // A full queue takes small packets more readily than large ones: a step that is not where answers are cut is no fragments' doing.
    let width = case.books.population.size_bin_bytes;
    if wire.ip_bytes(step.from_bytes + width) <= wire.mtu && step.from_bytes > 0 {
        return;
    }
    let of_chance = chance_of_large(case, wire, step);
    let found = traffic::answers(case).and_then(|answers| fitted(&answers, wire, of_chance, counters));
    // What the limit let through, chance lost in part.
    let lost = (step.lost as f64 - of_chance * step.reads as f64) / (1.0 - of_chance);
    let lost = (lost.max(0.0).round() as u64).min(step.lost);
    let by_chance = step.lost - lost;
    // Of reads that all look alike chance has had its share.
    let mut left = 0;
    let from = step.from_bytes;
    let mut chosen = |open: &super::case::Open<'_>| {
        if open.direction == Direction::Up || open.loss.value_bytes < from {
            return false;
        }
        left += by_chance;
        let keeps = left >= step.lost;
        left -= if keeps { step.lost } else { 0 };
        !keeps
    };
    let direction = case.told(Direction::Down);
    match found {
        Some((counted, fit, answers)) if fit.log_odds >= LOG_ODDS_MIN => {
            case.take((Cause::FragmentRateLimit, None), |_, open| chosen(open));
            let evidence = evidence(&answers, wire, counted);
            let share = case.share(Cause::FragmentRateLimit, direction);
            share.confidence = confidence(fit.log_odds);
            share.evidence.push(format!(
                "{} of {} lost answers are such as are cut into fragments (more than {} B of value); of {} smaller reads {} were lost",
                step.lost, step.lost + step.lost_below, step.from_bytes, step.reads_below, step.lost_below
            ));
            share.evidence.extend(evidence);
            share.evidence.push(format!(
                "a limit of {:.0} {} a second that holds {:.0} at once, replayed over the answers sent, would lose {:.0} of them; of these {:.0} were lost indeed, and {:.0} were lost in all",
                fit.limit, counted.words(), fit.depth, fit.agreement.predicted(), fit.agreement.both, fit.agreement.observed()
            ));
            share.estimates.insert("limit".into(), Estimate::new(fit.limit, "packets/s", fit.interval));
        }
        // Without the order of the answers: what passed a second is all there is to go by.
        None if counters.fragments_arrived.is_some_and(|arrived| arrived > 0)
            || step.lost > step.reads / 2 =>
        {
            case.take((Cause::FragmentRateLimit, None), |_, open| chosen(open));
            let seconds = case.books.stage.duration_ns as f64 / 1e9;
            let passed = step.reads.saturating_sub(lost) as f64 / seconds.max(1e-9);
            let share = case.share(Cause::FragmentRateLimit, direction);
            share.confidence = 0.6;
            share.evidence.push(format!(
                "{} of {} answers that are cut into fragments were lost, {} of {} smaller ones; without receipts of all answers the rate at which they pass is known only in the mean",
                step.lost, step.reads, step.lost_below, step.reads_below
            ));
            share.estimates.insert("limit".into(), Estimate::new(passed, "packets/s", None));
        }
        _ => {}
    }
}

/// The share of answers above the step that chance loses, by what it loses below it and the packets they have.
fn chance_of_large(case: &Case<'_>, wire: &Wire, step: &Step) -> f64 {
    let population = &case.books.population;
    let large = population.by_size.iter().enumerate().filter_map(|(index, counts)| {
        let value_bytes = index as u32 * population.size_bin_bytes;
        (value_bytes >= step.from_bytes).then(|| (counts.reads as f64, wire.packets(value_bytes)))
    });
    let (lost, reads) = large.fold((0.0, 0.0), |sum, (reads, packets)| {
        (sum.0 + reads * (1.0 - (1.0 - step.base()).powi(packets as i32)), sum.1 + reads)
    });
    (lost / f64::max(reads, 1.0)).min(0.99)
}

/// The way of counting and the bucket that fit best.
fn fitted(
    answers: &[Sent],
    wire: &Wire,
    of_chance: f64,
    counters: &SizeCounters,
) -> Option<(Counted, Fit, Vec<Sent>)> {
    let large: Vec<_> = answers.iter().filter(|sent| sent.packets(wire) > 1).copied().collect();
    let several = large.iter().any(|sent| sent.packets(wire) > 2);
    let all: f64 = large.iter().map(|sent| f64::from(sent.packets(wire))).sum();
    let fits = [Counted::Rest, Counted::First, Counted::All].into_iter().filter_map(|counted| {
        // Of datagrams of two fragments the first and the rest are as many.
        if counted == Counted::First && !several {
            return None;
        }
        let charges: Vec<_> = large.iter().map(|sent| charge(sent, counted.of(sent.packets(wire)))).collect();
        let charged: f64 = charges.iter().map(|charge| f64::from(charge.packets)).sum();
        let fit = bucket::fit(&charges, &DEPTHS_PACKETS, of_chance, true)?;
        // What arrived tells how many of them counted: those that do not all pass.
        let arrives = all - charged + fit.agreement.passed;
        let off =
            counters.fragments_arrived.map_or(0.0, |arrived| (arrives / arrived.max(1) as f64 - 1.0).abs());
        Some((counted, fit, off))
    });
    // Counts that agree to a hundredth agree.
    let rank = |off: f64| (off * 50.0).floor() as u64;
    let best = fits.min_by(|a, b| rank(a.2).cmp(&rank(b.2)).then(b.1.log_odds.total_cmp(&a.1.log_odds)))?;
    Some((best.0, best.1, large))
}

fn charge(sent: &Sent, packets: u32) -> Charge {
    Charge { at_us: sent.at_us, cost: 1.0, packets, lost: sent.lost }
}

/// How evenly answers passed in ten equal stretches of time, beside how unevenly they were sent.
fn evidence(large: &[Sent], wire: &Wire, counted: Counted) -> Option<String> {
    const STRETCHES: usize = 10;
    let (first, last) = (large.first()?.at_us, large.last()?.at_us);
    let length = ((last - first) / STRETCHES as u64 + 1).max(1);
    let (mut sent, mut passed) = ([0.0; STRETCHES], [0.0; STRETCHES]);
    for answer in large {
        let stretch = ((answer.at_us - first) / length) as usize;
        let count = f64::from(counted.of(answer.packets(wire)));
        sent[stretch] += count;
        passed[stretch] += if answer.lost == Some(true) { 0.0 } else { count };
    }
    let a_second = 1e6 / length as f64;
    let mean = |counts: &[f64]| counts.iter().sum::<f64>() / STRETCHES as f64;
    let deviation = |counts: &[f64]| {
        let mean = mean(counts);
        (counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (STRETCHES - 1) as f64).sqrt()
    };
    Some(format!(
        "{:.0} {} a second of whole answers passed in each of {STRETCHES} stretches (standard deviation {:.0}), while {:.0} a second were sent (standard deviation {:.0})",
        mean(&passed) * a_second,
        counted.words(),
        deviation(&passed) * a_second,
        mean(&sent) * a_second,
        deviation(&sent) * a_second,
    ))
}
