//! Trains that are not as they should be, and clients that could be mistaken for each other: each request is judged by itself.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{PATIENCE, Read1, Tcp, Udp, config, noise, settled_stats, start};
use shingle_proto::wire::{Answer, Carrier, Frame, Get};
use shingle_server::{Config, Pause, Server, Strategy};
use shingle_udp::SendBatch;

/// Sends bytes that the kernel cuts into datagrams of `segment_bytes`; loopback hands them to a socket with UDP_GRO as one.
fn send_cut(server: &Server, udp: &Udp, bytes: &[u8], segment_bytes: usize) {
    let ip = udp.socket.local_addr().unwrap().ip();
    let mut batch = SendBatch::new(1, 1, 0);
    let mut outgoing = batch.fill();
    assert!(outgoing.begin(SocketAddr::new(ip, server.ports()[0].port)));
    outgoing.borrow(bytes);
    outgoing.end(segment_bytes).unwrap();
    outgoing.send(&udp.socket, &mut |_, error| panic!("{error}")).unwrap();
}

/// The next `count` answers: flow and sequence, and ids with value lengths.
fn answers(udp: &mut Udp, count: usize) -> Vec<(u32, u32, Vec<u32>)> {
    let mut answers = Vec::new();
    while answers.len() < count {
        let came = udp.receive(PATIENCE, |bytes| {
            let answer = Answer::parse(bytes, Carrier::Udp).unwrap();
            let ids = answer.frames().map(|frame| match frame {
                Frame::Value(value) => value.id,
                Frame::Miss { id } => id,
                other => panic!("{other:?}"),
            });
            answers.push((answer.header.flow, answer.header.sequence, ids.collect()));
        });
        assert!(came, "{} of {count}", answers.len());
    }
    answers
}

#[test]
fn a_bad_request_in_a_train_costs_itself_alone() {
    let server = start(&[Strategy::Chunked]);
    Tcp::hello(server.tcp_addr()).set(b"key", &noise(100));
    let mut udp = Udp::proven(&server, 0);
    let good: Vec<Vec<u8>> = (0..64).map(|id| udp.request(&[Frame::Get(Get { id, key: b"key" })])).collect();
    let segment_bytes = good[0].len();
    // Every place is bad once; the last is also shorter.
    for bad in 0..64 {
        let before = settled_stats(&server, 0);
        let requests = before.workers().map(|worker| worker.requests).sum::<u64>();
        let mut bytes = good.concat();
        bytes[bad * segment_bytes + 10] ^= 1;
        if bad == 63 {
            bytes.truncate(bytes.len() - 3);
        }
        send_cut(&server, &udp, &bytes, segment_bytes);
        let ids: Vec<u32> = answers(&mut udp, 63).into_iter().flat_map(|answer| answer.2).collect();
        assert_eq!(ids, (0..64).filter(|&id| id != bad as u32).collect::<Vec<_>>());
        let after = settled_stats(&server, requests + 64);
        assert_eq!(after.drops.values().sum::<u64>() - before.drops.values().sum::<u64>(), 1);
    }
}

#[test]
fn garbage_cut_into_any_sizes_is_dropped_and_counted() {
    let server = start(&[Strategy::Chunked]);
    let mut udp = Udp::proven(&server, 0);
    let mut sent = 0;
    for (segment_bytes, bytes) in
        [(1, 128), (2, 255), (47, 47 * 100 + 1), (48, 4800), (1200, 60_001), (40_000, 65_507), (0, 65_507)]
    {
        send_cut(&server, &udp, &noise(bytes), segment_bytes);
        sent += if segment_bytes == 0 { 1 } else { bytes.div_ceil(segment_bytes) as u64 };
        udp.send_bytes(&[]);
        sent += 1;
        let stats = settled_stats(&server, sent);
        assert_eq!(stats.drops.values().sum::<u64>(), sent, "{segment_bytes}: {:?}", stats.drops);
    }
    assert_eq!(udp.get(b"absent"), Read1::Miss);
}

