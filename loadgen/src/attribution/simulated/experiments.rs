//! What is in doubt is asked, and what the experiment shows decides.

use super::*;

#[test]
fn chance_beside_a_limit_is_doubted_and_then_told() {
    let network = |seed| {
        let mut bucket = Bucket::new(6000.0, 50.0);
        books(seed, move |read, dice| {
            (!bucket.passes(read.at_ns, 1.0) || dice.next() < 0.15).then_some(Direction::Down)
        })
    };
    let mut books = network(9);
    (books.stage.client_mtu, books.stage.path_mtu_down) = (9001, Some(9001));
    let shares = balanced(&books);
    let wanted = doubts(&books, &shares);
    let [(Experiment::Rate { share }, _)] = &wanted[..] else { panic!("{wanted:?} {shares:?}") };
    assert!(share * 10_000.0 < 6000.0);
    books.trials.push(tried(wanted[0].0, 300, 2000));
    let shares = balanced(&books);
    let limit = &shares[&(Cause::PacketRateLimit, Direction::Down)];
    assert!((limit.estimates["limit"].value / 6000.0 - 1.0).abs() < 0.05, "{shares:?}");
    let chance = shares[&(Cause::PathLoss, Direction::Down)].reads as f64;
    // 15 % of the 12,000 that the limit lets through.
    assert!((chance / 1800.0 - 1.0).abs() < 0.2, "{shares:?}");
}

#[test]
fn what_a_lower_rate_loses_of_requests_is_no_answers_chance() {
    let mut bucket = Bucket::new(8000.0, 50.0);
    let mut all = books(18, move |read, dice| {
        if dice.next() < 0.04 {
            return Some(Direction::Up);
        }
        (!bucket.passes(read.at_ns, 1.0) || dice.next() < 0.03).then_some(Direction::Down)
    });
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    let both_ways = tried(Experiment::Rate { share: 0.5 }, 690, 10_000);
    all.trials.push(Trial { lost_up: Some(400), ..both_ways });
    let shares = balanced(&all);
    let limit = &shares[&(Cause::PacketRateLimit, Direction::Down)];
    assert!((limit.estimates["limit"].value / 8000.0 - 1.0).abs() < 0.02, "{shares:?}");
    let chance = |direction| shares[&(Cause::PathLoss, direction)].reads as f64;
    // 3 % of the 16,000 that the limit lets through, and 4 % of 20,000 requests.
    assert!((chance(Direction::Down) / 480.0 - 1.0).abs() < 0.25, "{shares:?}");
    assert!((chance(Direction::Up) / 800.0 - 1.0).abs() < 0.1, "{shares:?}");
}

#[test]
fn whether_chance_strikes_before_a_limit_or_behind_it_is_told() {
    let limit_of = |seed, limit: f64, chance_first: bool| {
        let mut bucket = Bucket::new(limit, 20.0);
        let mut books = books(seed, move |read, dice| {
            let by_chance = dice.next() < 0.1;
            let reaches_limit = !(chance_first && by_chance);
            let passes = reaches_limit && bucket.passes(read.at_ns, 1.0) && !by_chance;
            (!passes).then_some(Direction::Down)
        });
        (books.stage.client_mtu, books.stage.path_mtu_down) = (9001, Some(9001));
        books.trials.push(tried(Experiment::Rate { share: 0.4 }, 1000, 10_000));
        let shares = balanced(&books);
        let share = &shares[&(Cause::PacketRateLimit, Direction::Down)];
        let place = if chance_first { "takes its share before it" } else { "takes its share behind it" };
        assert!(share.evidence.iter().any(|line| line.contains(place)), "{chance_first} {limit} {shares:?}");
        share.estimates["limit"].clone()
    };
    for (seed, limit) in [(21, 6000.0), (22, 8000.0), (23, 8500.0)] {
        for chance_first in [false, true] {
            let found = limit_of(seed, limit, chance_first);
            assert!((found.value / limit - 1.0).abs() < 0.02, "{chance_first} {limit} {found:?}");
            let (low, high) = found.interval.unwrap_or_default();
            assert!((low..=high).contains(&limit), "{chance_first} {limit} {found:?}");
        }
    }
}

