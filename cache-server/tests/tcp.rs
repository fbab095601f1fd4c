//! The control plane over a real connection: every request, and what a wrong one is answered with.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{HEADER, PATIENCE, Read1, Tcp, Udp, config, control, done, noise, set, start};
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{KEY_BYTES_MAX, TCP_MESSAGE_BYTES_MAX};
use shingle_proto::seal;
use shingle_proto::wire::{
    Control, ErrorCode, Flush, FlushWhat, Frame, Get, Hello, KeyRequest, MessageWriter, Outcome, Ping,
    ReceiptsRequest, Set,
};
use shingle_server::{Config, Server, Strategy, Token};

const CHUNKED: &[Strategy] = &[Strategy::Chunked];

/// Reads a key over TCP; `None` for a miss.
fn get(tcp: &mut Tcp, key: &[u8]) -> Option<Vec<u8>> {
    tcp.send(&Frame::Get(Get { id: 9, key }));
    let mut sealed = Vec::new();
    loop {
        let whole = tcp.receive(|answer| match answer.frames().next() {
            Some(Frame::Miss { id: 9 }) => None,
            Some(Frame::Value(value)) => {
                sealed = value.sealed.to_vec();
                Some(true)
            }
            Some(Frame::Chunk(chunk)) => {
                assert_eq!(chunk.offset as usize, sealed.len(), "in order over TCP");
                sealed.extend_from_slice(chunk.bytes);
                Some(sealed.len() == chunk.total as usize)
            }
            other => panic!("{other:?}"),
        });
        match whole.expect("an answer") {
            None => return None,
            Some(true) => return Some(seal::open(key, &sealed, 1 << 20, &mut []).unwrap().to_vec()),
            Some(false) => {}
        }
    }
}

#[test]
fn hello_tells_what_there_is() {
    let server = Server::start(Config { receipts: true, ..config(&Strategy::ALL) }).unwrap();
    let hello = Hello { id: 41, version_min: 1, version_max: 9, token: b"" };
    Tcp::open(server.tcp_addr()).ask(Control::Hello(hello), |answer| {
        let Control::Welcome(welcome) = answer else { panic!("{answer:?}") };
        assert_eq!(
            (welcome.id, welcome.receipts, welcome.draining, welcome.updates),
            (41, true, false, true)
        );
        assert_eq!(welcome.value_bytes_max, 1 << 20);
        assert_eq!(welcome.nonce, server.stats().nonce);
        let ports: Vec<_> =
            welcome.ports.iter().map(|port| (port.strategy, port.workers, port.datagram_max)).collect();
        let limits = [8973, 65_507, 65_507, 8973, 8973, 8973];
        let expected: Vec<_> =
            Strategy::ALL.into_iter().zip(limits).map(|(strategy, max)| (strategy, 1, max)).collect();
        assert_eq!(ports, expected);
        let numbers: Vec<_> = server.ports().iter().map(|port| port.port).collect();
        assert_eq!(welcome.ports.iter().map(|port| port.port).collect::<Vec<_>>(), numbers);
    });
}

#[test]
fn values_are_set_read_deleted_and_flushed() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let empty_bytes = tcp.stats().store.used_bytes;
    assert_eq!(get(&mut tcp, b"k"), None);
    let first = tcp.set(b"k", b"old");
    let second = tcp.set(b"k", b"new");
    assert_eq!((first >> 32, second), (u64::from(server.stats().nonce), first + 1));
    assert_eq!(get(&mut tcp, b"k"), Some(b"new".to_vec()));
    for bytes in [0, 65_000, 65_507, 200_000, 1 << 20] {
        tcp.set(b"sized", &noise(bytes));
        assert_eq!(get(&mut tcp, b"sized"), Some(noise(bytes)), "{bytes} B");
    }
    let delete = Control::Delete(KeyRequest { id: 3, key: b"k" });
    assert_eq!((tcp.done(delete), tcp.done(delete)), (Ok(1), Ok(0)));
    assert_eq!(get(&mut tcp, b"k"), None);
    let flush = Control::Flush(Flush { id: 3, what: FlushWhat::Values });
    assert_eq!((tcp.done(flush), tcp.done(flush)), (Ok(1), Ok(0)));
    let store = tcp.stats().store;
    assert_eq!((store.items, store.used_bytes, store.sets, store.deletes), (0, empty_bytes, 7, 1));
}