#[test]
fn clients_of_one_address_get_their_own_answers() {
    for listen in ["127.0.0.1", "::1", "::"] {
        // Workers stand still so that requests of all clients are received in one batch.
        let pause = Pause { duration: Duration::from_millis(40), interval: Duration::from_millis(80) };
        let config = Config {
            listen: listen.parse().unwrap(),
            inject_pause: Some(pause),
            ..config(&[Strategy::Chunked])
        };
        let Ok(server) = Server::start(config) else {
            eprintln!("no IPv6 here: not tested");
            return;
        };
        let ips: &[&str] = if listen == "::" { &["127.0.0.1", "::1"] } else { &[listen] };
        let mut clients = Vec::new();
        for flow in 0..4 {
            let ip = ips[flow % ips.len()].parse().unwrap();
            let tcp = SocketAddr::new(ip, server.tcp_addr().port());
            let cookie = Tcp::hello(tcp).cookie(tcp);
            let mut udp = Udp::to(SocketAddr::new(ip, server.ports()[0].port), Some(cookie));
            Tcp::hello(tcp).set(b"key", &noise(100));
            udp.header.flow = flow as u32;
            clients.push(udp);
        }
        const ROUNDS: u32 = 50;
        for id in 0..ROUNDS {
            for udp in &mut clients {
                let request = udp.request(&[Frame::Get(Get { id, key: b"key" })]);
                udp.send_bytes(&request);
            }
        }
        for (flow, udp) in (0..).zip(&mut clients) {
            let got = answers(udp, ROUNDS as usize);
            assert!(got.iter().all(|answer| answer.0 == flow), "{listen}: {got:?}");
            assert_eq!(
                got.into_iter().flat_map(|answer| answer.2).collect::<Vec<_>>(),
                (0..ROUNDS).collect::<Vec<_>>()
            );
        }
        let stats = settled_stats(&server, 4 * u64::from(ROUNDS));
        assert_eq!(stats.workers().map(|worker| worker.send_failed).sum::<u64>(), 0);
    }
}

#[test]
fn a_cookie_of_another_client_in_the_same_batch_is_worth_nothing() {
    let pause = Pause { duration: Duration::from_millis(40), interval: Duration::from_millis(80) };
    let server = Server::start(Config {
        inject_pause: Some(pause),
        listen: "0.0.0.0".parse().unwrap(),
        ..config(&[Strategy::Chunked])
    })
    .unwrap();
    let tcp = SocketAddr::new("127.0.0.1".parse().unwrap(), server.tcp_addr().port());
    Tcp::hello(tcp).set(b"key", &noise(1000));
    let cookie = Tcp::hello(tcp).cookie(tcp);
    let to = SocketAddr::new(tcp.ip(), server.ports()[0].port);
    let mut owner = Udp::to(to, Some(cookie));
    let mut thief = Udp::to(to, Some(cookie));
    thief.socket =
        shingle_udp::Socket::bind("127.0.0.2:0".parse().unwrap(), &shingle_udp::SocketOptions::default())
            .unwrap();
    thief.socket.connect(to).unwrap();
    for _ in 0..50 {
        for udp in [&mut owner, &mut thief] {
            let request = udp.request(&[Frame::Get(Get { id: 1, key: b"key" })]);
            udp.send_bytes(&request);
        }
    }
    let (mut values, mut challenges) = (0, 0);
    while values + challenges < 100 {
        for (udp, owns) in [(&mut owner, true), (&mut thief, false)] {
            if udp.socket.wait(true, false, Duration::from_millis(1)).unwrap().readable {
                udp.receive(PATIENCE, |bytes| {
                    match Answer::parse(bytes, Carrier::Udp).unwrap().frames().next() {
                        Some(Frame::Value(_)) if owns => values += 1,
                        Some(Frame::Challenge(_)) if !owns => challenges += 1,
                        other => panic!("{owns}: {other:?}"),
                    }
                });
            }
        }
    }
    assert_eq!((values, challenges), (50, 50));
}