/// Makes all answers have one size, but a few.
fn size_of_all(books: &mut Books, bytes: u32) {
    books.losses.iter_mut().for_each(|loss| loss.value_bytes = bytes);
    for (at, receipt) in books.receipts.as_mut().expect("kept").all.iter_mut().enumerate() {
        let odd = if at % 500 == 7 { 300 } else { 0 };
        receipt.bytes = bytes - odd + books.stage.answer_overhead_bytes;
    }
    let counts = books.population.by_size.iter().fold(Counts::default(), |mut sum, counts| {
        sum.merge(counts);
        sum
    });
    let bin = (bytes / books.population.size_bin_bytes) as usize;
    books.population.by_size.iter_mut().enumerate().for_each(|(at, of)| {
        *of = if at == bin { counts } else { Counts::default() };
    });
}

#[test]
fn where_all_answers_are_alike_an_experiment_tells_packets_from_bits() {
    let mut bucket = Bucket::new(6000.0, 50.0);
    let mut all = books(10, move |read, _| (!bucket.passes(read.at_ns, 1.0)).then_some(Direction::Down));
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    size_of_all(&mut all, 800);
    let shares = balanced(&all);
    let wanted = doubts(&all, &shares);
    let [(experiment @ Experiment::AnswersOf { bytes, share: 1.0 }, _)] = wanted[..] else {
        panic!("{wanted:?} {shares:?}")
    };
    assert!(bytes < 200, "{bytes}");
    // As many are lost of small answers: packets. None: bits.
    for (lost, cause, limit) in [
        (1600, Cause::PacketRateLimit, 6000.0),
        (0, Cause::BandwidthLimit, 6000.0 * 8.0 * (800.0 + 56.0 + 42.0)),
    ] {
        let mut all = all.clone();
        all.trials.push(tried(experiment, lost, 4000));
        let shares = balanced(&all);
        let share = &shares[&(cause, Direction::Down)];
        assert!((share.estimates["limit"].value / limit - 1.0).abs() < 0.05, "{shares:?}");
        assert!(share.confidence > 0.9 && share.rival.is_none() && doubts(&all, &shares).is_empty());
    }
}

#[test]
fn what_neither_packets_nor_bits_lose_of_an_experiment_is_asked_of_a_lower_rate() {
    let mut bucket = Bucket::new(4000.0, 6.0);
    let mut all = books(25, move |read, dice| {
        (dice.next() < 0.18 || !bucket.passes(read.at_ns, 1.0)).then_some(Direction::Down)
    });
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    size_of_all(&mut all, 800);
    // Of small answers a limit of bits loses none, one of packets six in ten, and chance its share.
    all.trials.push(tried(Experiment::AnswersOf { bytes: 72, share: 1.0 }, 720, 4000));
    let shares = balanced(&all);
    let wanted = doubts(&all, &shares);
    let [(experiment @ Experiment::Rate { .. }, _)] = wanted[..] else { panic!("{wanted:?} {shares:?}") };
    all.trials.push(tried(experiment, 360, 2000));
    let shares = balanced(&all);
    assert_eq!(main_cause(&shares).0, Cause::BandwidthLimit, "{shares:?}");
    assert!(shares.contains_key(&(Cause::PathLoss, Direction::Down)), "{shares:?}");
    assert!(doubts(&all, &shares).is_empty(), "{shares:?}");
}

