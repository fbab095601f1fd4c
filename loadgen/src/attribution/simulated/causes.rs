//! Each cause that models tell, mixtures, thin data and missing facts.

use super::*;

#[test]
fn chance_is_path_loss_with_its_probability() {
    for (seed, share) in [(1, 0.005), (2, 0.05), (3, 0.3)] {
        let shares = balanced(&cut(books(seed, chance(share)), 4000, 2000));
        assert_eq!(main_cause(&shares), (Cause::PathLoss, Direction::Down), "{share}: {shares:?}");
        let probability = &shares[&(Cause::PathLoss, Direction::Down)].estimates["probability"];
        // Large answers have two packets.
        let (low, high) = probability.interval.expect("it has one");
        assert!(
            low < share / 1.09 + share * 0.1 && high > share / 1.11 - share * 0.1,
            "{share}: {probability:?}"
        );
    }
}

#[test]
fn where_hardly_any_read_comes_whole_no_flow_is_bad() {
    let shares = balanced(&books(26, chance(0.998)));
    assert!(shares.keys().all(|(cause, _)| *cause != Cause::FlowBlackHole), "{shares:?}");
    let dead = |read: &Read, dice: &mut Dice| {
        let dead = read.flow < 3 && read.at_ns > 900_000_000;
        (dead || dice.next() < 0.5).then_some(Direction::Down)
    };
    let shares = balanced(&books(26, dead));
    assert_eq!(shares[&(Cause::FlowBlackHole, Direction::Down)].flows, [0, 1, 2], "{shares:?}");
}

