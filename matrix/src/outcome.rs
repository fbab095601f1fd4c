//! What came of a run: what was named, and what was true. Plain data, as it is kept and counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shingle_loadgen::attribution::{Attribution, Cause, Direction, Estimate};

use crate::scenario::Scenario;

/// A run that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// SEED:RECIPE:NUMBER, by which `matrix --rerun` makes it again.
    pub id: String,
    /// Its recipe.
    pub recipe: String,
    /// The command that makes it again without the matrix.
    pub command: String,
    /// What was drawn.
    pub scenario: Scenario,
    /// How long the run took that was judged, or the last one.
    pub seconds: f64,
    /// Why it says nothing: each of its repetitions was disturbed.
    pub not_judged: Option<String>,
    /// Reads scheduled.
    pub reads: u64,
    /// Of them, those lost on the first try.
    pub lost: u64,
    /// What was named.
    pub named: Vec<Named>,
    /// What was true.
    pub truth: Vec<TrueCause>,
}

/// A cause that was named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub cause: Cause,
    /// Which way.
    pub direction: Direction,
    /// Reads put down to it.
    pub reads: u64,
    /// How sure attribution is, 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// What speaks for it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Its numbers.
    pub estimates: BTreeMap<String, Estimate>,
}

/// A cause that was at work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrueCause {
    /// The names that are right for it.
    pub accepted: Vec<Cause>,
    /// Its share of the reads lost, by the laboratory's counters where it has them.
    pub share: f64,
    /// Its numbers.
    pub numbers: Vec<TrueNumber>,
}

/// A number that was true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrueNumber {
    /// Its name among the estimates.
    pub name: String,
    /// Of which way; none: of any.
    pub direction: Option<Direction>,
    /// The value.
    pub value: f64,
    /// How far off an estimate may be; none: too little happened to hold it to a bound.
    pub bound: Option<Bound>,
}

/// How far off an estimate may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Bound {
    /// Not at all.
    Exact,
    /// By this share of the true value.
    Relative(f64),
    /// By so much.
    Absolute(f64),
}

/// What an attribution names, most reads first.
pub fn named(attribution: &Attribution) -> Vec<Named> {
    let one =
        |((cause, direction), share): (&(Cause, Direction), &shingle_loadgen::attribution::Share)| Named {
            cause: *cause,
            direction: *direction,
            reads: share.reads,
            confidence: share.confidence,
            evidence: share.evidence.clone(),
            estimates: share.estimates.clone(),
        };
    let mut named: Vec<_> = attribution.iter().map(one).collect();
    named.sort_by_key(|named| std::cmp::Reverse(named.reads));
    named
}
