//! Which item is read and when: popularity against theory, streams that add up, schedules without drift.

use shingle_loadgen::workload::{
    Arrivals, ItemSpace, KeySampler, KeySpec, Schedule, Sizing, Stream, ValueSpec,
};
use std::collections::HashMap;

fn space(items: u32) -> ItemSpace {
    let sizing = Sizing { answer_overhead_bytes: 48, value_bytes_max: 1 << 20 };
    ItemSpace::new(&ValueSpec::Fixed(1), items, 1, sizing).unwrap()
}

fn sampler(items: u32, keys: KeySpec, seed: u64, stream: Stream) -> KeySampler {
    KeySampler::new(&keys, &space(items), seed, stream).unwrap()
}

fn draws(mut sampler: KeySampler, n: usize) -> Vec<u32> {
    (0..n).map(|_| sampler.next_item()).collect()
}

/// Reads of each item, most read first.
fn counts(draws: &[u32]) -> Vec<(u32, f64)> {
    let mut counts = HashMap::<u32, f64>::new();
    draws.iter().for_each(|item| *counts.entry(*item).or_insert(0.0) += 1.0);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    counts
}

/// Chi-square of found against expected counts; its expected value is about the number of cells.
fn chi_square(found: &[f64], expected: &[f64]) -> f64 {
    found.iter().zip(expected).map(|(f, e)| (f - e) * (f - e) / e).sum()
}

#[test]
fn uniform_keys_are_uniform() {
    let mut found = vec![0.0; 100];
    draws(sampler(100, KeySpec::Uniform, 3, Stream::WHOLE), 100_000)
        .iter()
        .for_each(|i| found[*i as usize] += 1.0);
    let chi = chi_square(&found, &vec![1_000.0; 100]);
    assert!((55.0..155.0).contains(&chi), "{chi}");
}