#[test]
fn sizes_that_vanish_are_found_however_many_requests_are_lost() {
    for base in [0.0, 0.05, 0.3] {
        let mut all = books(19, |read, dice| {
            if dice.next() < base {
                return Some(Direction::Up);
            }
            (read.value_bytes == LARGE).then_some(Direction::Down)
        });
        (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
        let shares = balanced(&all);
        let hole = &shares[&(Cause::MtuBlackHole, Direction::Down)];
        let large = all.receipts.as_ref().expect("kept").all.iter().filter(|receipt| receipt.bytes > LARGE);
        assert_eq!(hole.reads, large.count() as u64, "{base}: {shares:?}");
        assert!(!shares.contains_key(&(Cause::PathLoss, Direction::Down)), "{base}: {shares:?}");
    }
}

#[test]
fn a_limit_of_fragments_is_found_beside_chance() {
    for (seed, limit, base) in [(1, 500.0, 0.0), (2, 900.0, 0.0), (3, 500.0, 0.02)] {
        let (mut bucket, mut passed) = (Bucket::new(limit, 5.0), 0);
        let books = books(seed, |read, dice| {
            let limited = read.value_bytes == LARGE && !bucket.passes(read.at_ns, 1.0);
            passed += u64::from(read.value_bytes == LARGE && !limited);
            (limited || dice.next() < base).then_some(Direction::Down)
        });
        let large = books.population.by_size[(LARGE / 16) as usize].reads;
        let arrived = (large + passed) as f64 * (1.0 - base);
        let shares = balanced(&cut(books, arrived as u64, passed));
        let share = &shares[&(Cause::FragmentRateLimit, Direction::Down)];
        let estimate = &share.estimates["limit"];
        assert!((estimate.value / limit - 1.0).abs() < 0.05, "{limit} {base}: {shares:?}");
        assert_eq!(shares.contains_key(&(Cause::PathLoss, Direction::Down)), base > 0.0, "{shares:?}");
    }
}

#[test]
fn limits_of_packets_and_bits_are_told_apart_each_way() {
    // All answers are of one packet.
    let wide = |mut books: Books| {
        (books.stage.client_mtu, books.stage.path_mtu_down) = (9001, Some(9001));
        books
    };
    for direction in [Direction::Up, Direction::Down] {
        let mut bucket = Bucket::new(6000.0, 50.0);
        let shares =
            balanced(&wide(books(4, |read, _| (!bucket.passes(read.at_ns, 1.0)).then_some(direction))));
        assert_eq!(main_cause(&shares), (Cause::PacketRateLimit, direction), "{shares:?}");
        let limit = shares[&(Cause::PacketRateLimit, direction)].estimates["limit"].value;
        assert!((limit / 6000.0 - 1.0).abs() < 0.05, "{limit}");
    }
    let mut bucket = Bucket::new(4e6, 64e3);
    let cost = |bytes: u32| f64::from(bytes + 56 + 28 + 14);
    let bits = wide(books(5, |read, _| {
        (!bucket.passes(read.at_ns, cost(read.value_bytes))).then_some(Direction::Down)
    }));
    let shares = balanced(&bits);
    assert_eq!(main_cause(&shares), (Cause::BandwidthLimit, Direction::Down), "{shares:?}");
    let limit = shares[&(Cause::BandwidthLimit, Direction::Down)].estimates["limit"].value;
    assert!((limit / 32e6 - 1.0).abs() < 0.05, "{limit}");
}

#[test]
fn bad_flows_are_named_exactly_beside_chance() {
    let shares = balanced(&books(7, |read, dice| {
        let bad = [2, 5].contains(&read.flow) && dice.next() < 0.4;
        (bad || dice.next() < 0.005).then_some(Direction::Up)
    }));
    assert_eq!(shares[&(Cause::FlowBlackHole, Direction::Up)].flows, [2, 5], "{shares:?}");
}

#[test]
fn silence_is_told_with_its_begin_and_length() {
    for until in [1_500_000_000, u64::MAX] {
        let silent = |read: &Read, _: &mut Dice| {
            (read.at_ns >= 700_000_000 && read.at_ns < until).then_some(Direction::Up)
        };
        let shares = balanced(&books(8, silent));
        assert_eq!(shares.len(), 1, "{shares:?}");
        let share = &shares[&(Cause::ServerSilent, Direction::Host)];
        assert!((share.estimates["begin"].value - 0.7).abs() < 0.02, "{:?}", share.estimates);
        let length = (until.min(2_000_000_000) - 700_000_000) as f64 / 1e9;
        assert!((share.estimates["length"].value - length).abs() < 0.02, "{:?}", share.estimates);
    }
}

#[test]
fn thin_data_accuse_nobody() {
    for seed in 0..200 {
        let mut left = 10;
        let few = |_: &Read, dice: &mut Dice| {
            let lost = left > 0 && dice.next() < 0.001;
            left -= u32::from(lost);
            lost.then_some(Direction::Down)
        };
        let shares = balanced(&books(seed, few));
        assert!(shares.keys().all(|(cause, _)| *cause == Cause::Unexplained), "{seed}: {shares:?}");
    }
}

#[test]
fn chance_is_never_taken_for_anything_else() {
    for seed in 0..60 {
        let mut books = books(seed, |_, dice| match dice.next() {
            draw if draw < 0.02 => Some(Direction::Up),
            draw if draw < 0.05 => Some(Direction::Down),
            _ => None,
        });
        if seed % 3 == 0 {
            books.receipts = None;
        }
        if seed % 4 == 0 {
            books.server = None;
        }
        let shares = balanced(&books);
        let accused =
            shares.keys().filter(|(cause, _)| !matches!(cause, Cause::PathLoss | Cause::Unexplained));
        assert_eq!(accused.count(), 0, "{seed}: {shares:?}");
    }
}

#[test]
fn a_bad_path_leaves_chance_its_share_whichever_way_it_goes() {
    for bad_way in [Direction::Up, Direction::Down] {
        let shares = balanced(&books(13, |read, dice| {
            if read.flow == 3 && dice.next() < 0.8 {
                return Some(bad_way);
            }
            (dice.next() < 0.1).then_some(Direction::Down)
        }));
        let bad: Vec<_> = shares.keys().filter(|(cause, _)| *cause == Cause::FlowBlackHole).collect();
        assert_eq!(bad, [&(Cause::FlowBlackHole, bad_way)], "{shares:?}");
        assert_eq!(shares[bad[0]].flows, [3], "{shares:?}");
        // A tenth of what the bad path, which takes four fifths of one flow of eight, let through.
        let by_chance = f64::from(READS) * 0.9 * 0.1;
        let chance = shares[&(Cause::PathLoss, Direction::Down)].reads as f64;
        assert!((chance / by_chance - 1.0).abs() < 0.1, "{bad_way:?}: {shares:?}");
    }
}

#[test]
fn a_limit_that_starves_every_answer_is_told_by_what_arrived() {
    for (seed, base) in [(14, 0.0), (25, 0.1)] {
        // Of two fragments one finds the token of a bucket that holds no more.
        let (mut bucket, mut arrived) = (Bucket::new(300.0, 1.0), 0);
        let books = books(seed, |read, dice| {
            let large = read.value_bytes == LARGE;
            if large {
                let passed = (0..2).filter(|_| bucket.passes(read.at_ns, 1.0)).count();
                arrived += (0..passed).map(|_| u64::from(dice.next() >= base)).sum::<u64>();
            }
            (large || dice.next() < base).then_some(Direction::Down)
        });
        let books = cut(books, arrived, 0);
        let shares = balanced(&books);
        // Where chance takes more reads than the large ones are, it is the main cause.
        assert!(base > 0.0 || main_cause(&shares).0 == Cause::FragmentRateLimit, "{shares:?}");
        let limit = &shares[&(Cause::FragmentRateLimit, Direction::Down)].estimates["limit"];
        // An experiment reads large answers alone: what chance takes is known from the stage.
        let mut tried = books.clone();
        tried.losses.retain(|loss| loss.value_bytes == LARGE);
        tried.receipts.as_mut().expect("kept").all.retain(|receipt| receipt.bytes > LARGE);
        tried.population.by_size[..(LARGE / 16) as usize].fill(Counts::default());
        tried.population.flows.clear();
        let by_experiment = fragment_limit(&tried, &books).limit.expect("fragments arrived");
        for limit in [limit, &by_experiment] {
            assert!((limit.value / 300.0 - 1.0).abs() < 0.05, "{base}: {limit:?}");
        }
        let chance = shares.get(&(Cause::PathLoss, Direction::Down));
        assert_eq!(chance.is_some(), base > 0.0, "{shares:?}");
        if let Some(chance) = chance {
            assert!((chance.estimates["probability"].value / base - 1.0).abs() < 0.1, "{shares:?}");
        }
    }
}

#[test]
fn the_few_that_come_whole_past_a_limit_are_among_what_arrived() {
    // Both fragments pass where the pause before them was long.
    let (mut bucket, mut arrived, mut whole) = (Bucket::new(300.0, 2.0), 0, 0);
    let few = books(31, |read, _| {
        if read.value_bytes != LARGE {
            return None;
        }
        let passed = (0..2).filter(|_| bucket.passes(read.at_ns, 1.0)).count() as u64;
        (arrived, whole) = (arrived + passed, whole + passed / 2);
        (passed < 2).then_some(Direction::Down)
    });
    assert!(whole > 10, "{whole} of {arrived}");
    let few = cut(few, arrived, whole);
    let shares = balanced(&few);
    let share = &shares[&(Cause::FragmentRateLimit, Direction::Down)];
    let counted = format!("fragments {arrived} arrived");
    assert!(share.evidence.iter().any(|line| line.contains(&counted)), "{whole} of {arrived}: {shares:?}");
    let (low, high) = share.estimates["limit"].interval.expect("told");
    assert!((low..=high).contains(&300.0), "{whole} of {arrived}: {shares:?}");
}

#[test]
fn fragments_blocked_are_no_black_hole_where_routers_cut_what_is_whole() {
    let large = |read: &Read, _: &mut Dice| (read.value_bytes == LARGE).then_some(Direction::Down);
    let mut books = cut(books(15, large), 0, 0);
    // What is between the path's MTU and the server's is cut behind the device that drops the server's own fragments.
    let stage = &mut books.stage;
    (stage.path_mtu_down, stage.server_mtu, stage.routers_cut) = (Some(900), Some(1500), true);
    let between = (900 - 84) / 16..(LARGE / 16) as usize;
    let by_routers: u64 = books.population.by_size[between].iter().map(|counts| counts.reads).sum();
    assert!(by_routers > 1000);
    let risen = &mut books.client.host.risen;
    risen.insert("Ip.ReasmReqds".to_owned(), 2 * by_routers);
    risen.insert("Ip.ReasmOKs".to_owned(), by_routers);
    let shares = balanced(&books);
    assert_eq!(main_cause(&shares), (Cause::FragmentsBlocked, Direction::Down), "{shares:?}");
}

#[test]
fn clocks_that_differ_by_hours_change_nothing() {
    const HOURS_US: u64 = 7 * 3_600_000_000;
    for (seed, direction) in [(17, Direction::Up), (18, Direction::Down)] {
        let mut bucket = Bucket::new(6000.0, 50.0);
        let mut books = books(seed, |read, dice| {
            (!bucket.passes(read.at_ns, 1.0) || dice.next() < 0.01).then_some(direction)
        });
        (books.stage.client_mtu, books.stage.path_mtu_down) = (9001, Some(9001));
        let shares = balanced(&books);
        assert_eq!(main_cause(&shares), (Cause::PacketRateLimit, direction), "{shares:?}");
        for ahead in [true, false] {
            let mut apart = books.clone();
            for receipt in &mut apart.receipts.as_mut().expect("kept").all {
                let us = receipt.arrival_unix_us + 2 * HOURS_US;
                receipt.arrival_unix_us = if ahead { us + HOURS_US } else { us - HOURS_US };
            }
            assert_eq!(attribute(&apart), shares);
        }
    }
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let books = cut(books(19, chance(0.05)), 4000, 2000);
    let mut shuffled = books.clone();
    shuffled.losses.sort_by_key(|loss| (loss.sequence % 97, loss.sequence));
    assert_eq!(attribute(&shuffled), attribute(&books));
}

#[test]
fn a_closed_port_somewhere_is_no_packet_too_big() {
    let large = |read: &Read, _: &mut Dice| (read.value_bytes == LARGE).then_some(Direction::Down);
    let mut hole = books(20, large);
    (hole.stage.path_mtu_down, hole.server) = (Some(9001), Some(ServerBooks::default()));
    hole.server.get_or_insert_default().host.risen = [
        ("Ip.FragOKs".to_owned(), 0),
        ("Ip.FragCreates".to_owned(), 0),
        ("Icmp.InDestUnreachs".to_owned(), 1),
    ]
    .into();
    let shares = balanced(&hole);
    assert_eq!(main_cause(&shares), (Cause::MtuBlackHole, Direction::Down), "{shares:?}");
    // The kernel that holds a smaller one now was told.
    hole.stage.path_mtu_down = Some(1500);
    assert_eq!(main_cause(&balanced(&hole)), (Cause::PmtuDiscovery, Direction::Down));
}

#[test]
fn a_bad_path_is_told_beside_bits_that_flip_on_all() {
    let mut changed = 0;
    let mut books = books(21, |read, dice| {
        let bad = read.flow < 4 && dice.next() < 0.2;
        let flips = !bad && dice.next() < 0.15;
        changed += u64::from(flips);
        (bad || flips).then_some(Direction::Down)
    });
    books.client.checksum_drops = changed;
    let shares = balanced(&books);
    assert_eq!(shares[&(Cause::FlowBlackHole, Direction::Down)].flows, [0, 1, 2, 3], "{shares:?}");
    let flipped = shares[&(Cause::PathCorruption, Direction::Down)].reads as f64;
    assert!((flipped / changed as f64 - 1.0).abs() < 0.1, "{changed}: {shares:?}");
}

#[test]
fn flows_of_a_full_socket_make_no_bad_path_of_the_others() {
    let mut dropped = 0;
    let mut books = books(22, |read, dice| {
        if read.flow < 2 && dice.next() < 0.7 {
            dropped += 1;
            return Some(Direction::Up);
        }
        (dice.next() < 0.05).then_some(Direction::Down)
    });
    books.server.get_or_insert_default().socket_drops = dropped;
    let shares = balanced(&books);
    assert_eq!(shares[&(Cause::ServerSocketBuffer, Direction::Up)].reads, dropped, "{shares:?}");
    assert!(shares.keys().all(|(cause, _)| *cause != Cause::FlowBlackHole), "{shares:?}");
}
