//! Datagrams that are no requests are counted by reason and do not disturb a running load.

mod relay;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use relay::{check_books, config, rig, steady, udp_address};
use shingle_proto::checksum::crc32c;
use shingle_proto::wire::{DatagramWriter, DropReason, Frame, Get, RequestHeader};
use shingle_server::stats::StatsReport;
use shingle_server::{Config, Server};

#[global_allocator]
static ALLOCATOR: shingle_store::counting::CountingAllocator = shingle_store::counting::CountingAllocator;

/// Datagrams sent before it is waited for that the server took them: its socket buffer holds them beside the load.
const BURST: u64 = 1_000;
const READS_A_SECOND: f64 = 2_000.0;

#[test]
fn garbage_does_not_disturb_a_running_load() {
    run_beside_garbage(200_000);
}

/// The ten million of issue 2:
/// `cargo test --release -p shingle-loadgen --test garbage -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute in a release build"]
fn ten_million_garbage_datagrams_do_not_disturb_a_running_load() {
    run_beside_garbage(10_000_000);
}

/// Loads a server until all garbage was sent, then puts the books of generator, server and garbage side by side.
fn run_beside_garbage(datagrams: u64) {
    let server = Server::start(Config { receipts: false, ..config() }).unwrap();
    let mut rig = rig(&server, &["--items", "2k", "--timeout", "2s"]);
    let before = server.stats();
    let begun = Instant::now();
    let done = AtomicBool::new(false);
    let (mut reads, mut requests, mut failed) = (0, 0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            send_garbage(&server, datagrams);
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            let result = steady(&mut rig, READS_A_SECOND, Duration::from_secs(1));
            reads += result.stage.sent;
            failed += result.stage.failed;
            requests += result.stage.counters["client.flow.datagrams_sent"];
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    // One more without garbage, after which all has been counted.
    let quiet = rig.stage(
        shingle_loadgen::engine::Pace::PerSecond(READS_A_SECOND),
        Duration::from_millis(500),
        &shingle_loadgen::progress::Progress::new(true),
    );
    let quiet = quiet.unwrap();
    check_books(&quiet);
    requests += quiet.stage.counters["client.flow.datagrams_sent"];

    let after = server.stats();
    let drops = |reason: DropReason| after.drops[reason.name()] - before.drops[reason.name()];
    let dropped: u64 = DropReason::ALL.into_iter().map(drops).sum();
    let lost = rise(&before, &after, |worker| worker.socket_drops);
    let received = rise(&before, &after, |worker| worker.requests);
    println!("{datagrams} beside {reads} reads in {seconds:.0} s; lost at the socket {lost}; by reason:");
    DropReason::ALL.into_iter().for_each(|reason| println!("  {}: {}", reason.name(), drops(reason)));
    assert_eq!(received + lost, datagrams + requests, "what was sent came in or was dropped at the socket");
    assert!(received - dropped <= requests && dropped <= datagrams, "garbage alone is dropped");
    assert!(datagrams - dropped <= lost, "what came in was counted by reason");
    assert!(failed <= lost, "{failed} reads failed, {lost} datagrams were lost at the server's socket");
    for reason in [DropReason::Short, DropReason::Magic, DropReason::Version, DropReason::Checksum] {
        assert!(drops(reason) > 0, "{reason}");
    }
    for reason in [DropReason::Kind, DropReason::Frame, DropReason::Oversized] {
        assert!(drops(reason) > 0, "{reason}");
    }
    assert_eq!(rise(&before, &after, |worker| worker.allocations), 0, "the read path allocated");
    assert_eq!((quiet.stage.failed, quiet.stage.misses), (0, 0), "afterwards all is as before");
}

fn rise(
    before: &StatsReport,
    after: &StatsReport,
    figure: fn(&shingle_server::stats::WorkerReport) -> u64,
) -> u64 {
    after.workers().map(figure).sum::<u64>() - before.workers().map(figure).sum::<u64>()
}

/// Sends garbage in bursts, each after the server has taken the one before or its socket has dropped it.
fn send_garbage(server: &Server, datagrams: u64) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(udp_address(server)).unwrap();
    let mut garbage = Garbage::new();
    let gone = |stats: &StatsReport| {
        stats.drops.values().sum::<u64>() + stats.workers().map(|worker| worker.socket_drops).sum::<u64>()
    };
    let before = gone(&server.stats());
    let mut sent = 0;
    while sent < datagrams {
        for _ in 0..BURST.min(datagrams - sent) {
            socket.send(garbage.next()).unwrap();
            sent += 1;
        }
        while gone(&server.stats()) - before < sent {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Random bytes, and requests with one thing wrong.
struct Garbage {
    rng: Xoshiro256PlusPlus,
    good: Vec<u8>,
    bytes: Vec<u8>,
}

impl Garbage {
    fn new() -> Self {
        let header = RequestHeader {
            attempt: 0,
            flow: 7,
            sequence: 1,
            telemetry: true,
            datagram_max: 1472,
            credit: 64 << 10,
        };
        let mut good = vec![0; 2000];
        let mut writer = DatagramWriter::request(&mut good, &header).unwrap();
        writer.push(&Frame::Get(Get { id: 5, key: &[b'k'; 40] })).unwrap();
        let length = writer.finish();
        good.truncate(length);
        Self { rng: Xoshiro256PlusPlus::seed_from_u64(1), good, bytes: vec![0; 65_507] }
    }

    fn next(&mut self) -> &[u8] {
        let kind = self.rng.random_range(0..256);
        let length = match kind {
            // Longer than any receive buffer of the server's.
            0 => self.rng.random_range(9_217..=65_507),
            1..=127 => self.rng.random_range(0..1_500),
            _ => self.good.len(),
        };
        if kind < 128 {
            self.rng.fill_bytes(&mut self.bytes[..length]);
            return &self.bytes[..length];
        }
        self.bytes[..length].copy_from_slice(&self.good);
        match kind {
            128..=159 => return &self.bytes[..self.rng.random_range(0..length)],
            160..=191 => self.bytes[5] = self.rng.random_range(2..=255),
            // An answer, as a mirror would send it.
            192..=207 => self.bytes[6] |= 0x80,
            // A frame of a type that is not for requests over UDP, or none at all.
            208..=223 => self.bytes[24] = self.rng.random_range(5..=255),
            _ => {
                let bit = self.rng.random_range(0..length * 8);
                self.bytes[bit / 8] ^= 1 << (bit % 8);
                return &self.bytes[..length];
            }
        }
        let checksum = crc32c(&self.bytes[4..length]);
        self.bytes[..4].copy_from_slice(&checksum.to_be_bytes());
        &self.bytes[..length]
    }
}
