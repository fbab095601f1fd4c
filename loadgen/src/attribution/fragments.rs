//! Fragments that a device passes only so many of a second, and those that find no memory where they are put together.
//!
//! The limit is a token bucket that takes a token for each fragment it counts (the first of a datagram, all but it, or all). Predicts that
//! small answers pass, that fragments pass at a constant rate whatever is sent, that losses begin where large answers times counted fragments
//! exceed the rate, and which answers are lost: those that find the bucket empty. A constant share lost, at any rate, refutes it.

use super::case::{Case, Wire};
use super::charging::Charging;
use super::counters;
use super::fragment_limit::{self, Beside, Fragments, Large, UNIT, fitted, spread};
use super::limits::{COUNTED_ALONE, EPISODE_NS, LOG_ODDS_MIN};
use super::numbers::confidence;
use super::sizes::{SizeCounters, Step};
use super::starved;
use super::traffic::{self, Sent};
use super::{Books, Cause, Direction, Estimate, Experiment, Trial};

/// Confidence in a limit that no replay and no experiment was made for: whatever else loses some fragments and not others looks alike.
const UNTESTED: f64 = 0.6;

/// Largest share of the stage's rate at which an experiment reads answers of two fragments: as long as others' at the rate itself it need not be.
const SHARE_MAX: f64 = 0.95;
/// How many times as many fragments an experiment offers as the stage did.
const EXCESS: f64 = 8.0;
/// An interval this wide, to either side, is a number: a wider one is worth an experiment.
pub(super) const CLOSE_ENOUGH: f64 = 0.03;

/// Takes the large answers whose fragments found no memory at the client.
pub(super) fn overflowed(case: &mut Case<'_>, wire: &Wire, counters: &SizeCounters) {
    let client = &case.books.client.host;
    if case.books.stage.shared_counters {
        return;
    }
    let count = |name| client.of_version(case.books.stage.ipv6, "Ip", name);
    let (Some(failed), Some(timed_out)) = (count("ReasmFails"), count("ReasmTimeout")) else {
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

/// Takes what a limit of fragments lost beyond chance.
pub(super) fn limited(case: &mut Case<'_>, wire: &Wire, step: &Step, counters: &SizeCounters) {
    // A full queue takes small packets more readily than large ones: a step that is not where answers are cut is no fragments' doing.
    let width = case.books.population.size_bin_bytes;
    if wire.ip_bytes(step.from_bytes + width) <= wire.mtu && step.from_bytes > 0 {
        return;
    }
    let answers = traffic::answers(case).into_iter().flatten();
    let large: Vec<_> = answers.filter(|sent| sent.packets(wire) > 1).collect();
    let beside = beside(case, wire, step, &large, counters);
    let of_chance = beside.of_large;
    let found = fitted(&large, wire, beside, counters);
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
    // Whether at a rate that passes anyway less than half of that share was lost, where that was tried.
    let share_lost = lost as f64 / (step.reads + step.reads_below).max(1) as f64;
    let lower_rate = case
        .books
        .lower_rate(Direction::Down)
        .map(|(lost, reads)| lost as f64 / reads as f64 <= share_lost / 2.0);
    match settled(&found, case) {
        Some((found, limit)) => {
            case.take((Cause::FragmentRateLimit, None), |_, open| chosen(open));
            let (evidence, fit) = (found.evidence(&large, wire), found.fit);
            let share = case.share(Cause::FragmentRateLimit, direction);
            share.confidence = confidence(fit.log_odds);
            share.evidence.push(format!(
                "{} of {} lost answers are such as are cut into fragments (more than {} B of value); of {} smaller reads {} were lost",
                step.lost, step.lost + step.lost_below, step.from_bytes, step.reads_below, step.lost_below
            ));
            share.evidence.extend(evidence);
            share.evidence.push(format!(
                "a device that passes {:.0} {} a second, and {:.0} at once after a rest, would have lost {:.0} of the answers as they were sent; {:.0} were lost, {:.0} of them the very same",
                fit.limit, found.charging.words(), fit.depth, fit.agreement.predicted(), fit.agreement.observed(), fit.agreement.both
            ));
            share.estimates.insert("limit".into(), limit);
        }
        // Without the order of the answers: what passed a second is all there is to go by. At a rate that passes a limit loses nothing.
        None if lower_rate.unwrap_or_else(|| {
            counters.fragments_arrived.is_some_and(|arrived| arrived > 0) || step.lost > step.reads / 2
        }) =>
        {
            case.take((Cause::FragmentRateLimit, None), |_, open| chosen(open));
            let seconds = case.books.stage.duration_ns as f64 / 1e9;
            let whole = step.reads.saturating_sub(lost) as f64 / seconds.max(1e-9);
            let limit = by_experiment(case, |_, _| true).or_else(|| at_least(case, counters, whole));
            let share = case.share(Cause::FragmentRateLimit, direction);
            share.confidence = if lower_rate.is_some() { COUNTED_ALONE } else { UNTESTED };
            if lower_rate.is_some() {
                share.evidence.push(
                    "at a lower rate, at which they would pass a limit, hardly any was lost".to_owned(),
                );
            }
            share.evidence.push(format!(
                "{} of {} answers that are cut into fragments were lost, {} of {} smaller ones; without receipts of all answers the rate at which they pass is known only in the mean",
                step.lost, step.reads, step.lost_below, step.reads_below
            ));
            if let Some(limit) = limit {
                share.estimates.insert("limit".into(), limit);
            }
        }
        _ => {}
    }
}

/// A limit of which only the mean is known: the fragments that arrived a second, of which all may be charged, or but one of each answer that
/// came whole.
fn at_least(case: &Case<'_>, counters: &SizeCounters, whole_a_second: f64) -> Option<Estimate> {
    let arrived = starved::a_second(case, counters.fragments_arrived?)?;
    let most = arrived.interval.map_or(arrived.value, |(_, high)| high);
    Some(Estimate::new(arrived.value, UNIT, (whole_a_second.min(arrived.value), most)))
}

/// The limit that an experiment with answers of two fragments each showed: any of those of the ways of charging that may be, or the likeliest.
pub(super) fn by_experiment(
    case: &Case<'_>,
    may_be: impl Fn(Charging, &Estimate) -> bool,
) -> Option<Estimate> {
    let trial = counting(case)?;
    let limits = trial.limits.iter().filter(|(way, limit)| may_be(*way, limit));
    any_of(limits.map(|(_, limit)| limit)).or_else(|| trial.limit.clone())
}

/// The last experiment that counts fragments.
pub(super) fn counting<'a>(case: &Case<'a>) -> Option<&'a Trial> {
    let counts = |trial: &&Trial| {
        matches!(trial.experiment, Experiment::AnswersOf { share, .. } if share < 1.0)
            && trial.failed.is_none()
    };
    case.books.trials.iter().rev().find(counts)
}