#[test]
fn bits_that_flip_in_an_experiment_make_no_limit_of_packets() {
    let (mut bucket, mut changed) = (Bucket::new(5000.0, 50.0), 0);
    let mut all = books(22, |read, dice| {
        let (limited, flips) = (!bucket.passes(read.at_ns, 1.0), dice.next() < 0.2);
        changed += u64::from(!limited && flips);
        (limited || flips).then_some(Direction::Down)
    });
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    all.client.checksum_drops = changed;
    size_of_all(&mut all, 800);
    // Of small answers a limit of bits loses none, and what flips bits a fifth.
    all.trials.push(tried(Experiment::AnswersOf { bytes: 72, share: 1.0 }, 800, 4000));
    let shares = balanced(&all);
    let [limit, flipped] = [Cause::BandwidthLimit, Cause::PathCorruption]
        .map(|cause| shares.get(&(cause, Direction::Down)).unwrap_or_else(|| panic!("{shares:?}")));
    assert!((flipped.reads as f64 / changed as f64 - 1.0).abs() < 0.05, "{changed}: {shares:?}");
    assert!((flipped.estimates["probability"].value / 0.2 - 1.0).abs() < 0.1, "{shares:?}");
    let bits = 5000.0 * 8.0 * (800.0 + 56.0 + 42.0);
    assert!((limit.estimates["limit"].value / bits - 1.0).abs() < 0.05, "{shares:?}");
}

#[test]
fn which_fragments_are_charged_is_told_by_stage_and_experiment_together() {
    let mut bucket = Bucket::new(500.0, 20.0);
    // One token for each answer: its first fragment's or that of the rest, and nobody counted what arrived.
    let mut all = books(23, |read, _| {
        (read.value_bytes == LARGE && !bucket.passes(read.at_ns, 1.0)).then_some(Direction::Down)
    });
    let limit = |shares: &Attribution| {
        shares[&(Cause::FragmentRateLimit, Direction::Down)].estimates["limit"].clone()
    };
    let shares = balanced(&all);
    let (low, high) = limit(&shares).interval.expect("told");
    assert!(low < 500.0 && high > 900.0, "any fragments may be charged: {shares:?}");
    let wanted = doubts(&all, &shares);
    let Some((experiment @ Experiment::AnswersOf { .. }, _)) = wanted.first() else {
        panic!("{wanted:?} {shares:?}")
    };
    let way = |counted| Charging { counted, before_routers: false };
    let told = |value: f64| Estimate::new(value, "fragments/s", (value * 0.99, value * 1.01));
    let mut trial = tried(*experiment, 5000, 6000);
    trial.limit = Some(told(1900.0));
    trial.limits = vec![(way(Counted::All), told(1900.0)), (way(Counted::Rest), told(502.0))];
    all.trials.push(trial);
    let shares = balanced(&all);
    assert!((limit(&shares).value / 500.0 - 1.0).abs() < 0.02, "{shares:?}");
}

