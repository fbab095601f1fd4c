//! Which strategy to use and why, in words: from the figures alone. Pure.
//!
//! Figures count as different only where the least and most of their rounds do not overlap. Of the strategies that meet the service
//! level those that need no fragments go first, since fragments may be limited, blocked or lost by any device of a path that changes;
//! where another carried more, that is said beside it.

mod sentences;

use shingle_proto::wire::Strategy;

use super::meaning;
use crate::limits;
use crate::record::{Comparison, Outcome, StrategyFigures, Verdict};
use crate::slo::Slo;

/// What the advice is drawn from.
pub struct Grounds<'a> {
    /// The service level.
    pub slo: Slo,
    /// What was compared, and on which path.
    pub comparison: &'a Comparison,
    /// The figures of each.
    pub strategies: &'a [StrategyFigures],
    /// Both ends counted into one namespace's counters.
    pub shares_counters: bool,
    /// Both ends used the same CPUs.
    pub shares_cpus: bool,
    /// The server keeps values compressed, so that the other ports decode them.
    pub all_compressed: bool,
    /// The server went away.
    pub server_gone: bool,
    /// Some turns began with fragments of the turn before in memory.
    pub crowded: bool,
}

/// The strategy recommended, if any is, and the verdict in words.
pub fn judge(grounds: &Grounds<'_>) -> (Option<Strategy>, Verdict) {
    let met = grounds.strategies.iter().any(|figures| figures.broke.is_none());
    let best = best(grounds.strategies).filter(|_| met);
    let limited = !grounds.shares_cpus && grounds.strategies.iter().any(|figures| figures.generator_limited);
    let outcome = match (best, limited) {
        (Some(_), _) if !grounds.server_gone => Outcome::Pass,
        (None, true) => Outcome::GeneratorLimited,
        _ => Outcome::Fail,
    };
    let verdict = Verdict {
        outcome,
        tps_at_slo: best.map_or(0, |figures| figures.tps_at_slo.unwrap_or(figures.offered_tps) as u64),
        broke_first: best.map_or_else(
            || grounds.strategies.first().and_then(|first| first.broke),
            |best| best.broke_first,
        ),
        tps_interval: None,
        plan: None,
        hosts_needed: None,
        words: sentences::words(grounds, best, outcome),
    };
    (best.and_then(strategy_of), verdict)
}

fn strategy_of(figures: &StrategyFigures) -> Option<Strategy> {
    Strategy::from_name(&figures.strategy)
}

/// Whether the medians broke the level and yet some rounds met it.
fn is_undecided(figures: &StrategyFigures) -> bool {
    figures.broke.is_some() && figures.rounds_met > 0
}

/// The one to use of those that met the level, or may have.
fn best(strategies: &[StrategyFigures]) -> Option<&StrategyFigures> {
    let rank =
        |figures: &StrategyFigures| (strategy_of(figures).is_some_and(needs_luck), figures.broke.is_some());
    let may_be = |figures: &&StrategyFigures| figures.broke.is_none() || is_undecided(figures);
    let mut sorted: Vec<_> = strategies.iter().filter(may_be).collect();
    sorted.sort_by_key(|figures| (rank(figures), strategy_of(figures).map_or(usize::MAX, preference)));
    let (first, others) = sorted.split_first()?;
    Some(others.iter().fold(*first, |best, other| {
        if rank(other) == rank(best) && is_better(other, best) { *other } else { best }
    }))
}

/// Which goes first where nothing tells them apart.
fn preference(strategy: Strategy) -> usize {
    match strategy {
        Strategy::Chunked => 0,
        Strategy::Compressed => 1,
        Strategy::DfOff => 2,
        Strategy::Interface => 3,
        Strategy::KernelPmtud => 4,
        Strategy::DfStrict => 5,
    }
}

/// Whether it works only as long as no answer exceeds the path, or nobody minds fragments.
fn needs_luck(strategy: Strategy) -> bool {
    meaning::needs_fragments(strategy) || strategy == Strategy::DfStrict
}

/// Whether `a` lost less, carried more, or was faster than `b`, beyond noise; what weighs more goes first.
fn is_better(a: &StrategyFigures, b: &StrategyFigures) -> bool {
    if lost_less(a, b) || lost_less(b, a) {
        return lost_less(a, b);
    }
    if carried_more(a, b) || carried_more(b, a) {
        return carried_more(a, b);
    }
    faster(a, b)
}

/// Whether its failures differ by more than a twentieth of a percent and never overlap.
fn lost_less(a: &StrategyFigures, b: &StrategyFigures) -> bool {
    apart(a, b, "failure_rate") && a.failure_rate + 0.0005 < b.failure_rate
}

/// Whether its highest rate is more than a step of the search above the other's.
fn carried_more(a: &StrategyFigures, b: &StrategyFigures) -> bool {
    let (Some(a), Some(b)) = (a.tps_at_slo, b.tps_at_slo) else { return false };
    a > b * limits::CLIMB_RESOLUTION
}

fn faster(a: &StrategyFigures, b: &StrategyFigures) -> bool {
    apart(a, b, "p99") && a.latency_us.p99 * 1.1 < b.latency_us.p99
}

/// Whether all rounds of `a` were below all of `b`: of one round nothing can be said.
fn apart(a: &StrategyFigures, b: &StrategyFigures, figure: &str) -> bool {
    a.rounds > 1 && b.rounds > 1 && a.spread_of(figure)[1] < b.spread_of(figure)[0]
}

#[cfg(test)]
mod tests;
