//! The read path allocates nothing: proved over more than a million mixed reads with the counting allocator installed.

mod common;

use common::{PATIENCE, Tcp, Udp, config, noise, settled_stats};
use shingle_proto::chunk::Range;
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{GETS_PER_DATAGRAM_MAX, RANGES_MAX};
use shingle_proto::wire::{Answer, Carrier, Frame, Get, Probe, Ranges, Rerequest};
use shingle_server::{Config, Server, Strategy};
use shingle_store::counting::{CountingAllocator, process_allocated_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Values that are packed, and values that are cut.
const SMALL: u32 = 256;
const LARGE: u32 = 16;

fn key(number: u32) -> [u8; 8] {
    u64::from(number).to_be_bytes()
}

/// Stores what is read: small values, and large ones that compress well. Returns the version of the first large one.
fn seed(server: &Server) -> u64 {
    let mut tcp = Tcp::hello(server.tcp_addr());
    for number in 0..SMALL {
        tcp.set(&key(number), &noise(number as usize));
    }
    let versions: Vec<u64> =
        (0..LARGE).map(|number| tcp.set(&key(1000 + number), &vec![number as u8; 20_000])).collect();
    versions[0]
}

/// Full datagrams a round.
const PACKED: u64 = 8;
/// Id of the reads of a large value, which may come whole or in chunks.
const CUT: u32 = 70;
/// Bytes of a large value as it is stored, without encoding.
const CUT_BYTES: u64 = 20_008;
/// What is asked for again, in two ranges: it is there also where the value is sent compressed.
const AGAIN: [Range; 2] = [Range { offset: 0, length: 20 }, Range { offset: 30, length: 10 }];

/// One flow's request datagrams of a round: every kind a server answers, each with telemetry and without, and malformed
/// ones.
struct Mix {
    udp: Udp,
    requests: Vec<Vec<u8>>,
    /// Units of answers they get, see [`units`].
    wanted: u64,
}

impl Mix {
    fn new(mut udp: Udp, version: u64) -> Mix {
        udp.header.datagram_max = 8973;
        let mut mix = Mix { udp, requests: Vec::new(), wanted: 0 };
        let proven = mix.udp.cookie;
        for telemetry in [false, true] {
            mix.udp.header.telemetry = telemetry;
            mix.udp.cookie = proven;
            mix.add_known(version);
            for cookie in [None, Some(Cookie([1; 16]))] {
                mix.udp.cookie = cookie;
                mix.add_strange();
            }
        }
        let mut flipped = mix.requests[0].clone();
        flipped[100] ^= 1;
        let short = mix.requests[0][..30].to_vec();
        mix.requests.extend([short, flipped, noise(500), vec![0; 9300]]);
        mix
    }

    fn add(&mut self, frames: &[Frame<'_>], units: u64) {
        self.requests.push(self.udp.request(frames));
        self.wanted += units;
    }

    /// Requests with a valid cookie: half of the round's full datagrams, and one of each other kind.
    fn add_known(&mut self, version: u64) {
        let keys: Vec<_> = (0..GETS_PER_DATAGRAM_MAX as u32).map(|at| key(at * 8)).collect();
        let packed: Vec<_> = (0..).zip(&keys).map(|(id, key)| Frame::Get(Get { id, key })).collect();
        for _ in 0..PACKED / 2 {
            self.add(&packed, packed.len() as u64);
        }
        self.add(&[Frame::Get(Get { id: 80, key: &key(200) })], 1);
        self.add(&[Frame::Get(Get { id: 81, key: b"absent" })], 1);
        let large = key(1000);
        self.add(&[Frame::Get(Get { id: CUT, key: &large })], CUT_BYTES);
        let mut room = [[0; 8]; RANGES_MAX];
        let ranges = Ranges::encode(AGAIN, &mut room).unwrap();
        let again = |id, version| Frame::Rerequest(Rerequest { id, version, ranges, key: &large });
        self.add(&[again(82, version)], AGAIN.iter().map(|range| u64::from(range.length)).sum());
        self.add(&[again(83, 1)], 1);
        self.add(&[Frame::Probe(Probe { up: false, down: true, size: 4000, id: 84 })], 1);
    }

    /// Requests whose cookie is missing or wrong: one that is answered all the same, two that are challenged.
    fn add_strange(&mut self) {
        self.add(&[Frame::Get(Get { id: 85, key: b"absent" })], 1);
        self.add(&[Frame::Get(Get { id: 86, key: &key(1000) })], 1);
        self.add(&[Frame::Probe(Probe { up: false, down: true, size: 4000, id: 87 })], 1);
    }

    /// Sends one round and waits for its answers.
    fn round(&mut self) {
        self.requests.iter().for_each(|bytes| self.udp.send_bytes(bytes));
        let (mut came, wanted) = (0, self.wanted);
        while came < wanted {
            let more = self.udp.receive(PATIENCE, |bytes| {
                came += Answer::parse(bytes, Carrier::Udp).unwrap().frames().map(units).sum::<u64>();
            });
            assert!(more, "answers stopped at {came} of {wanted}");
        }
        assert_eq!(came, wanted);
    }
}

/// What a frame adds to the answers of a round: a large value its bytes, cut or not, everything else 1.
fn units(frame: Frame<'_>) -> u64 {
    match frame {
        Frame::Value(value) if value.id == CUT => CUT_BYTES,
        Frame::Chunk(chunk) => chunk.bytes.len() as u64,
        Frame::Telemetry(_) => 0,
        _ => 1,
    }
}

#[test]
fn a_million_mixed_reads_allocate_nothing() {
    assert!(process_allocated_bytes() > 0, "the counting allocator is installed");
    let strategies = [Strategy::Chunked, Strategy::DfOff, Strategy::Compressed];
    let server = Server::start(Config { receipts: true, ..config(&strategies) }).unwrap();
    let version = seed(&server);
    let mut mixes: Vec<_> =
        (0..strategies.len()).map(|port| Mix::new(Udp::proven(&server, port), version)).collect();
    // A round has, on each port: half of its packed reads found, with and without telemetry 3 others found, 1 missed
    // and 1 refused; of strangers, 4 missed and 4 challenged, and 4 probes challenged.
    let packed = PACKED * GETS_PER_DATAGRAM_MAX as u64;
    let rounds = 1_000_000_u64.div_ceil(3 * packed);
    for _ in 0..rounds {
        mixes.iter_mut().for_each(Mix::round);
    }
    let stats =
        settled_stats(&server, rounds * mixes.iter().map(|mix| mix.requests.len() as u64).sum::<u64>());
    let sum =
        |figure: fn(&shingle_server::stats::WorkerReport) -> u64| stats.workers().map(figure).sum::<u64>();
    assert_eq!(sum(|worker| worker.gets), (packed + 10 + 8) * 3 * rounds);
    assert_eq!(sum(|worker| worker.hits), (packed / 2 + 6) * 3 * rounds);
    assert_eq!(sum(|worker| worker.misses), (packed / 2 + 2 + 4) * 3 * rounds);
    // The port that does not set DF refuses the 2 + 4 probes, but for the one too short for a refusal with telemetry.
    assert_eq!(sum(|worker| worker.refused), (2 * 3 + 5) * rounds);
    assert_eq!(sum(|worker| worker.challenged), (4 * 3 + 4 * 2 + 1) * rounds);
    for (reason, per_round) in [("short", 1), ("checksum", 1), ("magic", 1), ("oversized", 1)] {
        assert_eq!(stats.drops[reason], per_round * rounds * 3, "{reason}");
    }
    assert_eq!(sum(|worker| worker.allocations), 0);
}
