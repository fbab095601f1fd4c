//! Verdicts of stages and searches made by hand.

use super::*;
use crate::attribution::{Cause, Direction, Estimate};

fn stage(tps: f64, failure_rate: f64, p99_us: f64) -> Stage {
    let mut stage = Stage {
        offered_tps: tps,
        achieved_tps: tps,
        failure_rate,
        valid: true,
        sent: 1000,
        ..Stage::default()
    };
    stage.latency_us.p99 = p99_us;
    stage.broke = Slo::default().broken_by(failure_rate, 0.0, p99_us as u64);
    stage
}

fn findings<'a>(best: Option<&'a Stage>, broken: Option<&'a Stage>) -> Findings<'a> {
    Findings { best, broken, ..Findings::of_a_stage(Slo::default(), Placement::Apart).searched() }
}

fn cause(cause: Cause, estimate: Option<(&str, f64)>) -> CauseReport {
    let estimate = estimate.map(|(name, value)| {
        (name.to_owned(), Estimate { value, unit: "fragments/s".to_owned(), interval: None })
    });
    CauseReport {
        cause,
        direction: Direction::Down,
        place: cause.place(Direction::Down).to_owned(),
        reads: 20,
        failed: 19,
        share: 1.0,
        confidence: 0.97,
        evidence: Vec::new(),
        estimate: estimate.into_iter().collect(),
        flows: Vec::new(),
        remedy: "Send no fragments.".to_owned(),
    }
}

#[test]
fn the_knee_of_a_search_is_told_with_its_interval_and_the_hosts_it_means() {
    let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(42_000.0, 0.02, 300.0));
    let interval = KneeInterval {
        lower_tps: 39_500.0,
        upper_tps: Some(42_500.0),
        stages: 14,
        known_to: Some(0.031),
        resolved: true,
        ..KneeInterval::default()
    };
    let fleet = plan::Fleet { tps: 2_000_000, spare: 1.0 / 3.0 };
    let findings = Findings {
        knee: Some((41_000.0, &interval)),
        plan: plan::plan(&fleet, &interval),
        ..findings(Some(&best), Some(&broken))
    };
    let verdict = judge(&findings);
    assert_eq!((verdict.tps_at_slo, verdict.tps_interval), (41_000, Some(interval)));
    assert_eq!(verdict.hosts_needed, Some(76));
    let text = verdict.words.join("\n");
    for words in
        ["MET: 41.0k reads/s", "at 40.0k it had", "between 39.5k and 42.5k", "is known to 3.1", "76 hosts"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn losses_are_told_from_what_broke_to_what_to_do() {
    let (best, mut broken) = (stage(40_000.0, 0.0, 120.0), stage(42_000.0, 0.02, 300.0));
    (broken.failed, broken.first_try_lost) = (20, 21);
    let causes = [cause(Cause::FragmentRateLimit, Some(("limit", 1000.0)))];
    let verdict = judge(&Findings { causes: &causes, ..findings(Some(&best), Some(&broken)) });
    let begins: Vec<_> =
        verdict.words.iter().map(|words| words.split(':').next().unwrap_or_default()).collect();
    let order =
        ["MET", "What broke first", "Who lost them", "What happens", "What to do", "What that brings"];
    assert_eq!(begins[..6], order, "{:?}", verdict.words);
    let text = verdict.words.join("\n");
    assert!(text.contains("limit 1000 fragments/s") && text.contains("0.10 % of the reads would"), "{text}");
}

#[test]
fn what_was_not_measured_is_said() {
    let best = stage(40_000.0, 0.0, 120.0);
    let (cold, canary) = (
        ColdPath::not_measured("no rights"),
        Canary { because: Some("none given".to_owned()), ..Canary::default() },
    );
    let verdict =
        judge(&Findings { cold: Some(&cold), canary: Some(&canary), ..findings(Some(&best), None) });
    let text = verdict.words.join("\n");
    assert!(text.contains("not measured (none given)") && text.contains("not measured, no rights"), "{text}");
}

fn gaps_told(findings: &Findings<'_>) -> Vec<String> {
    judge(findings).words.into_iter().filter(|words| words.contains("could not be had")).collect()
}

#[test]
fn what_could_not_be_had_is_said_of_the_stage_whose_losses_are_explained() {
    let mut met = stage(40_000.0, 0.0001, 120.0);
    met.gaps = vec!["receipts of the server".to_owned()];
    let causes = [cause(Cause::PathLoss, None)];
    let single = Findings { best: Some(&met), ..Findings::of_a_stage(Slo::default(), Placement::Apart) };
    assert!(gaps_told(&single).is_empty(), "nothing is put down to anybody");
    let told = gaps_told(&Findings { causes: &causes, ..single });
    assert_eq!(told, ["Of the stage at 40.0k reads/s could not be had: receipts of the server."]);
}

#[test]
fn what_could_not_be_had_of_two_stages_is_said_once() {
    let (mut late, mut lossy) = (stage(42_000.0, 0.0, 30_000.0), stage(50_000.0, 0.02, 30_000.0));
    late.gaps = vec!["receipts".to_owned()];
    lossy.gaps = vec!["receipts".to_owned(), "statistics".to_owned()];
    let causes = [cause(Cause::PathLoss, None)];
    let findings = Findings { causes: &causes, explained: Some(&lossy), ..findings(None, Some(&late)) };
    let told = gaps_told(&findings);
    assert!(told.len() == 2 && told[0].contains("42.0k") && told[0].ends_with(": receipts."), "{told:?}");
    assert!(told[1].contains("50.0k") && told[1].ends_with(": statistics."), "{told:?}");
    assert_eq!(gaps_told(&Findings { explained: Some(&late), ..findings }).len(), 1);
}

#[test]
fn met_and_broken_above() {
    let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
    let verdict = judge(&findings(Some(&best), Some(&broken)));
    assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Pass, 40_000));
    assert!(verdict.words[0].starts_with("MET: 40.0k reads/s"), "{:?}", verdict.words);
}

