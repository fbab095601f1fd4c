//! A run beside an earlier one: better, worse, or within noise, by tests with a stated error rate. Pure.
//!
//! Three figures are tested: the knee, by the intervals both runs state for it; the share of failed reads at each rate that both offered, by
//! the test of two proportions, with the variance that losses which come together have; and the 99th percentile of latency over the rates
//! that both offered and met, by Student's test of the logarithms of their ratios: it varies from stage to stage far more than its reads
//! tell, so stages, not reads, are the sample. Each may be wrong with a third of the error rate in all.

mod conditions;

use crate::chance::{self, Counted};
use crate::limits::{BASELINE_ERROR_RATE, BASELINE_RATES_MIN, BROKEN_TWICE};
use crate::record::{BaselineOutcome, BaselineReport, BaselineTest, Record, Stage};
use crate::report::terminal::{latency, percent, rate};
use crate::search::{Search, SearchSpec};
use crate::statistics::{normal_two_sided, student_two_sided};

/// Figures tested: each has its part of the error rate.
const TESTS: f64 = 3.0;
/// Standard deviations between the ends of a 95 % interval.
const SIGMAS_OF_95: f64 = 2.0 * 1.959_964;

/// Compares a run with an earlier one whose record was in `file`.
pub fn compare(file: &str, before: &Record, now: &Record) -> BaselineReport {
    let (mut incomparable, mut differs) =
        (conditions::incomparable(before, now), conditions::differs(before, now));
    let mut tests = Vec::new();
    if incomparable.is_empty() {
        tests.extend(knees(before, now));
        let unbroken =
            |record: &Record| record.verdict.tps_interval.is_some_and(|knee| knee.upper_tps.is_none());
        if tests.is_empty() && (unbroken(before) || unbroken(now)) {
            differs.push(
                "highest rates are not compared, as nothing broke the service level in one of the runs"
                    .to_owned(),
            );
        }
        let rates = common_rates(before, now);
        tests.extend(failures(&rates, below_knees([before, now])));
        tests.extend(latencies(&rates));
        if tests.is_empty() {
            incomparable.push("they have no rate in common, and no knee each".to_owned());
        }
    }
    let outcome = outcome(&tests);
    BaselineReport {
        file: file.to_owned(),
        started_unix_s: before.started_unix_s,
        outcome,
        error_rate: BASELINE_ERROR_RATE,
        incomparable,
        differs,
        tests,
    }
}

fn outcome(tests: &[BaselineTest]) -> BaselineOutcome {
    let any = |outcome| tests.iter().any(|test| test.outcome == outcome);
    match (any(BaselineOutcome::Better), any(BaselineOutcome::Worse)) {
        _ if tests.is_empty() => BaselineOutcome::NotComparable,
        (true, true) => BaselineOutcome::Mixed,
        (true, false) => BaselineOutcome::Better,
        (false, true) => BaselineOutcome::Worse,
        (false, false) => BaselineOutcome::WithinNoise,
    }
}

/// A test, judged: `better` says which way it went if it is no chance.
fn test(what: String, before: f64, now: f64, p_value: f64, better: bool) -> BaselineTest {
    let outcome = match (p_value < BASELINE_ERROR_RATE / TESTS, better) {
        (false, _) => BaselineOutcome::WithinNoise,
        (true, true) => BaselineOutcome::Better,
        (true, false) => BaselineOutcome::Worse,
    };
    BaselineTest { what, before, now, p_value, outcome }
}

fn knees(before: &Record, now: &Record) -> Option<BaselineTest> {
    let what = "highest rate within the service level, reads/s".to_owned();
    match (knee(before), knee(now)) {
        (Some((then_tps, then_sigma)), Some((now_tps, now_sigma))) => {
            let z = (now_tps / then_tps).ln() / then_sigma.hypot(now_sigma);
            Some(test(what, then_tps, now_tps, normal_two_sided(z), now_tps > then_tps))
        }
        // The lowest rate tried broke the level each time, and a search tries it twice.
        (Some((then_tps, _)), None) if meets_nothing(now, then_tps) => {
            Some(test(what, then_tps, 0.0, 0.0, false))
        }
        (None, Some((now_tps, _))) if meets_nothing(before, now_tps) => {
            Some(test(what, 0.0, now_tps, 0.0, true))
        }
        _ => None,
    }
}

