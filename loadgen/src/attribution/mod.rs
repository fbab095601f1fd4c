//! Who lost each read: a pure function of the ledger of losses and both hosts' books (`docs/attribution.md`).
//!
//! Each read that lost something on its first try gets one cause, so the sum over causes equals the reads lost, and the same holds
//! for the reads that failed for good. Models take out what they explain, the most specific first: what a read proves by itself, what
//! counters of the hosts account for, silence, bad flows, sizes, and what then is left: chance or a limit. The rest is unexplained.

mod books;
mod bucket;
mod case;
mod cause;
mod charging;
mod counters;
mod doubts;
mod experiment;
mod findings;
mod flows;
mod fragment_limit;
mod fragments;
mod host_cpu;
mod host_drops;
mod kind;
mod limits;
mod numbers;
mod order;
mod path_mtu;
mod pauses;
mod rates;
mod read_set;
mod shown;
mod silence;
mod sizes;
mod starved;
mod traffic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use books::{
    Books, ClientBooks, Counts, FlowCounts, HostCounters, Loss, Population, Receipt, ReceiptOutcome,
    Receipts, Series, ServerBooks, StageFacts, Symptom, Window,
};
pub use cause::{Cause, Direction};
pub use charging::{Charging, Counted};
pub use doubts::doubts;
pub use experiment::{Experiment, Trial};
pub use shown::{Shown, fragment_limit, lost_up};
pub use starved::Starving;

use case::Case;
use limits::BLAMED;

/// A number estimated for a cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best value.
    pub value: f64,
    /// What it counts: `packets/s`, `fragments/s`, `bits/s`, `bytes`, `probability`, `ms`, `flows`.
    pub unit: String,
    /// The interval that holds the true value with 95 % confidence; none where there is no such thing.
    pub interval: Option<(f64, f64)>,
}

/// Reads put down to one cause and direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Reads lost on the first try.
    pub reads: u64,
    /// Of them, those that failed for good.
    pub failed: u64,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// Numbers estimated for it, by name: `limit`, `size`, `probability`, `pause`, `relearn`, `path_mtu`, `begin`, `length`, `flows`.
    pub estimates: BTreeMap<String, Estimate>,
    /// Another cause that the books do not tell it from with certainty, and an experiment would.
    pub rival: Option<Cause>,
    /// The flows it struck, by number, where it strikes some and not others.
    pub flows: Vec<u32>,
    /// What to do, where the evidence tells more than the cause's name.
    pub remedy: Option<&'static str>,
}

/// All causes of a stage.
pub type Attribution = BTreeMap<(Cause, Direction), Share>;

/// Puts each lost read down to one cause.
pub fn attribute(books: &Books) -> Attribution {
    let mut case = Case::open(books);
    counters::settle_bursts(&mut case);
    silence::settle(&mut case);
    flows::settle(&mut case);
    sizes::settle(&mut case);
    rates::limits(&mut case);
    counters::settle_random(&mut case);
    rates::losses(&mut case);
    unexplained(&mut case);
    pauses::estimate(&mut case);
    let mut shares = case.shares;
    share_out_unlisted(books, &mut shares);
    if books.stage.generator_late {
        blame_generator(&mut shares);
    }
    host_cpu::tell(books, &mut shares);
    host_drops::tell(books, &mut shares);
    shares.retain(|_, share| share.reads > 0);
    shares
}

/// What no model took.
fn unexplained(case: &mut Case<'_>) {
    case.take((Cause::Unexplained, None), |_, _| true);
    for direction in [Direction::Up, Direction::Down, Direction::Host] {
        if let Some(share) = case.shares.get_mut(&(Cause::Unexplained, direction)) {
            let proven = share.evidence.is_empty();
            if proven {
                share.evidence.push(format!(
                    "{} reads beyond what the counters and the model of any cause account for",
                    share.reads
                ));
            }
        }
    }
}

/// Reads that are known by number only went the way of the listed ones, as far as anyone can tell: what was concluded of these is as much less
/// sure.
fn share_out_unlisted(books: &Books, shares: &mut Attribution) {
    let (lost, failed) = books.unlisted;
    if lost == 0 {
        return;
    }
    let failed = failed.min(lost);
    let of = |shares: &Attribution, count: fn(&Share) -> u64| shares.values().map(count).sum::<u64>();
    let (listed_failed, listed_saved) =
        (of(shares, |share| share.failed), of(shares, |share| share.reads - share.failed));
    let (mut failed_left, mut saved_left) = (failed, lost - failed);
    let listed = (listed_failed + listed_saved) as f64 / (listed_failed + listed_saved + lost) as f64;
    let part = |whole: u64, count: u64, all: u64| {
        (u128::from(whole) * u128::from(count)).checked_div(u128::from(all)).unwrap_or(0) as u64
    };
    for share in shares.values_mut() {
        let more_failed = part(failed, share.failed, listed_failed);
        let more_saved = part(lost - failed, share.reads - share.failed, listed_saved);
        (failed_left, saved_left) = (failed_left - more_failed, saved_left - more_saved);
        share.failed += more_failed;
        share.reads += more_failed + more_saved;
        share.confidence *= listed;
        if more_failed + more_saved > 0 {
            share.evidence.push(format!(
                "{} of these reads are known by number only and shared out as the others are",
                more_failed + more_saved
            ));
        }
    }
    let rest = failed_left + saved_left;
    if rest > 0 {
        let share = shares.entry((Cause::Unexplained, Direction::Host)).or_default();
        (share.reads, share.failed) = (share.reads + rest, share.failed + failed_left);
        share.evidence.push(format!("{rest} reads are known by number only"));
    }
}

/// Puts what nothing else explains down to a generator that sent and received too late: answers that wait at its sockets until their
/// reads are forgotten look like answers that never came.
fn blame_generator(shares: &mut Attribution) {
    let (mut reads, mut failed) = (0, 0);
    for direction in [Direction::Up, Direction::Down, Direction::Host] {
        if let Some(share) = shares.remove(&(Cause::Unexplained, direction)) {
            (reads, failed) = (reads + share.reads, failed + share.failed);
        }
    }
    if reads == 0 {
        return;
    }
    let share = shares.entry((Cause::GeneratorLimited, Direction::Host)).or_default();
    share.confidence = if share.reads > reads { share.confidence } else { BLAMED };
    (share.reads, share.failed) = (share.reads + reads, share.failed + failed);
    share.evidence.push(format!(
        "{reads} reads of a stage in which the generator itself was late by half of the timeout and more"
    ));
}

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
