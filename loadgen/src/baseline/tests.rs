//! Records beside records: equal ones, better ones, worse ones, and ones that asked something else.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::record::{Interval, KneeInterval, Outcome, Verdict};
use crate::slo::Broke;

/// A normal number.
fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A stage of 30,000 reads of which this share failed, in three intervals, with this 99th percentile.
fn stage(tps: f64, failed: f64, p99: f64) -> Stage {
    let part = (failed * 10_000.0).round() as u64;
    let interval = Interval { reads: 10_000, failed: part, ..Interval::default() };
    let mut stage = Stage {
        offered_tps: tps,
        achieved_tps: tps,
        valid: true,
        duration_s: 3.0,
        sent: 30_000,
        failed: 3 * part,
        intervals: vec![interval; 3],
        ..Stage::default()
    };
    stage.latency_us.p99 = p99;
    stage
}

fn record(knee: (f64, f64, f64), stages: Vec<Stage>) -> Record {
    let interval = KneeInterval {
        lower_tps: knee.1,
        upper_tps: Some(knee.2),
        confidence: 0.95,
        ..KneeInterval::default()
    };
    let verdict = Verdict {
        outcome: Outcome::Pass,
        tps_at_slo: knee.0 as u64,
        tps_interval: Some(interval),
        broke_first: None,
        hosts_needed: None,
        plan: None,
        words: Vec::new(),
    };
    Record { verdict, stages, ..serde_json::from_str(EMPTY).expect("a record") }
}

/// The fields that every record has had from the first.
const EMPTY: &str = r#"{"schema": "shingle.run/1", "program": "p", "command": "c", "started_unix_s": 0,
    "host": {"kernel": "k", "cpu_model": "m", "cpus": [0], "threads": 1, "flows_per_thread": 8, "recv_buffer_granted_bytes": 1, "interface_mtu": 1500},
    "server": {"address": "a", "embedded": true, "instance": 1, "ports": ["7400=chunked"], "workers": 1, "receipts": true},
    "shared_namespace": false, "slo": {"failure_rate": 0.005, "p99_us": 1000},
    "workload": {"items": 1, "values": "v", "keys": "k", "arrivals": "poisson", "seed": 1, "value_bytes_mean": 1.0, "gets_per_datagram": 1, "timeout_us": 1, "retries": 0},
    "verdict": {"outcome": "pass", "tps_at_slo": 0, "broke_first": null, "hosts_needed": null, "words": []},
    "stages": [], "causes": []}"#;

const RATES: [f64; 5] = [5e3, 10e3, 20e3, 40e3, 80e3];

fn stages(failed: f64, p99: [f64; 5]) -> Vec<Stage> {
    RATES.iter().zip(p99).map(|(tps, p99)| stage(*tps, failed, p99)).collect()
}

const P99: [f64; 5] = [100.0, 120.0, 150.0, 200.0, 300.0];

fn outcome(before: &Record, now: &Record) -> BaselineOutcome {
    compare("before.json", before, now).outcome
}

#[test]
fn a_run_beside_itself_is_within_noise() {
    let run = record((100e3, 95e3, 105e3), stages(0.001, P99));
    let report = compare("before.json", &run, &run);
    assert_eq!((report.outcome, report.tests.len()), (BaselineOutcome::WithinNoise, 3), "{report:?}");
    assert!(words(&report).contains("within noise"));
}

#[test]
fn each_figure_can_be_better_or_worse() {
    let before = record((100e3, 97e3, 103e3), stages(0.001, P99));
    let knee = record((130e3, 126e3, 134e3), stages(0.001, P99));
    assert_eq!(outcome(&before, &knee), BaselineOutcome::Better);
    assert_eq!(outcome(&knee, &before), BaselineOutcome::Worse);
    let failing = record((100e3, 97e3, 103e3), stages(0.004, P99));
    assert_eq!(outcome(&before, &failing), BaselineOutcome::Worse);
    let slower = record((100e3, 97e3, 103e3), stages(0.001, [205.0, 236.0, 310.0, 390.0, 620.0]));
    assert_eq!(outcome(&before, &slower), BaselineOutcome::Worse);
    let both = record((130e3, 126e3, 134e3), stages(0.004, P99));
    assert_eq!(outcome(&before, &both), BaselineOutcome::Mixed);
}

