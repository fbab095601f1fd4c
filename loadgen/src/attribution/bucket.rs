//! A token bucket replayed over what was really sent: at which limit would it have lost as much, and are the ones it would have lost the ones
//! that were lost?
//!
//! Losses fall as the limit rises, so a depth and a number of losses fix the limit. Whether the model holds is another question, asked twice.
//! Near the limit's onset the very ones are lost that the bucket loses, which the table of predicted against observed losses tells. Far above it
//! which ones they are hangs on fractions of a token, but how many of each hundred is told far more exactly than chance would have it.

use super::limits::{
    BISECTIONS, BISECTIONS_FOR_DEPTH, LOG_ODDS_MIN, LOSSES_FOR_DEPTH, OFF_TARGET_MAX, REPLAYED_FOR_DEPTH_MIN,
    REPLAYED_MAX,
};
use super::numbers::{falling_root, falling_root_by_threes};
use crate::statistics::NORMAL_95;

/// Lost or passed things, whichever are rarer, that a group has: enough to be nearly normal.
const GROUP_EVENTS: f64 = 10.0;
/// A depth whose odds are e^2 lower than the best's is outside of what is likely at 95 % (half of the chi-squared of one degree of freedom).
const LIKELY_LOG_ODDS: f64 = 2.0;
/// Where the order is not known: share of the losses that must follow from the rate alone, not from what came close together.
const BY_RATE_MIN: f64 = 0.6;
/// Limits tried, in what is asked for in the mean: a shallow bucket loses some of each crowd, however high its limit.
const DEMANDS_MAX: f64 = 16.0;
/// Share by which a limit is moved to see whether a number that arrived is passed there.
const STEP: f64 = 0.02;
/// Depth in packets up to which each is another bucket: which packets of a few at once pass is told by hardly any other.
const SHALLOW_PACKETS: f64 = 10.0;
/// How many times as long as a sample the whole may be, and say nothing else where nothing in the sample speaks for any bucket: what the whole
/// is sure of, a fourth of it hints at.
const REPRESENTATIVE: usize = 4;
/// Fewest groups that tell how much they scatter.
const GROUPS_MIN: f64 = 20.0;

/// One thing that takes tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// When, microseconds.
    pub(super) at_us: u64,
    /// Tokens each of its packets costs.
    pub(super) cost: f64,
    /// Its packets that cost: it is lost if one of them finds too few.
    pub(super) packets: u32,
    /// Fragments that arrive for each of its packets that passes: more than one where a router cuts them again. Those of the last one apart.
    pub(super) arrive: (f64, f64),
    /// Whether it was lost; none: not known.
    pub(super) lost: Option<bool>,
}

impl Charge {
    /// Fragments that arrive if all its packets pass.
    pub(super) fn arrive_at_most(&self) -> f64 {
        if self.packets == 0 { 0.0 } else { self.arrive.0 * f64::from(self.packets - 1) + self.arrive.1 }
    }

    fn tokens(&self) -> f64 {
        self.cost * f64::from(self.packets)
    }
}

/// How predicted and observed losses agree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Agreement {
    pub(super) both: f64,
    pub(super) predicted_only: f64,
    pub(super) observed_only: f64,
    pub(super) neither: f64,
    /// What arrives of the packets that passed.
    pub(super) arrived: f64,
    /// Tokens that those predicted to be lost ask for.
    tokens_lost: f64,
    /// Log of the odds by numbers in groups of things sent.
    by_groups: f64,
    /// Share of what the bucket let through that must have been lost beside it, by how much the groups' numbers scatter; 0 where that tells nothing.
    pub(super) beside: f64,
}

/// The bucket that fits best.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Tokens a second.
    pub(super) limit: f64,
    /// The interval that holds the limit with 95 % confidence, if the model holds.
    pub(super) interval: (f64, f64),
    /// Tokens it holds.
    pub(super) depth: f64,
    /// Least and most tokens that it may hold as well: depths of which a few hundred losses say hardly less, and those beside the best.
    pub(super) depths: (f64, f64),
    pub(super) agreement: Agreement,
    /// Things sent that were replayed, from the first on.
    pub(super) replayed: usize,
    /// Log of the odds for it against losses that know nothing of its level, less the number of depths tried.
    pub(super) log_odds: f64,
}

impl Fit {
    /// The same in another unit, of which so many make one token.
    pub(super) fn scaled(self, factor: f64) -> Self {
        let (from, to) = self.interval;
        let (limit, depth) = (self.limit * factor, self.depth * factor);
        let depths = (self.depths.0 * factor, self.depths.1 * factor);
        Self { limit, depth, depths, interval: (from * factor, to * factor), ..self }
    }
}

