//! Without a valid cookie no answer is longer than its request (`PROTOCOL.md`, section 7): every frame a request may have, every
//! length a datagram of an MTU of 1500 may have, whatever is stored, on every kind of port.

use std::net::SocketAddr;

use shingle_proto::checksum::crc32c;
use shingle_proto::cookie::{Cookie, CookieKeys, Proof};
use shingle_proto::limits::{COOKIE_AGE_S_MAX, COOKIE_AHEAD_S_MAX, REQUEST_BYTES_MIN};
use shingle_proto::server::{self, Answer, Facts, Found, PortLimits, Workspace};
use shingle_proto::wire::{Frame, Get, Probe, RequestHeader};

#[expect(dead_code, reason = "lengths are what counts here, no store is needed")]
mod server_support;

use server_support::{CHUNKED, HEADER, ONE_DATAGRAM, STRICT, TELEMETRY, VERSION, request, rerequest_with};

const NOW_S: u32 = 1_700_000_000;
const LENGTH_MAX: usize = 1500;
/// Every kind of port, also one that refuses what is too big and serves no probes.
const PORTS: [PortLimits; 5] = [
    CHUNKED,
    ONE_DATAGRAM,
    STRICT,
    PortLimits { probes_served: false, ..STRICT },
    PortLimits { datagram_max: 1200, ..CHUNKED },
];

fn source() -> SocketAddr {
    "192.0.2.7:40000".parse().expect("an address")
}

fn keys() -> CookieKeys {
    CookieKeys::new([9; 16])
}

/// No cookie, and every kind that proves nothing: each with the name it fails under.
fn worthless_cookies() -> Vec<(&'static str, Option<Cookie>)> {
    let ip = source().ip();
    let mut flipped = keys().make(ip, NOW_S);
    flipped.0[15] ^= 1;
    vec![
        ("none", None),
        ("flipped", Some(flipped)),
        ("too old", Some(keys().make(ip, NOW_S - COOKIE_AGE_S_MAX - 1))),
        ("from the future", Some(keys().make(ip, NOW_S + COOKIE_AHEAD_S_MAX + 1))),
        ("of another address", Some(keys().make("192.0.2.8".parse().expect("an address"), NOW_S))),
        ("of another secret", Some(CookieKeys::new([8; 16]).make(ip, NOW_S))),
    ]
}

/// Requests of one frame, and of many, of at most this length; one with padding up to it where that is longer.
fn requests(header: &RequestHeader, cookie: Option<Cookie>, length: usize) -> Vec<(String, Vec<u8>)> {
    let write = |frames: &[Frame<'_>]| {
        request(header, length, |writer| {
            cookie.iter().for_each(|cookie| writer.push(&Frame::Cookie(*cookie)).expect("room"));
            frames.iter().for_each(|frame| writer.push(frame).expect("room"));
        })
    };
    let get = |id| Frame::Get(Get { id, key: b"k" });
    let mut all = vec![
        ("get".into(), write(&[get(0)])),
        ("64 gets".into(), write(&(0..64).map(get).collect::<Vec<_>>())),
    ];
    for (up, down) in [(true, false), (false, true), (true, true)] {
        for size in [0, length, length + 1, 8972, 8973] {
            let probe = Frame::Probe(Probe { up, down, size: size as u16, id: 1 });
            all.push((format!("probe {up} {down} {size}"), write(&[probe])));
        }
    }
    for version in [VERSION, VERSION + 1] {
        for ranges in [
            &[(0, 1)][..],
            &[(0, 1 << 20)],
            &[(0, 1), (2, 1), (4, 60_000)],
            &[(0, 1), (2, 1)],
            &[(1 << 30, 9)],
        ] {
            let again = rerequest_with(header, cookie, 0, version, ranges);
            all.push((format!("re-request {version} {ranges:?}"), padded(again, length)));
        }
    }
    all.retain(|(_, bytes)| bytes.len() == length);
    all
}

/// A finished request with padding behind it, and its checksum made again.
fn padded(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(bytes.len().max(length), 0);
    let checksum = crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// What may be found: nothing, what does not decode, and values whose answers are just shorter and just longer than the request.
fn finds(length: usize, stored: &[u8]) -> Vec<Found<'_>> {
    let lengths = [length - 42, length - 41, length - 32, length - 31, length, stored.len()];
    let value = |bytes: usize| Found::Value { sealed: &stored[..bytes.max(8)], version: VERSION };
    let values = lengths.into_iter().map(value);
    [Found::Nothing, Found::Unreadable, Found::Withheld].into_iter().chain(values).collect()
}

