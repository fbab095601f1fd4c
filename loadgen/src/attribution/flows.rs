//! Flows that lose while others do not: one of several equal-cost paths is bad, or a balancer sends some flows nowhere.
//!
//! Predicts two populations of flows, each with a loss ratio of its own, or flows of which every read is lost from a moment on while others go
//! on. What strikes all flows alike (rates, sizes, chance) refutes it; bursts that hit a flow several times in a row are weighed by how much
//! the losses of a flow scatter over time.

use std::collections::HashMap;

use super::case::Case;
use super::counters;
use super::limits::{LOG_ODDS_MIN, LOSSES_MIN, SILENT_CHANCE_MIN, SILENT_READS_MIN};
use super::numbers::{best_log_likelihood, confidence};
use super::{Cause, Direction, Estimate};

/// Stretches of time in which a flow's losses are counted to see how they scatter.
const STRETCHES: usize = 20;

/// How many times more than the others a flow must lose to be called bad, beside what was changed of all: fewer is what a server's workers and
/// their CPUs may do.
const RATIO_MIN: f64 = 2.0;
/// The same with what was changed, of which only the count is known.
const RATIO_OF_ALL_MIN: f64 = 1.5;

/// One flow and the reads of it that wait for a cause.
struct Flow {
    number: u32,
    reads: u64,
    lost: u64,
    /// Reads lost after its last whole one.
    tail: u64,
    stretches: [u32; STRETCHES],
}

/// Takes the losses of bad flows, each way by itself: what chance lost the other way is not their doing.
pub(super) fn settle(case: &mut Case<'_>) {
    let unheard = std::mem::take(&mut case.unheard);
    settle_way(case, Direction::Up, &HashMap::new());
    settle_way(case, Direction::Down, &unheard);
    settle_way(case, Direction::Host, &HashMap::new());
}

/// Takes the losses one way, of all reads but those `unheard` on each flow.
fn settle_way(case: &mut Case<'_>, direction: Direction, unheard: &HashMap<u32, u64>) {
    let mut flows = flows(case, direction, unheard);
    let lost: u64 = flows.iter().map(|flow| flow.lost).sum();
    if flows.len() < 2 || lost < LOSSES_MIN {
        return;
    }
    let gone = gone(case, &flows);
    if !gone.is_empty() {
        let why = "lost every read from a moment on";
        take(case, direction, &gone, 0.0, (flows.len(), f64::INFINITY), why);
        flows.retain(|flow| !gone.contains(&flow.number));
    }
    let reads: u64 = flows.iter().map(|flow| flow.reads).sum();
    let changed = counters::corrupted(case, direction) as f64 / reads.max(1) as f64;
    if let Some((bad, log_odds)) = split(&mut flows, changed) {
        let of = flows.len();
        let ratio = |flows: &[Flow]| {
            let (lost, reads) =
                flows.iter().fold((0, 0), |sum, flow| (sum.0 + flow.lost, sum.1 + flow.reads));
            lost as f64 / reads.max(1) as f64
        };
        let (of_bad, of_others) = (ratio(&flows[..bad]), ratio(&flows[bad..]));
        let why =
            format!("lost {:.1} % of their reads, the others {:.2} %", of_bad * 100.0, of_others * 100.0);
        // What the bad path let through, chance lost as it did of the others.
        let by_chance = of_others * (1.0 - of_bad) / (1.0 - of_others).max(0.01) / of_bad;
        let bad: Vec<_> = flows[..bad].iter().map(|flow| flow.number).collect();
        take(case, direction, &bad, by_chance, (of, log_odds), &why);
    }
}

fn flows(case: &Case<'_>, direction: Direction, unheard: &HashMap<u32, u64>) -> Vec<Flow> {
    let population = &case.books.population;
    let mut place = HashMap::new();
    let mut flows = Vec::new();
    for flow in &population.flows {
        let reads = flow.counts.reads.saturating_sub(unheard.get(&flow.flow).copied().unwrap_or(0));
        if reads > 0 {
            place.insert(flow.flow, (flows.len(), flow.last_whole_ns));
            flows.push(Flow { number: flow.flow, reads, lost: 0, tail: 0, stretches: [0; STRETCHES] });
        }
    }
    let length = (case.books.stage.duration_ns / STRETCHES as u64).max(1);
    for loss in case.open.iter().filter(|open| open.direction == direction).map(|open| open.loss) {
        let Some((index, last_whole)) = place.get(&loss.flow) else { continue };
        let flow = &mut flows[*index];
        flow.lost += 1;
        flow.tail += u64::from(last_whole.is_none_or(|last| loss.intended_ns > last));
        flow.stretches[((loss.intended_ns / length) as usize).min(STRETCHES - 1)] += 1;
    }
    flows
}