#[test]
fn a_time_to_live_ends() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    tcp.done(Control::Set(Set { ttl_s: 1, ..set(b"k", b"v") })).unwrap();
    let start = std::time::Instant::now();
    while get(&mut tcp, b"k").is_some() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn wrong_updates_are_answered_by_code_and_the_connection_goes_on() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let long_key = [b'k'; KEY_BYTES_MAX + 1];
    let too_large = noise((1 << 20) + 1);
    for (request, code, found) in [
        (Control::Set(set(b"", b"v")), ErrorCode::KeyLength, "0 bytes"),
        (Control::Set(set(&long_key, b"v")), ErrorCode::KeyLength, "251 bytes"),
        (Control::Delete(KeyRequest { id: 1, key: &long_key }), ErrorCode::KeyLength, "251 bytes"),
        (Control::Set(set(b"k", &too_large)), ErrorCode::ValueTooLarge, "1048577 bytes"),
        (Control::Set(Set { checksum: 1, ..set(b"k", b"v") }), ErrorCode::Checksum, "0x00000001"),
        (
            Control::Receipts(ReceiptsRequest { id: 1, worker: 0, first: 0 }),
            ErrorCode::NoReceipts,
            "--receipts",
        ),
        (
            Control::Receipts(ReceiptsRequest { id: 1, worker: 1, first: 0 }),
            ErrorCode::NoReceipts,
            "no worker 1",
        ),
    ] {
        let (error, text) = tcp.done(request).unwrap_err();
        assert!(error == code && text.contains(found), "{error:?} {text}");
    }
    assert_eq!(tcp.stats().store.items, 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let mut bytes = Vec::new();
    for number in 0..2000u32 {
        let key = number.to_be_bytes();
        let mut message = MessageWriter::request(&mut bytes, &HEADER);
        message.push(&Frame::Control(Control::Set(Set { id: number, ..set(&key, &key) })));
        message.finish();
    }
    tcp.stream.write_all(&bytes).unwrap();
    let mut last = 0;
    for number in 0..2000 {
        let (id, version) = tcp
            .receive(|answer| match control(answer) {
                Control::Done(done) => (done.id, done.result),
                other => panic!("{other:?}"),
            })
            .unwrap();
        assert!(id == number && version > last);
        last = version;
    }
    assert_eq!(tcp.stats().store.items, 2000);
}

#[test]
fn a_value_over_the_limit_names_it_and_costs_its_neighbours_nothing() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    let too_large = noise((1 << 20) + 1);
    let answers = tcp.pipeline([
        Control::Set(set(b"before", b"1")),
        Control::Set(set(b"large", &too_large)),
        Control::Set(set(b"after", b"2")),
    ]);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    let (code, text) = answers[1].as_ref().unwrap_err();
    assert_eq!(*code, ErrorCode::ValueTooLarge);
    assert_eq!(text, "the value has 1048577 bytes: this server stores at most 1048576 (--value-max)");
    assert_eq!(get(&mut tcp, b"before").as_deref(), Some(&b"1"[..]));
    assert_eq!(get(&mut tcp, b"large"), None);
    assert_eq!(get(&mut tcp, b"after").as_deref(), Some(&b"2"[..]));
}

#[test]
fn many_gets_in_one_message_come_back_in_order() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::hello(server.tcp_addr());
    tcp.set(b"large", &noise(900_000));
    let mut bytes = Vec::new();
    let mut message = MessageWriter::request(&mut bytes, &HEADER);
    // A cookie means nothing over TCP, and does no harm.
    message.push(&Frame::Cookie(Cookie([0; 16])));
    for id in 0..64 {
        message.push(&Frame::Get(Get { id, key: b"large" }));
    }
    message.finish();
    tcp.stream.write_all(&bytes).unwrap();
    for id in 0..64 {
        let mut left = 900_008;
        while left > 0 {
            left -= tcp
                .receive(|answer| match answer.frames().next() {
                    Some(Frame::Chunk(chunk)) if chunk.id == id => chunk.bytes.len(),
                    other => panic!("{other:?}"),
                })
                .unwrap();
        }
    }
}

