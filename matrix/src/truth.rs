//! What was true of a run: from what was set, and from what the laboratory counted. Pure.

use std::collections::BTreeMap;

use shingle_loadgen::record::FlowFigures;

use crate::limits;
use crate::outcome::{Bound, TrueCause, TrueNumber};
use crate::scenario::{Beside, Expected, Number, Scenario, Source};

/// Counters of a laboratory, and what they rose by.
pub type Counters = BTreeMap<String, u64>;

/// The causes that were at work, with shares of the reads lost.
pub fn of(scenario: &Scenario, counters: &Counters, lost: u64, flows: &[FlowFigures]) -> Vec<TrueCause> {
    let reads: u64 = flows.iter().map(|flow| flow.reads).sum();
    let shares = shares(&scenario.causes, counters, (lost, reads));
    let one = |(expected, share): (&Expected, f64)| TrueCause {
        accepted: expected.accepted.clone(),
        share,
        numbers: expected.numbers.iter().filter_map(|number| self::number(number, flows, counters)).collect(),
    };
    let mut causes: Vec<_> = scenario.causes.iter().zip(shares).map(one).collect();
    causes.sort_by(|a, b| b.share.total_cmp(&a.share));
    causes
}

/// Each cause's share. One that the laboratory does not count read by read has what the others leave.
fn shares(causes: &[Expected], counters: &Counters, (lost, reads): (u64, u64)) -> Vec<f64> {
    let counted = |cause: &Expected| {
        let sum_of = |up: bool| {
            let of_way = cause.counters.iter().filter(|name| name.ends_with("_up") == up);
            of_way.map(|name| risen(counters, name)).sum::<u64>() as f64
        };
        let (up, sum) = (sum_of(true), sum_of(false));
        let Some(Beside { share, packets }) = &cause.beside else {
            return (!cause.counters.is_empty()).then_some(up + sum);
        };
        let seen =
            risen(counters, "router.down_seen").saturating_sub(risen(counters, "router.fragments_dropped"));
        let struck = (sum / seen.max(1) as f64).min(0.99);
        // Of the reads that the other cause leaves, those whose answers have one packet and those that have several.
        let of_several = 1.0 - (1.0 - struck).powf(*packets);
        // Requests that it struck are reads that it lost.
        let (lost, reads) = (lost as f64 - up, reads as f64 - up);
        let by_chance_alone = reads * ((1.0 - share) * struck + share * of_several);
        let by_other = ((lost - by_chance_alone) / (1.0 - of_several)).max(0.0);
        Some(up + lost - by_other)
    };
    let counted: Vec<_> = causes.iter().map(counted).collect();
    let known: f64 = counted.iter().flatten().sum();
    let unknown = counted.iter().filter(|count| count.is_none()).count().max(1) as f64;
    let rest = (lost as f64 - known).max(0.0) / unknown;
    let reads: Vec<_> = counted.iter().map(|count| count.unwrap_or(rest)).collect();
    let all: f64 = reads.iter().sum();
    reads.iter().map(|reads| if all > 0.0 { reads / all } else { 1.0 / causes.len() as f64 }).collect()
}

fn number(number: &Number, flows: &[FlowFigures], counters: &Counters) -> Option<TrueNumber> {
    let (value, bound) = match &number.truth {
        Source::Set(value) => (*value, Some(bound(&number.name))),
        Source::Counted { lost, seen } => {
            let (lost, seen) = (risen(counters, lost), risen(counters, seen));
            let enough = lost >= limits::PROBABILITY_LOSSES_MIN;
            (lost as f64 / seen.max(1) as f64, enough.then(|| bound(&number.name)))
        }
        Source::FlowsOnPath { bad, all } => {
            let all: u64 = all.iter().map(|name| risen(counters, name)).sum();
            let (count, near) = flows_with(flows, risen(counters, bad) as f64 / all.max(1) as f64);
            (count, near.then(|| bound(&number.name)))
        }
    };
    (value > 0.0).then(|| TrueNumber { name: number.name.clone(), direction: number.direction, value, bound })
}

/// How many flows, those first that lost most, have this share of the reads; and whether they have it to half of the smallest's.
fn flows_with(flows: &[FlowFigures], share: f64) -> (f64, bool) {
    let ratio = |flow: &FlowFigures| flow.first_try_lost as f64 / flow.reads.max(1) as f64;
    let mut flows: Vec<_> = flows.iter().collect();
    flows.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    let all: f64 = flows.iter().map(|flow| flow.reads as f64).sum::<f64>().max(1.0);
    let least = flows.iter().map(|flow| flow.reads as f64 / all).fold(1.0, f64::min);
    let (mut sum, mut best) = (0.0, (0, share));
    for (index, flow) in flows.iter().enumerate() {
        sum += flow.reads as f64 / all;
        if (sum - share).abs() < best.1 {
            best = (index + 1, (sum - share).abs());
        }
    }
    (best.0 as f64, best.1 <= least / 2.0)
}

