//! Whether one run was judged rightly: pure.

use std::collections::BTreeMap;

use shingle_loadgen::attribution::Cause;

use crate::limits;
use crate::outcome::{Outcome, TrueCause};

/// The name of no cause.
pub const NONE: &str = "none";

/// A run, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Its recipe.
    pub recipe: String,
    /// Its main cause; of several that were right, the one that was named.
    pub truth: String,
    /// The main cause named.
    pub named: String,
    /// Whether that is right; of a healthy run, whether it is not accused.
    pub right: bool,
    /// Whether each of its causes is named, with about its share.
    pub shares_right: bool,
    /// Share of the losses that stays unexplained.
    pub unexplained: f64,
}

/// Judges.
pub fn judge(outcome: &Outcome) -> Judgement {
    let mut reads: BTreeMap<Cause, u64> = BTreeMap::new();
    for named in &outcome.named {
        *reads.entry(named.cause).or_default() += named.reads;
    }
    let lost = outcome.lost.max(1) as f64;
    let share =
        |causes: &[Cause]| causes.iter().filter_map(|cause| reads.get(cause)).sum::<u64>() as f64 / lost;
    let unexplained = share(&[Cause::Unexplained]);
    let recipe = outcome.recipe.clone();
    if outcome.scenario.is_healthy() {
        let named = accused(&reads, outcome.reads).map_or(NONE, Cause::name).to_owned();
        let right = named == NONE;
        return Judgement { recipe, truth: NONE.to_owned(), named, right, shares_right: right, unexplained };
    }
    let main = reads
        .iter()
        .filter(|(_, reads)| **reads > 0)
        .max_by_key(|(_, reads)| **reads)
        .map(|(cause, _)| *cause);
    let about = |truth: &TrueCause| (share(&truth.accepted) - truth.share).abs() <= limits::PAIR_SHARE_BOUND;
    let expected = may_be_main(&outcome.truth);
    let right = main.is_some_and(|main| expected.contains(&main));
    let truth = main.filter(|_| right).or(expected.first().copied());
    Judgement {
        recipe,
        truth: truth.map_or(NONE, Cause::name).to_owned(),
        named: main.map_or(NONE, Cause::name).to_owned(),
        right,
        shares_right: outcome.truth.iter().all(about),
        unexplained,
    }
}

/// The names that are right for the main cause: of a pair that lost about the same, either's.
fn may_be_main(truth: &[TrueCause]) -> Vec<Cause> {
    let clear = truth.first().is_some_and(|first| first.share >= limits::PAIR_MAIN_SHARE);
    truth.iter().take(if clear { 1 } else { truth.len() }).flat_map(|cause| cause.accepted.clone()).collect()
}

/// The cause that a healthy run is accused of, if more than a negligible number of reads is put down to one.
fn accused(reads: &BTreeMap<Cause, u64>, of: u64) -> Option<Cause> {
    let accusations =
        reads.iter().filter(|(cause, _)| !matches!(cause, Cause::Unexplained | Cause::GeneratorLimited));
    let (cause, most) = accusations.max_by_key(|(_, reads)| **reads)?;
    let much = *most >= limits::ACCUSED_READS_MIN
        || (*most > 0 && *most as f64 >= limits::ACCUSED_SHARE_MIN * of as f64);
    much.then_some(*cause)
}
