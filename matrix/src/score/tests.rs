//! Scores of runs made up for it.

use std::collections::BTreeMap;

use shingle_loadgen::attribution::{Cause, Direction, Estimate};

use super::*;
use crate::outcome::{Bound, Named, TrueCause, TrueNumber};
use crate::recipes::Recipe;

fn run(recipe: &str, reads: u64, lost: u64, truth: Vec<TrueCause>, named: &[(Cause, u64)]) -> Outcome {
    let scenario = Recipe::named(recipe).expect("a recipe").draw(1, 0);
    let named = named.iter().map(|(cause, reads)| Named {
        cause: *cause,
        direction: Direction::Down,
        reads: *reads,
        confidence: 0.9,
        evidence: Vec::new(),
        estimates: BTreeMap::new(),
    });
    Outcome {
        id: format!("1:{recipe}:0"),
        recipe: recipe.to_owned(),
        command: scenario.command(),
        scenario,
        seconds: 4.0,
        not_judged: None,
        reads,
        lost,
        named: named.collect(),
        truth,
    }
}

fn at_work(accepted: &[Cause], share: f64) -> TrueCause {
    TrueCause { accepted: accepted.to_vec(), share, numbers: Vec::new() }
}

#[test]
fn the_main_cause_is_the_one_with_most_reads() {
    let truth = || vec![at_work(&[Cause::PathLoss], 1.0)];
    let right = run("path_loss", 1000, 100, truth(), &[(Cause::PathLoss, 60), (Cause::Unexplained, 40)]);
    let wrong = run("path_loss", 1000, 100, truth(), &[(Cause::PathLoss, 40), (Cause::Unexplained, 60)]);
    let silent = run("path_loss", 1000, 100, truth(), &[]);
    let score = Score::of(&[right, wrong, silent]);
    assert_eq!(score.main, Proportion::new(1, 3));
    assert_eq!(score.recall["path_loss"], Proportion::new(1, 3));
    assert_eq!(score.precision["path_loss"], Proportion::new(1, 1));
    assert_eq!(score.confusion["path_loss"]["unexplained"], 1);
    assert_eq!(score.confusion["path_loss"]["none"], 1);
    assert_eq!(score.unexplained_median, 0.4);
    assert!(!score.short_of().is_empty());
}

#[test]
fn any_name_that_is_accepted_is_right() {
    let truth = || vec![at_work(&[Cause::FlowBlackHole, Cause::ServerSilent], 1.0)];
    let score = Score::of(&[
        run("balancer", 1000, 100, truth(), &[(Cause::ServerSilent, 100)]),
        run("balancer", 1000, 100, truth(), &[(Cause::FlowBlackHole, 100)]),
        run("balancer", 1000, 100, truth(), &[(Cause::PathLoss, 100)]),
    ]);
    assert_eq!(score.main, Proportion::new(2, 3));
    assert_eq!(score.recall["server_silent"], Proportion::new(1, 1));
    assert_eq!(score.recall["flow_black_hole"], Proportion::new(1, 2));
    assert_eq!(score.precision["path_loss"], Proportion::new(0, 1));
}

#[test]
fn healthy_runs_are_accused_by_more_than_a_few_reads() {
    let healthy = |reads, named| run("none", reads, 10, vec![], &[named]);
    for (reads, named, accused) in [
        (100_000, (Cause::PathLoss, 9), false),
        (100_000, (Cause::PathLoss, 10), true),
        (1_000, (Cause::PathLoss, 1), true),
        (1_001, (Cause::PathLoss, 1), false),
        (1_000, (Cause::Unexplained, 500), false),
        (1_000, (Cause::GeneratorLimited, 500), false),
    ] {
        let score = Score::of(&[healthy(reads, named)]);
        assert_eq!(score.accused.hits == 1, accused, "{named:?} of {reads}");
        assert_eq!(score.short_of().is_empty(), !accused);
    }
}

#[test]
fn a_pair_is_right_when_both_have_about_their_shares() {
    let pair = |shares: [f64; 2], named: &[(Cause, u64)]| {
        let truth =
            vec![at_work(&[Cause::PacketRateLimit], shares[0]), at_work(&[Cause::PathLoss], shares[1])];
        judge(&run("pair", 10_000, 1000, truth, named))
    };
    let both = pair([0.55, 0.45], &[(Cause::PacketRateLimit, 430), (Cause::PathLoss, 570)]);
    assert!(both.right && both.shares_right, "{both:?}");
    let one = pair([0.55, 0.45], &[(Cause::PathLoss, 1000)]);
    assert!(one.right && !one.shares_right, "either may be the main one: {one:?}");
    let lesser = pair([0.7, 0.3], &[(Cause::PacketRateLimit, 450), (Cause::PathLoss, 550)]);
    assert!(!lesser.right && lesser.truth == "packet_rate_limit", "{lesser:?}");
}

#[test]
fn estimates_are_held_to_their_bounds() {
    let with = |value: f64, interval, bound| {
        let number = TrueNumber { name: "limit".into(), direction: None, value: 1000.0, bound };
        let truth = vec![TrueCause { numbers: vec![number], ..at_work(&[Cause::PacketRateLimit], 1.0) }];
        let mut run = run("packet_rate_limit", 1000, 100, truth, &[(Cause::PacketRateLimit, 100)]);
        let estimate = Estimate { value, unit: "packets/s".into(), interval };
        run.named[0].estimates.insert("limit".into(), estimate);
        run
    };
    let bound = Some(Bound::Relative(0.05));
    let mut missing = with(0.0, None, bound);
    missing.named[0].estimates.clear();
    let unnamed = run("packet_rate_limit", 1000, 100, missing.truth.clone(), &[(Cause::Unexplained, 100)]);
    let score = Score::of(&[
        with(1040.0, Some((990.0, 1090.0)), bound),
        with(940.0, Some((930.0, 950.0)), bound),
        with(2000.0, None, None),
        missing,
        unnamed,
    ]);
    let figures = &score.estimates["packet_rate_limit limit"];
    assert_eq!(figures.within, Proportion::new(1, 3));
    assert_eq!(figures.covered, Proportion::new(1, 2));
    assert_eq!(figures.missing, 1);
    assert!((figures.worst - 0.06).abs() < 1e-9 && (figures.median - 0.05).abs() < 1e-9, "{figures:?}");
}

#[test]
fn runs_that_were_disturbed_count_for_nothing() {
    let mut disturbed = run("path_loss", 1000, 100, vec![at_work(&[Cause::PathLoss], 1.0)], &[]);
    disturbed.not_judged = Some("the host stalled".into());
    let score = Score::of(&[disturbed]);
    assert_eq!((score.not_judged, score.main.count), (1, 0));
    assert!(score.confusion.is_empty());
    assert!(score.to_string().contains("not judged:                1"));
}