impl Agreement {
    fn add(&mut self, charge: &Charge, predicted: bool, observed: bool) {
        self.tokens_lost += if predicted { charge.tokens() } else { 0.0 };
        match (predicted, observed) {
            (true, true) => self.both += 1.0,
            (true, false) => self.predicted_only += 1.0,
            (false, true) => self.observed_only += 1.0,
            (false, false) => self.neither += 1.0,
        }
    }

    pub(super) fn predicted(&self) -> f64 {
        self.both + self.predicted_only
    }

    pub(super) fn observed(&self) -> f64 {
        self.both + self.observed_only
    }

    /// Log of the odds against losses that know nothing of the bucket.
    fn log_odds(&self, in_order: bool) -> f64 {
        // Two questions were asked, and the better answer is taken; the very ones it must tell of most.
        let table = if in_order && self.both >= self.observed() / 2.0 { self.by_table() } else { 0.0 };
        table.max(self.by_groups) - 2f64.ln()
    }

    /// Log of the likelihood ratio for dependence (half of the G statistic); negative where they exclude each other.
    fn by_table(&self) -> f64 {
        let all = self.both + self.predicted_only + self.observed_only + self.neither;
        let (predicted, observed) = (self.predicted(), self.observed());
        let term = |count: f64, a: f64, b: f64| {
            if count > 0.0 { count * (count * all / (a * b)).ln() } else { 0.0 }
        };
        let sum = term(self.both, predicted, observed)
            + term(self.predicted_only, predicted, all - observed)
            + term(self.observed_only, all - predicted, observed)
            + term(self.neither, all - predicted, all - observed);
        if self.both * all >= predicted * observed { sum } else { -sum }
    }
}

/// Fits a bucket of one of these depths to what was lost, of which `by_chance` (a share of all that is charged) is not its doing. None where
/// nothing, or nothing else, was lost.
///
/// Where `in_order` is not given, those that were lost are not known to the place among the others, and only their numbers count.
pub(super) fn fit(charges: &[Charge], depths: &[f64], by_chance: f64, in_order: bool) -> Option<Fit> {
    let charges = &charges[..charges.len().min(REPLAYED_MAX)];
    let sample = &charges[..sample_length(charges)];
    let fitted = |charges: &[Charge], place: usize, halvings: u32| {
        let depth = *depths.get(place)?;
        let (limit, mut agreement) = matched(charges, depth, by_chance, halvings)?;
        (agreement.by_groups, agreement.beside) = by_groups(charges, limit, depth, by_chance);
        Some(Tried { place, limit, log_odds: agreement.log_odds(in_order), agreement })
    };
    // Each shallow depth and every third of the others first, and then those beside the best of them; at the end those beside it, by all that
    // was sent.
    let by_sample = |place: usize| fitted(sample, place, BISECTIONS_FOR_DEPTH);
    let shallow = SHALLOW_PACKETS * mean_cost(sample);
    let first = (0..depths.len()).filter(|place| place.is_multiple_of(3) || depths[*place] <= shallow);
    let mut few: Vec<_> = first.filter_map(by_sample).collect();
    let coarse = best(few.iter().copied())?;
    let beside = coarse.place.saturating_sub(2)..coarse.place + 3;
    let beside: Vec<_> = beside.filter(|place| few.iter().all(|tried| tried.place != *place)).collect();
    few.extend(beside.into_iter().filter_map(by_sample));
    let near = best(few.iter().copied())?;
    let representative = charges.len() <= REPRESENTATIVE * sample.len();
    let (charges, all) = if representative && few.iter().all(Tried::is_refuted) {
        // The rest would take as long again and tell the same.
        (sample, vec![near])
    } else {
        let beside = [near.place.saturating_sub(1), near.place, near.place + 1];
        (charges, beside.iter().filter_map(|place| fitted(charges, *place, BISECTIONS)).collect())
    };
    let best = best(all.iter().copied())?;
    let (limit, agreement, depth) = (best.limit, best.agreement, depths[best.place]);
    let (target, tokens) = asked(charges, by_chance);
    // What comes too close is lost at any limit; but what is not in order is not known to be close, and what was put in a wrong place crowds.
    let by_rate = tokens * (1.0 - limit / mean_demand(charges));
    if !in_order && by_rate < BY_RATE_MIN * target {
        return None;
    }
    // A count of losses that disagree in either sense is how far the number matched may be off.
    let each = tokens / known(charges).max(1.0);
    let slack = NORMAL_95 * (agreement.predicted_only + agreement.observed_only).sqrt().max(1.0) * each;
    let at = |tokens: f64| limit_for(charges, depth, tokens.max(0.5 * each), BISECTIONS_FOR_DEPTH, limit);
    // The depths beside it may be the true one.
    let likely = all.iter().filter(|tried| tried.score() >= best.score() - LIKELY_LOG_ODDS);
    let (low, high) =
        likely.fold((limit, limit), |(low, high), tried| (low.min(tried.limit), high.max(tried.limit)));
    Some(Fit {
        limit,
        interval: (at(target + slack).min(low), at(target - slack).max(high)),
        depth,
        depths: likely_depths(&few, near, &all, depths),
        agreement,
        replayed: charges.len(),
        log_odds: best.log_odds - (depths.len() as f64).ln(),
    })
}

