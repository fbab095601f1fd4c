//! A limit of fragments so low, or of so shallow a bucket, that hardly any answer that is cut comes whole: which ones are lost tells nothing
//! then, and what is left to go by is how many fragments arrived.
//!
//! A bucket that holds fewer tokens than an answer charges passes some fragments of each, and so does a deeper one that is asked for far more
//! than it gets. For each depth the limit follows from the number that arrived; depths that would let more answers come whole than came, or far fewer, are out, and the
//! others together give an interval, which an experiment with answers of two fragments makes a number.

use serde::{Deserialize, Serialize};

use super::bucket::{self, Charge};
use super::case::{Case, Wire};
use super::charging::{Charging, Counted};
use super::fragment_limit::{DEPTHS_PACKETS, UNIT, lost_of};
use super::fragments::{CLOSE_ENOUGH, by_experiment, either};
use super::limits::{ALL_LOST, COUNTED_ALONE, LOSSES_MIN};
use super::numbers::confidence;
use super::sizes::{SizeCounters, Step};
use super::traffic;
use super::{Cause, Direction, Estimate};
use crate::statistics::NORMAL_95;

/// Depths that are tried one by one; deeper ones at steps.
const EACH_DEPTH_MAX: u32 = 10;
/// Share of what arrived that a bucket may have held at first, for its limit to count as likely.
const AT_FIRST_MAX: f64 = 0.1;
/// Share by which counts that are one may differ,
const SAME_COUNT: f64 = 0.002;
/// and by how much besides: fragments of other traffic.
const OTHERS: f64 = 2.0;

/// Answers that a full bucket lets come whole at first, and that may have been lost otherwise.
const WHOLE_BESIDE: f64 = 3.0;

/// Logarithm of the ratio up to which two limits may be one: buckets are not full at first, and answers that chance lost took tokens or none.
const SAME_LIMIT: f64 = 0.1;

/// A bucket that hardly any answer comes through whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Starving {
    /// What it charges.
    pub charging: Charging,
    /// Tokens it holds.
    pub depth: f64,
    /// Fragments/s that it passes.
    pub limit: f64,
    /// Between these as many pass, give or take a few: where answers are sent at regular times, quite different limits are alike.
    #[serde(skip)]
    pub(super) alike: (f64, f64),
}

/// Fragments that arrived, and the share of packets that chance loses beside the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) fragments: u64,
    pub(super) lost: f64,
    /// Share of the answers that may have come whole, or been lost, for other reasons.
    pub(super) stray: f64,
}