/// Answers a request as a server does, and says what was wrong with the answer.
fn check(bytes: &[u8], found: Found<'_>, port: &PortLimits, draining: bool) -> Result<bool, String> {
    let Ok(request) = server::accept(bytes, source(), &[7400]) else { return Ok(false) };
    let proof = keys().prove(request.cookie.as_ref(), source().ip(), NOW_S);
    if !matches!(proof, Proof::Missing(_)) {
        return Err(format!("{proof:?} without a valid cookie"));
    }
    let facts = Facts { proof, draining, telemetry: Some(TELEMETRY) };
    let mut workspace = Workspace::new();
    let answer = Answer::new(&request, port, &facts, &mut workspace, |_, _| found);
    let (stated, count) = (answer.summary().bytes as usize, answer.len());
    let sent: usize = answer.map(|datagram| datagram.len()).sum();
    if sent != stated || sent > bytes.len() || sent == 0 || count != 1 {
        return Err(format!("{sent} B in {count} datagrams ({stated} B stated) for {} B", bytes.len()));
    }
    Ok(true)
}

#[test]
fn every_frame_of_every_length_is_answered_with_no_more_than_it_has() {
    let stored = vec![7; 70_000];
    let mut answered = 0_u64;
    for length in REQUEST_BYTES_MIN..=LENGTH_MAX {
        for telemetry in [false, true] {
            let header = RequestHeader { telemetry, datagram_max: 65_507, ..HEADER };
            for (name, bytes) in requests(&header, None, length) {
                for found in finds(length, &stored) {
                    for (place, port) in PORTS.iter().enumerate() {
                        match check(&bytes, found, port, length % 2 == 0) {
                            Ok(true) => answered += 1,
                            Ok(false) => panic!("{name}, {length} B: not accepted"),
                            Err(wrong) => panic!(
                                "{name}, {length} B, telemetry {telemetry}, port {place}, {found:?}: {wrong}"
                            ),
                        }
                    }
                    if name.starts_with("probe") {
                        break; // nothing is looked up
                    }
                }
            }
        }
    }
    assert!(answered > 400_000, "{answered} requests were answered");
}

#[test]
fn a_cookie_that_proves_nothing_buys_nothing() {
    let stored = vec![7; 70_000];
    for (kind, cookie) in worthless_cookies() {
        for length in (68..=LENGTH_MAX).step_by(131) {
            for telemetry in [false, true] {
                let header = RequestHeader { telemetry, ..HEADER };
                for (name, bytes) in requests(&header, cookie, length) {
                    for found in finds(length, &stored) {
                        for port in &PORTS {
                            let checked = check(&bytes, found, port, true);
                            assert_eq!(checked, Ok(true), "cookie {kind}, {name}, {length} B, {found:?}");
                        }
                    }
                }
            }
        }
    }
}

/// However long the request: what a server does not look at for an unproven client, it is challenged for.
#[test]
fn what_is_withheld_is_challenged() {
    for length in REQUEST_BYTES_MIN..=LENGTH_MAX {
        for (name, bytes) in requests(&HEADER, None, length) {
            let request = server::accept(&bytes, source(), &[7400]).expect("well-formed");
            for (proof, challenged) in
                [(keys().prove(None, source().ip(), NOW_S), true), (Proof::Valid, false)]
            {
                let facts = Facts { proof, draining: false, telemetry: None };
                let (mut workspace, mut asked) = (Workspace::new(), false);
                let withhold = |_: usize, _: &[u8]| {
                    asked = true;
                    Found::Withheld
                };
                let summary = Answer::new(&request, &PORTS[0], &facts, &mut workspace, withhold).summary();
                assert!(!asked || summary.challenged == challenged, "{name}, {length} B, {proof:?}");
            }
        }
    }
}

/// Whatever the first frame of a datagram holds: if it is accepted at all, the same is true of it.
#[test]
fn frames_of_every_type_are_dropped_or_bounded() {
    let stored = vec![7; 70_000];
    let found = Found::Value { sealed: &stored, version: VERSION };
    let mut accepted = Vec::new();
    for frame_type in 0..=u8::MAX {
        for (filling, filled, length) in fillings() {
            let mut bytes = HEADER.to_bytes().to_vec();
            bytes.push(frame_type);
            bytes.resize(bytes.len() + filled, filling);
            let bytes = padded(bytes, length);
            for port in &PORTS {
                match check(&bytes, found, port, false) {
                    Ok(true) => accepted.push(frame_type),
                    Ok(false) => break,
                    Err(wrong) => panic!("type {frame_type}, {filled} x {filling}, {length} B: {wrong}"),
                }
            }
        }
    }
    accepted.dedup();
    assert_eq!(accepted, [0x01, 0x02, 0x03, 0x04], "GET, REREQUEST, PROBE, and COOKIE before one of them");
}

/// With what a frame is filled behind its type, how far, and the length of the datagram.
fn fillings() -> impl Iterator<Item = (u8, usize, usize)> {
    [0, 1, 2, 7, 255]
        .into_iter()
        .flat_map(|filling| (0..48).flat_map(move |filled| [48, 100].map(|length| (filling, filled, length))))
}