/// A depth, the limit that goes with it, and what speaks for both.
#[derive(Clone, Copy)]
struct Tried {
    place: usize,
    limit: f64,
    agreement: Agreement,
    /// Log of the odds against losses that know nothing of the bucket.
    log_odds: f64,
}

impl Tried {
    /// Nothing speaks for it: neither how many of each group were lost nor which ones.
    fn is_refuted(&self) -> bool {
        self.log_odds < 0.0 && self.agreement.by_groups <= 0.0
    }

    /// What tells one depth from another: the numbers in groups, where they tell anything. That which ones are lost agrees with one depth more
    /// than with another may be their arrivals' doing: where many are lost, any limit loses no two in a row.
    fn score(&self) -> f64 {
        if self.agreement.by_groups >= LOG_ODDS_MIN {
            self.agreement.by_groups
        } else {
            self.log_odds.min(LOG_ODDS_MIN)
        }
    }
}

/// The depth that explains most: by numbers in groups, and where no depth explains those, by which ones were lost.
fn best(tried: impl Iterator<Item = Tried>) -> Option<Tried> {
    tried.max_by(|a, b| a.score().total_cmp(&b.score()).then(a.log_odds.total_cmp(&b.log_odds)))
}

/// Least and most of the depths that are hardly less likely than the best of a few tried, and of those beside the one chosen that fit.
fn likely_depths(few: &[Tried], best: Tried, beside: &[Tried], depths: &[f64]) -> (f64, f64) {
    let likely = few.iter().filter(|tried| tried.score() >= best.score() - LIKELY_LOG_ODDS);
    let places = likely.chain(beside).map(|tried| tried.place);
    let (low, high) =
        places.fold((best.place, best.place), |(low, high), place| (low.min(place), high.max(place)));
    (depths[low], depths[high])
}

/// How much of what was sent is replayed to find the depth: what holds a few hundred losses.
fn sample_length(charges: &[Charge]) -> usize {
    let lost =
        charges.iter().enumerate().filter(|(_, charge)| charge.lost == Some(true)).nth(LOSSES_FOR_DEPTH);
    lost.map_or(charges.len(), |(at, _)| at + 1)
        .clamp(REPLAYED_FOR_DEPTH_MIN.min(charges.len()), charges.len())
}

fn known(charges: &[Charge]) -> f64 {
    charges.iter().filter(|charge| charge.lost.is_some()).count() as f64
}

/// Tokens that what was lost to the bucket asks for, and tokens that all asks for of which it is known what became of it.
fn asked(charges: &[Charge], by_chance: f64) -> (f64, f64) {
    let (lost, all) = charges.iter().fold((0.0, 0.0), |(lost, all), charge| match charge.lost {
        Some(true) => (lost + charge.tokens(), all + charge.tokens()),
        Some(false) => (lost, all + charge.tokens()),
        None => (lost, all),
    });
    ((lost - by_chance * all) / (1.0 - by_chance), all)
}

/// The limit at which a bucket of this depth loses as much as was lost; none where no limit does.
fn matched(charges: &[Charge], depth: f64, by_chance: f64, halvings: u32) -> Option<(f64, Agreement)> {
    let (target, all) = asked(charges, by_chance);
    let each = all / known(charges).max(1.0);
    if target < each {
        return None;
    }
    let limit = limit_for(charges, depth, target, halvings, 0.0);
    let agreement = replay(charges, limit, depth);
    // A shallow bucket loses of each crowd, however high its limit.
    let off = (agreement.tokens_lost - target).abs();
    (off <= 3.0 * each + OFF_TARGET_MAX * target).then_some((limit, agreement))
}

/// The limit at which so many arrive through a bucket of this depth; none where no limit does that.
pub(super) fn limit_by_arrivals(charges: &[Charge], depth: f64, arrived: f64) -> Option<f64> {
    let more = |limit: f64| arrived - replay(charges, limit, depth).arrived;
    let limit = falling_root(0.0, DEMANDS_MAX * mean_demand(charges), BISECTIONS, more);
    (more(limit).abs() <= 3.0 + OFF_TARGET_MAX * arrived).then_some(limit)
}