#[test]
fn ping_comes_back_and_receipts_tell_every_datagram() {
    let server = Server::start(Config { receipts: true, ..config(CHUNKED) }).unwrap();
    let mut tcp = Tcp::hello(server.tcp_addr());
    tcp.ask(Control::Ping(Ping { id: 8, payload: 99 }), |answer| match answer {
        Control::Pong(pong) => assert_eq!((pong.id, pong.payload, pong.draining), (8, 99, false)),
        other => panic!("{other:?}"),
    });
    tcp.set(b"k", &noise(5000));
    let mut udp = Udp::proven(&server, 0);
    assert_eq!(udp.get(b"k"), Read1::Value(noise(5000)));
    assert_eq!(udp.get(b"absent"), Read1::Miss);
    udp.cookie = None;
    assert_eq!(udp.get(b"k"), Read1::Challenged);
    // Receipts are written after the send: the last one may be a moment away.
    let ask = Control::Receipts(ReceiptsRequest { id: 4, worker: 0, first: 0 });
    let receipts = loop {
        let receipts: Vec<_> = tcp.ask(ask, |answer| match answer {
            Control::ReceiptList(list) => {
                assert_eq!((list.worker, list.first), (0, 0));
                list.receipts.iter().collect()
            }
            other => panic!("{other:?}"),
        });
        if receipts.len() >= 3 {
            break receipts;
        }
    };
    let seen: Vec<_> = receipts
        .iter()
        .map(|receipt| {
            (receipt.flow, receipt.sequence, receipt.outcome, receipt.answer_datagrams, receipt.gets)
        })
        .collect();
    let (answered, challenged) = (Outcome::Answered, Outcome::Challenged);
    assert_eq!(seen, [(7, 2, answered, 4, 1), (7, 3, answered, 1, 1), (7, 4, challenged, 1, 1)]);
    assert_eq!(receipts[0].answer_bytes, 5008 + 4 * 40);
    assert!(receipts.iter().all(|receipt| receipt.port == server.ports()[0].port));
}

#[test]
fn draining_is_said_in_every_answer_and_ends_the_server() {
    let server = Server::start(Config { drain_for: Duration::from_millis(300), ..config(CHUNKED) }).unwrap();
    let mut tcp = Tcp::hello(server.tcp_addr());
    tcp.set(b"k", b"v");
    assert_eq!(tcp.done(Control::Drain { id: 1 }), Ok(0));
    let mut udp = Udp::connect(&server, 0, None);
    let request = udp.request(&[Frame::Get(Get { id: 1, key: b"absent" })]);
    udp.send_bytes(&request);
    let mut flag = None;
    udp.receive(PATIENCE, |bytes| {
        let answer = shingle_proto::wire::Answer::parse(bytes, shingle_proto::wire::Carrier::Udp).unwrap();
        flag = Some(answer.header.draining);
    });
    assert_eq!(flag, Some(true));
    assert!(tcp.stats().draining);
    assert_eq!(tcp.done(Control::Set(set(b"k", b"w"))).unwrap_err().0, ErrorCode::Draining);
    server.wait().unwrap();
    assert_eq!(tcp.receive(|_| ()), None);
}

#[test]
fn a_wrong_version_is_named_and_closes() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::open(server.tcp_addr());
    let hello = Hello { id: 5, version_min: 2, version_max: 4, token: b"" };
    let (code, text) = tcp.done(Control::Hello(hello)).unwrap_err();
    assert!(code == ErrorCode::Version && text.contains("version 1") && text.contains("2 to 4"), "{text}");
    assert_eq!(tcp.receive(|_| ()), None);

    let mut tcp = Tcp::open(server.tcp_addr());
    let mut message = vec![0; 40];
    (message[4], message[5]) = (0x5E, 3);
    tcp.stream.write_all(&40u32.to_be_bytes()).unwrap();
    tcp.stream.write_all(&message).unwrap();
    let (code, text) = tcp.receive(|answer| done(control(answer))).unwrap().unwrap_err();
    assert!(code == ErrorCode::Version && text.contains("version 1") && text.contains("version 3"), "{text}");
    assert_eq!(tcp.receive(|_| ()), None);
}

