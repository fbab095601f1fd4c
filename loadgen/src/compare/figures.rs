//! From the rounds of one strategy to its figures: medians, and least and most over the rounds. Pure.

use std::collections::BTreeMap;

use shingle_proto::wire::Strategy;

use super::meaning;
use crate::record::{CauseReport, Percentiles, Stage, StrategyFigures};
use crate::slo::Slo;

/// One turn of a strategy: its stage and who lost its reads.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Its figures.
    pub stage: Stage,
    /// Who lost its reads.
    pub causes: Vec<CauseReport>,
}

/// What the figures need to know beside the turns.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The service level.
    pub slo: Slo,
    /// Both ends count into one namespace's counters, which are the generator's then.
    pub shared_namespace: bool,
    /// Whether the path is one of IPv6.
    pub ipv6: bool,
}

/// A figure of one turn by its name.
type Figure = (&'static str, fn(&Stage, bool) -> f64);

const FIGURES: [Figure; 15] = [
    ("achieved_tps", |stage, _| stage.achieved_tps),
    ("failure_rate", |stage, _| stage.failure_rate),
    ("first_try_lost_rate", |stage, _| a_read(stage, stage.first_try_lost as f64)),
    ("p50", |stage, _| stage.judged_us().p50),
    ("p90", |stage, _| stage.judged_us().p90),
    ("p99", |stage, _| stage.judged_us().p99),
    ("p999", |stage, _| stage.judged_us().p999),
    ("goodput_bytes_per_s", |stage, _| stage.goodput_bytes_per_s),
    ("requests_per_read", |stage, _| a_read(stage, counter(stage, "client.flow.datagrams_sent"))),
    ("datagrams_per_read", |stage, _| a_read(stage, counter(stage, "server.answers"))),
    ("packets_per_read", |stage, shared| a_read(stage, packets(stage, shared))),
    ("fragments_sent_per_s", |stage, shared| sent(stage, "FragCreates", shared) / stage.duration_s),
    ("fragments_received_per_s", |stage, _| both_families(stage, "client", "ReasmReqds") / stage.duration_s),
    ("server_cpu_us_per_read", |stage, _| a_read(stage, counter(stage, "server.cpu_time_us"))),
    ("generator_cpu_us_per_read", |stage, _| a_read(stage, counter(stage, "client.cpu_time_us"))),
];

/// The figures of a strategy over its turns; valid turns count, or all where none was valid.
///
/// # Panics
/// Without a turn.
pub fn figures(strategy: Strategy, turns: &[Turn], setting: &Setting) -> StrategyFigures {
    let first = &turns.first().expect("every strategy had its turn").stage;
    let valid = turns.iter().any(|turn| turn.stage.valid);
    let turns: Vec<_> = turns.iter().filter(|turn| turn.stage.valid || !valid).collect();
    let counted: Vec<_> = turns.iter().map(|turn| &turn.stage).collect();
    let over = |of: fn(&Stage, bool) -> f64| -> Vec<f64> {
        counted.iter().map(|stage| of(stage, setting.shared_namespace)).collect()
    };
    let spread: BTreeMap<_, _> =
        FIGURES.iter().map(|(name, of)| ((*name).to_owned(), least_and_most(&over(*of)))).collect();
    let median = |name: &str| {
        let (_, of) = FIGURES.iter().find(|(known, _)| *known == name).expect("a figure of the table");
        median(&over(*of))
    };
    let sum = |of: fn(&Stage) -> u64| counted.iter().map(|stage| of(stage)).sum::<u64>();
    let (sent, misses) = (sum(|stage| stage.sent), sum(|stage| stage.misses));
    let (failure_rate, p99) = (median("failure_rate"), median("p99"));
    let lost_most = turns.iter().max_by_key(|turn| turn.stage.first_try_lost);
    let max = over(|stage, _| stage.judged_us().max).into_iter().fold(0.0, f64::max);
    StrategyFigures {
        strategy: strategy.name().to_owned(),
        does: meaning::does(strategy, setting.ipv6).to_owned(),
        offered_tps: first.offered_tps,
        achieved_tps: median("achieved_tps"),
        rounds: counted.len(),
        valid,
        rounds_met: counted.iter().filter(|stage| stage.broke.is_none()).count(),
        broke: setting.slo.broken_by(failure_rate, misses as f64 / sent.max(1) as f64, p99 as u64),
        sent,
        answered: sum(|stage| stage.answered),
        misses,
        first_try_lost: sum(|stage| stage.first_try_lost),
        first_try_lost_rate: median("first_try_lost_rate"),
        failed: sum(|stage| stage.failed),
        failure_rate,
        refused: sum(|stage| counter(stage, "server.refused") as u64),
        latency_us: Percentiles { p50: median("p50"), p90: median("p90"), p99, p999: median("p999"), max },
        losses: losses(&counted),
        causes: lost_most.map(|turn| turn.causes.clone()).unwrap_or_default(),
        generator_limited: 2 * counted.iter().filter(|stage| stage.generator_limited).count() > counted.len(),
        goodput_bytes_per_s: median("goodput_bytes_per_s"),
        requests_per_read: median("requests_per_read"),
        datagrams_per_read: median("datagrams_per_read"),
        packets_per_read: median("packets_per_read"),
        fragments_sent_per_s: median("fragments_sent_per_s"),
        fragments_received_per_s: median("fragments_received_per_s"),
        server_cpu_us_per_read: median("server_cpu_us_per_read"),
        generator_cpu_us_per_read: median("generator_cpu_us_per_read"),
        spread,
        ..StrategyFigures::default()
    }
}

fn a_read(stage: &Stage, whole: f64) -> f64 {
    whole / stage.sent.max(1) as f64
}

fn counter(stage: &Stage, name: &str) -> f64 {
    stage.counters.get(name).copied().unwrap_or(0) as f64
}

fn both_families(stage: &Stage, side: &str, name: &str) -> f64 {
    counter(stage, &format!("{side}.Ip.{name}")) + counter(stage, &format!("{side}.Ip6.{name}"))
}

/// A counter of the server's host about what it sent. In a shared namespace requests are counted with the answers, but none is so long
/// that it needs fragments.
fn sent(stage: &Stage, name: &str, shared_namespace: bool) -> f64 {
    both_families(stage, if shared_namespace { "client" } else { "server" }, name)
}

/// IP packets the answers left as: a datagram that its host cut counts as its fragments.
fn packets(stage: &Stage, shared_namespace: bool) -> f64 {
    let fragments = sent(stage, "FragCreates", shared_namespace);
    counter(stage, "server.answers") + fragments - sent(stage, "FragOKs", shared_namespace)
}

fn losses(stages: &[&Stage]) -> BTreeMap<crate::attribution::Cause, u64> {
    let mut sum = BTreeMap::new();
    for (cause, reads) in stages.iter().flat_map(|stage| &stage.losses) {
        *sum.entry(*cause).or_default() += reads;
    }
    sum
}

fn least_and_most(values: &[f64]) -> [f64; 2] {
    [
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    ]
}

/// The middle one, or the mean of the middle two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Cause, Direction};
    use crate::slo::Broke;

    const SETTING: Setting =
        Setting { slo: Slo { failure_rate: 0.005, p99_us: 1000 }, shared_namespace: false, ipv6: false };

    /// A turn of 1000 reads in a second with these failed, this p99 and these counters.
    fn turn(failed: u64, p99: f64, counters: &[(&str, u64)]) -> Turn {
        let mut stage = Stage { valid: true, duration_s: 1.0, sent: 1000, failed, ..Stage::default() };
        stage.failure_rate = failed as f64 / 1000.0;
        stage.latency_us.p99 = p99;
        stage.counters = counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Turn { stage, causes: Vec::new() }
    }

    #[test]
    fn medians_judge_and_least_and_most_are_kept() {
        let turns = [turn(0, 100.0, &[]), turn(40, 9000.0, &[]), turn(2, 300.0, &[])];
        let figures = figures(Strategy::Chunked, &turns, &SETTING);
        assert_eq!((figures.failure_rate, figures.latency_us.p99, figures.broke), (0.002, 300.0, None));
        assert_eq!((figures.failed, figures.sent), (42, 3000));
        assert_eq!(figures.spread_of("failure_rate"), [0.0, 0.04]);
        assert_eq!(figures.spread_of("p99"), [100.0, 9000.0]);
    }

    #[test]
    fn turns_that_the_host_spoiled_count_only_where_there_are_no_others() {
        let mut spoiled = turn(500, 100.0, &[]);
        spoiled.stage.valid = false;
        spoiled.stage.first_try_lost = 500;
        spoiled.causes.push(CauseReport {
            cause: Cause::Unexplained,
            direction: Direction::Down,
            place: String::new(),
            reads: 500,
            failed: 500,
            share: 1.0,
            confidence: 0.0,
            evidence: Vec::new(),
            estimate: BTreeMap::new(),
            flows: Vec::new(),
            remedy: String::new(),
        });
        let with_valid = figures(Strategy::Chunked, &[spoiled.clone(), turn(0, 100.0, &[])], &SETTING);
        assert_eq!((with_valid.rounds, with_valid.broke, with_valid.valid), (1, None, true));
        assert_eq!(with_valid.causes.len(), 0, "nor do those who lost reads in them");
        let alone = figures(Strategy::Chunked, &[spoiled], &SETTING);
        assert_eq!((alone.broke, alone.valid), (Some(Broke::FailureRate), false));
    }

    #[test]
    fn packets_are_what_left_after_the_host_cut_its_datagrams() {
        // 1000 answers, 35 of which left as two fragments each, of both families together.
        let counters = [
            ("server.answers", 1000),
            ("server.Ip.FragOKs", 30),
            ("server.Ip.FragCreates", 60),
            ("server.Ip6.FragOKs", 5),
            ("server.Ip6.FragCreates", 10),
            ("client.Ip.ReasmReqds", 70),
        ];
        let figures = figures(Strategy::KernelPmtud, &[turn(0, 100.0, &counters)], &SETTING);
        assert_eq!((figures.datagrams_per_read, figures.packets_per_read), (1.0, 1.035));
        assert_eq!((figures.fragments_sent_per_s, figures.fragments_received_per_s), (70.0, 70.0));
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[1.0, 2.0])), (2.0, 1.5));
    }
}