/// The limits between which so many arrive through a bucket of this depth, and so many more or fewer: where arrivals are regular, quite
/// different limits let the same number through. None where no limit does.
pub(super) fn limits_by_arrivals(charges: &[Charge], depth: f64, arrived: f64, off: f64) -> [Option<f64>; 2] {
    let through = |limit: f64| replay(charges, limit, depth).arrived;
    let at = |arrived: f64| {
        let limit = falling_root(0.0, DEMANDS_MAX * mean_demand(charges), BISECTIONS, |limit| {
            arrived - through(limit)
        });
        let passed = through(limit * (1.0 - STEP)) <= arrived && through(limit * (1.0 + STEP)) >= arrived;
        passed.then_some(limit)
    };
    [at(arrived - off), at(arrived + off)]
}

/// How many more or fewer arrive through such a bucket where each packet takes so long to leave: a shallow one is full less often when they do not
/// come all at once.
pub(super) fn arrived_by_pace(charges: &[Charge], limit: f64, depth: f64, packet_us: u64) -> f64 {
    let mut free_us = 0;
    let paced = charges.iter().map(|charge| {
        let at_us = charge.at_us.max(free_us);
        free_us = at_us + packet_us * u64::from(charge.packets);
        Charge { at_us, ..*charge }
    });
    let paced: Vec<_> = paced.collect();
    (replay(&paced, limit, depth).arrived - replay(charges, limit, depth).arrived).abs()
}

/// How many come whole through such a bucket.
pub(super) fn whole(charges: &[Charge], limit: f64, depth: f64) -> f64 {
    let agreement = replay(charges, limit, depth);
    agreement.neither + agreement.observed_only
}

fn limit_for(charges: &[Charge], depth: f64, target: f64, halvings: u32, near: f64) -> f64 {
    let most = if near > 0.0 { near * 2.0 } else { demand(charges) };
    falling_root_by_threes(near / 2.0, most, halvings, |limits| {
        tokens_lost(charges, limits, depth).map(|lost| lost - target)
    })
}

/// Tokens that those ask for which buckets of these limits lose. A step waits for the one before, so that three at a time take hardly longer
/// than one.
fn tokens_lost(charges: &[Charge], limits: [f64; 3], depth: f64) -> [f64; 3] {
    let each_us = limits.map(|limit| limit / 1e6);
    let (mut tokens, mut lost) = ([depth; 3], [0.0; 3]);
    let mut before_us = charges.first().map_or(0, |charge| charge.at_us);
    for charge in charges {
        let passed_us = (charge.at_us - before_us) as f64;
        before_us = charge.at_us;
        for lane in 0..3 {
            // Of numbers alone, which the compiler makes one instruction; `min` looks for what is none.
            let full = tokens[lane] + each_us[lane] * passed_us;
            tokens[lane] = if full < depth { full } else { depth };
        }
        let mut short = [0.0; 3];
        for _ in 0..charge.packets {
            for lane in 0..3 {
                let passes = tokens[lane] >= charge.cost;
                tokens[lane] -= if passes { charge.cost } else { 0.0 };
                short[lane] = if passes { short[lane] } else { 1.0 };
            }
        }
        if charge.lost.is_some() {
            for lane in 0..3 {
                lost[lane] += short[lane] * charge.tokens();
            }
        }
    }
    lost
}

/// Tokens a second that would let everything through, however it came: arrivals crowd, and the busiest moments ask for more than the mean.
fn demand(charges: &[Charge]) -> f64 {
    4.0 * mean_demand(charges)
}

/// Tokens that a packet takes in the mean.
fn mean_cost(charges: &[Charge]) -> f64 {
    let (tokens, packets) = charges
        .iter()
        .fold((0.0, 0.0), |sum, charge| (sum.0 + charge.tokens(), sum.1 + f64::from(charge.packets)));
    tokens / f64::max(packets, 1.0)
}

/// Tokens a second that all would have taken.
fn mean_demand(charges: &[Charge]) -> f64 {
    let tokens: f64 = charges.iter().map(Charge::tokens).sum();
    let seconds = match charges {
        [first, .., last] => (last.at_us - first.at_us).max(1) as f64 / 1e6,
        _ => 1.0,
    };
    tokens / seconds
}

/// What such a bucket, full at first, would have done.
fn replay(charges: &[Charge], limit: f64, depth: f64) -> Agreement {
    let mut agreement = Agreement::default();
    agreement.arrived =
        run(charges, limit, depth, |charge, predicted, observed| agreement.add(charge, predicted, observed));
    agreement
}