#[test]
fn a_target_decides() {
    let (best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
    let mut findings = findings(Some(&best), Some(&broken));
    findings.target_tps = Some(50_000);
    assert_eq!(judge(&findings).outcome, Outcome::Fail);
    findings.target_tps = Some(40_000);
    assert_eq!(judge(&findings).outcome, Outcome::Pass);
}

#[test]
fn a_generator_that_gives_up_blames_nobody_but_itself() {
    let (best, mut broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.0, 3000.0));
    broken.generator_limited = true;
    broken.generator_limited_because = vec!["late".to_owned()];
    let mut findings = findings(Some(&best), Some(&broken));
    let verdict = judge(&findings);
    assert_eq!(verdict.outcome, Outcome::GeneratorLimited);
    assert!(verdict.words[0].starts_with("AT LEAST"), "{:?}", verdict.words);
    findings.placement = Placement::Embedded;
    assert_eq!(judge(&findings).outcome, Outcome::Pass);
}

#[test]
fn a_server_that_went_keeps_the_best_rate_but_passes_nothing() {
    let best = stage(40_000.0, 0.0, 120.0);
    let mut findings = findings(Some(&best), None);
    findings.server_gone = true;
    let verdict = judge(&findings);
    assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Fail, 40_000));
    assert!(
        verdict.words[0].starts_with("AT LEAST") && verdict.words[1].contains("could not be asked"),
        "{:?}",
        verdict.words
    );
}

#[test]
fn what_stalls_kept_out_of_the_latency_is_said_of_a_stage_that_met_it() {
    let mut best = stage(40_000.0, 0.0, 120.0);
    best.disturbed = 50;
    best.latency_with_stalls_us.p99 = 2100.0;
    let verdict = judge(&findings(Some(&best), None));
    assert!(
        verdict.words.iter().any(|words| words.contains("5.00 %") && words.contains("2.10 ms")),
        "{:?}",
        verdict.words
    );
}

#[test]
fn what_a_signal_cut_short_neither_passes_nor_fails() {
    let (mut best, broken) = (stage(40_000.0, 0.0, 120.0), stage(80_000.0, 0.02, 300.0));
    let search = judge(&Findings { cut_short: true, ..findings(Some(&best), Some(&broken)) });
    assert_eq!((search.outcome, search.tps_at_slo), (Outcome::CutShort, 40_000));
    assert!(search.words[0].starts_with("CUT SHORT, MET SO FAR: 40.0k"), "{:?}", search.words);
    assert!(search.words[1].contains("the stage under way is left out"), "{:?}", search.words);
    (best.duration_s, best.cut_short_of_s) = (1.5, Some(60.0));
    let run = judge(&Findings { cut_short: true, single: true, ..findings(Some(&best), None) });
    assert!(run.words[1].contains("after 1.5 of 60.0 s"), "{:?}", run.words);
    let failed = judge(&Findings { cut_short: true, single: true, ..findings(None, Some(&broken)) });
    assert!(failed.words[0].starts_with("CUT SHORT, NOT MET SO FAR"), "{:?}", failed.words);
    assert!(failed.words[1].contains("experiments"), "{:?}", failed.words);
}

#[test]
fn nothing_met() {
    let broken = stage(5_000.0, 0.5, 100_000.0);
    let verdict = judge(&findings(None, Some(&broken)));
    assert_eq!((verdict.outcome, verdict.tps_at_slo), (Outcome::Fail, 0));
}
