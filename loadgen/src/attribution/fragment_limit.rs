//! How many fragments a second pass, and which of them count: a token bucket fitted to the answers that were lost, and to the fragments that
//! arrived.
//!
//! Which answers are lost tells the bucket's depth. How many fragments arrived tells the limit more closely than how many answers came whole:
//! each fragment that passes takes a token, whatever becomes of the others of its answer.

use super::bucket::{self, Charge, Fit};
use super::case::{Case, Wire};
use super::charging::{Charging, Counted};
use super::counters;
use super::limits::{ALL_LOST, LOG_ODDS_MIN, LOSSES_MIN, REPLAYED_MAX};
use super::sizes::SizeCounters;
use super::starved::{self, Arrived, Starving};
use super::traffic::{self, Sent};
use super::{Books, Direction, Estimate, Population};

/// What its limit counts.
pub(super) const UNIT: &str = "fragments/s";

/// Depths tried, in packets: each some half more than the one before.
pub(super) const DEPTHS_PACKETS: [f64; 20] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 300.0, 500.0, 700.0,
    1000.0, 2000.0, 5000.0,
];

/// Share by which the limit by arrivals may differ from that by losses: what differs more counts fragments of other traffic as well.
const ARRIVALS_AGREE: f64 = 0.25;
/// Share by which the arrivals that two ways of charging predict may differ from those counted, and both ways be possible.
const COUNTS_AGREE: f64 = 0.02;
/// Tokens that a count of arrivals may be off by: a bucket is not full at first, or not empty at the end.
const TOKENS_OFF: f64 = 10.0;

/// A bucket that fits, and what it counts.
pub(super) struct Fragments {
    pub(super) charging: Charging,
    pub(super) fit: Fit,
    /// The limit.
    pub(super) limit: Estimate,
    large: Vec<Sent>,
}

/// What is lost beside the limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// Share of all large answers that chance loses or changes.
    pub(super) of_large: f64,
    /// Share of all packets that is lost on the way (those that are changed arrive).
    pub(super) of_packets: f64,
}

/// The buckets that fit best for each way of charging with which the number of fragments that arrived agrees, the best first.
pub(super) fn fitted(
    answers: &[Sent],
    wire: &Wire,
    beside: Beside,
    counters: &SizeCounters,
) -> Vec<Fragments> {
    let large: Vec<_> = answers.iter().filter(|sent| sent.packets(wire) > 1).copied().collect();
    // Of datagrams of two fragments the first and the rest are as many.
    let several = large.iter().any(|sent| sent.packets(wire) > 2);
    let ways = Charging::ways(wire).filter(|way| several || way.counted != Counted::First);
    let mut fits: Vec<_> = ways.filter_map(|way| fitted_as(way, &large, wire, beside, counters)).collect();
    let least_off = fits.iter().map(|(_, off)| *off).fold(f64::INFINITY, f64::min);
    fits.retain(|(_, off)| *off <= least_off + COUNTS_AGREE);
    fits.sort_by(|a, b| b.0.fit.log_odds.total_cmp(&a.0.fit.log_odds));
    fits.into_iter().map(|(found, _)| found).collect()
}

/// The bucket that fits best if it is charged so, and the share by which another number of fragments arrived.
fn fitted_as(
    charging: Charging,
    large: &[Sent],
    wire: &Wire,
    beside: Beside,
    counters: &SizeCounters,
) -> Option<(Fragments, f64)> {
    let arrived = counters.fragments_arrived.map(|arrived| arrived as f64);
    let charges: Vec<_> = large.iter().map(|sent| charging.charge(sent, wire)).collect();
    let fit = bucket::fit(&charges, &DEPTHS_PACKETS, beside.of_large, true)?;
    // What arrived tells how many of them counted: those that do not all pass.
    let all: f64 = large.iter().map(|sent| f64::from(wire.fragments(sent.payload))).sum();
    let uncharged = all - charges.iter().map(Charge::arrive_at_most).sum::<f64>();
    // A long stage is replayed in part.
    let of_all = charges.len() as f64 / charges.len().clamp(1, REPLAYED_MAX) as f64;
    let arrives = (uncharged + fit.agreement.arrived * of_all) * (1.0 - beside.of_packets);
    let off = arrived.map_or(0.0, |arrived| (arrives / arrived.max(1.0) - 1.0).abs());
    let passed = arrived.map(|arrived| arrived / (1.0 - beside.of_packets) - uncharged);
    let by_losses = Estimate::new(fit.limit, UNIT, fit.interval);
    let limit = match passed.and_then(|passed| by_arrivals(&charges, &fit, passed)) {
        Some(by_arrivals) => unless_apart(by_arrivals, &by_losses),
        None => by_losses,
    };
    Some((Fragments { charging, fit, limit, large: large.to_vec() }, off))
}

/// The closer of two measures of one limit; where they contradict each other the model is not quite right, and the limit anywhere that either
/// says.
fn unless_apart(close: Estimate, rough: &Estimate) -> Estimate {
    let (Some(one), Some(other)) = (close.interval, rough.interval) else { return close };
    if one.0.max(other.0) <= one.1.min(other.1) {
        return close;
    }
    Estimate::new(close.value, UNIT, (one.0.min(other.0), one.1.max(other.1)))
}

