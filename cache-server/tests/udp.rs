//! The data plane over loopback: sizes, strategies, what is dropped, and what strangers get.

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{PATIENCE, Read1, Tcp, Udp, config, noise, settled_stats, start};
use shingle_proto::limits::DATAGRAM_BYTES_MIN;
use shingle_proto::wire::{Answer, AnswerHeader, Carrier, DropReason, Frame, Get, Probe, Refusal, Telemetry};
use shingle_server::{Config, Pause, Server, Strategy};

#[test]
fn values_of_every_size_arrive_in_datagrams_of_the_announced_size() {
    let server = start(&[Strategy::Chunked]);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let mut udp = Udp::proven(&server, 0);
    for bytes in [0, 1, 100, 1408, 1440, 1441, 1500, 9000, 65_507, 200_000, 1 << 20] {
        tcp.set(b"key", &noise(bytes));
        for announced in [DATAGRAM_BYTES_MIN as u16, 1472, 8973, 65_507] {
            udp.header.datagram_max = announced;
            assert_eq!(udp.get(b"key"), Read1::Value(noise(bytes)), "{bytes} B at {announced}");
            let largest = *udp.sizes.iter().max().unwrap();
            assert!(largest <= usize::from(announced.min(8973)), "{bytes} B at {announced}: {largest}");
        }
    }
    let stats = settled_stats(&server, 0);
    let worker = stats.workers().next().unwrap();
    assert_eq!((worker.send_failed, worker.misses, worker.refused, worker.challenged), (0, 0, 0, 0));
    assert!(worker.send_system_calls < worker.answers / 4, "chunks share system calls: {worker:?}");
}

#[test]
fn ipv6_and_both_families_on_one_socket() {
    for (listen, client) in [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")] {
        let listen = listen.parse().unwrap();
        let Ok(server) = Server::start(Config { listen, ..config(&[Strategy::Chunked]) }) else {
            eprintln!("no IPv6 here: not tested");
            return;
        };
        let tcp_addr = SocketAddr::new(client.parse().unwrap(), server.tcp_addr().port());
        let mut tcp = Tcp::hello(tcp_addr);
        tcp.set(b"key", &noise(20_000));
        let cookie = tcp.cookie(tcp_addr);
        let mut udp = Udp::connect(&server, 0, Some(cookie));
        let options = shingle_udp::SocketOptions::default();
        udp.socket = shingle_udp::Socket::bind(SocketAddr::new(tcp_addr.ip(), 0), &options).unwrap();
        udp.socket.connect(SocketAddr::new(tcp_addr.ip(), server.ports()[0].port)).unwrap();
        udp.header.datagram_max = 65_507;
        assert_eq!(udp.get(b"key"), Read1::Value(noise(20_000)), "{client} to {listen}");
        // Three chunks, each of them full up to the balance, in packets of at most 9001 bytes.
        let datagram_max = if tcp_addr.is_ipv6() { 9001 - 48 } else { 9001 - 28 };
        assert!(
            udp.sizes.len() == 3 && udp.sizes.iter().all(|&size| size <= datagram_max),
            "{:?}",
            udp.sizes
        );
    }
}