/// The answers of two fragments that would make this limit a number, and at which share of the stage's rate; none where it is one.
pub(super) fn telling(books: &Books, wire: &Wire, limit: &Estimate) -> Option<Experiment> {
    // Well above what is cut, and far from what makes three.
    let mtu = wire.cut_mtu();
    let bytes = mtu.saturating_sub(wire.headers) + mtu / 4;
    let told = books.all_receipts().is_some() && wire.whole() && wire.server_fragments(bytes) == 2;
    if spread(limit) <= CLOSE_ENOUGH || !told {
        return None;
    }
    let population = &books.population;
    let of_bin = |(index, counts): (usize, &super::Counts)| {
        let pieces = wire.packets(index as u32 * population.size_bin_bytes);
        (counts.reads as f64, if pieces > 1 { f64::from(pieces) * counts.reads as f64 } else { 0.0 })
    };
    let bins = population.by_size.iter().enumerate().map(of_bin);
    let (reads, fragments) = bins.fold((0.0, 0.0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1));
    // So many times as many fragments as there were: a bucket that is never full wastes no token.
    let share = (EXCESS / 2.0 * fragments / f64::max(reads, 1.0)).clamp(0.01, SHARE_MAX);
    Some(Experiment::AnswersOf { bytes, share })
}

/// Which way of charging it is, of those that explain the stage, and the limit. An experiment's limit is the same as the stage's only if its
/// answers are charged as the stage's are; without one it is any of theirs.
fn settled<'a>(found: &'a [Fragments], case: &Case<'_>) -> Option<(&'a Fragments, Estimate)> {
    let found: Vec<_> = found.iter().filter(|found| found.fit.log_odds >= LOG_ODDS_MIN).collect();
    let best = *found.first()?;
    let trial = counting(case);
    let tried = |found: &Fragments| {
        let so = trial?.limits.iter().find(|(way, _)| *way == found.charging);
        so.map(|(_, limit)| limit)
    };
    let meet = |found: &&'a Fragments| Some((*found, agreed(&found.limit, tried(found)?)?));
    let both: Vec<_> = found.iter().filter_map(meet).collect();
    if let (Some((first, _)), Some(limit)) = (both.first(), any_of(both.iter().map(|(_, limit)| limit))) {
        return Some((first, limit));
    }
    let limit = match tried(best).or(trial.and_then(|trial| trial.limit.as_ref())) {
        // They contradict each other: the one that was made to tell is the likelier.
        Some(tried) => either(tried.clone(), &best.limit),
        None => any_of(found.iter().map(|found| &found.limit))?,
    };
    Some((best, limit))
}

