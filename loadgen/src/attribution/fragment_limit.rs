//! How many fragments a second pass, and which of them count: a token bucket fitted to the answers that were lost, and to the fragments that
//! arrived.
//!
//! Which answers are lost tells the bucket's depth. How many fragments arrived tells the limit more closely than how many answers came whole:
//! each fragment that passes takes a token, whatever becomes of the others of its answer.

use super::bucket::{self, Charge, Fit};
use super::case::{Case, Wire};
use super::charging::Charging;
use super::counters;
use super::sizes::SizeCounters;
use super::traffic::Sent;
use super::{Direction, Estimate};
use crate::statistics::NORMAL_95;

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
/// Log of the likelihood ratio from which on losses tell before or after routers a device counts: below it, what devices are common.
const PLACE_ODDS: f64 = 3.0;
/// Tokens that a count of arrivals may be off by: a bucket is not full at first, or not empty at the end.
const TOKENS_OFF: f64 = 10.0;

/// Time that a host and a router take over a fragment at most (3 to 20 us are what buckets of two or three tokens agree with best): receipts tell when
/// an answer left, not each of its fragments.
const FRAGMENT_US: u64 = 20;

/// A bucket that fits, and what it counts.
pub(super) struct Fragments {
    pub(super) charging: Charging,
    pub(super) fit: Fit,
    /// The limit.
    pub(super) limit: Estimate,
    /// Share by which another number of fragments arrived than it lets through.
    off: f64,
}

/// What is lost beside the limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    /// Share of all large answers that chance loses or changes.
    pub(super) of_large: f64,
    /// Share of all packets that is lost on the way (those that are changed arrive).
    pub(super) of_packets: f64,
    /// Standard deviation of that share, which small answers tell.
    pub(super) of_packets_sd: f64,
    /// Standard deviation of what came through the limit, as a share of it: how closely what chance did to it is known.
    through_sd: f64,
}

/// What became of the answers of several packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    /// Came whole.
    pub(super) whole: u64,
    /// Packets of each in the mean.
    pub(super) packets: f64,
    /// The client's kernel put together; none: not known.
    pub(super) put_together: Option<u64>,
    /// Answers that failed a checksum, of any size.
    pub(super) changed: u64,
}

impl Beside {
    /// By the share of these answers that chance takes as small ones tell, the share of packets that it loses, and that one's standard deviation.
    pub(super) fn of(by_small: f64, of_packets: f64, of_packets_sd: f64, large: Large) -> Self {
        let all_arrive = (1.0 - of_packets).powf(large.packets);
        // What is changed is put together all the same: the kernel's count tells of it, and leaves but the lost to guess.
        let put =
            large.put_together.filter(|put| (large.whole + 1..=large.whole + large.changed).contains(put));
        let (of_large, guessed) = match put {
            Some(put) => (1.0 - large.whole as f64 * all_arrive / put as f64, 1.0 - all_arrive),
            None => (by_small, by_small),
        };
        let (of_large, guessed) = (of_large.clamp(0.0, 0.99), guessed.clamp(0.0, 0.99));
        let through = (large.whole as f64 / (1.0 - of_large)).max(1.0);
        let by_accident = guessed * (1.0 - guessed) / through;
        let through_sd = (by_accident + (large.packets * of_packets_sd).powi(2)).sqrt() / (1.0 - guessed);
        Self { of_large, of_packets, of_packets_sd, through_sd }
    }

    /// Standard deviation of the number of packets that arrived, as a share of it: by how closely the share that chance loses is known, and by
    /// accident.
    fn arrivals_sd(&self, arrived: f64) -> f64 {
        let known = self.of_packets_sd / (1.0 - self.of_packets);
        (known.powi(2) + self.of_packets / arrived.max(1.0)).sqrt()
    }
}

/// The buckets that fit best to these answers of several fragments, for each way of charging with which the number of fragments that arrived
/// agrees, the best first.
pub(super) fn fitted(large: &[Sent], wire: &Wire, beside: Beside, counters: &SizeCounters) -> Vec<Fragments> {
    if large.is_empty() {
        return Vec::new();
    }
    let mut fits: Vec<_> =
        Charging::ways(wire).filter_map(|way| fitted_as(way, large, wire, beside, counters)).collect();
    let least_off = fits.iter().map(|found| found.off).fold(f64::INFINITY, f64::min);
    let by_chance =
        counters.fragments_arrived.map_or(0.0, |arrived| NORMAL_95 * beside.arrivals_sd(arrived as f64));
    fits.retain(|found| found.off <= least_off + COUNTS_AGREE + by_chance);
    // Limits of fragments are mostly those of the server's own card, which comes before any router: unless the losses say otherwise.
    let highest = fits.iter().map(|found| found.fit.log_odds).fold(0.0, f64::max);
    let likely = |found: &Fragments| {
        found.charging.before_routers == wire.cuts_twice() && found.fit.log_odds >= highest - PLACE_ODDS
    };
    fits.sort_by(|a, b| likely(b).cmp(&likely(a)).then(b.fit.log_odds.total_cmp(&a.fit.log_odds)));
    fits
}