#[test]
fn how_many_tokens_a_starved_bucket_holds_is_told_by_stage_and_experiment_together() {
    // One token: of two fragments the second finds none, however long the first waited.
    let (mut bucket, mut arrived) = (Bucket::new(300.0, 1.0), 0);
    let mut all = books(24, |read, _| {
        let large = read.value_bytes == LARGE;
        if large {
            arrived += (0..2).map(|_| u64::from(bucket.passes(read.at_ns, 1.0))).sum::<u64>();
        }
        large.then_some(Direction::Down)
    });
    all = cut(all, arrived, 0);
    let limit = |shares: &Attribution| {
        shares[&(Cause::FragmentRateLimit, Direction::Down)].estimates["limit"].clone()
    };
    // An experiment with more answers leaves several depths, at limits that are closer.
    let mut trial = tried(Experiment::AnswersOf { bytes: 1900, share: 0.9 }, 9000, 9000);
    let charging = Charging { counted: Counted::All, before_routers: false };
    trial.starved = [(1.0, 300.0), (2.0, 291.0), (5.0, 290.0)]
        .map(|(depth, limit)| Starving { charging, depth, limit, alike: (limit, limit) })
        .into();
    trial.limit = Some(Estimate::new(295.0, "fragments/s", (285.0, 306.0)));
    all.trials.push(trial);
    let shares = balanced(&all);
    assert!((limit(&shares).value / 300.0 - 1.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn without_receipts_a_lower_rate_tells_a_limit_from_chance() {
    let mut bucket = Bucket::new(6000.0, 50.0);
    let mut all = books(11, move |read, _| (!bucket.passes(read.at_ns, 1.0)).then_some(Direction::Down));
    (all.stage.client_mtu, all.stage.path_mtu_down, all.receipts) = (9001, Some(9001), None);
    let shares = balanced(&all);
    assert_eq!(main_cause(&shares).0, Cause::PathLoss);
    let wanted = doubts(&all, &shares);
    let [(experiment @ Experiment::Rate { .. }, _)] = wanted[..] else { panic!("{wanted:?} {shares:?}") };
    let mut chance = all.clone();
    chance.trials.push(tried(experiment, 1600, 4000));
    assert_eq!(main_cause(&balanced(&chance)).0, Cause::PathLoss);
    all.trials.push(tried(experiment, 0, 4000));
    let shares = balanced(&all);
    assert!([Cause::PacketRateLimit, Cause::BandwidthLimit].contains(&main_cause(&shares).0), "{shares:?}");
    assert!(matches!(doubts(&all, &shares)[..], [(Experiment::AnswersOf { .. }, _)]));
}

#[test]
fn losses_in_bursts_are_doubted_and_then_told() {
    // One read in a hundred begins a burst in which half of some eight are lost: the order of what was sent fits no bucket.
    let mut left = 0;
    let mut all = books(13, move |_, dice| {
        left = if dice.next() < 0.01 { 8 } else { left.max(1) - 1 };
        (left > 0 && dice.next() < 0.5).then_some(Direction::Down)
    });
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    let shares = balanced(&all);
    assert_eq!(main_cause(&shares).0, Cause::PathLoss);
    let wanted = doubts(&all, &shares);
    let [(experiment @ Experiment::Rate { .. }, _)] = wanted[..] else { panic!("{wanted:?} {shares:?}") };
    let lost = shares[&(Cause::PathLoss, Direction::Down)].reads;
    let share_lost = lost as f64 / all.reads() as f64;
    let mut chance = all.clone();
    chance.trials.push(tried(experiment, (share_lost * 10_000.0) as u64, 10_000));
    let shares = balanced(&chance);
    assert_eq!(main_cause(&shares).0, Cause::PathLoss);
    assert!(doubts(&chance, &shares).is_empty(), "{shares:?}");
    all.trials.push(tried(experiment, 0, 10_000));
    let shares = balanced(&all);
    assert!([Cause::PacketRateLimit, Cause::BandwidthLimit].contains(&main_cause(&shares).0), "{shares:?}");
}

#[test]
fn what_is_lost_alike_at_a_lower_rate_is_no_limits_doing() {
    // Requests at constant intervals, lost in bursts: some bucket loses such numbers as well.
    let mut bucket = Bucket::new(8000.0, 2.0);
    let mut all = books(17, move |read, _| (!bucket.passes(read.at_ns, 1.0)).then_some(Direction::Up));
    let limits = [Cause::PacketRateLimit, Cause::BandwidthLimit];
    assert!(limits.contains(&main_cause(&balanced(&all)).0));
    let lost: u64 = all.population.by_size.iter().map(|counts| counts.first_try_lost).sum();
    all.trials.push(tried(Experiment::Rate { share: 0.5 }, lost / 4, 5000));
    let shares = balanced(&all);
    assert_eq!(main_cause(&shares).0, Cause::PathLoss, "{shares:?}");
}

#[test]
fn silence_of_known_flows_is_told_from_a_silent_server_by_others() {
    let silent = |read: &Read, _: &mut Dice| (read.at_ns >= 700_000_000).then_some(Direction::Up);
    let books = books(12, silent);
    let shares = balanced(&books);
    let wanted = doubts(&books, &shares);
    let [(experiment @ Experiment::OtherFlows { .. }, _)] = wanted[..] else {
        panic!("{wanted:?} {shares:?}")
    };
    let dead = Counts { reads: 100, first_try_lost: 100, failed: 100 };
    let alive = Counts { reads: 100, ..Counts::default() };
    for (lost, control, cause) in [
        (0, Some(dead), Cause::FlowBlackHole),
        (400, Some(dead), Cause::ServerSilent),
        // It came back meanwhile.
        (0, Some(alive), Cause::ServerSilent),
        (0, None, Cause::ServerSilent),
    ] {
        let mut books = books.clone();
        books.trials.push(Trial { control, ..tried(experiment, lost, 400) });
        let shares = balanced(&books);
        assert_eq!(main_cause(&shares).0, cause, "{lost} {control:?} {shares:?}");
        assert!(doubts(&books, &shares).is_empty());
    }
}

#[test]
fn sizes_that_vanish_are_blocked_or_a_black_hole_by_what_hosts_counted() {
    let large = |read: &Read, _: &mut Dice| (read.value_bytes == LARGE).then_some(Direction::Down);
    let shares = balanced(&cut(books(6, large), 0, 0));
    assert_eq!(main_cause(&shares), (Cause::FragmentsBlocked, Direction::Down));
    let mut hole = books(6, |read, _| (read.value_bytes > 600).then_some(Direction::Down));
    hole.server.get_or_insert_default().host.risen =
        [("Ip.FragCreates".to_owned(), 0), ("Icmp.InDestUnreachs".to_owned(), 0)].into();
    let shares = balanced(&hole);
    let share = &shares[&(Cause::MtuBlackHole, Direction::Down)];
    let (low, high) = share.estimates["size"].interval.expect("bounds");
    // 600 B of value, 56 of answer, 28 of headers.
    assert!(low <= 684.0 && 684.0 <= high && high - low <= 16.0, "{low} {high}");
    let wanted = doubts(&hole, &shares);
    let [(Experiment::LargestAnswer { passed_bytes, lost_bytes }, why)] = &wanted[..] else {
        panic!("{wanted:?}")
    };
    assert!(passed_bytes < lost_bytes && !why.is_empty());
    hole.trials.push(Trial { bounds_bytes: Some((656, 657)), ..tried(wanted[0].0, 0, 0) });
    let shares = balanced(&hole);
    assert_eq!(shares[&(Cause::MtuBlackHole, Direction::Down)].estimates["size"].value, 684.0);
    assert!(doubts(&hole, &shares).is_empty(), "what was tried is not asked again");
}

#[test]
fn an_experiment_that_tells_packets_from_bits_does_not_stand_for_one_that_counts_fragments() {
    let (mut bucket, mut passed) = (Bucket::new(60.0, 20.0), 0);
    let books = books(16, |read, _| {
        let limited = read.value_bytes == LARGE && !bucket.passes(read.at_ns, 1.0);
        passed += u64::from(read.value_bytes == LARGE && !limited);
        limited.then_some(Direction::Down)
    });
    let large = books.population.by_size[(LARGE / 16) as usize].reads;
    let mut all = cut(books, large + passed, passed);
    let shares = balanced(&all);
    let wanted = doubts(&all, &shares);
    let [(asked @ Experiment::AnswersOf { share, .. }, _)] = wanted[..] else {
        panic!("{wanted:?} {shares:?}")
    };
    assert!(share < 1.0);
    all.trials.push(tried(Experiment::AnswersOf { bytes: 100, share: 1.0 }, 0, 1000));
    assert_eq!(doubts(&all, &balanced(&all)), wanted);
    all.trials.push(tried(asked, 900, 1000));
    assert!(doubts(&all, &balanced(&all)).is_empty());
}
