//! Experiments in laboratories decide what they are made for, and leave nothing on the server. Skipped, and said so, where this machine
//! allows no laboratory, unless SHINGLE_REQUIRE_LAB=1.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use shingle_loadgen::attribution::{Experiment, FlowCounts, Trial};
use shingle_loadgen::cli::{Cli, Command};
use shingle_loadgen::embedded::Site;
use shingle_loadgen::engine::Pace;
use shingle_loadgen::error::Error;
use shingle_loadgen::load::Load;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::stage::StageResult;
use shingle_netlab::lab::Entered;
use shingle_netlab::skip;

/// One laboratory at a time: they share the CPUs.
static ONE: Mutex<()> = Mutex::new(());

/// A rig in a laboratory, and a stage it has run there. Fields are dropped in this order.
struct Scene {
    rig: Rig,
    stage: StageResult,
    _entered: Option<Entered>,
    _site: Site,
    _held: MutexGuard<'static, ()>,
}

impl Scene {
    /// Runs a second of load; none where this machine allows no laboratory, which is printed.
    fn of(words: &str, tps: f64) -> Option<Self> {
        let held = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let typed = ["loadgen", "run", "--arrivals", "constant", "--timeout", "1s", "--items", "2k"];
        let cli = Cli::try_parse_from(typed.into_iter().chain(words.split_whitespace())).unwrap();
        let Command::Run(run) = cli.command else { unreachable!("typed so") };
        let options = Options::resolve(&run.common).unwrap();
        let quiet = Progress::new(true);
        let site = match Site::prepare(&options, &quiet) {
            Err(Error::Lab(missing)) => {
                skip::unless_required(skip::REQUIRE_LAB, missing);
                return None;
            }
            site => site.unwrap(),
        };
        let entered = site.enter().unwrap();
        let mut rig = Rig::build(&options, &site, &quiet).unwrap();
        rig.warm_up(Pace::PerSecond(tps), &quiet).unwrap();
        let stage = rig.stage(Pace::PerSecond(tps), Duration::from_secs(1), &quiet).unwrap();
        Some(Self { rig, stage, _entered: entered, _site: site, _held: held })
    }

    fn trial(&mut self, experiment: Experiment) -> Trial {
        let books = self.stage.books.clone().unwrap_or_default();
        let stored = self.items_stored();
        let trial = self.rig.trial(&experiment, "tested".to_owned(), &self.stage.stage, &books).unwrap();
        assert_eq!(self.items_stored(), stored, "what it stored is deleted: {trial:?}");
        println!("{trial:?}");
        trial
    }

    fn items_stored(&mut self) -> u64 {
        let Load::Shingle(target, _) = &mut self.rig.load else { unreachable!("no memcached here") };
        let stats: serde_json::Value = serde_json::from_str(&target.control.stats().unwrap()).unwrap();
        stats["store"]["items"].as_u64().unwrap()
    }

    fn lost(&self) -> u64 {
        self.stage.stage.first_try_lost
    }
}

#[test]
fn half_the_rate_is_below_a_limit_and_loses_as_much_by_chance() {
    let half = Experiment::Rate { share: 0.5 };
    let Some(mut limited) = Scene::of("--lab packet-limit --set limit=3000/s --values fixed:100", 5000.0)
    else {
        return;
    };
    assert!(limited.lost() > 1000, "{} of 5000", limited.lost());
    let trial = limited.trial(half);
    assert!(trial.counts.reads >= 2400 && trial.counts.first_try_lost == 0, "{:?}", trial.counts);
    drop(limited);

    let mut lossy =
        Scene::of("--lab lossy --set rate=5% --set direction=down --values fixed:100", 4000.0).unwrap();
    let trial = lossy.trial(half);
    // 2,000 reads or more: five times the standard deviation either way.
    let (reads, lost) = (trial.counts.reads as f64, trial.counts.first_try_lost as f64);
    assert!((lost - 0.05 * reads).abs() < 5.0 * (0.05 * 0.95 * reads).sqrt(), "{lost} of {reads}");
    // Chance asks for no size.
    let trial = lossy.trial(Experiment::AnswersOf { bytes: 1000, share: 1.0 });
    let (reads, lost) = (trial.counts.reads as f64, trial.counts.first_try_lost as f64);
    assert!((lost - 0.05 * reads).abs() < 5.0 * (0.05 * 0.95 * reads).sqrt(), "{lost} of {reads}");
}