/// The bucket that fits best if it is charged so.
fn fitted_as(
    charging: Charging,
    large: &[Sent],
    wire: &Wire,
    beside: Beside,
    counters: &SizeCounters,
) -> Option<Fragments> {
    let arrived = counters.fragments_arrived.map(|arrived| arrived as f64);
    let charges: Vec<_> = large.iter().map(|sent| charging.charge(sent, wire)).collect();
    let fit = bucket::fit(&charges, &DEPTHS_PACKETS, beside.of_large, true)?;
    // What arrived tells how many of them counted: those that do not all pass.
    let all: f64 = large.iter().map(|sent| f64::from(sent.may_arrive(wire))).sum();
    let uncharged = all - charges.iter().map(Charge::arrive_at_most).sum::<f64>();
    // A long stage is replayed in part.
    let of_all = charges.len() as f64 / fit.replayed.max(1) as f64;
    let arrives = (uncharged + fit.agreement.arrived * of_all) * (1.0 - beside.of_packets);
    let off = arrived.map_or(0.0, |arrived| (arrives / arrived.max(1.0) - 1.0).abs());
    let passed = arrived.map(|arrived| arrived / (1.0 - beside.of_packets) - uncharged);
    let off_of_chance = NORMAL_95 * beside.through_sd;
    let interval = (fit.interval.0 * (1.0 - off_of_chance).max(0.0), fit.interval.1 * (1.0 + off_of_chance));
    let by_losses = Estimate::new(fit.limit, UNIT, interval);
    // Of all that arrived chance had its share, known only so closely: where few of the fragments are charged it may hide most of them.
    let by_chance = arrived.unwrap_or(0.0) * NORMAL_95 * beside.of_packets_sd;
    let by_pace = bucket::arrived_by_pace(&charges, fit.limit, fit.depth, FRAGMENT_US);
    let others = by_chance + by_pace;
    let limit = match passed.and_then(|passed| by_arrivals(&charges, &fit, passed, others)) {
        Some(by_arrivals) if others <= TOKENS_OFF || spread(&by_arrivals) <= spread(&by_losses) => {
            unless_apart(by_arrivals, &by_losses)
        }
        _ => by_losses,
    };
    Some(Fragments { charging, fit, limit, off })
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

/// The limit of a bucket of about this depth that lets so many fragments pass, give or take those that others may have made more or fewer, if
/// it agrees with what was lost.
fn by_arrivals(charges: &[Charge], fit: &Fit, passed: f64, others: f64) -> Option<Estimate> {
    let value = bucket::limit_by_arrivals(charges, fit.depth, passed)
        .filter(|value| (value / fit.limit - 1.0).abs() < ARRIVALS_AGREE)?;
    let off = TOKENS_OFF.min(fit.depth) + passed.max(1.0).sqrt() / 10.0 + others;
    let ends = |depth: f64| bucket::limits_by_arrivals(charges, depth, passed, off);
    // Where all arrives but a few, what was lost bounds the limit.
    let [low, high] = ends(fit.depth);
    let own = (low.unwrap_or(fit.interval.0).min(value), high.unwrap_or(fit.interval.1).max(value));
    // The deeper, the lower the limit.
    let at_depths = [fit.depths.0, fit.depths.1].into_iter().flat_map(ends).flatten();
    let interval = at_depths.fold(own, |(low, high), limit| (limit.min(low), limit.max(high)));
    Some(Estimate::new(value, UNIT, interval))
}

/// Half of the interval, as a share of the value.
pub(super) fn spread(limit: &Estimate) -> f64 {
    limit
        .interval
        .map_or(f64::INFINITY, |(low, high)| (high - low) / 2.0 / limit.value.max(f64::MIN_POSITIVE))
}

/// Of a share of packets that chance loses or changes, that which it loses: changed ones arrive, and fail a checksum when all of an answer is
/// there, of so many packets in the mean.
pub(super) fn lost_of(case: &Case<'_>, share: f64, packets: f64) -> f64 {
    let counts = &case.books.population.by_size;
    let whole: u64 = counts.iter().map(|counts| counts.reads - counts.first_try_lost).sum();
    let changed = counters::corrupted(case, Direction::Down) as f64;
    if changed == 0.0 {
        return share;
    }
    let unchanged_packets = (whole as f64 / (whole as f64 + changed)).powf(1.0 / packets);
    (1.0 - (1.0 - share) / unchanged_packets.max(0.01)).clamp(0.0, 0.9)
}

impl Fragments {
    /// How evenly answers passed in ten equal stretches of time, beside how unevenly they were sent.
    pub(super) fn evidence(&self, large: &[Sent], wire: &Wire) -> Option<String> {
        const STRETCHES: usize = 10;
        let (first, last) = (large.first()?.at_us, large.last()?.at_us);
        let length = ((last - first) / STRETCHES as u64 + 1).max(1);
        let (mut sent, mut passed) = ([0.0; STRETCHES], [0.0; STRETCHES]);
        for answer in large {
            let stretch = ((answer.at_us - first) / length) as usize;
            let count = f64::from(self.charging.packets(answer, wire));
            sent[stretch] += count;
            passed[stretch] += if answer.lost == Some(true) || answer.astray { 0.0 } else { count };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_together_tells_what_flipped_bits_hide() {
        let large = |put_together| Large { whole: 400, packets: 2.0, put_together, changed: 500 };
        // 600 came through the limit, of which a third was changed; small answers would have it be 0.4.
        let told = Beside::of(0.4, 0.0, 0.0, large(Some(600)));
        assert!((told.of_large - 1.0 / 3.0).abs() < 1e-9 && told.through_sd == 0.0, "{told:?}");
        // Without the count, or with one that flipped bits cannot account for, small answers are all there is.
        for put_together in [None, Some(400), Some(901)] {
            let guessed = Beside::of(0.4, 0.0, 0.0, large(put_together));
            assert!(guessed.of_large == 0.4 && guessed.through_sd > 0.0, "{guessed:?}");
        }
    }
}