/// Flows of which every read was lost from a moment on, while others went on.
fn gone(case: &Case<'_>, flows: &[Flow]) -> Vec<u32> {
    // What else loses of those that went on: where hardly any read comes whole, many are lost in a row.
    let before = |sum: (u64, u64), flow: &Flow| {
        (sum.0 + flow.lost - flow.tail, sum.1 + flow.reads.saturating_sub(flow.tail))
    };
    let (lost, reads) = flows.iter().fold((0, 0), before);
    let chance = (lost as f64 / reads.max(1) as f64).clamp(SILENT_CHANCE_MIN, 1.0 - f64::EPSILON);
    let least = (LOG_ODDS_MIN + (flows.len() as f64).ln()) / -chance.ln();
    let gone: Vec<_> =
        flows.iter().filter(|flow| flow.tail as f64 >= least && flow.tail >= SILENT_READS_MIN).collect();
    let went_on = flows.len() > gone.len()
        && case
            .books
            .population
            .flows
            .iter()
            .any(|flow| flow.last_whole_ns.is_some() && gone.iter().all(|gone| gone.number != flow.flow));
    if went_on { gone.iter().map(|flow| flow.number).collect() } else { Vec::new() }
}

/// All flows of the stage are bad, as others that an experiment tried were not: their losses are taken already.
pub(super) fn all_of_them(case: &mut Case<'_>) {
    let all: Vec<_> = case.books.population.flows.iter().map(|flow| flow.flow).collect();
    let why = "were silent, while new flows from other source ports were answered: something on the way knows these flows, and sends them nowhere";
    for direction in [Direction::Up, Direction::Down, Direction::Host] {
        evidence(case, direction, &all, (all.len(), f64::INFINITY), why);
    }
}

/// Sorts the flows by their loss; how many of them are bad, and the log of the odds for it. A share of all was `changed` on its way, and so
/// lost.
fn split(flows: &mut [Flow], changed: f64) -> Option<(usize, f64)> {
    let ratio = |flow: &Flow| flow.lost as f64 / flow.reads as f64;
    flows.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    let of = |flows: &[Flow]| {
        flows.iter().fold((0.0, 0.0), |sum, flow| (sum.0 + flow.lost as f64, sum.1 + flow.reads as f64))
    };
    let (all_lost, all_reads) = of(flows);
    let alike = best_log_likelihood(all_lost, all_reads);
    let of_all = dispersion(flows);
    let mut ways = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for bad in 1..flows.len() {
        // The logarithm of the number of sets of so many flows: each could have been the one.
        ways += ((flows.len() - bad + 1) as f64 / bad as f64).ln();
        let (lost, reads) = of(&flows[..bad]);
        let apart =
            best_log_likelihood(lost, reads) + best_log_likelihood(all_lost - lost, all_reads - reads);
        // One burst on one flow makes no bad flow: losses of the suspected ones are to be spread over time as well.
        let log_odds = (apart - alike) / of_all.max(dispersion(&flows[..bad])) - ways;
        let others = (all_lost - lost) / (all_reads - reads).max(1.0);
        let worse = lost / reads - changed >= RATIO_MIN * (others - changed).max(0.0)
            && lost / reads >= RATIO_OF_ALL_MIN * others;
        if worse && best.is_none_or(|(_, most)| log_odds > most) {
            best = Some((bad, log_odds));
        }
    }
    best.filter(|(_, log_odds)| *log_odds >= LOG_ODDS_MIN)
}

/// By how much a flow's losses scatter over time more than independent ones: their chi-squared over its degrees of freedom, whose mean is 1
/// for independent losses, however few they are.
fn dispersion(flows: &[Flow]) -> f64 {
    let (mut sum, mut degrees) = (0.0, 0.0);
    for flow in flows.iter().filter(|flow| flow.lost >= 2) {
        let mean = flow.lost as f64 / STRETCHES as f64;
        sum += flow.stretches.iter().map(|lost| (f64::from(*lost) - mean).powi(2) / mean).sum::<f64>();
        degrees += (STRETCHES - 1) as f64;
    }
    if degrees == 0.0 { 1.0 } else { (sum / degrees).max(1.0) }
}

/// Takes the losses of these flows but for the share that chance had.
fn take(
    case: &mut Case<'_>,
    direction: Direction,
    bad: &[u32],
    by_chance: f64,
    (of, log_odds): (usize, f64),
    why: &str,
) {
    let cause = Cause::FlowBlackHole;
    let mut left = 0.0;
    case.take((cause, None), |_, open| {
        if open.direction != direction || !bad.contains(&open.loss.flow) {
            return false;
        }
        left += by_chance;
        let keeps = left >= 1.0;
        left -= if keeps { 1.0 } else { 0.0 };
        !keeps
    });
    evidence(case, direction, bad, (of, log_odds), why);
}

/// Writes down which flows are bad, where reads were put down to that.
fn evidence(case: &mut Case<'_>, direction: Direction, bad: &[u32], (of, log_odds): (usize, f64), why: &str) {
    let Some(share) = case.shares.get_mut(&(Cause::FlowBlackHole, direction)) else { return };
    let mut bad = bad.to_vec();
    bad.sort_unstable();
    let ports: Vec<_> = case.books.population.flows.iter().filter(|flow| bad.contains(&flow.flow)).collect();
    let ports: Vec<_> = ports.iter().map(|flow| flow.source_port.to_string()).collect();
    share.confidence = share.confidence.max(confidence(log_odds));
    share.evidence.push(format!("{} of {of} flows (source ports {}) {why}", bad.len(), ports.join(", ")));
    share.flows.extend(bad);
    share.flows.sort_unstable();
    share.flows.dedup();
    share.estimates.insert("flows".into(), Estimate::new(share.flows.len() as f64, "flows", None));
}
