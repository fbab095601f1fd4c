//! No IP fragment leaves a chunked port: datagram sizes for values from 1 B to 1 MiB at the path MTUs that matter, in both
//! families, and that the chunks of one answer are equal but for balance and leave in one send.

mod common;

use std::net::SocketAddr;

use common::{Read1, Tcp, Udp, config, noise};
use shingle_proto::limits::{ANSWER_HEADER_BYTES, CHUNK_BYTES, SEAL_BYTES};
use shingle_server::{Config, Server, Strategy};
use shingle_udp::counters::Snapshot;

const PATH_MTUS: [usize; 4] = [1280, 1500, 8500, 9001];
/// One UDP_SEGMENT send takes at most this much.
const SEND_BYTES_MAX: usize = 65_507;
const SEGMENTS_MAX: usize = 128;

/// Sizes around every boundary of these path MTUs, and a few of each order of magnitude.
fn value_sizes() -> Vec<usize> {
    let mut sizes = vec![1, 2, 10, 100, 500, 3000, 20_000, 65_507, 200_000, (1 << 20) - 1, 1 << 20];
    for mtu in PATH_MTUS {
        let datagram = mtu - 28;
        let one = datagram - ANSWER_HEADER_BYTES - 16;
        let chunk = datagram - ANSWER_HEADER_BYTES - CHUNK_BYTES;
        sizes.extend([
            one - 20,
            one - 1,
            one,
            one + 1,
            chunk,
            2 * chunk - SEAL_BYTES,
            2 * chunk - SEAL_BYTES + 1,
            7 * chunk,
        ]);
    }
    sizes
}

fn fragments_made() -> u64 {
    let counters = Snapshot::read().expect("this host has procfs").flat();
    ["Ip.FragCreates", "Ip6.FragCreates"].iter().filter_map(|name| counters.get(*name)).sum()
}

/// Checks one family: the largest IP header there says how much of a path MTU is left for UDP's payload.
fn family(address: &str, headers_bytes: usize) {
    for mtu in PATH_MTUS {
        let listen = address.parse().expect("a literal");
        let config = Config { listen, path_mtu_bytes: Some(mtu), ..config(&[Strategy::Chunked]) };
        let Ok(server) = Server::start(config) else {
            assert!(address.contains(':'), "IPv4 loopback is always there");
            eprintln!("{address} is not there: IPv6 is not tested");
            return;
        };
        let mut tcp = Tcp::hello(SocketAddr::new(listen, server.tcp_addr().port()));
        let mut udp = Udp::proven(&server, 0);
        // The client announces more than the port may send, so that it is the port that is tested.
        udp.header.datagram_max = 65_507;
        udp.header.credit = 256 << 10;
        for bytes in value_sizes() {
            tcp.set(b"key", &noise(bytes));
            let before = server.stats();
            assert_eq!(
                udp.get(b"key"),
                Read1::Value(noise(bytes)),
                "{bytes} B at path MTU {mtu} over {address}"
            );
            let largest = udp.sizes.iter().max().expect("an answer");
            assert!(largest + headers_bytes <= mtu, "{bytes} B: {largest} B of payload at path MTU {mtu}");
            balanced(&udp.sizes, bytes, mtu);
            one_send(&server, &before, &udp.sizes, mtu);
        }
    }
}

/// Within one answer (as far as one credit goes) all chunks are equal but the last, which is the shorter for it.
fn balanced(sizes: &[usize], bytes: usize, mtu: usize) {
    if sizes.iter().sum::<usize>() > 256 << 10 {
        return; // Several credits, several answers.
    }
    let (last, chunks) = sizes.split_last().expect("an answer");
    assert!(chunks.iter().all(|size| *size == chunks[0]), "{bytes} B at {mtu}: {sizes:?}");
    if let Some(first) = chunks.first() {
        assert!(last <= first && first - last < sizes.len(), "{bytes} B at {mtu}: {sizes:?} is not balanced");
    }
}

/// An answer that one UDP_SEGMENT send can carry leaves with one system call.
fn one_send(server: &Server, before: &shingle_server::stats::StatsReport, sizes: &[usize], mtu: usize) {
    if sizes.len() > SEGMENTS_MAX || sizes.iter().sum::<usize>() > SEND_BYTES_MAX {
        return;
    }
    let calls = |stats: &shingle_server::stats::StatsReport| -> u64 {
        stats.workers().map(|worker| worker.send_system_calls).sum()
    };
    // The worker counts after the send, which the answer may overtake.
    let deadline = std::time::Instant::now() + common::PATIENCE;
    let answers = |stats: &shingle_server::stats::StatsReport| -> u64 {
        stats.workers().map(|worker| worker.answers).sum()
    };
    let after = loop {
        let stats = server.stats();
        if answers(&stats) >= answers(before) + sizes.len() as u64 {
            break stats;
        }
        assert!(std::time::Instant::now() < deadline, "{} answers never counted", sizes.len());
        std::thread::yield_now();
    };
    assert_eq!(
        calls(&after) - calls(before),
        1,
        "{} datagrams at path MTU {mtu} left in one send",
        sizes.len()
    );
}

#[test]
fn no_datagram_of_a_chunked_port_needs_a_fragment() {
    let before = fragments_made();
    family("127.0.0.1", 20 + 8);
    family("::1", 40 + 8);
    assert_eq!(fragments_made(), before, "the kernel made no fragment");
}
