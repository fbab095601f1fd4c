//! The advice on figures made up for it.

use super::*;
use crate::record::Cold;
use crate::slo::Broke;

/// Figures that meet the level: no failures, p99 of 200 us, up to 100,000 reads/s.
fn met(strategy: Strategy) -> StrategyFigures {
    let mut figures = StrategyFigures {
        strategy: strategy.name().to_owned(),
        offered_tps: 40_000.0,
        rounds: 3,
        valid: true,
        tps_at_slo: Some(100_000.0),
        broken_at_tps: Some(120_000.0),
        ..StrategyFigures::default()
    };
    with_p99(&mut figures, 200.0);
    with_failures(&mut figures, 0.0);
    figures
}

fn with_p99(figures: &mut StrategyFigures, us: f64) {
    figures.latency_us.p99 = us;
    figures.spread.insert("p99".to_owned(), [us * 0.9, us * 1.1]);
}

fn with_failures(figures: &mut StrategyFigures, rate: f64) {
    figures.failure_rate = rate;
    figures.spread.insert("failure_rate".to_owned(), [rate * 0.95, rate * 1.05]);
    figures.broke = (rate > 0.005).then_some(Broke::FailureRate);
    figures.tps_at_slo = if rate > 0.005 { Some(20_000.0) } else { figures.tps_at_slo };
}