/// A search found no rate that meets the level, not even one that the other's does.
fn meets_nothing(record: &Record, knee_tps: f64) -> bool {
    let judged = || record.stages.iter().filter(|stage| usable(stage));
    let below = judged().filter(|stage| stage.offered_tps <= knee_tps).count();
    below >= BROKEN_TWICE && judged().all(|stage| stage.broke.is_some())
}

/// A stage of which anything can be said.
fn usable(stage: &Stage) -> bool {
    stage.valid && !stage.generator_limited && stage.offered_tps > 0.0
}

/// The knee, and the standard deviation of its logarithm. A record from before intervals were stated has its stages, which tell it.
fn knee(record: &Record) -> Option<(f64, f64)> {
    let (tps, lower, upper) = match record.verdict.tps_interval {
        Some(interval) => (record.verdict.tps_at_slo as f64, interval.lower_tps, interval.upper_tps?),
        None => {
            let rates = || record.stages.iter().map(|stage| stage.offered_tps).filter(|tps| *tps > 0.0);
            let mut search = Search::new(SearchSpec {
                lowest_tps: rates().reduce(f64::min)?,
                highest_tps: rates().reduce(f64::max)?,
                resolution: 1.05,
                stages_max: record.stages.len(),
            });
            for stage in record.stages.iter().filter(|stage| stage.valid && stage.offered_tps > 0.0) {
                let hard = if stage.broke.is_none() { 1.0 } else { 0.0 };
                search.record(stage.offered_tps, stage.chance_met.unwrap_or(hard));
            }
            let knee = search.knee()?;
            (knee.tps, knee.lower_tps, knee.upper_tps?)
        }
    };
    (tps > 0.0 && upper > lower).then(|| (tps, (upper / lower).ln() / SIGMAS_OF_95))
}

/// The valid stages of both runs at a rate.
struct AtRate<'a> {
    tps: f64,
    before: Vec<&'a Stage>,
    now: Vec<&'a Stage>,
}

fn common_rates<'a>(before: &'a Record, now: &'a Record) -> Vec<AtRate<'a>> {
    let at = |record: &'a Record, tps: f64| -> Vec<&'a Stage> {
        record.stages.iter().filter(|stage| usable(stage)).filter(|stage| stage.offered_tps == tps).collect()
    };
    let mut rates: Vec<_> =
        now.stages.iter().filter(|stage| usable(stage)).map(|stage| stage.offered_tps).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let both = rates.into_iter().map(|tps| AtRate { tps, before: at(before, tps), now: at(now, tps) });
    both.filter(|rate| !rate.before.is_empty()).collect()
}

/// The highest rate that lies below what both searches' intervals of the knee hold: from there on a stage fails or not as the knee wanders from
/// stage to stage, which the test of the knees knows and one of reads does not.
fn below_knees(records: [&Record; 2]) -> f64 {
    let lowest = |(tps, sigma): (f64, f64)| tps * (-sigma * SIGMAS_OF_95 / 2.0).exp();
    records.into_iter().filter_map(knee).map(lowest).fold(f64::INFINITY, f64::min)
}

/// The rate whose shares of failed reads differ most surely, tested as the one of so many.
fn failures(rates: &[AtRate<'_>], tps_max: f64) -> Option<BaselineTest> {
    let rates: Vec<_> = rates.iter().filter(|rate| rate.tps <= tps_max).collect();
    let one = |at: &&AtRate<'_>| {
        let (then, now) = (parts(&at.before), parts(&at.now));
        let (first, second) = (sum(&then), sum(&now));
        let pooled = sum(&[first, second]).share();
        let dispersion = chance::dispersion(&then).max(chance::dispersion(&now));
        let variance =
            dispersion * pooled * (1.0 - pooled) * (1.0 / first.reads as f64 + 1.0 / second.reads as f64);
        let p_value = if variance > 0.0 {
            normal_two_sided((second.share() - first.share()) / variance.sqrt())
        } else {
            1.0
        };
        let what = format!("share of failed reads at {} reads/s", rate(at.tps));
        let p_value = (p_value * rates.len() as f64).min(1.0);
        test(what, first.share(), second.share(), p_value, second.share() < first.share())
    };
    rates.iter().map(one).min_by(|a, b| a.p_value.total_cmp(&b.p_value))
}

