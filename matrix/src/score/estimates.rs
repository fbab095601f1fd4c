//! How far off the estimates are, and whether their intervals keep their word: pure.

use std::collections::BTreeMap;

use serde::Serialize;
use shingle_loadgen::attribution::Estimate;

use super::{Proportion, median};
use crate::outcome::{Bound, Outcome, TrueCause, TrueNumber};

/// Figures of all estimates of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The errors are relative to the true value; else absolute.
    pub relative: bool,
    /// Its bound is promised: not met, the targets are not.
    pub promised: bool,
    /// Median of the errors.
    pub median: f64,
    /// The worst error.
    pub worst: f64,
    /// Estimates within the bound, of those that there should have been.
    pub within: Proportion,
    /// Intervals that hold the true value, of those given.
    pub covered: Proportion,
    /// Runs without an estimate that there should have been.
    pub missing: u64,
}

/// One estimate beside the truth.
struct Compared {
    error: Option<f64>,
    within: Option<bool>,
    covered: Option<bool>,
    relative: bool,
}

/// Kinds whose bounds are promised: pauses and silences have none.
const PROMISED: [&str; 6] = [
    "fragment_rate_limit limit",
    "mtu_black_hole size",
    "path_loss probability",
    "flow_black_hole flows",
    "packet_rate_limit limit",
    "bandwidth_limit limit",
];

/// What is promised of a run's estimates and not kept, in words; none of it of a cause that is not named.
pub fn off(outcome: &Outcome) -> Vec<String> {
    let kept = |compared: &Compared| compared.within != Some(false);
    let promised = judged(outcome).filter(|(kind, ..)| PROMISED.contains(&kind.as_str()));
    promised
        .map(|(kind, cause, number)| (kind, number, estimate(outcome, cause, number)))
        .filter(|(_, number, estimate)| !kept(&compare(number, *estimate)))
        .map(|(kind, number, estimate)| {
            let given = estimate.map_or("none".to_owned(), |estimate| format!("{:.4}", estimate.value));
            format!("{kind} {given} for {:.4}", number.value)
        })
        .collect()
}

/// The figures by cause and name. Only runs count in which the cause was named at all: others are wrong already.
pub(super) fn of(outcomes: &[&Outcome]) -> BTreeMap<String, Figures> {
    let mut kinds: BTreeMap<String, Vec<Compared>> = BTreeMap::new();
    for outcome in outcomes {
        for (kind, cause, number) in judged(outcome) {
            kinds.entry(kind).or_default().push(compare(number, estimate(outcome, cause, number)));
        }
    }
    kinds
        .into_iter()
        .map(|(kind, all)| {
            let figures = figures(&kind, &all);
            (kind, figures)
        })
        .collect()
}

/// Numbers that there should be estimates of, each with its kind and its cause.
fn judged(outcome: &Outcome) -> impl Iterator<Item = (String, &TrueCause, &TrueNumber)> {
    let is_named = |cause: &&TrueCause| {
        outcome.named.iter().any(|named| cause.accepted.contains(&named.cause) && named.reads > 0)
    };
    let of_named = outcome.truth.iter().filter(is_named);
    of_named
        .flat_map(|cause| cause.numbers.iter().map(move |number| (cause, number)))
        .map(|(cause, number)| (format!("{} {}", cause.accepted[0], number.name), cause, number))
}

/// The estimate of a number: of its way, or of the way that lost most.
fn estimate<'a>(outcome: &'a Outcome, cause: &TrueCause, number: &TrueNumber) -> Option<&'a Estimate> {
    let named = outcome.named.iter().filter(|named| cause.accepted.contains(&named.cause));
    let of_way = named.filter(|named| number.direction.is_none_or(|direction| direction == named.direction));
    let given = of_way.filter_map(|named| Some((named.reads, named.estimates.get(&number.name)?)));
    given.max_by_key(|(reads, _)| *reads).map(|(_, estimate)| estimate)
}

fn compare(number: &TrueNumber, estimate: Option<&Estimate>) -> Compared {
    let relative = !matches!(number.bound, Some(Bound::Exact | Bound::Absolute(_)));
    let Some(estimate) = estimate else {
        return Compared { error: None, within: number.bound.map(|_| false), covered: None, relative };
    };
    let off = (estimate.value - number.value).abs();
    let error = if relative { off / number.value } else { off };
    let within = number.bound.map(|bound| match bound {
        Bound::Exact => off < 0.5,
        Bound::Relative(most) | Bound::Absolute(most) => error <= most,
    });
    // What is known to within an absolute bound only is no measure for intervals that are narrower.
    let exact = !matches!(number.bound, Some(Bound::Absolute(_)));
    let covered = estimate.interval.filter(|_| exact).map(|(low, high)| (low..=high).contains(&number.value));
    Compared { error: Some(error), within, covered, relative }
}

fn figures(kind: &str, all: &[Compared]) -> Figures {
    let mut errors: Vec<_> =
        all.iter().filter(|one| one.within.is_some()).filter_map(|one| one.error).collect();
    let proportion = |of: fn(&Compared) -> Option<bool>| {
        let told: Vec<_> = all.iter().filter_map(of).collect();
        Proportion::new(told.iter().filter(|yes| **yes).count() as u64, told.len() as u64)
    };
    Figures {
        relative: all.iter().all(|one| one.relative),
        promised: PROMISED.contains(&kind),
        median: median(&mut errors),
        worst: errors.last().copied().unwrap_or(0.0),
        within: proportion(|one| one.within),
        covered: proportion(|one| one.covered),
        missing: all.iter().filter(|one| one.within.is_some() && one.error.is_none()).count() as u64,
    }
}
