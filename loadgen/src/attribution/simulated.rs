//! Attribution against books of simulated networks, seeded.

mod causes;
mod experiments;

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

/// An experiment, of which so many reads were lost.
fn tried(experiment: Experiment, lost: u64, reads: u64) -> Trial {
    Trial {
        experiment,
        because: "tested".to_owned(),
        counts: Counts { reads, first_try_lost: lost, failed: lost },
        lost_up: None,
        duration_ns: 1_000_000_000,
        bounds_bytes: None,
        icmp: None,
        control: None,
        limit: None,
        limits: Vec::new(),
        starved: Vec::new(),
        flows: Vec::new(),
        failed: None,
    }
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