/// The limit of a bucket of about this depth that lets so many fragments pass, if it agrees with what was lost.
fn by_arrivals(charges: &[Charge], fit: &Fit, passed: f64) -> Option<Estimate> {
    let value = bucket::limit_by_arrivals(charges, fit.depth, passed)
        .filter(|value| (value / fit.limit - 1.0).abs() < ARRIVALS_AGREE)?;
    // The deeper, the lower the limit.
    let depths = [fit.depths.0, fit.depth, fit.depths.1];
    let off = TOKENS_OFF.min(fit.depth) + passed.max(1.0).sqrt() / 10.0;
    let limits = depths.into_iter().flat_map(|depth| bucket::limits_by_arrivals(charges, depth, passed, off));
    let interval = limits.fold((value, value), |(low, high), limit| (limit.min(low), limit.max(high)));
    Some(Estimate::new(value, UNIT, interval))
}

/// What the reads of an experiment show of a limit, whose answers take two fragments each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// The likeliest limit; none where hardly any answer of several packets was lost.
    pub limit: Option<Estimate>,
    /// The limit for each way in which a device may charge them: two fragments do not tell one from another, those of the stage may.
    pub by_charging: Vec<(Charging, Estimate)>,
    /// Where hardly any answer came whole: the buckets that may have done that.
    pub starved: Vec<Starving>,
}

/// What an experiment's books show of a limit of fragments; `stage` is that before it, whose small answers tell what chance loses.
pub fn fragment_limit(books: &Books, stage: &Population) -> Shown {
    let wire = Wire::of(books);
    let case = Case::open(books);
    let counters = SizeCounters::of(&case);
    let beside = beside_experiment(&case, &wire, stage);
    let large: Vec<_> =
        traffic::answers(&case).into_iter().flatten().filter(|sent| sent.packets(&wire) > 1).collect();
    let lost = large.iter().filter(|sent| sent.lost == Some(true)).count();
    if (lost as u64) < LOSSES_MIN {
        return Shown::default();
    }
    // Where hardly any comes whole, which ones are lost tells nothing.
    let starved = lost as f64 >= ALL_LOST * large.len() as f64;
    let arrived = counters.fragments_arrived.map(|fragments| Arrived { fragments, lost: beside.of_packets });
    let either = |by_losses: Option<Fragments>, only: Option<Charging>| {
        let by_losses =
            by_losses.and_then(|found| (found.fit.log_odds >= LOG_ODDS_MIN).then_some(found.limit));
        let by_arrivals = || starved::replayed(&case, &wire, arrived?, only);
        if starved { by_arrivals().or(by_losses) } else { by_losses.or_else(by_arrivals) }
    };
    let as_charged = |way: Charging| {
        let by_losses = fitted_as(way, &large, &wire, beside, &counters).map(|(found, _)| found);
        either(by_losses, Some(way)).map(|limit| (way, limit))
    };
    Shown {
        limit: either(fitted(&large, &wire, beside, &counters).into_iter().next(), None),
        by_charging: Charging::ways(&wire).filter_map(as_charged).collect(),
        starved: arrived
            .filter(|_| starved)
            .map_or_else(Vec::new, |arrived| starved::possible(&case, &wire, arrived, None)),
    }
}

/// What is lost beside a limit in an experiment with answers of two packets, by the answers of one packet of the stage before it.
fn beside_experiment(case: &Case<'_>, wire: &Wire, stage: &Population) -> Beside {
    let small = |index: usize| wire.packets((index as u32 + 1) * stage.size_bin_bytes) == 1;
    let counts =
        stage.by_size.iter().enumerate().filter(|(index, _)| small(*index)).map(|(_, counts)| counts);
    let (lost, reads) =
        counts.fold((0, 0), |sum, counts| (sum.0 + counts.first_try_lost, sum.1 + counts.reads));
    let of_one = lost as f64 / reads.max(1) as f64;
    Beside { of_large: 1.0 - (1.0 - of_one).powi(2), of_packets: lost_of(case, of_one, 2.0) }
}

/// Of a share of packets that chance loses or changes, that which it loses: changed ones arrive, and fail a checksum when all of an answer is
/// there, of so many packets in the mean.
pub(super) fn lost_of(case: &Case<'_>, share: f64, packets: f64) -> f64 {
    let counts = &case.books.population.by_size;
    let whole: u64 = counts.iter().map(|counts| counts.reads - counts.first_try_lost).sum();
    let changed = counters::corrupted(case, Direction::Down) as f64;
    let unchanged_packets = (whole as f64 / (whole as f64 + changed).max(1.0)).powf(1.0 / packets);
    (1.0 - (1.0 - share) / unchanged_packets.max(0.01)).clamp(0.0, 0.9)
}

impl Fragments {
    /// How evenly answers passed in ten equal stretches of time, beside how unevenly they were sent.
    pub(super) fn evidence(&self, wire: &Wire) -> Option<String> {
        const STRETCHES: usize = 10;
        let (first, last) = (self.large.first()?.at_us, self.large.last()?.at_us);
        let length = ((last - first) / STRETCHES as u64 + 1).max(1);
        let (mut sent, mut passed) = ([0.0; STRETCHES], [0.0; STRETCHES]);
        for answer in &self.large {
            let stretch = ((answer.at_us - first) / length) as usize;
            let count = f64::from(self.charging.packets(answer, wire));
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
            "{} in answers that came whole: {:.0} a second (over tenths of the time that varied by {:.0}), of {:.0} a second that were sent (varied by {:.0}); a path that loses by chance passes the same share, not the same number",
            self.charging.words(),
            mean(&passed) * a_second,
            deviation(&passed) * a_second,
            mean(&sent) * a_second,
            deviation(&sent) * a_second,
        ))
    }
}
