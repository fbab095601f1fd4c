//! The read path allocates nothing and answers every read rightly while updates replace, delete, evict and expire: a million
//! reads beside them, with the counting allocator installed.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{PATIENCE, Tcp, Udp, config, set};
use shingle_proto::checksum::crc32c_of;
use shingle_proto::limits::GETS_PER_DATAGRAM_MAX;
use shingle_proto::seal;
use shingle_proto::wire::{Answer, Carrier, Control, Frame, Get, KeyRequest, Set};
use shingle_server::{Config, Server, Strategy};
use shingle_store::counting::{CountingAllocator, process_allocated_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Keys that are read. By the number's remainder they are replaced, deleted and set again, or expire.
const KEYS: u32 = 512;
const READS: u64 = 1_000_000;
/// Generations from one setting of the keys that expire to the next.
const EXPIRING_EVERY: u32 = 50;
/// Datagrams under way at a time.
const TOGETHER: usize = 8;

/// What the key's value shall be in a generation: it names both, over and over, so that a mixture shows.
fn value(number: u32, generation: u32) -> Vec<u8> {
    [number.to_be_bytes(), generation.to_be_bytes()].concat().repeat(words_of(number, generation))
}

fn words_of(number: u32, generation: u32) -> usize {
    (10 + (number + generation) % 30) as usize
}

/// Asserts that a sealed value is one that was stored under this key.
fn check(number: u32, sealed: &[u8]) {
    let bytes = seal::open(&number.to_be_bytes(), sealed, 4096, &mut []).expect("the seal is right");
    let (words, rest) = bytes.as_chunks::<8>();
    let [first, generation] = [0, 4].map(|at| u32::from_be_bytes(words[0][at..at + 4].try_into().unwrap()));
    let whole = rest.is_empty() && words.len() == words_of(number, generation);
    assert!(first == number && whole, "key {number}, generation {generation}: {} B", bytes.len());
    assert!(words.iter().all(|word| *word == words[0]), "key {number}: a mixture");
}

/// Updates every key, and stores others that nobody reads, until the store must evict and long after.
fn update(server: &Server, stop: &AtomicBool) -> u32 {
    let mut tcp = Tcp::hello(server.tcp_addr());
    let mut generation = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let values: Vec<_> = (0..KEYS).map(|number| value(number, generation)).collect();
        let keys: Vec<_> = (0..KEYS).map(u32::to_be_bytes).collect();
        let fillers: Vec<_> =
            (0..KEYS).map(|at| [generation.to_be_bytes(), (at | 1 << 31).to_be_bytes()].concat()).collect();
        let filler = vec![generation as u8; 2000];
        let mut requests = Vec::new();
        for (key, (value, number)) in keys.iter().zip(values.iter().zip(0..)) {
            if number % 3 == 1 {
                requests.push(Control::Delete(KeyRequest { id: 2, key }));
            }
            // A second passes before those that expire come again, most often.
            if number % 3 != 2 {
                requests.push(Control::Set(set(key, value)));
            } else if generation.is_multiple_of(EXPIRING_EVERY) {
                requests.push(Control::Set(Set { ttl_s: 1, ..set(key, value) }));
            }
        }
        requests.extend(
            fillers
                .iter()
                .map(|key| Control::Set(Set { checksum: crc32c_of(&[key, &filler]), ..set(key, &filler) })),
        );
        tcp.pipeline(requests).into_iter().for_each(|answer| assert!(answer.is_ok(), "{answer:?}"));
        generation += 1;
    }
    generation
}

/// Reads all keys in packed gets, a number of datagrams at a time; returns the reads that found a value.
fn read(server: &Server) -> u64 {
    let mut udp = Udp::proven(server, 0);
    udp.header.datagram_max = 8973;
    let (mut reads, mut hits, mut first) = (0, 0, 0);
    while reads < READS {
        let mut waiting = 0;
        for _ in 0..TOGETHER {
            let numbers: Vec<_> = (0..GETS_PER_DATAGRAM_MAX as u32).map(|at| (first + at) % KEYS).collect();
            first = (first + GETS_PER_DATAGRAM_MAX as u32) % KEYS;
            let keys: Vec<_> = numbers.iter().map(|number| number.to_be_bytes()).collect();
            let gets: Vec<_> =
                numbers.iter().zip(&keys).map(|(&id, key)| Frame::Get(Get { id, key })).collect();
            let request = udp.request(&gets);
            udp.send_bytes(&request);
            waiting += gets.len();
        }
        reads += waiting as u64;
        while waiting > 0 {
            let came = udp.receive(PATIENCE, |bytes| {
                for frame in Answer::parse(bytes, Carrier::Udp).unwrap().frames() {
                    match frame {
                        Frame::Value(value) => {
                            check(value.id, value.sealed);
                            hits += 1;
                        }
                        Frame::Miss { .. } => {}
                        other => panic!("{other:?}"),
                    }
                    waiting -= 1;
                }
            });
            assert!(came, "{waiting} reads were not answered");
        }
    }
    hits
}

#[test]
fn a_million_reads_beside_updates_are_right_and_allocate_nothing() {
    assert!(process_allocated_bytes() > 0, "the counting allocator is installed");
    let server = Server::start(Config { memory_bytes: 16 << 20, ..config(&[Strategy::Chunked]) }).unwrap();
    let stop = AtomicBool::new(false);
    let (generations, hits) = thread::scope(|scope| {
        let updater = scope.spawn(|| update(&server, &stop));
        let hits = read(&server);
        stop.store(true, Ordering::Relaxed);
        (updater.join().unwrap(), hits)
    });
    let stats = server.stats();
    println!("{hits} of {READS} reads found a value beside {generations} generations: {:?}", stats.store);
    assert!(generations > 1 && stats.store.deletes > 0, "{:?}", stats.store);
    assert!(stats.store.evictions > 0, "the store was never full: {:?}", stats.store);
    assert!(hits > READS / 2, "{hits} hits");
    assert_eq!(stats.workers().map(|worker| worker.refused).sum::<u64>(), 0);
    assert_eq!(stats.workers().map(|worker| worker.allocations).sum::<u64>(), 0);
}
