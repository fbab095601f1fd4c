//! Searches against simulated systems: policers, soft limits that scatter from stage to stage, and systems with bad moments.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const SPEC: SearchSpec =
    SearchSpec { lowest_tps: 5_000.0, highest_tps: 5e6, resolution: 1.05, stages_max: 14 };

/// Runs a search against a system that says how probable it is that a stage at a rate met the level.
fn run(spec: SearchSpec, mut system: impl FnMut(f64) -> f64) -> (Search, usize) {
    let mut search = Search::new(spec);
    let mut steps = 0;
    while let Some(tps) = search.next_tps() {
        search.record(tps, system(tps));
        steps += 1;
        assert!(steps < 60, "search does not end");
    }
    (search, steps)
}

fn sharp(capacity_tps: f64) -> impl FnMut(f64) -> f64 {
    move |tps| f64::from(u8::from(tps <= capacity_tps))
}

/// A standard normal number.
fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(1e-12..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A limit whose logarithm scatters by `scatter` from stage to stage; `accidents` of the stages break whatever the rate.
fn soft(
    knee_tps: f64,
    scatter: f64,
    accidents: f64,
    random: &mut Xoshiro256PlusPlus,
) -> impl FnMut(f64) -> f64 + '_ {
    move |tps| {
        let limit = knee_tps * (scatter * normal(random)).exp();
        let accident = random.random::<f64>() < accidents;
        f64::from(u8::from(tps <= limit && !accident))
    }
}

/// A knee anywhere between 6,000 and 3 million reads/s.
fn any_knee(random: &mut Xoshiro256PlusPlus) -> f64 {
    6_000.0 * 500f64.powf(random.random())
}

#[test]
fn a_sharp_limit_is_found_to_the_resolution() {
    for capacity in [6_000.0, 7_777.0, 28_571.0, 151_234.0, 4_800_000.0] {
        let (search, steps) = run(SPEC, sharp(capacity));
        let knee = search.knee().expect("the lowest rate passes");
        assert!((knee.tps / capacity).ln().abs() < 0.05, "{capacity}: {knee:?}");
        assert!(knee.resolved && knee.lower_tps <= capacity && knee.upper_tps >= Some(capacity), "{knee:?}");
        assert!(search.met_tps() <= Some(capacity) && search.broken_tps() > Some(capacity));
        assert!(steps <= 24, "{capacity}: {steps} steps");
    }
}

#[test]
fn ends_at_both_bounds() {
    let (search, steps) = run(SPEC, sharp(1_000.0));
    assert_eq!((search.knee(), search.broken_tps(), steps), (None, Some(5_000.0), 2));
    let (search, _) = run(SPEC, sharp(1e9));
    let knee = search.knee().expect("all is met");
    assert_eq!((knee.tps, knee.upper_tps, search.broken_tps()), (5e6, None, None));
}

#[test]
fn the_highest_rate_is_met_twice() {
    let mut tried = Vec::new();
    run(SearchSpec { highest_tps: 10_000.0, ..SPEC }, |tps| {
        tried.push(tps);
        1.0
    });
    assert_eq!(tried, [5_000.0, 10_000.0, 10_000.0]);
}

/// A search that was ended on the way up: a rate that broke once is no rate that was met.
#[test]
fn what_was_tried_before_the_end_is_told() {
    let mut search = Search::new(SPEC);
    search.record(5_000.0, 1.0);
    let mut met = search.clone();
    met.end();
    assert_eq!((met.knee().unwrap().upper_tps, met.broken_tps()), (None, None));
    search.record(10_000.0, 0.0);
    search.end();
    let knee = search.knee().expect("the lowest rate is met");
    assert!(knee.upper_tps.is_some() && !knee.resolved && search.broken_tps() == Some(10_000.0), "{knee:?}");
}

#[test]
fn a_bad_moment_on_the_way_up_costs_one_stage() {
    let mut tries = 0;
    let (search, _) = run(SPEC, |tps| {
        tries += 1;
        f64::from(u8::from(tps <= 300_000.0 && tries != 3))
    });
    let knee = search.knee().expect("met");
    assert!((knee.tps / 300_000.0).ln().abs() < 0.04, "{knee:?}");
}

/// Five searches each against 150 policers: with a failure rate that rises through the limit as behind a limit of fragments, whose losses
/// scatter by what a stage of three seconds has of chance, they agree within 5 % in at least 95 of 100 cases.
#[test]
fn five_searches_agree_on_a_policer() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(6);
    let (mut agreed, mut covered, mut stages, cases) = (0, 0, 0, 150);
    for _ in 0..cases {
        // Failures are p - N/T; the knee is where they are 0.5 %.
        let (knee, share) = (any_knee(&mut random).min(200e3), 0.035);
        let limit = knee * (share - 0.005);
        let mut found = Vec::new();
        for _ in 0..5 {
            let (search, steps) = run(SPEC, |tps| {
                let rate = (share - limit / tps).max(0.0);
                let deviation = (1.5 * rate * (1.0 - rate) / (3.0 * tps)).sqrt();
                let seen = rate + deviation * normal(&mut random);
                crate::statistics::normal_cdf((0.005 - seen) / (0.005f64 / (3.0 * tps)).sqrt())
            });
            let at = search.knee().expect("met at the lowest rate");
            covered += u32::from(at.lower_tps <= knee && at.upper_tps >= Some(knee));
            stages += steps;
            found.push(at.tps);
        }
        let (least, most) = found.iter().fold((f64::MAX, 0f64), |(a, b), tps| (a.min(*tps), b.max(*tps)));
        agreed += u32::from(most / least <= 1.05);
    }
    println!(
        "policers: {agreed} of {cases} fives agree within 5 %, {covered} of {} intervals hold the knee, {:.1} stages a search",
        5 * cases,
        stages as f64 / f64::from(5 * cases)
    );
    assert!(agreed >= cases * 95 / 100 && covered >= 5 * cases * 95 / 100);
}

/// Soft limits, with and without bad moments: the interval stated by one search holds the knee, and the estimate of another search, in at
/// least 95 of 100 cases.
#[test]
fn the_interval_stated_is_kept() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    for (scatter, accidents) in [(0.01, 0.0), (0.03, 0.03), (0.08, 0.0), (0.15, 0.03), (0.25, 0.0)] {
        let (mut knees, mut others, mut stages, mut widths, cases) = (0, 0, 0, 0.0, 300);
        for _ in 0..cases {
            let knee = any_knee(&mut random);
            let (first, steps) = run(SPEC, soft(knee, scatter, accidents, &mut random));
            let (second, _) = run(SPEC, soft(knee, scatter, accidents, &mut random));
            let (Some(first), Some(second)) = (first.knee(), second.knee()) else { continue };
            let upper = first.upper_tps.unwrap_or(f64::INFINITY);
            knees += u32::from((first.lower_tps..=upper).contains(&knee));
            others += u32::from((first.lower_tps..=upper).contains(&second.tps));
            stages += steps;
            widths += (upper / first.lower_tps).ln();
        }
        println!(
            "scatter {scatter}, accidents {accidents}: {knees} of {cases} intervals hold the knee, {others} the estimate of another search; {:.1} stages, width {:.1} %",
            stages as f64 / f64::from(cases),
            100.0 * widths / f64::from(cases)
        );
        // What 300 of a share of 95 % are at least, in 99 of 100 cases; a scatter of a quarter is more than a dozen stages can tell.
        let kept = if scatter > 0.2 { 87 } else { 92 };
        assert!(
            knees >= cases * 92 / 100 && others >= cases * kept / 100,
            "scatter {scatter}: {knees} {others}"
        );
    }
}
