//! Ten thousand random networks from one list of seeds: each read ends once, nothing corrupt is delivered, nothing larger than the proved
//! size leaves for a read, and the client core takes no memory after `new` (PROTOCOL.md, sections 4, 6 and 10).
//!
//! A failure prints its seed and its network; `NETLAB_SEED=<seed>` runs that one alone.

mod sim_support;

use std::ops::Add;
use std::time::Duration;

use shingle_netlab::{Ending, Network, Ranges, seeds};
use shingle_proto::client::{ClientConfig, ReceiveBuffer};
use shingle_proto::search::SearchConfig;
use shingle_store::counting::CountingAllocator;
use sim_support::{Books, MS, Plan, Reader, Replies, SECOND, addresses, overhead_bytes, values};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RUNS: u64 = 10_000;

/// What a run reads and how, drawn from its seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn config(draw: &mut Draw, ipv6: bool) -> ClientConfig {
    let search = SearchConfig {
        datagram_max: 1200 + draw.below(8_000) as u16,
        overhead_bytes: overhead_bytes(ipv6),
        ..SearchConfig::default()
    };
    let in_flight_max = [4, 64, 256][draw.below(3) as usize];
    ClientConfig {
        flow: draw.below(1000) as u32,
        in_flight_max,
        value_bytes_max: values::VALUE_BYTES_MAX,
        reassembly_bytes: (256 << 10) << draw.below(4),
        partial_max: 1 + draw.below(in_flight_max as u64) as usize,
        receive_buffer: ReceiveBuffer::linux((64 << 10) << draw.below(5)),
        timeout_ns: 500 * MS,
        gap_ns: [2, 20, 60][draw.below(3) as usize] * MS,
        rerequests_max: draw.below(8) as u8,
        retries: draw.below(4) as u8,
        heartbeat_ns: [0, 50, 250][draw.below(3) as usize] * MS,
        linger_ns: [0, 100, 1000][draw.below(3) as usize] * MS,
        telemetry: draw.one_in(2),
        gets_per_datagram_max: [1, 4, 64][draw.below(3) as usize],
        search: (!draw.one_in(4)).then_some(search),
        ..ClientConfig::default()
    }
}

/// Tells which run failed.
struct Failing<'a>(&'a str);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

fn run(seed: u64) -> Books {
    let mut draw = Draw(seed ^ 0x5eed_5eed);
    let ipv6 = draw.one_in(3);
    let config = config(&mut draw, ipv6);
    let plan = Plan {
        reads: 20 + draw.below(60),
        interval_ns: [1, 5, 20][draw.below(3) as usize] * MS,
        together: [1, 1, 8, 64][draw.below(4) as usize],
        keys: [1, 3, 20][draw.below(3) as usize],
        cancel_every: [0, 0, 3][draw.below(3) as usize],
        refuse_every: [0, 0, 0, 7][draw.below(4) as usize],
        ..Plan::default()
    };
    let mut network = Network::random(seed, &Ranges::default()).expect("ranges of real networks");
    let words = format!("seed {seed}: {plan:?}\n{config:?}\n{}", network.topology());
    let _failing = Failing(&words);
    let (client, server) = addresses(ipv6);
    let mut reader = Reader::new(config, plan, client, server);
    let mut replies = Replies::new(server, &plan);
    if draw.one_in(2) {
        replies = replies.updating((2 + draw.below(100)) * MS);
    }
    replies.rotate_every = [0, 50][draw.below(2) as usize];
    let ending = network.run(&mut reader, &mut replies, Duration::from_secs(30));
    assert_eq!(ending, Ending::Done, "every read ends by its deadline and everything comes to rest");
    assert!(network.now_ns() < 30 * SECOND);
    assert_eq!(reader.books.ended(), reader.books.begun, "each read ends once");
    assert_eq!(reader.books.begun + reader.books.not_begun, plan.reads);
    assert_eq!(reader.core.in_flight(), 0);
    assert_eq!(reader.allocations, 0, "the core takes no memory after `new`");
    reader.books
}

#[test]
fn every_read_ends_once_and_right_on_any_network() {
    let total = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                seeds(RUNS).filter(|seed| seed % 2 == half).map(run).fold(Books::default(), Books::add)
            })
        });
        halves
            .into_iter()
            .map(|half| half.join().expect("a run failed: its seed is above"))
            .fold(Books::default(), Books::add)
    });
    println!("{RUNS} runs: {total:?}");
    if seeds(RUNS).count() == 1 {
        return; // One run repeated by its seed.
    }
    assert!(total.values + total.misses > total.begun / 2, "most networks serve most reads: {total:?}");
    let rare = [total.misses, total.over_tcp, total.not_sent, total.timed_out, total.cancelled, total.late];
    assert!(rare.iter().all(|ends| *ends > 50), "every way to end was met: {total:?}");
}