#[test]
fn another_question_is_not_compared_and_another_machine_is_with_a_word() {
    let before = record((100e3, 97e3, 103e3), stages(0.001, P99));
    let mut other = before.clone();
    other.slo.p99_us = 2000;
    other.workload.values = "fixed:100".to_owned();
    let report = compare("before.json", &before, &other);
    assert_eq!(
        (report.outcome, report.incomparable.len(), report.tests.len()),
        (BaselineOutcome::NotComparable, 2, 0)
    );
    let mut machine = before.clone();
    machine.host.cpu_model = "n".to_owned();
    machine.server.ports = vec!["1=kernel-pmtud".to_owned()];
    let report = compare("before.json", &before, &machine);
    assert_eq!((report.outcome, report.differs.len()), (BaselineOutcome::WithinNoise, 2), "{report:?}");
    assert!(words(&report).contains("CPU m then, n now"), "{}", words(&report));
}

/// A record from before knees had intervals: its stages tell where the knee was.
#[test]
fn old_records_are_understood() {
    let tried = |tps: f64, met: bool| {
        let mut stage = stage(tps, if met { 0.0 } else { 0.02 }, 100.0);
        stage.broke = crate::slo::Slo::default().broken_by(if met { 0.0 } else { 0.02 }, 0.0, 100);
        stage
    };
    let old_stages: Vec<_> = [
        (5e3, true),
        (10e3, true),
        (20e3, false),
        (20e3, false),
        (14e3, true),
        (17e3, false),
        (15e3, true),
        (16e3, false),
    ]
    .map(|(tps, met)| tried(tps, met))
    .into();
    let mut old = record((0.0, 0.0, 0.0), old_stages);
    (old.verdict.tps_interval, old.verdict.tps_at_slo) = (None, 15_000);
    let same = compare("before.json", &old, &record((15.5e3, 14.8e3, 16.2e3), vec![stage(5e3, 0.0, 100.0)]));
    assert_eq!(same.outcome, BaselineOutcome::WithinNoise, "{same:?}");
    let twice = compare("before.json", &old, &record((31e3, 29.5e3, 32.5e3), vec![stage(5e3, 0.0, 100.0)]));
    assert_eq!(twice.outcome, BaselineOutcome::Better, "{twice:?}");
}

/// Equal systems are called different in at most 5 of 100 cases: latencies and knees that scatter from stage to stage, failures by chance.
#[test]
fn the_error_rate_is_kept() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut run = || {
        let sigma = 0.03;
        let knee = 100e3 * (sigma * normal(&mut random)).exp();
        let knee = (knee, knee * (-1.96f64 * sigma).exp(), knee * (1.96f64 * sigma).exp());
        let stages = RATES.iter().zip(P99).map(|(tps, p99)| {
            let mut stage = stage(*tps, 0.0, p99 * (0.3 * normal(&mut random)).exp());
            stage.failed = 0;
            for interval in &mut stage.intervals {
                interval.failed = (10.0 + 10f64.sqrt() * normal(&mut random)).round().max(0.0) as u64;
                stage.failed += interval.failed;
            }
            stage
        });
        record(knee, stages.collect())
    };
    let cases = 2000;
    let different = (0..cases).filter(|_| outcome(&run(), &run()) != BaselineOutcome::WithinNoise).count();
    println!("{different} of {cases} pairs of equal systems are called different");
    assert!(different <= cases * 6 / 100, "{different}");
}

#[test]
fn a_knee_that_wanders_is_no_change_of_failures() {
    // Both tried a rate within what either's interval holds: one failed there, the other did not.
    let with =
        |failed: f64| record((10e3, 8e3, 12e3), vec![stage(5e3, 0.0, 100.0), stage(10e3, failed, 100.0)]);
    assert_eq!(outcome(&with(0.0), &with(0.03)), BaselineOutcome::WithinNoise);
    let moved = record((10e3, 8e3, 12e3), vec![stage(5e3, 0.03, 100.0), stage(10e3, 0.03, 100.0)]);
    assert_eq!(outcome(&with(0.0), &moved), BaselineOutcome::Worse);
}

#[test]
fn a_system_that_meets_no_rate_any_more_is_worse() {
    let before = record((100e3, 95e3, 105e3), stages(0.001, P99));
    let broke = Stage { broke: Some(Broke::P99), ..stage(RATES[0], 0.001, 5000.0) };
    let mut now = record((0.0, 0.0, 0.0), vec![broke.clone(), broke]);
    now.verdict.tps_interval = None;
    assert_eq!(outcome(&before, &now), BaselineOutcome::Worse);
    assert_eq!(outcome(&now, &before), BaselineOutcome::Better);
    // Where only rates above the other's knee were tried, nothing is known.
    let seldom = record((500.0, 480.0, 520.0), vec![stage(500.0, 0.001, 100.0)]);
    assert_eq!(outcome(&seldom, &now), BaselineOutcome::NotComparable);
}