/// Log of the odds for the bucket by how many of each group of things sent one after the other were lost: by chance these numbers scatter as
/// binomial ones do, or more; those that a bucket loses are told by it, however closely it is seen to.
fn by_groups(charges: &[Charge], limit: f64, depth: f64, of_chance: f64) -> (f64, f64) {
    let (mut lost, mut all) = (0.0, 0.0);
    for observed in charges.iter().filter_map(|charge| charge.lost) {
        (lost, all) = (lost + f64::from(u8::from(observed)), all + 1.0);
    }
    let share: f64 = lost / f64::max(all, 1.0);
    let rarer = share.min(1.0 - share);
    if rarer <= 0.0 || all < GROUPS_MIN {
        return (0.0, 0.0);
    }
    let size = (GROUP_EVENTS / rarer).min(all / GROUPS_MIN).ceil();
    let mut groups: Vec<(f64, f64)> = Vec::with_capacity((all / size) as usize + 1);
    let mut in_group = f64::INFINITY;
    run(charges, limit, depth, |_, predicted, observed| {
        if in_group >= size {
            groups.push((0.0, 0.0));
            in_group = 0.0;
        }
        in_group += 1.0;
        if let Some(last) = groups.last_mut() {
            // Of what the bucket lets through, chance has its share.
            let predicted = if predicted { 1.0 } else { of_chance };
            *last = (last.0 + f64::from(u8::from(observed)), last.1 + predicted);
        }
    });
    // The last group is not full.
    groups.pop();
    // Small groups tell more of them; large ones bear with a loss that is told of a moment too soon or too late.
    let scales = [1, 4, 16];
    let odds = scales.map(|scale| {
        let merged: Vec<_> = groups
            .chunks_exact(scale)
            .map(|part| part.iter().fold((0.0, 0.0), |sum, group| (sum.0 + group.0, sum.1 + group.1)))
            .collect();
        scatter_log_odds(&merged, size * scale as f64, share)
    });
    // Fractions of a token decide of one loss more or less; the rest of the scatter is that of chance among what passed.
    let squares = groups.iter().map(|(observed, predicted)| (observed - predicted).powi(2)).sum::<f64>();
    let scatter = squares / groups.len().max(1) as f64 - 1.0;
    let beside = (scatter / (size * (1.0 - share))).clamp(0.0, 1.0);
    (odds.into_iter().fold(f64::NEG_INFINITY, f64::max) - (scales.len() as f64).ln(), beside)
}

/// Log of the odds for predicted numbers of losses against binomial ones, by how far the observed ones are from either: (observed, predicted) of
/// groups of so many.
fn scatter_log_odds(groups: &[(f64, f64)], size: f64, share: f64) -> f64 {
    let count = groups.len() as f64;
    if count < GROUPS_MIN / 2.0 {
        return 0.0;
    }
    let binomial = size * share * (1.0 - share);
    let by_chance =
        groups.iter().map(|(observed, _)| (observed - size * share).powi(2)).sum::<f64>() / binomial;
    let variance_by_chance = binomial * (by_chance / count).max(1.0);
    let squares = groups.iter().map(|(observed, predicted)| (observed - predicted).powi(2)).sum::<f64>();
    // One loss more or less is what a fraction of a token decides.
    let variance = (squares / count).max(0.25);
    let gaussian = |variance: f64, squares: f64| -0.5 * (count * variance.ln() + squares / variance);
    gaussian(variance, squares) - gaussian(variance_by_chance, by_chance * binomial)
}

/// Lets everything through such a bucket, full at first, and tells of each of which it is known what the bucket did and what was; what arrives
/// of what passed.
fn run(charges: &[Charge], limit: f64, depth: f64, mut each: impl FnMut(&Charge, bool, bool)) -> f64 {
    let mut arrived = 0.0;
    let each_us = limit / 1e6;
    let (mut tokens, mut before_us) = (depth, charges.first().map_or(0, |charge| charge.at_us));
    for charge in charges {
        tokens = (tokens + each_us * (charge.at_us - before_us) as f64).min(depth);
        before_us = charge.at_us;
        let mut lost = false;
        for packet in 1..=charge.packets {
            if tokens >= charge.cost {
                tokens -= charge.cost;
                arrived += if packet == charge.packets { charge.arrive.1 } else { charge.arrive.0 };
            } else {
                lost = true;
            }
        }
        if let Some(observed) = charge.lost {
            each(charge, lost, observed);
        }
    }
    arrived
}

#[cfg(test)]
mod tests;
