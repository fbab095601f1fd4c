//! Requests that come in one train are answered in one: how many system calls that takes, and that the answers are those that
//! each request gets alone.

mod common;

use std::net::SocketAddr;

use common::{PATIENCE, Tcp, Udp, config, noise, settled_stats, start};
use shingle_proto::wire::{Answer, Carrier, Frame, Get, Telemetry};
use shingle_server::stats::{StatsReport, WorkerReport};
use shingle_server::{Config, Server, Steer, Strategy};
use shingle_udp::{SendBatch, allowed_cpus, pin_thread_to};

const TRAIN: usize = 16;

/// Sends requests of equal length with one UDP_SEGMENT send, which loopback hands to a socket with UDP_GRO as one.
fn send_train(server: &Server, udp: &Udp, requests: &[Vec<u8>]) {
    let to = SocketAddr::new(server.tcp_addr().ip(), server.ports()[0].port);
    let (bytes, segment_bytes) = (requests.concat(), requests[0].len());
    assert!(requests.iter().all(|request| request.len() == segment_bytes));
    let mut batch = SendBatch::new(1, 1, 0);
    let mut outgoing = batch.fill();
    assert!(outgoing.begin(to));
    outgoing.borrow(&bytes);
    outgoing.end(segment_bytes).unwrap();
    let counts = outgoing.send(&udp.socket, &mut |_, error| panic!("{error}")).unwrap();
    assert_eq!((counts.messages, counts.datagrams), (1, requests.len() as u64));
}

/// The next `count` datagrams.
fn receive(udp: &mut Udp, count: usize) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while datagrams.len() < count {
        assert!(
            udp.receive(PATIENCE, |bytes| datagrams.push(bytes.to_vec())),
            "{} of {count}",
            datagrams.len()
        );
    }
    datagrams
}

fn requests(udp: &mut Udp, keys: &[&[u8]]) -> Vec<Vec<u8>> {
    (0..).zip(keys).map(|(id, key)| udp.request(&[Frame::Get(Get { id, key })])).collect()
}

fn sum(stats: &StatsReport, figure: impl Fn(&WorkerReport) -> u64) -> u64 {
    stats.workers().map(figure).sum()
}

#[test]
fn a_train_of_requests_is_answered_with_one_send() {
    let server = start(&[Strategy::Chunked]);
    Tcp::hello(server.tcp_addr()).set(b"key", &noise(100));
    let mut udp = Udp::proven(&server, 0);
    let before = settled_stats(&server, 0);
    const TRAINS: u64 = 100;
    for _ in 0..TRAINS {
        let requests = requests(&mut udp, &[&b"key"[..]; TRAIN]);
        send_train(&server, &udp, &requests);
        assert!(receive(&mut udp, TRAIN).iter().all(|datagram| datagram.len() == 16 + 16 + 100));
    }
    let after = settled_stats(&server, TRAINS * TRAIN as u64);
    let grown = |figure: fn(&WorkerReport) -> u64| sum(&after, figure) - sum(&before, figure);
    assert_eq!(grown(|worker| worker.answers), TRAINS * TRAIN as u64);
    assert_eq!(grown(|worker| worker.send_system_calls), TRAINS);
    // One that finds the train and one or two that find nothing, and a few an idle second.
    assert!(grown(|worker| worker.recv_system_calls) < TRAINS * TRAIN as u64 / 4, "{after:?}");
    assert_eq!(grown(|worker| worker.send_failed), 0);
}

#[test]
fn chunks_of_several_answers_share_a_send_where_they_can_be_levelled() {
    let server = start(&[Strategy::Chunked]);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let mut udp = Udp::proven(&server, 0);
    // 4008 and 4009 sealed bytes: three chunks of 1336, or two of 1337 and one that lacks two bytes.
    for bytes in [4000, 4001] {
        tcp.set(b"key", &noise(bytes));
        let before = settled_stats(&server, 0);
        let requests = requests(&mut udp, &[&b"key"[..]; TRAIN / 2]);
        send_train(&server, &udp, &requests);
        let datagrams = receive(&mut udp, 3 * TRAIN / 2);
        assert!(
            datagrams.iter().all(|datagram| datagram.len() == datagrams[0].len()),
            "{bytes} B are levelled"
        );
        let after = settled_stats(&server, sum(&before, |worker| worker.requests) + TRAIN as u64 / 2);
        let calls = |stats: &StatsReport| sum(stats, |worker| worker.send_system_calls);
        assert_eq!(calls(&after) - calls(&before), 1, "{bytes} B");
    }
}