fn bound(name: &str) -> Bound {
    match name {
        "limit" => Bound::Relative(limits::RATE_BOUND),
        "probability" => Bound::Relative(limits::PROBABILITY_BOUND),
        "begin" | "length" => Bound::Absolute(limits::SILENCE_BOUND_S),
        "pause" => Bound::Relative(limits::PAUSE_BOUND),
        _ => Bound::Exact,
    }
}

fn risen(counters: &Counters, name: &str) -> u64 {
    counters.get(name).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::Recipe;

    fn counters(list: &[(&str, u64)]) -> Counters {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn probabilities_are_what_the_laboratory_counted() {
        let source = Source::Counted { lost: "l".into(), seen: "s".into() };
        let number = |lost, seen| {
            let asked = Number { name: "probability".into(), direction: None, truth: source.clone() };
            super::number(&asked, &[], &counters(&[("l", lost), ("s", seen)]))
        };
        let plenty = number(1000, 10_000).expect("something was lost");
        assert_eq!((plenty.value, plenty.bound), (0.1, Some(Bound::Relative(0.1))));
        assert_eq!(number(999, 10_000).expect("something was lost").bound, None);
        assert_eq!(number(0, 10_000), None);
    }

    #[test]
    fn flows_on_a_path_are_those_that_lost_most_with_its_share_of_the_reads() {
        let truth = Source::FlowsOnPath { bad: "p0".into(), all: vec!["p0".into(), "p1".into()] };
        let asked = Number { name: "flows".into(), direction: None, truth };
        let of = |(reads, first_try_lost)| FlowFigures { reads, first_try_lost, ..FlowFigures::default() };
        let flows = [(100, 0), (50, 10), (250, 0), (150, 32), (100, 22), (150, 0)].map(of);
        let number = |bad, good| super::number(&asked, &flows, &counters(&[("p0", bad), ("p1", good)]));
        let three = number(301, 499).expect("a path");
        assert_eq!((three.value, three.bound), (3.0, Some(Bound::Exact)));
        assert_eq!(number(370, 430).expect("a path").bound, None);
    }

    #[test]
    fn one_of_a_pair_has_what_the_other_leaves() {
        let pair = (0..50).map(|number| Recipe::named("pair").expect("a recipe").draw(1, number));
        let one_counted = |run: &Scenario| {
            let uncounted = run.causes.iter().filter(|cause| cause.counters.is_empty()).count();
            uncounted == 1 && run.causes.iter().all(|cause| cause.beside.is_none())
        };
        let run = pair.into_iter().find(one_counted).expect("fragments are not reads");
        let name = run.causes.iter().find_map(|cause| cause.counters.first()).expect("the other is counted");
        let truth = of(&run, &counters(&[(name, 250)]), 1000, &[]);
        assert_eq!([truth[0].share, truth[1].share], [0.75, 0.25]);
        assert!(name.starts_with("router."));
    }

    #[test]
    fn packets_of_reads_that_were_lost_before_are_not_lost_twice() {
        let pair = (0..50).map(|number| Recipe::named("pair").expect("a recipe").draw(1, number));
        let of_fragments = |run: &Scenario| run.causes.iter().any(|cause| cause.beside.is_some());
        let mut run = pair.into_iter().find(of_fragments).expect("a limit of fragments beside chance");
        let chance = run.causes.iter_mut().find(|cause| cause.beside.is_some()).expect("one of the two");
        // Half of the answers have two packets.
        chance.beside = Some(Beside { share: 0.5, packets: 2.0 });
        let chance = chance.clone();
        // A limit lost 2,000 of them, of each of which a fragment went on; one in ten packets was struck: of 5,000 small answers 500, and of
        // the 3,000 others 570.
        let counters = counters(&[
            (chance.counters[0].as_str(), 1300),
            ("router.down_seen", 15_000),
            ("router.fragments_dropped", 2_000),
        ]);
        let flows = [FlowFigures { reads: 10_000, ..FlowFigures::default() }];
        let truth = of(&run, &counters, 3070, &flows);
        let share = |cause| truth.iter().find(|truth| truth.accepted.contains(&cause)).expect("in it").share;
        assert!((share(chance.accepted[0]) - 1070.0 / 3070.0).abs() < 1e-9, "{truth:?}");
    }
}