#[test]
fn zipf_frequencies_match_theory() {
    const DRAWS: usize = 100_000;
    for exponent in [0.0, 0.5, 0.99, 0.9999999, 1.0, 1.2, 2.0, 10.0] {
        let n = 50;
        let mut found = vec![0.0; n];
        // Which item has which rank is told by a draw so long that the order of counts is the order of ranks
        // where it matters; below that, ranks are pooled.
        let counts = counts(&draws(sampler(n as u32, KeySpec::Zipf(exponent), 11, Stream::WHOLE), DRAWS));
        counts.iter().zip(&mut found).for_each(|((_, count), cell)| *cell = *count);
        let weights: Vec<f64> = (1..=n).map(|rank| (rank as f64).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        let expected: Vec<f64> = weights.iter().map(|w| w / total * DRAWS as f64).collect();
        let pool = |cells: &[f64]| {
            [cells[0], cells[1], cells[2], cells[3..10].iter().sum(), cells[10..].iter().sum()]
        };
        if exponent > 0.0 {
            for (rank, (f, e)) in pool(&found).iter().zip(pool(&expected)).enumerate() {
                assert!(
                    (f - e).abs() < 5.0 * e.sqrt().max(1.0),
                    "exponent {exponent}, cell {rank}: {f}, expected {e}"
                );
            }
        } else {
            assert!(chi_square(&found, &expected) < 90.0);
        }
    }
}

#[test]
fn zipf_over_many_items_has_the_right_head_and_body() {
    // Share of the first 1,000 ranks of a million: H(1000) / H(1000000) = 7.4855 / 14.3927 at exponent 1.
    let reads = draws(sampler(1_000_000, KeySpec::Zipf(1.0), 5, Stream::WHOLE), 200_000);
    let found = counts(&reads);
    let hottest = found[0].1 / 200_000.0;
    assert!((hottest - 1.0 / 14.3927).abs() < 0.003, "{hottest}");
    let rereads: f64 = found.iter().filter(|(_, n)| *n >= 14.0).map(|(_, n)| n).sum::<f64>() / 200_000.0;
    assert!((rereads - 7.4855 / 14.3927).abs() < 0.02, "{rereads}");
}

#[test]
fn popular_items_are_scattered() {
    let found = counts(&draws(sampler(1_000_000, KeySpec::Zipf(1.0), 5, Stream::WHOLE), 100_000));
    let in_first_half = found[..200].iter().filter(|(item, _)| *item < 500_000).count();
    assert!((65..135).contains(&in_first_half), "{in_first_half}");
}

#[test]
fn streams_draw_different_items_of_the_same_popularity_and_repeat_with_the_seed() {
    for keys in [KeySpec::Uniform, KeySpec::Zipf(1.5)] {
        let one = |stream, seed| draws(sampler(10_000, keys, seed, Stream::new(stream, 2)), 2_000);
        assert_eq!(one(0, 1), one(0, 1));
        assert_ne!(one(0, 1), one(1, 1));
        assert_ne!(one(0, 1), one(0, 2));
    }
    let hottest =
        |stream| counts(&draws(sampler(10_000, KeySpec::Zipf(1.5), 1, Stream::new(stream, 2)), 5_000))[0].0;
    assert_eq!(hottest(0), hottest(1), "all streams agree which item is the most popular");
}

#[test]
fn one_item_is_always_that_item() {
    for keys in [KeySpec::Uniform, KeySpec::Zipf(0.0), KeySpec::Zipf(1.0), KeySpec::Zipf(10.0)] {
        assert_eq!(draws(sampler(1, keys, 1, Stream::WHOLE), 100), [0; 100]);
    }
}

#[test]
fn keys_that_cannot_be_sampled_are_refused() {
    for keys in [KeySpec::Trace, KeySpec::Zipf(10.1), KeySpec::Zipf(-1.0), KeySpec::Zipf(f64::NAN)] {
        let error = KeySampler::new(&keys, &space(10), 1, Stream::WHOLE).unwrap_err().to_string();
        assert!(error.contains("--keys") && error.contains("give"), "{error}");
    }
}

fn times(rate: f64, arrivals: Arrivals, seed: u64, stream: Stream, n: usize) -> Vec<u64> {
    let mut schedule = Schedule::new(rate, arrivals, seed, stream).unwrap();
    (0..n).map(|_| schedule.next_ns()).collect()
}

#[test]
fn constant_arrivals_never_drift() {
    // 30,000 reads per second do not divide a second into whole nanoseconds.
    let times = times(30_000.0, Arrivals::Constant, 1, Stream::WHOLE, 3_000_001);
    assert_eq!(
        (times[0], times[1], times[3], times[30_000], times[3_000_000]),
        (0, 33_333, 100_000, 1_000_000_000, 100_000_000_000)
    );
    assert!(times.windows(2).all(|w| (33_333..=33_334).contains(&(w[1] - w[0]))));
}

#[test]
fn constant_streams_take_turns() {
    let whole = times(1_000.0, Arrivals::Constant, 1, Stream::WHOLE, 300);
    let mut parts: Vec<u64> =
        (0..3).flat_map(|i| times(1_000.0, Arrivals::Constant, 1, Stream::new(i, 3), 100)).collect();
    parts.sort_unstable();
    assert_eq!(parts, whole);
}

#[test]
fn poisson_gaps_are_exponential_at_the_rate_asked_for() {
    let n = 200_000;
    let times = times(50_000.0, Arrivals::Poisson, 7, Stream::WHOLE, n);
    assert!(times.is_sorted());
    let mean = *times.last().unwrap() as f64 / n as f64;
    assert!((mean / 20_000.0 - 1.0).abs() < 4.0 / (n as f64).sqrt(), "{mean}");
    let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    assert!(
        (variance.sqrt() / mean - 1.0).abs() < 0.02,
        "a Poisson process's gaps vary as much as their mean"
    );
    let short = gaps.iter().filter(|g| **g < mean * 2.0_f64.ln()).count() as f64 / gaps.len() as f64;
    assert!((short - 0.5).abs() < 0.005, "{short}");
}

#[test]
fn poisson_streams_add_up_to_the_rate_and_differ() {
    let streams: Vec<Vec<u64>> =
        (0..4).map(|i| times(10_000.0, Arrivals::Poisson, 7, Stream::new(i, 4), 50_000)).collect();
    let in_ten_seconds = streams.iter().flatten().filter(|t| **t < 10_000_000_000).count();
    assert!((98_700..101_300).contains(&in_ten_seconds), "{in_ten_seconds}");
    assert_ne!(streams[0], streams[1]);
    assert_eq!(streams[1], times(10_000.0, Arrivals::Poisson, 7, Stream::new(1, 4), 50_000));
}

#[test]
fn rates_out_of_range_are_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 100_000_001.0] {
        let error = Schedule::new(rate, Arrivals::Poisson, 1, Stream::WHOLE).unwrap_err().to_string();
        assert!(error.contains(&rate.to_string()) && error.contains("at most 100000000"), "{error}");
    }
}
