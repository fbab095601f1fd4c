//! Attribution against books of simulated networks, seeded: each cause that models tell, mixtures, thin data and missing facts.

use super::*;

/// A linear congruential generator (Knuth's constants): the same books on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One read on its way.
#[derive(Clone, Copy)]
struct Read {
    at_ns: u64,
    flow: u32,
    value_bytes: u32,
}

const READS: u32 = 20_000;
const SECONDS: u64 = 2;
const LARGE: u32 = 2_000;
const FLOWS: u32 = 8;
const WINDOW_NS: u64 = 20_000_000;

/// Two seconds of reads at 10,000 a second on whole-answer ports, a tenth of them large; `lost` says of each which way it was lost.
fn books(seed: u64, mut lost: impl FnMut(&Read, &mut Dice) -> Option<Direction>) -> Books {
    let mut dice = Dice(seed);
    let mut books = Books {
        stage: StageFacts {
            duration_ns: SECONDS * 1_000_000_000,
            timeout_ns: 100_000_000,
            reads_per_datagram: 1,
            answer_overhead_bytes: 56,
            client_mtu: 1500,
            server_mtu: Some(9001),
            path_mtu_down: Some(1500),
            ..StageFacts::default()
        },
        population: Population {
            by_size: vec![Counts::default(); 4097],
            size_bin_bytes: 16,
            windows: vec![Window::default(); (SECONDS * 1_000_000_000 / WINDOW_NS) as usize],
            window_ns: WINDOW_NS,
            flows: (0..FLOWS).map(|flow| FlowCounts { flow, ..FlowCounts::default() }).collect(),
            stalls_ns: Vec::new(),
        },
        server: Some(ServerBooks::default()),
        ..Books::default()
    };
    let mut receipts = Receipts::default();
    let mut at_ns = 0.0;
    for sequence in 0..READS {
        at_ns += -dice.next().max(1e-12).ln() * (SECONDS * 1_000_000_000) as f64 / f64::from(READS);
        let value_bytes = if dice.next() < 0.1 { LARGE } else { 100 + (dice.next() * 1000.0) as u32 };
        let read = Read { at_ns: at_ns as u64, flow: (dice.next() * f64::from(FLOWS)) as u32, value_bytes };
        let way = lost(&read, &mut dice);
        if way != Some(Direction::Up) {
            receipts.all.push(Receipt {
                flow: read.flow,
                sequence,
                attempt: 0,
                outcome: ReceiptOutcome::Answered { residence_us: 20 },
                datagrams: 1,
                bytes: value_bytes + 56,
                arrival_unix_us: 1_000_000_000 + read.at_ns / 1000,
            });
        }
        book(&mut books, &read, sequence, way.is_some());
    }
    books.receipts = Some(receipts);
    books
}

fn book(books: &mut Books, read: &Read, sequence: u32, lost: bool) {
    let counted = Counts { reads: 1, first_try_lost: lost.into(), failed: lost.into() };
    let population = &mut books.population;
    population.by_size[(read.value_bytes / 16) as usize].merge(&counted);
    let last = population.windows.len() - 1;
    let window = &mut population.windows[((read.at_ns / WINDOW_NS) as usize).min(last)];
    window.reads += 1;
    window.first_try_lost += u32::from(lost);
    let flow = &mut population.flows[read.flow as usize];
    flow.counts.merge(&counted);
    if lost {
        books.losses.push(Loss {
            flow: read.flow,
            sequence,
            intended_ns: read.at_ns,
            value_bytes: read.value_bytes,
            failed: true,
            symptom: Symptom::Silent { part_arrived: false },
        });
    } else {
        flow.last_whole_ns = Some(read.at_ns);
    }
}

/// A token bucket.
struct Bucket {
    limit: f64,
    depth: f64,
    tokens: f64,
    at_ns: u64,
}

impl Bucket {
    fn new(limit: f64, depth: f64) -> Self {
        Self { limit, depth, tokens: depth, at_ns: 0 }
    }

    fn passes(&mut self, at_ns: u64, cost: f64) -> bool {
        self.tokens = (self.tokens + self.limit * (at_ns - self.at_ns) as f64 / 1e9).min(self.depth);
        self.at_ns = at_ns;
        let passes = self.tokens >= cost;
        self.tokens -= if passes { cost } else { 0.0 };
        passes
    }
}