#[test]
fn answers_of_another_size_tell_a_limit_of_bits_from_one_of_packets() {
    // Both let half of the answers of 1,000 B through.
    for (words, lost_of_small) in [
        ("--lab packet-limit --set limit=2000/s --set direction=down --values fixed:944", 0.5),
        ("--lab bandwidth-limit --set limit=16mbit --set queue=20000 --values fixed:944", 0.0),
    ] {
        let Some(mut scene) = Scene::of(words, 4000.0) else { return };
        let share = |lost: u64, reads: u64| lost as f64 / reads as f64;
        let before = share(scene.lost(), scene.stage.stage.sent);
        assert!((before - 0.5).abs() < 0.1, "{words}: {before}");
        let small = scene.trial(Experiment::AnswersOf { bytes: 72, share: 1.0 }).counts;
        assert!(
            (share(small.first_try_lost, small.reads) - lost_of_small).abs() < 0.05,
            "{words}: {small:?}"
        );
        // And it is over: what the run reads is read again.
        let again = scene.trial(Experiment::Rate { share: 1.0 }).counts;
        assert!((share(again.first_try_lost, again.reads) - before).abs() < 0.1, "{words}: {again:?}");
    }
}

#[test]
fn small_answers_alone_pass_where_large_ones_do_not() {
    let words = "--lab black-hole --set size=5000 --strategy kernel-pmtud --values bimodal:500,8000,20%";
    let Some(mut scene) = Scene::of(words, 1000.0) else { return };
    assert!(scene.lost() > 100, "{} of some 200", scene.lost());
    let trial = scene.trial(Experiment::AnswersOf { bytes: 1472, share: 1.0 });
    assert!(trial.counts.reads >= 900 && trial.counts.first_try_lost == 0, "{:?}", trial.counts);
    // And it is over: large ones are read again.
    assert!(scene.trial(Experiment::Rate { share: 1.0 }).counts.first_try_lost > 100);
}

#[test]
fn the_largest_answer_is_found_to_the_byte() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_261_122);
    for (family, headers) in [(4, 28), (6, 48)] {
        for direction in ["down", "both"] {
            let size: u32 = random.random_range(1400..8900);
            let words = format!(
                "--lab black-hole --set size={size} --set family={family} --set direction={direction} --strategy kernel-pmtud --values bimodal:500,8900,20%"
            );
            let Some(mut scene) = Scene::of(&words, 1000.0) else { return };
            let trial = scene.trial(Experiment::LargestAnswer { passed_bytes: 1000, lost_bytes: 8920 });
            assert_eq!(trial.failed, None, "{words}");
            assert_eq!(trial.bounds_bytes, Some((size - headers, size - headers + 1)), "{words}");
        }
    }
}

#[test]
fn where_every_size_comes_no_bound_is_found() {
    let Some(mut scene) = Scene::of("--lab lossy --set rate=20% --strategy kernel-pmtud", 500.0) else {
        return;
    };
    let trial = scene.trial(Experiment::LargestAnswer { passed_bytes: 1000, lost_bytes: 8000 });
    assert_eq!((trial.failed, trial.bounds_bytes), (None, None));
    assert!(trial.counts.first_try_lost < trial.counts.reads);
}

