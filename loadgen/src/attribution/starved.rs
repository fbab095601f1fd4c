//! A limit of fragments so low, or of so shallow a bucket, that hardly any answer that is cut comes whole: which ones are lost tells nothing
//! then, and what is left to go by is how many fragments arrived.
//!
//! A bucket that holds fewer tokens than an answer charges passes some fragments of each, and so does a deeper one that is asked for far more
//! than it gets. For each depth the limit follows from the number that arrived; depths that would let more answers come whole are out, and the
//! others together give an interval, which an experiment with answers of two fragments makes a number.

use super::bucket::{self, Charge};
use super::case::{Case, Wire};
use super::charging::{Charging, Counted};
use super::fragment_limit::{DEPTHS_PACKETS, UNIT};
use super::fragments::by_experiment;
use super::limits::{COUNTED_ALONE, LOSSES_MIN, NORMAL_95};
use super::numbers::confidence;
use super::sizes::{SizeCounters, Step};
use super::traffic;
use super::{Cause, Direction, Estimate};

/// Most fragments of an answer whose every bucket is tried: those of 64 KiB over an MTU of 1280.
const FRAGMENTS_MAX: u32 = 53;
/// Share by which counts that are one may differ: a few fragments of other traffic.
const SAME_COUNT: f64 = 0.02;

/// Answers that a full bucket lets come whole at first, and that may have been lost otherwise.
const WHOLE_BESIDE: f64 = 3.0;

/// Takes all large answers where fragments arrive, but not just the first or the later ones of each, as a firewall would have it that passes
/// those.
pub(super) fn settle(case: &mut Case<'_>, wire: &Wire, step: &Step, counters: &SizeCounters) -> bool {
    let (Some(made), Some(arrived)) = (counters.fragments_made, counters.fragments_arrived) else {
        return false;
    };
    let cut = counters.fragmented.unwrap_or(step.reads);
    let all_of = |count: u64| arrived.abs_diff(count) as f64 <= SAME_COUNT * count as f64;
    if arrived < LOSSES_MIN || all_of(cut) || all_of(made.saturating_sub(cut)) || all_of(made) {
        return false;
    }
    let direction = case.told(Direction::Down);
    let limit = by_experiment(case)
        .or_else(|| replayed(case, wire, arrived, None))
        .or_else(|| a_second(case, arrived));
    let Some(limit) = limit else { return false };
    let reads = super::sizes::take_above(case, Cause::FragmentRateLimit, step);
    let share = case.share(Cause::FragmentRateLimit, direction);
    share.confidence = confidence(reads as f64).min(COUNTED_ALONE);
    share.evidence.push(format!(
        "{} of {} answers that are cut into fragments were lost; of {made} fragments {arrived} arrived, and hardly ever all of an answer's",
        step.lost, step.reads
    ));
    share.estimates.insert("limit".into(), limit);
    true
}

/// The limits of all buckets that let so many fragments pass of the answers sent, and about as many of them whole as came; charged in this way
/// alone, if one is given.
pub(super) fn replayed(
    case: &Case<'_>,
    wire: &Wire,
    arrived: u64,
    only: Option<Charging>,
) -> Option<Estimate> {
    let answers = traffic::answers(case)?;
    let large: Vec<_> = answers.into_iter().filter(|sent| sent.packets(wire) > 1).collect();
    let all: f64 = large.iter().map(|sent| f64::from(wire.fragments(sent.payload))).sum();
    let came = large.iter().filter(|sent| sent.lost == Some(false)).count() as f64;
    // A bucket that holds too little for one lets none come whole, and one that holds more does when arrivals leave it the time.
    let fewest_whole = came / 2.0 - WHOLE_BESIDE;
    let most_whole = came + WHOLE_BESIDE + NORMAL_95 * came.sqrt();
    let (mut limits, mut likely) = (Vec::new(), Vec::new());
    // All fragments are charged, or all but the first, which then all arrive.
    let possible = |way: &Charging| only.map_or(way.counted != Counted::First, |only| only == *way);
    for way in Charging::ways(wire).filter(possible) {
        let charges: Vec<_> = large.iter().map(|sent| way.charge(sent, wire)).collect();
        let most = charges.iter().map(|charge| charge.packets).max()?.min(FRAGMENTS_MAX);
        let uncharged = all - charges.iter().map(Charge::arrive_at_most).sum::<f64>();
        let through = arrived as f64 - uncharged;
        if through > 0.0 {
            let limit = |depth: f64| {
                let limit = bucket::limit_by_arrivals(&charges, depth, through)?;
                (fewest_whole..=most_whole).contains(&bucket::whole(&charges, limit, depth)).then_some(limit)
            };
            let shallow = (1..most).map(f64::from);
            // A full one lets as many come whole at first as it holds tokens for.
            let deepest = f64::from(most) * (most_whole + 1.0);
            let deeper =
                DEPTHS_PACKETS.into_iter().filter(|depth| (f64::from(most)..=deepest).contains(depth));
            let found: Vec<_> = shallow.chain(deeper).filter_map(limit).collect();
            limits.extend(&found);
            // Limits of fragments are mostly those of the server's own card, which comes before any router.
            likely.extend(found.into_iter().filter(|_| way.before_routers == wire.cuts_twice()));
        }
    }
    limits.sort_by(f64::total_cmp);
    likely.sort_by(f64::total_cmp);
    let relative = 2.0 / (arrived as f64).sqrt();
    let (low, high) = (limits.first()? * (1.0 - relative), limits.last()? * (1.0 + relative));
    let likely = if likely.is_empty() { &limits } else { &likely };
    // A bucket of one token wastes some that deeper ones keep: between the two nothing is far off.
    let value = (likely.first()? * likely.last()?).sqrt();
    Some(Estimate::new(value, UNIT, (low, high)))
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
    (count > 0).then(|| Estimate::new(rate, UNIT, (rate * (1.0 - relative), rate * (1.0 + relative))))
}