/// Books of both hosts' kernels as they are where the server cuts large answers.
fn cut(mut books: Books, arrived: u64, reassembled: u64) -> Books {
    let large = books.population.by_size[(LARGE / 16) as usize].reads;
    let risen =
        |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    books.client.host.risen = risen(&[
        ("Ip.ReasmReqds", arrived),
        ("Ip.ReasmOKs", reassembled),
        ("Ip.ReasmFails", 0),
        ("Ip.ReasmTimeout", 0),
    ]);
    let server = books.server.get_or_insert_default();
    server.host.risen =
        risen(&[("Ip.FragOKs", large), ("Ip.FragCreates", 2 * large), ("Icmp.InDestUnreachs", 0)]);
    books
}

fn main_cause(shares: &Attribution) -> (Cause, Direction) {
    *shares.iter().max_by_key(|(_, share)| share.reads).expect("something was lost").0
}

fn balanced(books: &Books) -> Attribution {
    let shares = attribute(books);
    let sum = shares.values().map(|share| share.reads).sum::<u64>();
    assert_eq!(sum, books.losses.len() as u64);
    shares
}

fn chance(share: f64) -> impl FnMut(&Read, &mut Dice) -> Option<Direction> {
    move |_, dice| (dice.next() < share).then_some(Direction::Down)
}

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
    let [(Experiment::Rate { share }, why)] = &wanted[..] else { panic!("{wanted:?} {shares:?}") };
    assert!(share * 10_000.0 < 6000.0);
    books.trials.push(Trial {
        experiment: wanted[0].0,
        because: why.clone(),
        counts: Counts { reads: 2000, first_try_lost: 300, failed: 300 },
        duration_ns: 1_000_000_000,
        bounds_bytes: None,
        icmp: None,
        control: None,
        limit: None,
        flows: Vec::new(),
        failed: None,
    });
    let shares = balanced(&books);
    let limit = &shares[&(Cause::PacketRateLimit, Direction::Down)];
    assert!((limit.estimates["limit"].value / 6000.0 - 1.0).abs() < 0.05, "{shares:?}");
    let chance = shares[&(Cause::PathLoss, Direction::Down)].reads as f64;
    // 15 % of the 12,000 that the limit lets through.
    assert!((chance / 1800.0 - 1.0).abs() < 0.2, "{shares:?}");
}

/// An experiment, of which so many reads were lost.
fn tried(experiment: Experiment, lost: u64, reads: u64) -> Trial {
    Trial {
        experiment,
        because: "tested".to_owned(),
        counts: Counts { reads, first_try_lost: lost, failed: lost },
        duration_ns: 1_000_000_000,
        bounds_bytes: None,
        icmp: None,
        control: None,
        limit: None,
        flows: Vec::new(),
        failed: None,
    }
}

#[test]
fn where_all_answers_are_alike_an_experiment_tells_packets_from_bits() {
    let mut bucket = Bucket::new(6000.0, 50.0);
    let mut all = books(10, move |read, _| (!bucket.passes(read.at_ns, 1.0)).then_some(Direction::Down));
    let size = |books: &mut Books, bytes: u32| {
        books.losses.iter_mut().for_each(|loss| loss.value_bytes = bytes);
        for receipt in &mut books.receipts.as_mut().expect("kept").all {
            receipt.bytes = bytes + books.stage.answer_overhead_bytes;
        }
        let counts = books.population.by_size.iter().fold(Counts::default(), |mut sum, counts| {
            sum.merge(counts);
            sum
        });
        let bin = (bytes / books.population.size_bin_bytes) as usize;
        books.population.by_size.iter_mut().enumerate().for_each(|(at, of)| {
            *of = if at == bin { counts } else { Counts::default() };
        });
    };
    (all.stage.client_mtu, all.stage.path_mtu_down) = (9001, Some(9001));
    size(&mut all, 800);
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
    hole.trials.push(Trial {
        experiment: wanted[0].0,
        because: why.clone(),
        counts: Counts::default(),
        duration_ns: 0,
        bounds_bytes: Some((656, 657)),
        icmp: None,
        control: None,
        limit: None,
        flows: Vec::new(),
        failed: None,
    });
    let shares = balanced(&hole);
    assert_eq!(shares[&(Cause::MtuBlackHole, Direction::Down)].estimates["size"].value, 684.0);
    assert!(doubts(&hole, &shares).is_empty(), "what was tried is not asked again");
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
