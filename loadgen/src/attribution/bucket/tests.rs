//! Buckets against arrivals and losses that are known.

use super::*;

/// Irregular arrivals of one packet each, from a linear congruential generator.
fn arrivals(count: usize, mean_us: u64, mut lost: impl FnMut(u64) -> bool) -> Vec<Charge> {
    let (mut at_us, mut state) = (0, 1u64);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..count)
        .map(|_| {
            at_us += next() % (2 * mean_us);
            Charge { at_us, cost: 1.0, packets: 1, arrive: (1.0, 1.0), lost: Some(lost(next())) }
        })
        .collect()
}

fn through_bucket(mut charges: Vec<Charge>, limit: f64, depth: f64) -> Vec<Charge> {
    let (mut tokens, mut before) = (depth, 0);
    for charge in &mut charges {
        tokens = (tokens + limit * (charge.at_us - before) as f64 / 1e6).min(depth);
        before = charge.at_us;
        charge.lost = Some(tokens < 1.0);
        if tokens >= 1.0 {
            tokens -= 1.0;
        }
    }
    charges
}

#[test]
fn a_buckets_limit_is_found_far_above_and_near_the_knee() {
    for (limit, depth) in [(1000.0, 5.0), (3000.0, 5.0), (3900.0, 20.0)] {
        let charges = through_bucket(arrivals(20_000, 250, |_| false), limit, depth);
        let fit = fit(&charges, &[1.0, 5.0, 20.0, 100.0], 0.0, true).expect("something was lost");
        assert!((fit.limit / limit - 1.0).abs() < 0.01, "{limit}: {fit:?}");
        assert!(fit.log_odds > 50.0, "{fit:?}");
    }
}

#[test]
fn packets_that_take_time_are_told_from_a_moment_by_shallow_buckets_alone() {
    // Pairs that come at once, twice as many as pass.
    let pairs: Vec<_> =
        arrivals(5_000, 1000, |_| false).into_iter().map(|charge| Charge { packets: 2, ..charge }).collect();
    let more = |depth, packet_us| arrived_by_pace(&pairs, 1000.0, depth, packet_us);
    assert_eq!(more(2.0, 0), 0.0);
    assert!(more(2.0, 400) > 50.0, "{}", more(2.0, 400));
    assert!(more(200.0, 400) < 5.0, "{}", more(200.0, 400));
}

#[test]
fn chance_is_no_bucket() {
    for one_of in [2, 3, 10, 100, 1000] {
        let charges = arrivals(20_000, 250, |draw| draw % one_of == 0);
        let regular: Vec<_> = charges
            .iter()
            .enumerate()
            .map(|(at, charge)| Charge { at_us: at as u64 * 250, ..*charge })
            .collect();
        for charges in [charges, regular] {
            let fit = fit(&charges, &[1.0, 5.0, 20.0, 100.0], 0.0, true).expect("something was lost");
            assert!(fit.log_odds < 6.0, "{one_of}: {fit:?}");
        }
    }
}

#[test]
fn a_bucket_is_seen_in_regular_traffic_too() {
    let regular: Vec<_> = (0..20_000)
        .map(|at| Charge { at_us: at * 250, cost: 1.0, packets: 1, arrive: (1.0, 1.0), lost: Some(false) })
        .collect();
    let charges = through_bucket(regular, 2700.0, 5.0);
    let fit = fit(&charges, &[1.0, 5.0, 20.0, 100.0], 0.0, true).expect("something was lost");
    assert!((fit.limit / 2700.0 - 1.0).abs() < 0.01 && fit.log_odds > 50.0, "{fit:?}");
}

#[test]
fn what_was_put_in_wrong_places_makes_no_bucket_of_chance() {
    for one_of in [3, 10, 50] {
        let mut charges = arrivals(20_000, 250, |draw| draw % one_of == 0);
        // Regular ones, of which those that were lost are put beside the one that arrived before them.
        let mut arrived_us = 0;
        for (at, charge) in charges.iter_mut().enumerate() {
            arrived_us = if charge.lost == Some(true) { arrived_us } else { 250 * at as u64 };
            charge.at_us = arrived_us;
        }
        let fit = fit(&charges, &[1.0, 5.0, 20.0, 100.0], 0.0, false);
        assert!(fit.is_none_or(|fit| fit.log_odds < 6.0), "{one_of}: {fit:?}");
    }
}

#[test]
fn what_arrived_bounds_the_limit_or_says_that_the_depth_is_another() {
    let pairs: Vec<_> =
        arrivals(3000, 1000, |_| true).iter().map(|charge| Charge { packets: 2, ..*charge }).collect();
    let arrived = replay(&pairs, 1400.0, 2.0).arrived;
    let ends = |charges: &[Charge], depth, arrived| limits_by_arrivals(charges, depth, arrived, 5.0);
    let [Some(low), Some(high)] = ends(&pairs, 2.0, arrived) else { panic!("a limit lets so many through") };
    assert!(low < 1400.0 && high > 1400.0 && high / low < 1.03, "{low} {high}");
    // Of two that come together a bucket of one passes one, and never so many.
    assert_eq!(ends(&pairs, 1.0, 1.1 * pairs.len() as f64), [None, None]);
    // What comes every 250 us finds a token of a bucket of one at every fifth place, be the limit 801 or 999 a second.
    let regular: Vec<_> = (0..4000)
        .map(|at| Charge { at_us: at * 250, packets: 1, cost: 1.0, arrive: (1.0, 1.0), lost: None })
        .collect();
    let [Some(low), Some(high)] = ends(&regular, 1.0, replay(&regular, 900.0, 1.0).arrived) else {
        panic!("a limit lets so many through")
    };
    assert!(low < 805.0 && high > 995.0, "{low} {high}");
}
