//! Ten thousand random networks from one list of seeds: each read ends once, nothing corrupt is delivered, nothing larger than the proved
//! size leaves for a read, and the client core takes no memory after `new` (PROTOCOL.md, sections 4, 6 and 10).
//!
//! A failure prints its seed and its network; `NETLAB_SEED=<seed>` runs that one alone.

mod sim_support;

use std::ops::Add;
use std::time::Duration;

use shingle_netlab::{Ending, Network, Ranges, seeds};
use shingle_proto::client::{ClientConfig, ReceiveBuffer, ServerState};
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

/// What a run met of what this test is for.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    books: Books,
    /// Runs with: requests beyond the base, a size lowered, a lowering test, a cookie that the server no longer took, a server that said
    /// it leaves, credit that the receive window limited to one datagram.
    large: u64,
    lowered: u64,
    tested: u64,
    cookies_refused: u64,
    draining: u64,
    window_limited: u64,
}

impl Add for Met {
    type Output = Met;

    fn add(self, other: Met) -> Met {
        Met {
            books: self.books + other.books,
            large: self.large + other.large,
            lowered: self.lowered + other.lowered,
            tested: self.tested + other.tested,
            cookies_refused: self.cookies_refused + other.cookies_refused,
            draining: self.draining + other.draining,
            window_limited: self.window_limited + other.window_limited,
        }
    }
}

impl Met {
    fn of(reader: &Reader, replies: &Replies) -> Met {
        let (books, path) = (reader.books, reader.core.path());
        let [up, down] = [path.up.counters, path.down.counters];
        let some = |count: u64| u64::from(count > 0);
        Met {
            books,
            large: some(books.large),
            lowered: some(up.lowered + down.lowered),
            tested: some(up.tests + down.tests),
            cookies_refused: some(replies.cookies_refused),
            draining: some(books.draining),
            window_limited: some(books.window_limited),
        }
    }
}

/// What a run reads.
fn plan(draw: &mut Draw) -> Plan {
    Plan {
        reads: 20 + draw.below(60),
        interval_ns: [1, 5, 20][draw.below(3) as usize] * MS,
        first_key: [0, 0, 0, 0, values::LARGE_FROM][draw.below(5) as usize],
        together: [1, 1, 8, 64][draw.below(4) as usize],
        keys: [1, 3, 20][draw.below(3) as usize],
        cancel_every: [0, 0, 3][draw.below(3) as usize],
        refuse_every: [0, 0, 0, 7][draw.below(4) as usize],
        ..Plan::default()
    }
}

/// Any network, but one on which short runs meet changes of the client's address.
fn ranges(draw: &mut Draw) -> Ranges {
    Ranges { address_change: Some(5..=[100, 2_000][draw.below(2) as usize]), ..Ranges::default() }
}

/// Networks near enough for the search to end, whose path MTUs change while reads are under way.
fn ranges_of_changing_paths() -> Ranges {
    let ms = Duration::from_millis;
    Ranges {
        presence: 0.6,
        mtu: Some(1280..=9001),
        mtu_change: Some(ms(300)..=ms(1500)),
        loss: Some(0.0..=0.02),
        delay: Some(ms(0)..=ms(3)),
        reorder: Some(0.0..=0.05),
        duplicate: Some(0.0..=0.05),
        address_change: Some(20..=500),
        ..Ranges::nothing()
    }
}

fn run(seed: u64) -> Met {
    let mut draw = Draw(seed ^ 0x5eed_5eed);
    let ipv6 = draw.one_in(3);
    let config = config(&mut draw, ipv6);
    let (plan, ranges) = match draw.one_in(5) {
        true => {
            let plan = Plan { reads: 200, interval_ns: 15 * MS, ..Plan::default() };
            (plan, ranges_of_changing_paths())
        }
        false => (plan(&mut draw), ranges(&mut draw)),
    };
    let mut network = Network::random(seed, &ranges).expect("ranges of real networks");
    let words = format!("seed {seed}: {plan:?}\n{config:?}\n{}", network.topology());
    let _failing = Failing(&words);
    let (client, server) = addresses(ipv6);
    let mut reader = Reader::new(config, plan, client, server);
    let mut replies = Replies::new(server, &plan);
    if draw.one_in(2) {
        replies = replies.updating((2 + draw.below(100)) * MS);
    }
    replies.rotate_every = [0, 50][draw.below(2) as usize];
    if draw.one_in(3) {
        replies.drains_from_ns = draw.below(2000) * MS;
    }
    let ending = network.run(&mut reader, &mut replies, Duration::from_secs(30));
    assert_eq!(ending, Ending::Done, "every read ends by its deadline and everything comes to rest");
    assert!(network.now_ns() < 30 * SECOND);
    assert_eq!(reader.books.ended(), reader.books.begun, "each read ends once");
    assert_eq!(reader.books.begun + reader.books.not_begun, plan.reads);
    assert_eq!(reader.core.in_flight(), 0);
    assert_eq!(reader.allocations, 0, "the core takes no memory after `new`");
    let met = Met::of(&reader, &replies);
    let state = reader.core.server_state();
    assert!(state != ServerState::Draining || met.draining > 0, "draining without a word of the server");
    met
}

#[test]
fn every_read_ends_once_and_right_on_any_network() {
    let met = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                seeds(RUNS).filter(|seed| seed % 2 == half).map(run).fold(Met::default(), Met::add)
            })
        });
        halves
            .into_iter()
            .map(|half| half.join().expect("a run failed: its seed is above"))
            .fold(Met::default(), Met::add)
    });
    println!("{RUNS} runs: {met:#?}");
    if seeds(RUNS).count() == 1 {
        return; // One run repeated by its seed.
    }
    let total = met.books;
    assert!(total.values + total.misses > total.begun / 3, "most networks serve most reads: {total:?}");
    let rare = [total.misses, total.over_tcp, total.not_sent, total.timed_out, total.cancelled, total.late];
    assert!(rare.iter().all(|ends| *ends > 50), "every way to end was met: {total:?}");
    let runs = [met.large, met.lowered, met.tested, met.cookies_refused, met.draining, met.window_limited];
    assert!(runs.iter().all(|runs| *runs > 50), "every change of a path and a server was met: {met:?}");
}