#[test]
fn every_strategy_serves() {
    let server = start(&Strategy::ALL);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let soft = vec![b'x'; 50_000];
    tcp.set(b"small", &noise(300));
    tcp.set(b"medium", &noise(5000));
    tcp.set(b"large", &noise(40_000));
    tcp.set(b"soft", &soft);
    for (port, strategy) in Strategy::ALL.into_iter().enumerate() {
        let mut udp = Udp::proven(&server, port);
        assert_eq!(udp.get(b"small"), Read1::Value(noise(300)), "{strategy:?}");
        assert_eq!(udp.get(b"medium"), Read1::Value(noise(5000)), "{strategy:?}");
        let datagrams = udp.sizes.len();
        let (large, soft_read) = (udp.get(b"large"), udp.get(b"soft"));
        let soft_datagrams = udp.sizes.len();
        match strategy {
            Strategy::Chunked | Strategy::Compressed => {
                assert_eq!(
                    (datagrams, large, soft_read),
                    (4, Read1::Value(noise(40_000)), Read1::Value(soft.clone()))
                );
                assert_eq!(soft_datagrams == 1, strategy == Strategy::Compressed, "{soft_datagrams}");
            }
            Strategy::KernelPmtud | Strategy::DfOff => {
                assert_eq!(
                    (datagrams, large, soft_read),
                    (1, Read1::Value(noise(40_000)), Read1::Value(soft.clone()))
                );
                assert_eq!(soft_datagrams, 1);
            }
            Strategy::DfStrict | Strategy::Interface => {
                let too_big = || Read1::Refused(Refusal::TooBig, 8973);
                assert_eq!((datagrams, large, soft_read), (1, too_big(), too_big()));
            }
        }
    }
    let stats = server.stats();
    assert!(stats.workers().all(|worker| worker.send_failed == 0), "{stats:?}");
}

#[test]
fn several_workers_share_a_port() {
    let server = Server::start(Config { workers_per_port: 3, ..config(&[Strategy::Chunked]) }).unwrap();
    Tcp::hello(server.tcp_addr()).set(b"key", b"value");
    let mut flows: Vec<_> = (0..64).map(|_| Udp::proven(&server, 0)).collect();
    for udp in &mut flows {
        assert_eq!(udp.get(b"key"), Read1::Value(b"value".to_vec()));
    }
    let stats = settled_stats(&server, 64);
    let requests: Vec<_> = stats.workers().map(|worker| worker.requests).collect();
    assert_eq!((requests.len(), requests.iter().sum::<u64>()), (3, 64));
    assert!(requests.iter().filter(|&&requests| requests > 0).count() > 1, "{requests:?}");
    let allowed = shingle_udp::allowed_cpus().unwrap();
    let cpus: Vec<_> = stats.workers().map(|worker| worker.cpu.map(|cpu| cpu as usize)).collect();
    let from_the_lowest: Vec<_> = allowed.iter().cycle().take(3).map(|&cpu| Some(cpu)).collect();
    assert_eq!(cpus, from_the_lowest);
}

#[test]
fn strangers_get_no_more_than_they_sent() {
    let server = start(&[Strategy::Chunked]);
    let mut tcp = Tcp::hello(server.tcp_addr());
    tcp.set(b"large", &noise(10_000));
    tcp.set(b"tiny", b"1");
    let mut udp = Udp::connect(&server, 0, None);
    assert_eq!(udp.get(b"large"), Read1::Challenged);
    assert!(udp.sizes[0] <= 48);
    assert_eq!(udp.get(b"absent"), Read1::Miss);
    assert_eq!(udp.get(b"tiny"), Read1::Value(b"1".to_vec()), "it fits the request");
    // The cookie of the challenge opens the way.
    let request = udp.request(&[Frame::Get(Get { id: 1, key: b"large" })]);
    udp.send_bytes(&request);
    let mut cookie = None;
    udp.receive(PATIENCE, |bytes| match Answer::parse(bytes, Carrier::Udp).unwrap().frames().next() {
        Some(Frame::Challenge(found)) => cookie = Some(found),
        other => panic!("{other:?}"),
    });
    udp.cookie = cookie;
    assert_eq!(udp.get(b"large"), Read1::Value(noise(10_000)));
    assert_eq!(settled_stats(&server, 5).workers().next().unwrap().challenged, 2);
}

