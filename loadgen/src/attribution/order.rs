//! Whether chance strikes before a limit or behind it: what it takes first asks the limit for nothing.
//!
//! Which answers came whole tells nearly all that a bucket was asked for. So its tokens are followed along what was seen, in either order, and
//! each answer is as likely as its tokens make it: one that finds too few is lost, another but by chance. The order under which all of them
//! together are likelier is the better one, at the limit and the depth that make them so.

use super::bucket::{Charge, Fit};
use super::limits::REPLAYED_MAX;

/// Chance of an answer not to do what its tokens say: times are known to some microseconds, and a bucket to some of its tokens.
const ASTRAY: f64 = 0.05;
/// Step between limits tried, as a share of them.
pub(super) const STEP: f64 = 0.005;
/// Limits tried beyond those that either order makes of the losses' number, as a share of them.
const BEYOND: f64 = 0.03;
/// Depths tried, in that of the fit.
const DEPTHS: [f64; 5] = [0.5, 0.7, 1.0, 1.5, 2.0];

/// What chance does beside a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    /// Share of what the limit lets through, or is asked for, that chance loses or changes.
    pub(super) of_all: f64,
    /// Share that it loses: what is changed takes its token all the same.
    pub(super) lost: f64,
}

/// The limit in the likelier order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered {
    /// Tokens a second.
    pub(super) limit: f64,
    /// Chance strikes before the limit.
    pub(super) chance_first: bool,
    /// Log of the odds for this order against the other.
    pub(super) log_odds: f64,
}

/// The likelier order, and the limit in it: near what the fit found with chance behind it, or lower by chance's share.
pub(super) fn of(charges: &[Charge], fit: &Fit, chance: Chance) -> Ordered {
    let charges = &charges[..charges.len().min(REPLAYED_MAX)];
    let [(behind, _), (first, limit_first)] =
        [false, true].map(|chance_first| likeliest(charges, fit, chance, chance_first));
    let chance_first = first > behind;
    Ordered {
        limit: if chance_first { limit_first } else { fit.limit },
        chance_first,
        log_odds: (first - behind).abs(),
    }
}

/// The greatest log-likelihood in this order, and the limit that has it.
fn likeliest(charges: &[Charge], fit: &Fit, chance: Chance, chance_first: bool) -> (f64, f64) {
    let center = if chance_first { fit.limit * (1.0 - chance.lost) } else { fit.limit };
    // By how much fewer tokens were asked for the number lost may belong to a lower limit as well.
    let (low, high) = (center * (1.0 - BEYOND), center * (1.0 + BEYOND));
    let steps = (2.0 * BEYOND / STEP).round() as u32;
    let limits = (0..=steps).map(|step| low + (high - low) * f64::from(step) / f64::from(steps));
    // Of what chance takes behind the limit all has had its tokens; before it, only what is changed.
    let charged = if chance_first { 1.0 - chance.lost / chance.of_all.max(f64::MIN_POSITIVE) } else { 1.0 };
    let tried = limits.flat_map(|limit| DEPTHS.map(|times| (limit, fit.depth * times)));
    let scored = tried.map(|(limit, depth)| {
        (log_likelihood(charges, limit, depth, chance.of_all, charged.clamp(0.0, 1.0)), limit)
    });
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::NEG_INFINITY, fit.limit))
}

/// Log-likelihood of what was seen, if of those that chance takes this share of the tokens is charged.
fn log_likelihood(charges: &[Charge], limit: f64, depth: f64, of_chance: f64, charged: f64) -> f64 {
    let by_chance = of_chance.clamp(1e-6, 1.0 - 1e-6);
    let (enough_lost, enough_whole) = (by_chance.ln(), (1.0 - by_chance).ln());
    let (short_lost, short_whole) = ((1.0 - ASTRAY).ln(), ASTRAY.ln());
    let (mut sum, mut tokens) = (0.0, depth);
    let mut before_us = charges.first().map_or(0, |charge| charge.at_us);
    for charge in charges {
        tokens = (tokens + limit / 1e6 * (charge.at_us - before_us) as f64).min(depth);
        before_us = charge.at_us;
        let asked = charge.cost * f64::from(charge.packets);
        let short = tokens < asked;
        let whole = charge.lost.map_or(!short, |lost| !lost);
        sum += match (short, whole) {
            _ if charge.lost.is_none() => 0.0,
            (false, false) => enough_lost,
            (false, true) => enough_whole,
            (true, false) => short_lost,
            (true, true) => short_whole,
        };
        // What came whole had its tokens, whatever was thought of them; of what found too few, those packets that found enough.
        let taken = match (short, whole) {
            (_, true) => asked,
            (true, false) => (tokens / charge.cost).floor().max(0.0) * charge.cost,
            (false, false) => charged * asked,
        };
        tokens = (tokens - taken).max(0.0);
    }
    sum
}