/// The reads of the intervals of stages; of a stage without any, its own.
fn parts(stages: &[&Stage]) -> Vec<Counted> {
    let of = |stage: &&Stage| -> Vec<Counted> {
        if stage.intervals.is_empty() {
            return vec![Counted { hits: stage.failed, reads: stage.sent }];
        }
        chance::valid_intervals(stage).map(chance::failed_of).collect()
    };
    stages.iter().flat_map(of).collect()
}

fn sum(parts: &[Counted]) -> Counted {
    parts.iter().fold(Counted::default(), |sum, part| Counted {
        hits: sum.hits + part.hits,
        reads: sum.reads + part.reads,
    })
}

fn latencies(rates: &[AtRate<'_>]) -> Option<BaselineTest> {
    let met =
        |stages: &[&Stage]| stages.iter().all(|stage| stage.broke.is_none() && stage.judged_us().p99 > 0.0);
    let p99_ln = |stages: &[&Stage]| {
        stages.iter().map(|stage| stage.judged_us().p99.ln()).sum::<f64>() / stages.len() as f64
    };
    let pairs: Vec<_> = rates
        .iter()
        .filter(|at| met(&at.before) && met(&at.now))
        .map(|at| (p99_ln(&at.before), p99_ln(&at.now)))
        .collect();
    if pairs.len() < BASELINE_RATES_MIN {
        return None;
    }
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (then, now) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let squares: f64 = pairs.iter().map(|pair| (pair.1 - pair.0 - (now - then)).powi(2)).sum();
    let deviation = (squares / (count - 1.0) / count).sqrt();
    let p_value = if deviation > 0.0 {
        student_two_sided((now - then) / deviation, pairs.len() - 1)
    } else {
        f64::from(u8::from(now == then))
    };
    let what = format!("p99 over the {} rates that both met (geometric mean), us", pairs.len());
    Some(test(what, then.exp(), now.exp(), p_value, now < then))
}

/// The comparison in words.
pub fn words(report: &BaselineReport) -> String {
    let found = match report.outcome {
        BaselineOutcome::Better => "BETTER than",
        BaselineOutcome::Worse => "WORSE than",
        BaselineOutcome::Mixed => "better in one thing and worse in another than",
        BaselineOutcome::WithinNoise => "no different, within noise, from",
        BaselineOutcome::NotComparable => "NOT COMPARABLE with",
    };
    let mut words = format!("Against the baseline: this run is {found} {}.", report.file);
    for condition in &report.incomparable {
        words += &format!(" Another question was asked: {condition}.");
    }
    for test in &report.tests {
        let how = match test.outcome {
            BaselineOutcome::Better => "better",
            BaselineOutcome::Worse => "worse",
            _ => "within noise",
        };
        let (before, now) = values(test);
        words += &format!(" {}: {before} then, {now} now: {how} (p = {}).", test.what, p_words(test.p_value));
    }
    if !report.differs.is_empty() {
        words += &format!(" Mind what differs, which may be why: {}.", report.differs.join("; "));
    }
    if report.outcome != BaselineOutcome::NotComparable {
        words += &format!(
            " Two runs of one system are called different in at most {:.0} of 100 cases.",
            report.error_rate * 100.0
        );
    }
    words
}

fn p_words(p_value: f64) -> String {
    if p_value < 0.001 { "less than 0.001".to_owned() } else { format!("{p_value:.3}") }
}

fn values(test: &BaselineTest) -> (String, String) {
    let write: fn(f64) -> String = if test.what.starts_with("share") {
        percent
    } else if test.what.starts_with("p99") {
        latency
    } else {
        rate
    };
    (write(test.before), write(test.now))
}

#[cfg(test)]
mod tests;