/// A port that would have to decode first does no work for who did not prove an address, even where the answer would fit.
#[test]
fn nothing_is_decoded_for_strangers() {
    let server = start(&[Strategy::Chunked, Strategy::Compressed]);
    let key = [b'k'; 200];
    Tcp::hello(server.tcp_addr()).set(&key, &[0; 100]);
    let [mut decodes, mut as_stored] = [0, 1].map(|port| Udp::connect(&server, port, None));
    assert_eq!(decodes.get(&key), Read1::Challenged);
    assert_eq!(as_stored.get(&key), Read1::Value(vec![0; 100]));
    assert_eq!(Udp::proven(&server, 0).get(&key), Read1::Value(vec![0; 100]));
}

/// The telemetry that comes with the answer to a read of nothing.
fn telemetry_of_a_miss(udp: &mut Udp) -> Telemetry {
    udp.header.telemetry = true;
    let request = udp.request(&[Frame::Get(Get { id: 1, key: b"absent" })]);
    udp.send_bytes(&request);
    let mut found = None;
    let came =
        udp.receive(PATIENCE, |bytes| match Answer::parse(bytes, Carrier::Udp).unwrap().frames().next() {
            Some(Frame::Telemetry(telemetry)) => found = Some(telemetry),
            other => panic!("{other:?}"),
        });
    assert!(came, "no answer");
    found.unwrap()
}

#[test]
fn telemetry_tells_the_worker_and_its_books() {
    let server = start(&[Strategy::DfOff, Strategy::Chunked]);
    let mut udp = Udp::proven(&server, 1);
    for round in 1..=3u32 {
        let telemetry = telemetry_of_a_miss(&mut udp);
        let place = (telemetry.worker, telemetry.port_index, telemetry.nonce);
        assert_eq!(place, (1, 1, server.stats().nonce));
        assert_eq!((telemetry.received, telemetry.sent, telemetry.dropped), (round, round - 1, 0));
    }
}

/// A server whose worker stands still for most of the time.
fn start_pausing() -> Server {
    let pause = Pause { duration: Duration::from_millis(80), interval: Duration::from_millis(100) };
    Server::start(Config { inject_pause: Some(pause), ..config(&[Strategy::Chunked]) }).unwrap()
}

#[test]
fn telemetry_tells_how_long_a_request_waited_for_the_worker() {
    let server = start_pausing();
    let mut udp = Udp::connect(&server, 0, None);
    // Most reads meet no worker that stands still, but sooner or later one does and waits for the end of the pause.
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        let residence = Duration::from_micros(telemetry_of_a_miss(&mut udp).residence_us.into());
        // Twice, as the two ends read different clocks.
        assert!(residence <= 2 * asked.elapsed(), "{residence:?} within {:?}", asked.elapsed());
        if residence >= Duration::from_millis(5) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "no read tells that it met a pause");
    }
}

#[test]
fn telemetry_tells_what_the_kernel_dropped() {
    let server = start_pausing();
    let mut udp = Udp::connect(&server, 0, None);
    // Nobody empties the socket during a pause: datagrams the worker has no use for soon fill its receive buffer.
    let (burst, mut sent) = (noise(60_000), 0);
    let start = Instant::now();
    while server.stats().workers().all(|worker| worker.socket_drops == 0) {
        assert!(start.elapsed() < PATIENCE, "the receive buffer never overflowed");
        (0..64).for_each(|_| udp.send_bytes(&burst));
        sent += 64;
    }
    // Once each of them was received or dropped, there is room again.
    while server.stats().workers().map(|worker| worker.requests + worker.socket_drops).sum::<u64>() < sent {
        assert!(start.elapsed() < PATIENCE, "{sent} datagrams: {:?}", server.stats());
        std::thread::yield_now();
    }
    let dropped = telemetry_of_a_miss(&mut udp).dropped;
    let stats = settled_stats(&server, 0);
    let worker = stats.workers().next().unwrap();
    assert_eq!(u64::from(dropped), worker.socket_drops);
    assert!(dropped > 0);
    assert_eq!(worker.requests + worker.socket_drops, sent + 1, "each was received or dropped");
}

