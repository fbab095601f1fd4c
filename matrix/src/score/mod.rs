//! What all runs together say of attribution: pure.

pub mod estimates;
pub mod judge;
pub mod proportion;
mod shown;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::limits;
use crate::outcome::Outcome;
use crate::recipes;
use estimates::Figures;
use judge::{Judgement, NONE, judge};
use proportion::Proportion;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Runs judged by what was true and what was named; `none` for nothing.
    pub confusion: BTreeMap<String, BTreeMap<String, u64>>,
    /// Of the runs that a cause was named first in, those in which it was right.
    pub precision: BTreeMap<String, Proportion>,
    /// Of the runs that a cause was the main one of, those in which it was named first.
    pub recall: BTreeMap<String, Proportion>,
    /// Runs with a cause whose main cause is right.
    pub main: Proportion,
    /// Healthy runs that are accused.
    pub accused: Proportion,
    /// Pairs of which both causes are named with about the right shares.
    pub pairs: Proportion,
    /// Median over the runs with a cause of the share of their losses that stays unexplained.
    pub unexplained_median: f64,
    /// Errors of the estimates, by cause and name.
    pub estimates: BTreeMap<String, Figures>,
    /// Median and longest time of a run, seconds.
    pub seconds: (f64, f64),
    /// Runs that were disturbed each time.
    pub not_judged: u64,
}

impl Score {
    /// Counts.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let judged: Vec<_> = outcomes.iter().filter(|outcome| outcome.not_judged.is_none()).collect();
        let judgements: Vec<_> = judged.iter().map(|outcome| judge(outcome)).collect();
        let share = |of: &dyn Fn(&Judgement) -> bool, right: &dyn Fn(&Judgement) -> bool| {
            let all = judgements.iter().filter(|judgement| of(judgement));
            let (mut count, mut hits) = (0, 0);
            all.for_each(|judgement| {
                count += 1;
                hits += u64::from(right(judgement));
            });
            Proportion::new(hits, count)
        };
        let mut confusion: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for judgement in &judgements {
            *confusion
                .entry(judgement.truth.clone())
                .or_default()
                .entry(judgement.named.clone())
                .or_default() += 1;
        }
        let names: std::collections::BTreeSet<_> =
            judgements.iter().flat_map(|judgement| [&judgement.truth, &judgement.named]).collect();
        let by_name = |name_of: fn(&Judgement) -> &String| {
            let of_name = |name: &&String| {
                share(&|judgement| name_of(judgement) == *name, &|judgement| judgement.right)
            };
            names
                .iter()
                .map(|name| ((*name).clone(), of_name(name)))
                .filter(|(_, share)| share.count > 0)
                .collect()
        };
        let troubled = |judgement: &Judgement| judgement.truth != NONE;
        let mut unexplained: Vec<_> =
            judgements.iter().filter(|j| troubled(j)).map(|j| j.unexplained).collect();
        let mut seconds: Vec<_> = judged.iter().map(|outcome| outcome.seconds).collect();
        Self {
            confusion,
            precision: by_name(|judgement| &judgement.named),
            recall: by_name(|judgement| &judgement.truth),
            main: share(&troubled, &|judgement| judgement.right),
            accused: share(&|judgement| !troubled(judgement), &|judgement| !judgement.right),
            pairs: share(&|judgement| judgement.recipe == recipes::PAIR, &|judgement| judgement.shares_right),
            unexplained_median: median(&mut unexplained),
            estimates: estimates::of(&judged),
            seconds: (median(&mut seconds), seconds.last().copied().unwrap_or(0.0)),
            not_judged: (outcomes.len() - judged.len()) as u64,
        }
    }

    /// What of the targets is not met.
    pub fn short_of(&self) -> Vec<String> {
        let mut short = Vec::new();
        let mut unless = |met: bool, what: String| {
            if !met {
                short.push(what);
            }
        };
        let judged = self.main.count + self.accused.count;
        unless(judged > 0, "no run was judged".to_owned());
        unless(
            self.not_judged as f64 <= limits::NOT_JUDGED_MAX * (judged + self.not_judged) as f64,
            format!("{} runs could not be judged, of {}", self.not_judged, judged + self.not_judged),
        );
        unless(
            self.main.count == 0 || self.main.share() >= 0.95,
            format!("the main cause is right in {}, not 95 %", self.main),
        );
        for (what, shares) in [("precision", &self.precision), ("recall", &self.recall)] {
            for (name, share) in shares.iter().filter(|(name, _)| *name != NONE && *name != "unexplained") {
                unless(share.share() >= 0.9, format!("{what} of {name} is {share}, not 90 %"));
            }
        }
        unless(
            self.pairs.count == 0 || self.pairs.share() >= 0.9,
            format!("both causes of pairs have their shares in {}, not 90 %", self.pairs),
        );
        unless(self.accused.hits == 0, format!("{} healthy runs are accused", self.accused.hits));
        unless(
            self.unexplained_median <= 0.05,
            format!("{:.1} % of losses unexplained at the median, not 5 %", 100.0 * self.unexplained_median),
        );
        for (name, figures) in
            self.estimates.iter().filter(|(_, figures)| figures.promised && figures.within.count > 0)
        {
            unless(
                figures.within.hits == figures.within.count,
                format!("{name}: {} within its bound", figures.within),
            );
        }
        short
    }
}

/// The median; sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests;
