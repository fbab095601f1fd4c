//! What the protocol costs a read: parsing, answering, chunking, reassembly, cookies. Two memcpy and two checksum passes stand beside
//! the chunked read as its floor.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use shingle_benches::{Gathered, get_datagram};
use shingle_proto::checksum::crc32c;
use shingle_proto::client::{Client, ClientConfig, Join, ReceiveBuffer};
use shingle_proto::cookie::{CookieKeys, Proof};
use shingle_proto::seal::seal;
use shingle_proto::server::{Facts, Found, PortLimits, answer};
use shingle_proto::wire::{Carrier, Request};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW_S: u32 = 1_800_000_000;
const KEY: &[u8] = b"item:000000000000001";
const PORT: PortLimits = PortLimits {
    datagram_max: 8973,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: true,
};
const FACTS: Facts = Facts { proof: Proof::Valid, draining: false, telemetry: None };

fn sealed(value_bytes: usize) -> Vec<u8> {
    let value = vec![7; value_bytes];
    [seal(KEY, &value).as_slice(), &value].concat()
}

fn small(c: &mut Criterion) {
    let keys = CookieKeys::new([3; 16]);
    let cookie = keys.make(ADDRESS, NOW_S);
    let request = get_datagram(KEY, 1472, cookie);
    let stored = sealed(100);
    let mut out = Gathered::with_room(4096);
    c.bench_function("parse a get", |b| {
        b.iter(|| Request::parse(black_box(&request), Carrier::Udp).expect("valid").reads);
    });
    c.bench_function("parse a get and answer it, 100 B", |b| {
        b.iter(|| {
            out.clear();
            let request = Request::parse(black_box(&request), Carrier::Udp).expect("valid");
            answer(&request, &PORT, &FACTS, |_| Found::Value { sealed: &stored, version: 1 }, &mut out)
        });
    });
    c.bench_function("check a cookie", |b| b.iter(|| keys.prove(Some(black_box(&cookie)), ADDRESS, NOW_S)));
}

fn chunked(c: &mut Criterion) {
    let keys = CookieKeys::new([3; 16]);
    let cookie = keys.make(ADDRESS, NOW_S);
    let stored = sealed(64 << 10);
    let mut out = Gathered::with_room(128 << 10);
    let request = get_datagram(KEY, 1472, cookie);
    c.bench_function("chunk 64 KiB", |b| {
        b.iter(|| {
            out.clear();
            let request = Request::parse(&request, Carrier::Udp).expect("valid");
            answer(
                &request,
                &PORT,
                &FACTS,
                |_| Found::Value { sealed: black_box(&stored), version: 1 },
                &mut out,
            )
        });
    });
    for shuffled in [false, true] {
        let name = if shuffled { "read 64 KiB, chunks backwards" } else { "read 64 KiB, chunks in order" };
        c.bench_function(name, |b| {
            let mut client = Client::new(ClientConfig {
                datagram_max: 1472,
                receive_buffer: ReceiveBuffer::linux(4 << 20),
                ..ClientConfig::default()
            })
            .expect("settings in range");
            client.set_cookie(cookie);
            b.iter(|| read(&mut client, &stored, &mut out, shuffled));
        });
    }
    let mut copy = vec![0; stored.len()];
    c.bench_function("floor: 2 memcpy and 2 checksums of 64 KiB", |b| {
        b.iter(|| {
            let mut sum = 0;
            for _ in 0..2 {
                copy.copy_from_slice(black_box(&stored));
                sum ^= crc32c(black_box(&copy));
            }
            sum
        });
    });
}

/// One whole read: get, answer, reassembly and check.
fn read(client: &mut Client, stored: &[u8], out: &mut Gathered, backwards: bool) {
    let mut request = [0; 1472];
    client.get(0, KEY, 1, 1_000_000_000, Join::Alone).expect("room");
    let sent = client.poll_transmit(0, &mut request).expect("a request");
    out.clear();
    let parsed = Request::parse(&request[..sent.bytes], Carrier::Udp).expect("valid");
    answer(&parsed, &PORT, &FACTS, |_| Found::Value { sealed: stored, version: 1 }, out);
    let mut ended = 0;
    let mut take = |datagram: &[u8]| client.handle_datagram(1, datagram, &mut |_| ended += 1);
    if backwards {
        out.datagrams().rev().for_each(&mut take);
    } else {
        out.datagrams().for_each(&mut take);
    }
    assert_eq!(ended, 1, "the read ended");
}

criterion_group!(benches, small, chunked);
criterion_main!(benches);