#[test]
fn what_is_malformed_is_named_and_closes() {
    let server = start(CHUNKED);
    let mut hello = Vec::new();
    let mut message = MessageWriter::request(&mut hello, &HEADER);
    message.push(&Frame::Control(Control::Hello(Hello {
        id: 1,
        version_min: 1,
        version_max: 1,
        token: b"",
    })));
    message.finish();
    let flipped = |at: usize| {
        let mut bytes = hello.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    let mut ping = Vec::new();
    let mut message = MessageWriter::request(&mut ping, &HEADER);
    message.push(&Frame::Control(Control::Ping(Ping { id: 1, payload: 2 })));
    message.finish();
    let too_long = (TCP_MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes().to_vec();
    let cases = [
        (flipped(30), "checksum"),
        (flipped(8), "magic"),
        (ping, "begins with HELLO"),
        ([&hello[..], &hello].concat(), "already"),
        (vec![0, 0, 0, 2, 1, 2], "short"),
        (too_long, "17825793 bytes"),
    ];
    for (bytes, found) in &cases {
        let mut tcp = Tcp::open(server.tcp_addr());
        tcp.stream.write_all(bytes).unwrap();
        let refusal = loop {
            match tcp.receive(|answer| control(answer).to_owned_error()).expect("an error") {
                Some(refusal) => break refusal,
                None => continue,
            }
        };
        assert!(
            refusal.0 == ErrorCode::Malformed && refusal.1.contains(found),
            "{refusal:?}, expected {found}"
        );
        assert_eq!(tcp.receive(|_| ()), None, "closed after {found}");
    }
    assert_eq!(Tcp::hello(server.tcp_addr()).stats().control.malformed, cases.len() as u64);
}

trait ToOwnedError {
    fn to_owned_error(&self) -> Option<(ErrorCode, String)>;
}

impl ToOwnedError for Control<'_> {
    fn to_owned_error(&self) -> Option<(ErrorCode, String)> {
        match self {
            Control::Error(error) => Some((error.code, error.text.to_owned())),
            _ => None,
        }
    }
}

#[test]
fn a_peer_that_is_sent_away_while_it_sends_still_learns_why() {
    let server = start(CHUNKED);
    let mut tcp = Tcp::open(server.tcp_addr());
    tcp.stream.write_all(&(1u32 << 20).to_be_bytes()).unwrap();
    for _ in 0..16 {
        tcp.stream.write_all(&[0; 64 << 10]).unwrap();
    }
    let (code, text) = tcp.receive(|answer| done(control(answer))).unwrap().unwrap_err();
    assert!(code == ErrorCode::TokenNeeded && text.contains("1048576 bytes"), "{code:?} {text}");
}

#[test]
fn a_wrong_token_is_refused_and_the_right_one_taken() {
    let token = Token::new(b"right").unwrap();
    let server = Server::start(Config { token: Some(token), ..config(CHUNKED) }).unwrap();
    let hello = |token: &'static [u8]| {
        let mut tcp = Tcp::open(server.tcp_addr());
        let hello = Hello { id: 1, version_min: 1, version_max: 1, token };
        let answer = tcp.ask(Control::Hello(hello), |answer| match answer {
            Control::Welcome(welcome) => Ok(welcome.updates),
            other => Err(other.to_owned_error().unwrap().0),
        });
        (answer, tcp)
    };
    assert_eq!(hello(b"right").0, Ok(true));
    assert_eq!(hello(b"").0, Ok(true), "this peer is on loopback");
    let (answer, mut tcp) = hello(b"wrong");
    assert_eq!(answer, Err(ErrorCode::TokenWrong));
    assert_eq!(tcp.receive(|_| ()), None);
}

#[test]
fn metrics_are_served_over_http() {
    let metrics = Some("127.0.0.1:0".parse().unwrap());
    let server = Server::start(Config { metrics, ..config(CHUNKED) }).unwrap();
    Tcp::hello(server.tcp_addr()).set(b"k", b"v");
    let scrape = |request: &str| {
        let mut stream = TcpStream::connect(server.metrics_addr().unwrap()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = scrape("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.contains("\nshingle_store_items 1\n"), "{body}");
    assert!(scrape("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
}

#[test]
fn a_crowd_of_idle_connections_keeps_nobody_out() {
    let server = start(CHUNKED);
    let mut old = Tcp::hello(server.tcp_addr());
    let silent: Vec<_> = (0..300).map(|_| Tcp::open(server.tcp_addr())).collect();
    let mut late = Tcp::hello(server.tcp_addr());
    late.set(b"k", b"v");
    let control = old.stats().control;
    assert!(control.evicted >= 46 && control.connections <= 256, "{control:?}");
    drop(silent);
}