fn judged(
    strategies: &[StrategyFigures],
    change: impl FnOnce(&mut Grounds<'_>, &mut Comparison),
) -> (Option<Strategy>, Verdict) {
    let mut comparison = Comparison {
        offered_tps: 40_000.0,
        path_mtu: Some(1500),
        answers_above_path: 0.035,
        cold_measured: true,
        ..Comparison::default()
    };
    let nothing = Comparison::default();
    let mut grounds = Grounds {
        slo: Slo::default(),
        comparison: &nothing,
        strategies,
        shares_counters: false,
        shares_cpus: false,
        all_compressed: false,
        server_gone: false,
        crowded: false,
    };
    change(&mut grounds, &mut comparison);
    grounds.comparison = &comparison;
    judge(&grounds)
}

fn says(verdict: &Verdict, words: &str) -> bool {
    verdict.words.iter().any(|line| line.contains(words))
}

#[test]
fn who_needs_no_fragments_goes_first_and_the_kernels_way_is_warned_of() {
    let mut kernels = met(Strategy::KernelPmtud);
    with_failures(&mut kernels, 0.01);
    kernels.fragments_sent_per_s = 2800.0;
    kernels.cold = Some(Cold { first: 3, first_lost: 3, later: 9, ..Cold::default() });
    let strategies = [kernels, met(Strategy::DfOff), met(Strategy::Chunked)];
    let (best, verdict) = judged(&strategies, |_, _| ());
    assert_eq!(
        (best, verdict.outcome, verdict.tps_at_slo),
        (Some(Strategy::Chunked), Outcome::Pass, 100_000)
    );
    assert!(says(&verdict, "2 of 3 strategies meet"), "{:?}", verdict.words);
    assert!(says(&verdict, "Use chunked") && says(&verdict, "no difference beyond noise to df-off"));
    assert!(
        says(&verdict, "Do not use kernel-pmtud") && says(&verdict, "3 of 3 first ones"),
        "{:?}",
        verdict.words
    );
    assert!(
        says(&verdict, "df-off meets the level at this rate") && says(&verdict, "every router fragments")
    );
    assert!(says(&verdict, "ip_no_pmtu_disc"));
    let ipv6 = judged(&strategies, |_, comparison| comparison.ipv6 = true).1;
    assert!(!says(&ipv6, "ip_no_pmtu_disc") && says(&ipv6, "on IPv6 no router makes fragments"));
}

#[test]
fn what_is_faster_but_needs_fragments_is_said_and_not_recommended() {
    let mut df_off = met(Strategy::DfOff);
    df_off.tps_at_slo = Some(150_000.0);
    let (best, verdict) = judged(&[met(Strategy::Chunked), df_off], |_, _| ());
    assert_eq!(best, Some(Strategy::Chunked));
    assert!(says(&verdict, "carried more here"), "{:?}", verdict.words);
    assert!(!says(&verdict, "no difference beyond noise"));
}

#[test]
fn compressed_is_recommended_only_where_it_is_better_beyond_noise() {
    let mut compressed = met(Strategy::Compressed);
    with_p99(&mut compressed, 190.0);
    let noise = judged(&[met(Strategy::Chunked), compressed.clone()], |_, _| ()).0;
    assert_eq!(noise, Some(Strategy::Chunked));
    with_p99(&mut compressed, 100.0);
    let faster = judged(&[met(Strategy::Chunked), compressed.clone()], |_, _| ()).0;
    assert_eq!(faster, Some(Strategy::Compressed));
    // One round has no range: nothing is known to be beyond noise.
    compressed.rounds = 1;
    assert_eq!(judged(&[met(Strategy::Chunked), compressed], |_, _| ()).0, Some(Strategy::Chunked));
}

#[test]
fn values_that_do_not_compress_judge_nothing() {
    let strategies = [met(Strategy::Chunked), met(Strategy::Compressed)];
    let noise = judged(&strategies, |_, comparison| comparison.compressed_share = Some(1.0)).1;
    assert!(says(&noise, "cannot be judged"), "{:?}", noise.words);
    let text = judged(&strategies, |_, comparison| comparison.compressed_share = Some(0.6)).1;
    assert!(says(&text, "compress to 60 %"), "{:?}", text.words);
}

#[test]
fn nothing_to_split_is_said_and_nobody_is_warned_of() {
    let strategies = [met(Strategy::Chunked), met(Strategy::KernelPmtud), met(Strategy::DfOff)];
    let verdict = judged(&strategies, |_, comparison| comparison.answers_above_path = 0.0).1;
    assert!(says(&verdict, "all strategies send the same"), "{:?}", verdict.words);
    assert_eq!(verdict.words.len(), 3, "{:?}", verdict.words);
}

#[test]
fn where_nobody_meets_the_level_nothing_is_recommended() {
    let mut failing = [met(Strategy::Chunked), met(Strategy::DfOff)];
    failing.iter_mut().for_each(|figures| with_failures(figures, 0.2));
    let (best, verdict) = judged(&failing, |_, _| ());
    assert_eq!((best, verdict.outcome), (None, Outcome::Fail));
    assert!(says(&verdict, "NOT MET"));
    failing[0].generator_limited = true;
    assert_eq!(judged(&failing, |_, _| ()).1.outcome, Outcome::GeneratorLimited);
    assert_eq!(judged(&failing, |grounds, _| grounds.shares_cpus = true).1.outcome, Outcome::Fail);
}

#[test]
fn only_what_needs_fragments_may_be_all_that_is_left() {
    let mut chunked = met(Strategy::Chunked);
    with_failures(&mut chunked, 0.2);
    let (best, verdict) = judged(&[chunked, met(Strategy::DfOff)], |_, _| ());
    assert_eq!(best, Some(Strategy::DfOff));
    assert!(says(&verdict, "none that works without fragments met"), "{:?}", verdict.words);
}

#[test]
fn what_was_not_measured_is_said() {
    let strategies = [met(Strategy::Chunked), met(Strategy::DfOff)];
    let verdict = judged(&strategies, |_, comparison| {
        comparison.cold_not_measured_because = Some("not root".to_owned());
    })
    .1;
    assert!(says(&verdict, "Cold behaviour not measured (not root)"), "{:?}", verdict.words);
    let gone = judged(&strategies, |grounds, _| grounds.server_gone = true).1;
    assert!(gone.outcome == Outcome::Fail && says(&gone, "could not be asked any more"));
}

#[test]
fn a_median_spoiled_in_some_rounds_is_undecided() {
    let mut chunked = met(Strategy::Chunked);
    (chunked.broke, chunked.rounds_met) = (Some(Broke::P99), 1);
    let strategies = [chunked.clone(), met(Strategy::DfOff)];
    let (best, verdict) = judged(&strategies, |_, _| ());
    assert_eq!((best, verdict.outcome), (Some(Strategy::Chunked), Outcome::Pass));
    assert!(says(&verdict, "1 of 3 rounds met it"), "{:?}", verdict.words);
    // Alone it meets nothing.
    assert_eq!(judged(&[chunked.clone(), chunked], |_, _| ()).1.outcome, Outcome::Fail);
}

#[test]
fn a_search_that_broke_nothing_is_no_highest_rate() {
    let mut chunked = met(Strategy::Chunked);
    chunked.broken_at_tps = None;
    let verdict = judged(&[chunked, met(Strategy::DfOff)], |_, _| ()).1;
    assert!(says(&verdict, "broke nothing of chunked:"), "{:?}", verdict.words);
}

#[test]
fn who_was_spoiled_in_every_round_is_not_condemned() {
    let mut spoiled = met(Strategy::DfOff);
    with_failures(&mut spoiled, 0.01);
    spoiled.valid = false;
    let (_, verdict) = judged(&[met(Strategy::Chunked), spoiled], |_, _| ());
    assert!(
        says(&verdict, "df-off cannot be judged") && !says(&verdict, "Do not use"),
        "{:?}",
        verdict.words
    );
}