/// Takes all large answers where fragments arrive, but not just the first or the later ones of each, as a firewall would have it that passes
/// those. Of the fragments that arrived up to so many are of answers below the step.
pub(super) fn settle(
    case: &mut Case<'_>,
    wire: &Wire,
    step: &Step,
    counters: &SizeCounters,
    below: u64,
) -> bool {
    let (Some(made), Some(arrived)) = (counters.fragments_made, counters.fragments_arrived) else {
        return false;
    };
    let cut = counters.fragmented.unwrap_or(step.reads);
    let lost = lost_of(case, step.base(), 1.0);
    // A firewall's number is exact, but for what chance takes of it; a limit's is so by accident alone.
    let above = arrived.saturating_sub(below);
    let all_of = |count: u64| {
        let (count, arrived) = (count as f64, above as f64);
        let off = OTHERS + SAME_COUNT * count + 3.0 * (count * lost * (1.0 - lost)).sqrt();
        (count * (1.0 - lost) - arrived).abs() <= off
    };
    if above < LOSSES_MIN || all_of(cut) || all_of(made.saturating_sub(cut)) || all_of(made) {
        return false;
    }
    let direction = case.told(Direction::Down);
    let all = Arrived { fragments: arrived, lost, stray: 1.0 - ALL_LOST };
    // All fragments are charged, or all but the first, which then all arrive.
    let own = possible(case, wire, all, |way| way.counted != Counted::First);
    let charged_so =
        |way: Charging, limit: &Estimate| own.iter().any(|own| own.charging == way && own.may_be(limit));
    let limit = by_both(case, &own, all, wire)
        .or_else(|| narrowed(case, &own, all, wire, by_experiment(case, charged_so)?))
        .or_else(|| summed_up(&own, all, wire))
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

/// The limit of a bucket that is possible in both the stage, whose are these, and an experiment of which none came whole either: one of another
/// depth, or that charges other fragments, wastes another share of its tokens in each, and would need two limits.
fn by_both(case: &Case<'_>, own: &[Starving], arrived: Arrived, wire: &Wire) -> Option<Estimate> {
    let tried = &super::fragments::counting(case)?.starved;
    let both: Vec<_> = tried.iter().filter(|tried| own.iter().any(|own| own.is(tried))).copied().collect();
    summed_up(&both, arrived, wire)
}

/// The limit that an experiment showed. Of answers that come whole now and then it leaves the depth open, and each depth has its own limit; where
/// the stage, in which none did, leaves but one that may be the experiment's, that is it.
fn narrowed(
    case: &Case<'_>,
    own: &[Starving],
    arrived: Arrived,
    wire: &Wire,
    tried: Estimate,
) -> Option<Estimate> {
    let ways = &super::fragments::counting(case)?.limits;
    let charged_so = |own: &&Starving| ways.iter().any(|(way, _)| *way == own.charging);
    let within: Vec<_> = own.iter().filter(charged_so).filter(|own| own.may_be(&tried)).copied().collect();
    if within.iter().any(|own| own.is_alike(tried.value)) {
        return Some(tried);
    }
    let limits = || within.iter().map(|own| own.limit);
    let (low, high) = (limits().fold(f64::INFINITY, f64::min), limits().fold(0.0, f64::max));
    let one = high <= low * (1.0 + CLOSE_ENOUGH);
    let closer = summed_up(&within, arrived, wire).filter(|_| one);
    Some(closer.map_or(tried.clone(), |own| either(own, &tried)))
}

impl Starving {
    /// Whether both may be one bucket.
    fn is(&self, other: &Self) -> bool {
        self.charging == other.charging
            && self.depth == other.depth
            && ((self.limit / other.limit).ln().abs() <= SAME_LIMIT || self.is_alike(other.limit))
    }

    /// Whether a limit of that many would have let as many pass.
    fn is_alike(&self, limit: f64) -> bool {
        (self.alike.0..=self.alike.1).contains(&limit)
    }

    /// Whether its limit may be this one.
    fn may_be(&self, limit: &Estimate) -> bool {
        let (low, high) = limit.interval.unwrap_or((limit.value, limit.value));
        self.is_alike(limit.value)
            || (low * (1.0 - SAME_LIMIT)..=high * (1.0 + SAME_LIMIT)).contains(&self.limit)
    }
}

/// All buckets that let so many fragments pass of the answers sent, and about as many of them whole as came; of those charged in the ways that
/// are wanted.
pub(super) fn possible(
    case: &Case<'_>,
    wire: &Wire,
    arrived: Arrived,
    wanted: impl Fn(Charging) -> bool,
) -> Vec<Starving> {
    let answers = traffic::answers(case).unwrap_or_default();
    let large: Vec<_> = answers.into_iter().filter(|sent| sent.packets(wire) > 1).collect();
    let all: f64 = large.iter().map(|sent| f64::from(sent.may_arrive(wire))).sum();
    let each = all / large.len().max(1) as f64;
    // A bucket that holds too little for one lets none come whole, and one that holds more does when arrivals leave it the time.
    let came = large.iter().filter(|sent| sent.lost == Some(false)).count() as f64;
    let fewest_whole = came / 2.0 - WHOLE_BESIDE - arrived.stray * large.len() as f64;
    let most_whole = came + WHOLE_BESIDE + NORMAL_95 * came.sqrt();
    // Of those that a bucket lets through chance takes its part.
    let spared = (1.0 - arrived.lost).powf(each);
    let mut found = Vec::new();
    for charging in Charging::ways(wire).filter(|way| wanted(*way)) {
        let charges: Vec<_> = large.iter().map(|sent| charging.charge(sent, wire)).collect();
        let most = charges.iter().map(|charge| charge.packets).max().unwrap_or(0);
        let uncharged = all - charges.iter().map(Charge::arrive_at_most).sum::<f64>();
        let through = arrived.fragments as f64 / (1.0 - arrived.lost) - uncharged;
        if through <= 0.0 {
            continue;
        }
        let starving = |depth: f64| {
            let limit = bucket::limit_by_arrivals(&charges, depth, through)?;
            let whole = bucket::whole(&charges, limit, depth) * spared;
            // What else takes or wastes a token now and then adds up as chance does.
            let [low, high] = bucket::limits_by_arrivals(&charges, depth, through, through.sqrt());
            let alike = (low.unwrap_or(limit).min(limit), high.unwrap_or(limit).max(limit));
            (fewest_whole..=most_whole).contains(&whole).then_some(Starving { charging, depth, limit, alike })
        };
        // A full one lets as many come whole at first as it holds tokens for.
        let deepest = f64::from(most) * (most_whole / spared.max(f64::MIN_POSITIVE) + 1.0);
        let each_to = f64::from(most.min(EACH_DEPTH_MAX));
        let shallow = (1..most.min(EACH_DEPTH_MAX)).map(f64::from);
        let deeper = DEPTHS_PACKETS.into_iter().filter(|depth| (each_to..=deepest).contains(depth));
        found.extend(shallow.chain(deeper).filter_map(starving));
    }
    found
}

/// The limit that is any of these.
pub(super) fn summed_up(possible: &[Starving], arrived: Arrived, wire: &Wire) -> Option<Estimate> {
    let ends = |of: &dyn Fn(&Starving) -> bool| {
        let limits = possible.iter().filter(|starving| of(starving)).map(|starving| starving.limit);
        limits.fold(None, |ends: Option<(f64, f64)>, limit| {
            Some(ends.map_or((limit, limit), |(low, high)| (low.min(limit), high.max(limit))))
        })
    };
    let all = ends(&|_| true)?;
    // Limits of fragments are mostly those of the server's own card, which comes before any router; and mostly not of what a bucket held at
    // first.
    let at_first = arrived.fragments as f64 * AT_FIRST_MAX;
    let before = |starving: &Starving| starving.charging.before_routers == wire.cuts_twice();
    let (least, most) = ends(&|starving| before(starving) && starving.depth <= at_first)
        .or_else(|| ends(&before))
        .unwrap_or(all);
    let relative = 2.0 / (arrived.fragments.max(1) as f64).sqrt();
    // A bucket of one token wastes some that deeper ones keep: between the two nothing is far off.
    let interval = (all.0 * (1.0 - relative).max(0.0), all.1 * (1.0 + relative));
    Some(Estimate::new((least * most).sqrt(), UNIT, interval))
}

/// Fragments that arrived a second, by the counters read meanwhile: between the first quarter of the stage, when a bucket was still full, and its
/// end.
pub(super) fn a_second(case: &Case<'_>, arrived: u64) -> Option<Estimate> {
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
