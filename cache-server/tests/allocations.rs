//! The read path allocates nothing: proved over more than a million mixed reads with the counting allocator installed.

mod common;

use common::{PATIENCE, Tcp, Udp, config, noise, settled_stats};
use shingle_proto::limits::GETS_PER_DATAGRAM_MAX;
use shingle_proto::wire::{Answer, Carrier, Frame, Get};
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

/// Stores what is read: small values, and large ones that compress well.
fn seed(server: &Server) {
    let mut tcp = Tcp::hello(server.tcp_addr());
    for number in 0..SMALL {
        tcp.set(&key(number), &noise(number as usize));
    }
    for number in 0..LARGE {
        tcp.set(&key(1000 + number), &vec![number as u8; 20_000]);
    }
}

/// One flow's request datagrams: full ones of hits and misses, one of chunked values, malformed ones.
struct Mix {
    udp: Udp,
    packed: Vec<u8>,
    cut: Vec<u8>,
    wrong: Vec<Vec<u8>>,
}

impl Mix {
    fn new(mut udp: Udp) -> Mix {
        udp.header.datagram_max = 8973;
        udp.header.telemetry = true;
        let get = |id: u32, key: &'static [u8]| Frame::Get(Get { id, key });
        let keys: Vec<&'static [u8]> = (0..64).map(|at| &*key(at * 8).to_vec().leak()).collect();
        let packed = udp.request(&(0..64).map(|id| get(id, keys[id as usize])).collect::<Vec<_>>());
        let cut = udp.request(&[get(70, key(1000).to_vec().leak())]);
        let mut flipped = packed.clone();
        flipped[100] ^= 1;
        let wrong = vec![packed[..30].to_vec(), flipped, noise(500), vec![0; 9300]];
        Mix { udp, packed, cut, wrong }
    }

    /// Sends one round and waits for its answers; returns how many reads there were.
    fn round(&mut self, packed: u64) -> u64 {
        (0..packed).for_each(|_| self.udp.send_bytes(&self.packed));
        self.udp.send_bytes(&self.cut);
        self.wrong.iter().for_each(|bytes| self.udp.send_bytes(bytes));
        let wanted = packed * GETS_PER_DATAGRAM_MAX as u64 + 20_008;
        let mut came = 0;
        while came < wanted {
            assert!(
                self.udp.receive(PATIENCE, |bytes| {
                    for frame in Answer::parse(bytes, Carrier::Udp).unwrap().frames() {
                        came += match frame {
                            Frame::Value(value) if value.id == 70 => 20_008,
                            Frame::Value(_) | Frame::Miss { .. } => 1,
                            Frame::Chunk(chunk) => chunk.bytes.len() as u64,
                            _ => 0,
                        };
                    }
                }),
                "answers stopped at {came} of {wanted}"
            );
        }
        packed * GETS_PER_DATAGRAM_MAX as u64 + 1
    }
}

#[test]
fn a_million_mixed_reads_allocate_nothing() {
    assert!(process_allocated_bytes() > 0, "the counting allocator is installed");
    let strategies = [Strategy::Chunked, Strategy::DfOff, Strategy::Compressed];
    let server = Server::start(Config { receipts: true, ..config(&strategies) }).unwrap();
    seed(&server);
    let mut mixes: Vec<_> = (0..strategies.len()).map(|port| Mix::new(Udp::proven(&server, port))).collect();
    let (mut reads, mut rounds) = (0, 0);
    while reads < 1_000_000 {
        reads += mixes.iter_mut().map(|mix| mix.round(8)).sum::<u64>();
        rounds += 1;
    }
    let stats = settled_stats(&server, 0);
    let sum =
        |figure: fn(&shingle_server::stats::WorkerReport) -> u64| stats.workers().map(figure).sum::<u64>();
    assert_eq!(sum(|worker| worker.gets), reads);
    assert_eq!(sum(|worker| worker.hits), (32 * 8 + 1) * rounds * 3);
    assert_eq!(sum(|worker| worker.misses), 32 * 8 * rounds * 3);
    for (reason, per_round) in [("short", 1), ("checksum", 1), ("magic", 1), ("oversized", 1)] {
        assert_eq!(stats.drops[reason], per_round * rounds * 3, "{reason}");
    }
    assert_eq!(sum(|worker| worker.allocations), 0);
}