#[test]
fn probes_are_served_where_df_is_set() {
    let server = start(&Strategy::ALL);
    for (port, strategy) in Strategy::ALL.into_iter().enumerate() {
        let mut udp = Udp::proven(&server, port);
        let request = udp.request(&[Frame::Probe(Probe { up: false, down: true, size: 4000, id: 3 })]);
        udp.send_bytes(&request);
        let (mut size, mut refused) = (0, None);
        udp.receive(PATIENCE, |bytes| {
            size = bytes.len();
            if let Some(Frame::Refused(found)) = Answer::parse(bytes, Carrier::Udp).unwrap().frames().next() {
                refused = Some(found.reason);
            }
        });
        match strategy {
            Strategy::Chunked | Strategy::Compressed | Strategy::DfStrict => {
                assert_eq!((size, refused), (4000, None))
            }
            _ => assert_eq!(refused, Some(Refusal::NotServed), "{strategy:?}"),
        }
    }
}

/// Every kind of wrong datagram, with the reason it is to be counted by.
fn malformed(good: &[u8]) -> Vec<(Vec<u8>, DropReason)> {
    let sealed = |mut bytes: Vec<u8>| {
        let checksum = shingle_proto::checksum::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    };
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        bytes
    };
    let mut all = Vec::new();
    all.extend([0, 1, 15, 16, 23, 24, 35, 47].map(|length| (good[..length].to_vec(), DropReason::Short)));
    all.extend(
        [0, 1, 0x5D, 0x5F, 0xFF, b'G', 0xA1, 0x80].map(|magic| (changed(4, magic), DropReason::Magic)),
    );
    all.extend(
        [0, 2, 3, 9, 64, 127, 128, 255].map(|version| (sealed(changed(5, version)), DropReason::Version)),
    );
    all.extend((0..8).map(|bit| (changed(24 + bit, good[24 + bit] ^ 1 << bit), DropReason::Checksum)));
    all.extend((0..8).map(|bit| (changed(0, good[0] ^ 1 << bit), DropReason::Checksum)));
    let mut answer = AnswerHeader { attempt: 0, flow: 1, sequence: 1, draining: false }.to_bytes().to_vec();
    for length in [48, 49, 60, 100, 200, 400, 800, 1400] {
        answer.resize(length, 0);
        all.push((sealed(answer.clone()), DropReason::Kind));
    }
    // Frames: none, unknown, of TCP, of answers, a key of no or too many bytes, one that is cut, a datagram_max too small.
    let frame = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        (sealed(bytes), DropReason::Frame)
    };
    all.push(frame(&|bytes| bytes[24..].fill(0)));
    all.extend([0x05, 0x11, 0x21, 0x22, 0x32, 0xFF].map(|kind| frame(&move |bytes| bytes[24] = kind)));
    all.extend([0, 251, 255].map(|length| frame(&move |bytes| bytes[25] = length)));
    all.push(frame(&|bytes| {
        bytes.truncate(48);
        bytes[25] = 100;
    }));
    all.push(frame(&|bytes| bytes[16..18].copy_from_slice(&(DATAGRAM_BYTES_MIN as u16 - 1).to_be_bytes())));
    all.extend([9217, 12_000, 30_000, 65_507].map(|length| {
        let mut bytes = good.to_vec();
        bytes.resize(length, 0);
        (sealed(bytes), DropReason::Oversized)
    }));
    all
}

