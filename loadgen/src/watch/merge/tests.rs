//! Reads and losses of stages put together stay in the same windows, whenever the stages began and however long windows are.

use std::ops::Range;

use super::*;
use crate::attribution::{Attribution, Cause, Direction, Symptom, attribute};

const MS: u64 = 1_000_000;

/// Ten seconds of a read each 10 ms, of which those due while the server was `dead` (since the watch began) got no answer.
fn stage(begin_ms: u64, window_ms: u64, dead_ms: &Range<u64>) -> Timed {
    let times = (0..1000).map(|read| 3 + 10 * read);
    let lost = |at_ms: &u64| dead_ms.contains(&(begin_ms + at_ms));
    let mut windows = vec![Window::default(); 10_000_u64.div_ceil(window_ms) as usize];
    for at_ms in times.clone() {
        let window = &mut windows[(at_ms / window_ms) as usize];
        window.reads += 1;
        window.first_try_lost += u32::from(lost(&at_ms));
    }
    let loss = |at_ms| Loss {
        flow: 1,
        sequence: 5,
        intended_ns: at_ms * MS,
        value_bytes: 300,
        failed: true,
        symptom: Symptom::Silent { part_arrived: false },
    };
    let flow = FlowCounts {
        flow: 1,
        last_whole_ns: times.clone().rfind(|at| !lost(at)).map(|at| at * MS),
        ..FlowCounts::default()
    };
    let books = Books {
        stage: StageFacts { duration_ns: 10_000 * MS, timeout_ns: 100 * MS, ..StageFacts::default() },
        losses: times.filter(lost).map(loss).collect(),
        population: Population {
            windows,
            window_ns: window_ms * MS,
            flows: vec![flow],
            ..Population::default()
        },
        ..Books::default()
    };
    Timed { begin_ns: begin_ms * MS, books }
}

/// Stages that begin at these moments and have windows so long, put together.
fn together(stages: &[(u64, u64)], dead_ms: &Range<u64>) -> Timed {
    let mut stages = stages.iter().map(|(begin_ms, window_ms)| stage(*begin_ms, *window_ms, dead_ms));
    let mut all = stages.next().expect("a stage");
    stages.for_each(|stage| all.add(&stage));
    all
}

/// The losses that lie in each window, against those that it counts.
fn assert_losses_lie_in_their_windows(all: &Timed, why: &str) {
    let population = &all.books.population;
    let mut listed = vec![0; population.windows.len()];
    for loss in &all.books.losses {
        listed[(loss.intended_ns / population.window_ns) as usize] += 1;
    }
    let counted: Vec<_> = population.windows.iter().map(|window| window.first_try_lost).collect();
    assert_eq!(listed, counted, "{why}");
}

fn assert_silent(all: &Timed, why: &str) {
    assert_losses_lie_in_their_windows(all, why);
    let causes: Attribution = attribute(&all.books);
    let only: Vec<_> = causes.keys().collect();
    assert_eq!(only, [&(Cause::ServerSilent, Direction::Host)], "{why}: {causes:?}");
    let share = &causes[&(Cause::ServerSilent, Direction::Host)];
    assert_eq!((share.reads, share.evidence.len()), (all.books.losses.len() as u64, 1), "{why}: {share:?}");
}

#[test]
fn an_outage_over_several_stages_is_one_silence_whenever_they_began() {
    for (second, third) in [(10_240, 20_480), (10_237, 20_611), (15_001, 29_999), (17_333, 34_018)] {
        for dead in [2_000..50_000, 7_005..20_000, 9_000..22_512] {
            let all = together(&[(0, 20), (second, 20), (third, 20)], &dead);
            assert_eq!(all.books.population.window_ns, 20 * MS);
            assert_silent(&all, &format!("{second}, {third}, {dead:?}"));
        }
    }
}

#[test]
fn losses_stay_in_their_windows_when_these_get_longer() {
    let stages: Vec<_> = (0..20).map(|number| (10_213 * number, 20)).collect();
    let all = together(&stages, &(60_000..95_000));
    assert_eq!(all.books.population.window_ns, 80 * MS, "doubled twice");
    assert_silent(&all, "doubled on the way");
    // What was put together apart before: longer windows come to shorter ones, and shorter ones to longer ones.
    for lengths in [[20, 80, 20], [80, 20, 160]] {
        let stages: Vec<_> = (0..).map(|number| 10_213 * number).zip(lengths).collect();
        assert_silent(&together(&stages, &(7_000..25_000)), &format!("{lengths:?}"));
    }
}

#[test]
fn windows_without_a_common_measure_keep_their_losses() {
    for lengths in [[73, 73, 20], [20, 73, 31]] {
        let stages: Vec<_> = (0..).map(|number| 10_213 * number).zip(lengths).collect();
        let all = together(&stages, &(7_000..25_000));
        assert_silent(&all, &format!("{lengths:?}"));
        let off = |loss: &Loss| loss.intended_ns < 6_900 * MS || loss.intended_ns > 25_200 * MS;
        assert!(!all.books.losses.iter().any(off), "times are off by a window or two at most");
    }
}
