//! Many runs: which, in which order, and what is said meanwhile.

use std::path::Path;
use std::time::Instant;

use shingle_loadgen::attribution::Estimate;

use crate::carry;
use crate::kept::{Kept, KeptError};
use crate::outcome::{Named, Outcome, TrueNumber};
use crate::recipes::{self, HEALTHY, Recipe};
use crate::score::estimates;
use crate::score::judge::{Judgement, judge};
use crate::speech::complain;

/// A run to be made.
#[derive(Clone, Copy)]
pub struct Planned {
    /// How it is drawn.
    pub recipe: &'static Recipe,
    /// Of which seed.
    pub seed: u64,
    /// Its number among the recipe's.
    pub number: u32,
}

impl Planned {
    /// SEED:RECIPE:NUMBER.
    pub fn id(&self) -> String {
        format!("{}:{}:{}", self.seed, self.recipe.name, self.number)
    }

    /// The run of an id; none if there is no such recipe, or it is not of this form.
    pub fn of_id(id: &str) -> Option<Self> {
        let [seed, recipe, number] = id.split(':').collect::<Vec<_>>()[..] else { return None };
        Some(Self { recipe: Recipe::named(recipe)?, seed: seed.parse().ok()?, number: number.parse().ok()? })
    }
}

/// The runs of a seed: so many of each cause (or of one alone), so many healthy ones; by turns, so that whatever happens to the machine in the
/// meantime happens to all alike.
pub fn plan(seed: u64, per_cause: u32, healthy: u32, only: Option<&Recipe>) -> Vec<Planned> {
    let count = |recipe: &Recipe| if recipe.name == HEALTHY { healthy } else { per_cause };
    let wanted = |recipe: &&Recipe| only.is_none_or(|only| only.name == recipe.name);
    let mut planned = Vec::new();
    for number in 0..per_cause.max(healthy) {
        let recipes = recipes::all().iter().filter(wanted).filter(|recipe| number < count(recipe));
        planned.extend(recipes.map(|recipe| Planned { recipe, seed, number }));
    }
    planned
}

/// Makes them, with a line for each, and keeps the wrong ones (or all, if there is one only) in a directory.
///
/// # Errors
/// A run cannot be kept.
pub fn carry_out(planned: &[Planned], keep: Option<&Path>) -> Result<Vec<Outcome>, KeptError> {
    let begin = Instant::now();
    let mut outcomes = Vec::new();
    for (index, run) in planned.iter().enumerate() {
        let (outcome, books) = carry::out(run.id(), run.recipe.name, run.recipe.draw(run.seed, run.number));
        let judgement = judge(&outcome);
        complain!(
            "{:>5.0} s  {}/{}  {}",
            begin.elapsed().as_secs_f64(),
            index + 1,
            planned.len(),
            line(&outcome, &judgement)
        );
        let off = if outcome.not_judged.is_none() { estimates::off(&outcome) } else { Vec::new() };
        off.iter().for_each(|off| complain!("         OFF, {off}"));
        let judged_wrong = outcome.not_judged.is_none() && !(judgement.right && judgement.shares_right);
        let wrong = judged_wrong || !off.is_empty();
        let kept = Kept { outcome, books };
        if let Some(directory) = keep.filter(|_| wrong || planned.len() == 1) {
            let path = kept.write(directory)?;
            complain!("         kept in {}", path.display());
        }
        outcomes.push(kept.outcome);
    }
    Ok(outcomes)
}

/// A run in a line; a wrong one with the command that repeats it.
pub fn line(outcome: &Outcome, judgement: &Judgement) -> String {
    let Outcome { id, lost, reads, seconds, .. } = outcome;
    let head = format!("{id}  {lost} of {reads} reads lost, {seconds:.1} s:");
    if let Some(because) = &outcome.not_judged {
        return format!("{head} NOT JUDGED, {because}\n         {}", outcome.command);
    }
    let named: Vec<_> = outcome
        .named
        .iter()
        .map(|named| format!("{} {} {}", named.cause, named.direction.name(), named.reads))
        .collect();
    let named = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
    match (judgement.right, judgement.shares_right) {
        (true, true) => format!("{head} {named}"),
        (right, _) => {
            let truth: Vec<_> = outcome
                .truth
                .iter()
                .map(|cause| format!("{} {:.0} %", cause.accepted[0], 100.0 * cause.share))
                .collect();
            let truth = if truth.is_empty() { "nothing".to_owned() } else { truth.join(", ") };
            let what = if right { "SHARES WRONG" } else { "WRONG" };
            format!("{head} {what}, {named}; true is {truth}\n         {}", outcome.command)
        }
    }
}

/// What was named and what was true, with evidence and numbers.
pub fn details(outcome: &Outcome) -> String {
    let mut text = String::new();
    for named in &outcome.named {
        let Named { cause, direction, reads, confidence, .. } = named;
        text += &format!("named  {cause} {}: {reads} reads, confidence {confidence:.2}\n", direction.name());
        named.evidence.iter().for_each(|line| text += &format!("         {line}\n"));
        for (name, Estimate { value, unit, interval }) in &named.estimates {
            let interval = interval.map_or(String::new(), |(low, high)| format!(" ({low:.4} to {high:.4})"));
            text += &format!("         {name} {value:.4} {unit}{interval}\n");
        }
    }
    for cause in &outcome.truth {
        let names: Vec<_> = cause.accepted.iter().map(|cause| cause.name()).collect();
        text += &format!("true   {}: {:.1} % of the losses\n", names.join(" or "), 100.0 * cause.share);
        for TrueNumber { name, direction, value, .. } in &cause.numbers {
            let way = direction.map_or(String::new(), |way| format!(" {}", way.name()));
            text += &format!("         {name}{way} {value:.4}\n");
        }
    }
    text
}