#[test]
fn what_is_malformed_is_counted_by_reason_and_answered_by_nothing() {
    let server = start(&[Strategy::Chunked]);
    let mut udp = Udp::connect(&server, 0, None);
    let good = udp.request(&[Frame::Get(Get { id: 0x0102_0304, key: &[b'k'; 40] })]);
    let cases = malformed(&good);
    assert!(cases.len() >= 64, "{}", cases.len());
    for (bytes, reason) in &cases {
        let before = server.stats().drops[reason.name()];
        udp.send_bytes(bytes);
        let start = Instant::now();
        while server.stats().drops[reason.name()] != before + 1 {
            assert!(start.elapsed() < PATIENCE, "{} bytes not counted as {reason}", bytes.len());
            std::thread::yield_now();
        }
    }
    let stats = settled_stats(&server, cases.len() as u64);
    assert_eq!(
        stats.drops.values().sum::<u64>(),
        cases.len() as u64,
        "each by one reason: {:?}",
        stats.drops
    );
    assert_eq!(stats.workers().map(|worker| worker.answers).sum::<u64>(), 0);
    assert_eq!(udp.get(&[b'k'; 40]), Read1::Miss, "the good one is answered, and nothing was before it");
}

#[test]
fn a_server_does_not_answer_a_server() {
    let servers = [start(&[Strategy::Chunked, Strategy::Chunked]), start(&[Strategy::Chunked])];
    let own = servers[0].ports()[1].port;
    // The second port's worker has the address; a raw sender cannot be had without rights, so the first server's port list
    // is met from a socket that shares it.
    let options = shingle_udp::SocketOptions { reuse_port: true, ..Default::default() };
    let taken = shingle_udp::Socket::bind(SocketAddr::from(([127, 0, 0, 1], own)), &options);
    assert!(taken.is_err(), "a port with one worker is not shared");
    let elsewhere = shingle_udp::Socket::bind(SocketAddr::from(([127, 0, 0, 2], own)), &options).unwrap();
    let mut udp = Udp::connect(&servers[0], 0, None);
    elsewhere.connect(SocketAddr::from(([127, 0, 0, 1], servers[0].ports()[0].port))).unwrap();
    udp.socket = elsewhere;
    let request = udp.request(&[Frame::Get(Get { id: 1, key: b"k" })]);
    udp.send_bytes(&request);
    let stats = settled_stats(&servers[0], 1);
    assert_eq!((stats.drops["source"], stats.workers().map(|worker| worker.answers).sum::<u64>()), (1, 0));
}

#[test]
fn injected_pauses_stop_the_workers() {
    let server = start_pausing();
    let mut udp = Udp::connect(&server, 0, None);
    // Most reads meet no worker that stands still, but sooner or later one does and waits for the end of the pause.
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        assert_eq!(udp.get(b"absent"), Read1::Miss);
        if asked.elapsed() >= Duration::from_millis(10) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "no read met a pause");
    }
}

/// Random datagrams beside reads. `SHINGLE_RANDOM_DATAGRAMS=10000000 cargo test --release -p shingle-server --test udp
/// random` sends as many as the issue asks for; in the ordinary run it is 100,000.
#[test]
fn random_datagrams_disturb_nobody() {
    let wanted = std::env::var("SHINGLE_RANDOM_DATAGRAMS").map_or(100_000u64, |count| count.parse().unwrap());
    let server = start(&[Strategy::Chunked]);
    Tcp::hello(server.tcp_addr()).set(b"key", &noise(3000));
    let noise_source = Udp::connect(&server, 0, None);
    let mut reader = Udp::proven(&server, 0);
    let bytes = noise(70_000);
    let (mut sent, mut reads) = (0, 0);
    while sent < wanted {
        // A burst that the socket's buffer holds, then a read behind it.
        for _ in 0..64 {
            let (from, length) = (sent as usize * 31 % 60_000, sent as usize * 17 % 1500);
            noise_source.send_bytes(&bytes[from..from + length]);
            sent += 1;
        }
        assert_eq!(reader.get(b"key"), Read1::Value(noise(3000)));
        reads += 1;
    }
    let stats = settled_stats(&server, sent + reads);
    let worker = stats.workers().next().unwrap();
    assert_eq!((worker.hits, stats.drops.values().sum::<u64>(), worker.socket_drops), (reads, sent, 0));
}