#[test]
fn probes_tell_a_narrow_link_that_reports_from_a_hole_that_does_not() {
    let words = "--lab fragments-blocked --strategy kernel-pmtud --values bimodal:500,2000,20%";
    let Some(mut blocked) = Scene::of(words, 500.0) else { return };
    assert!(blocked.lost() > 50, "{} of some 100", blocked.lost());
    let above = blocked.trial(Experiment::DontFragment { bytes: 2056 });
    assert_eq!((above.counts.reads, above.counts.first_try_lost), (8, 8));
    assert!(above.icmp.is_some_and(|icmp| icmp > 0), "{above:?}");
    let below = blocked.trial(Experiment::DontFragment { bytes: 1472 });
    assert!(below.counts.first_try_lost == 0 && below.icmp == Some(0), "{below:?}");
    drop(blocked);

    let words = "--lab black-hole --set size=5000 --set family=6 --strategy kernel-pmtud --values fixed:5500";
    let mut hole = Scene::of(words, 500.0).unwrap();
    let above = hole.trial(Experiment::DontFragment { bytes: 4953 });
    assert_eq!((above.counts.reads, above.counts.first_try_lost, above.icmp), (8, 8, Some(0)));
    let below = hole.trial(Experiment::DontFragment { bytes: 4952 });
    assert_eq!((below.counts.first_try_lost, below.icmp), (0, Some(0)));
    let beyond = hole.trial(Experiment::DontFragment { bytes: 60_000 });
    assert!(beyond.failed.is_some_and(|because| because.contains("sends no datagrams above")));
}

#[test]
fn other_flows_share_a_bad_path_by_their_ports() {
    let Some(mut scene) = Scene::of("--lab bad-path --values fixed:100", 2000.0) else { return };
    let trial = scene.trial(Experiment::OtherFlows { flows: 48 });
    assert_eq!(trial.flows.len(), 48);
    assert!(trial.control.is_some_and(|own| own.reads > 0), "{trial:?}");
    // All of a flow's reads take one path: all of them are lost, or none.
    let (dead, alive): (Vec<FlowCounts>, Vec<FlowCounts>) =
        trial.flows.iter().copied().partition(|flow| flow.counts.first_try_lost > 0);
    assert!(dead.iter().all(|flow| flow.counts.first_try_lost == flow.counts.reads), "{dead:?}");
    // One path of four is bad: that 48 flows miss it has a chance of one in a million.
    assert!(!dead.is_empty() && dead.len() < alive.len(), "{} of 48", dead.len());
    let ports: std::collections::BTreeSet<_> = trial.flows.iter().map(|flow| flow.source_port).collect();
    let known = scene.stage.stage.by_flow.iter().filter(|flow| ports.contains(&flow.source_port));
    assert_eq!((ports.len(), known.count()), (48, 0), "ports of their own");
    // The run's own flows are back.
    let again =
        scene.rig.stage(Pace::PerSecond(500.0), Duration::from_millis(200), &Progress::new(true)).unwrap();
    let flows =
        |result: &StageResult| result.stage.by_flow.iter().map(|flow| flow.source_port).collect::<Vec<_>>();
    assert_eq!(flows(&again), flows(&scene.stage));
}

#[test]
fn what_cannot_be_tried_says_why() {
    let Some(mut scene) = Scene::of("--lab lossy --set rate=10% --values fixed:3000", 500.0) else { return };
    let cut = scene.trial(Experiment::LargestAnswer { passed_bytes: 1000, lost_bytes: 40_000 });
    assert!(cut.failed.is_some_and(|because| because.contains("the port cuts answers")));
    // No answer of the stage was that small: what chance loses of such is tried first.
    let small = scene.trial(Experiment::LargestAnswer { passed_bytes: 900, lost_bytes: 1400 });
    assert!(small.failed.is_none() && small.bounds_bytes.is_none(), "all of them come: {small:?}");
    assert!(small.counts.reads >= 40 && small.counts.first_try_lost > 0, "{small:?}");
}