#[test]
fn answers_are_the_same_alone_and_in_trains() {
    let server = start(&[Strategy::Chunked]);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let keys: Vec<Vec<u8>> = (0..40).map(|number| format!("key-{number:02}").into_bytes()).collect();
    // All lengths in turns: equal ones, longer ones, shorter ones, ones that are cut.
    for (number, key) in keys.iter().enumerate() {
        tcp.set(key, &noise([100, 100, 101, 50, 0, 1000, 1500, 5000, 4000, 4001][number % 10]));
    }
    let mut udp = Udp::proven(&server, 0);
    for order in [1, 3, 7, 9, 11, 13] {
        let keys: Vec<&[u8]> = (0..keys.len()).map(|at| keys[at * order % 40].as_slice()).collect();
        let requests = requests(&mut udp, &keys);
        let mut alone = Vec::new();
        for request in &requests {
            udp.send_bytes(request);
            let (mut came, mut total) = (0, 1);
            while came < total {
                for datagram in receive(&mut udp, 1) {
                    match Answer::parse(&datagram, Carrier::Udp).unwrap().frames().next().unwrap() {
                        Frame::Chunk(chunk) => {
                            (came, total) = (came + chunk.bytes.len(), chunk.total as usize)
                        }
                        _ => came = total,
                    }
                    alone.push(datagram);
                }
            }
        }
        send_train(&server, &udp, &requests);
        assert_eq!(receive(&mut udp, alone.len()), alone, "order {order}");
    }
}

#[test]
fn telemetry_counts_the_requests_of_a_train_one_by_one() {
    let server = start(&[Strategy::Chunked]);
    let mut udp = Udp::proven(&server, 0);
    udp.header.telemetry = true;
    for round in 0..3 {
        let requests = requests(&mut udp, &[&b"absent"[..]; TRAIN]);
        send_train(&server, &udp, &requests);
        for (number, datagram) in (1..).zip(receive(&mut udp, TRAIN)) {
            let first = Answer::parse(&datagram, Carrier::Udp).unwrap().frames().next();
            let Some(Frame::Telemetry(Telemetry { received, sent, .. })) = first else { panic!("{first:?}") };
            let number = round * TRAIN as u32 + number;
            assert_eq!((received, sent), (number, number - 1));
        }
    }
}

#[test]
fn workers_are_chosen_by_the_cpu_that_handles_a_datagram() {
    let cpus = allowed_cpus().unwrap();
    let config = Config { workers_per_port: cpus.len(), steer: Steer::Cpu, ..config(&[Strategy::Chunked]) };
    let server = Server::start(config).unwrap();
    const READS: u64 = 20;
    for &cpu in &cpus {
        // Loopback handles a datagram on the CPU that sends it.
        pin_thread_to(cpu).unwrap();
        for _ in 0..READS {
            let mut udp = Udp::proven(&server, 0);
            assert_eq!(udp.get(b"absent"), common::Read1::Miss);
        }
    }
    let stats = settled_stats(&server, READS * cpus.len() as u64);
    for worker in stats.workers() {
        assert_eq!(worker.requests, READS, "{worker:?}");
    }
}

#[test]
fn busy_polling_serves_and_sleeps_again() {
    let busy_poll = std::time::Duration::from_millis(2);
    let server = Server::start(Config { busy_poll, ..config(&[Strategy::Chunked]) }).unwrap();
    let mut udp = Udp::proven(&server, 0);
    for _ in 0..10 {
        assert_eq!(udp.get(b"absent"), common::Read1::Miss);
    }
    // While it sleeps, only its own timer wakes it: far fewer receives than the hundred thousands a second of a busy worker.
    let receives = || sum(&server.stats(), |worker| worker.recv_system_calls);
    let start = std::time::Instant::now();
    loop {
        let before = receives();
        std::thread::sleep(std::time::Duration::from_millis(50));
        if receives() - before < 3 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the worker never sleeps");
    }
    assert_eq!(udp.get(b"absent"), common::Read1::Miss);
}