/// Any of these limits, the likeliest first.
fn any_of<'a>(mut limits: impl Iterator<Item = &'a Estimate>) -> Option<Estimate> {
    let first = limits.next()?.clone();
    Some(limits.fold(first, either))
}

/// One of two limits, the likelier first.
pub(super) fn either(likely: Estimate, other: &Estimate) -> Estimate {
    let ends = |limit: &Estimate| limit.interval.unwrap_or((limit.value, limit.value));
    let (one, another) = (ends(&likely), ends(other));
    Estimate::new(likely.value, UNIT, (one.0.min(another.0), one.1.max(another.1)))
}

/// Two measures of one limit, which lies where both say it does: the value that does, or the mean of two that do, weighed by how closely each
/// is known. None where they contradict each other.
fn agreed(found: &Estimate, tried: &Estimate) -> Option<Estimate> {
    let (one, other) = (found.interval?, tried.interval?);
    let (low, high) = (one.0.max(other.0), one.1.min(other.1));
    let mut both = [tried, found];
    both.sort_by(|a, b| spread(a).total_cmp(&spread(b)));
    if low > high {
        // Hardly apart, they are one all the same.
        let near = low <= high * (1.0 + CLOSE_ENOUGH);
        return near.then(|| either(both[0].clone(), both[1]));
    }
    let inside: Vec<_> = both.iter().filter(|estimate| (low..=high).contains(&estimate.value)).collect();
    let value = match inside[..] {
        [] => f64::midpoint(low, high),
        [one] => one.value,
        [close, other, ..] => {
            let share =
                spread(close).powi(2) / (spread(close).powi(2) + spread(other).powi(2)).max(f64::EPSILON);
            close.value + (other.value - close.value) * share
        }
    };
    Some(Estimate::new(value, UNIT, (low, high)))
}

/// What chance does beside a limit to answers above the step, by what it does below it and the packets they have.
fn beside(case: &Case<'_>, wire: &Wire, step: &Step, sent: &[Sent], counters: &SizeCounters) -> Beside {
    let population = &case.books.population;
    // The kernel puts together those below the step as well that routers alone cut.
    let whole = match sent.iter().filter(|sent| sent.lost == Some(false)).count() {
        0 => step.reads.saturating_sub(step.lost),
        whole => whole as u64,
    };
    let large = case.met(Direction::Down).into_iter().enumerate().filter_map(|(index, (reads, _))| {
        let value_bytes = index as u32 * population.size_bin_bytes;
        (value_bytes >= step.from_bytes).then(|| (reads as f64, wire.packets(value_bytes)))
    });
    let (lost, packets, reads) = large.fold((0.0, 0.0, 0.0), |sum, (reads, packets)| {
        let lost = 1.0 - (1.0 - step.base()).powi(packets as i32);
        (sum.0 + reads * lost, sum.1 + reads * f64::from(packets), sum.2 + reads)
    });
    let reads = f64::max(reads, 1.0);
    let large = Large {
        whole,
        packets: packets / reads,
        put_together: counters.reassembled,
        changed: counters::corrupted(case, Direction::Down),
    };
    Beside::of(lost / reads, fragment_limit::lost_of(case, step.base(), 1.0), step.base_sd(), large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_lies_where_both_measures_say() {
        let limit = |value, low, high| Estimate::new(value, UNIT, (low, high));
        let found = limit(293.0, 290.0, 325.0);
        let agreed = |value, low, high| agreed(&found, &limit(value, low, high));
        // Only one of the values is possible for both, or both are, or neither.
        assert_eq!(agreed(323.0, 321.0, 410.0), Some(limit(323.0, 321.0, 325.0)));
        let both = agreed(294.0, 291.0, 297.0).unwrap();
        assert!((293.9..294.0).contains(&both.value) && both.interval == Some((291.0, 297.0)), "{both:?}");
        assert_eq!(agreed(340.0, 305.0, 410.0), Some(limit(315.0, 305.0, 325.0)));
        assert_eq!(agreed(400.0, 390.0, 410.0), None);
        assert_eq!(agreed(330.0, 329.0, 331.0), Some(limit(330.0, 290.0, 331.0)));
        assert_eq!(either(found.clone(), &limit(200.0, 190.0, 210.0)), limit(293.0, 190.0, 325.0));
    }
}
