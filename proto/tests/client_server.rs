//! This crate's client against this crate's server: on a clean path nothing is lost, asked for twice, or larger than announced.

use std::net::{IpAddr, Ipv4Addr};

use shingle_proto::client::{Client, ClientConfig, Ended, Join};
use shingle_proto::cookie::{CookieKeys, Proof};
use shingle_proto::limits::DATAGRAM_BYTES_MAX;
use shingle_proto::seal;
use shingle_proto::server::{Answer, AnswerSummary, Facts, Found, PortLimits, Workspace};
use shingle_proto::wire::{Carrier, Request, Telemetry};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
const SECOND: u64 = 1_000_000_000;
const PORT: PortLimits = PortLimits {
    datagram_max: 8_973,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: true,
};

/// One request to the server, its answer to the client. `age_s` is how old the cookies are that the server hands out.
fn exchange(
    client: &mut Client,
    sealed: &[u8],
    port: &PortLimits,
    age_s: u32,
    ends: &mut Vec<(u64, u8, Vec<u8>)>,
) -> Option<AnswerSummary> {
    let keys = CookieKeys::new([1; 16]);
    let mut out = [0; 2048];
    let transmit = client.poll_transmit(0, &mut out)?;
    let request =
        Request::parse(&out[..transmit.bytes], Carrier::Udp).expect("what the client sends is valid");
    let proof = match keys.prove(request.cookie.as_ref(), IP, 1_000_000) {
        Proof::Missing(_) => Proof::Missing(keys.make(IP, 1_000_000 - age_s)),
        Proof::Stale(_) => Proof::Stale(keys.make(IP, 1_000_000 - age_s)),
        Proof::Valid => Proof::Valid,
    };
    let facts = Facts { proof, draining: false, telemetry: Some(Telemetry::default()) };
    let mut workspace = Workspace::new();
    let answer =
        Answer::new(&request, port, &facts, &mut workspace, |_, _| Found::Value { sealed, version: 9 });
    let summary = answer.summary();
    let credit = request.header.credit as usize;
    assert!(
        summary.bytes as usize <= credit || summary.datagrams == 1,
        "{summary:?} for a credit of {credit}"
    );
    let mut bytes = vec![0; usize::from(request.header.datagram_max)];
    for datagram in answer {
        let length = datagram.write(&mut bytes);
        client.handle_datagram(0, &bytes[..length], &mut |event| match event.end {
            Ended::Value(value) => ends.push((event.token, event.attempts, value.to_vec())),
            other => panic!("{other:?}"),
        });
    }
    Some(summary)
}

#[test]
fn every_size_is_read_without_loss_repetition_or_a_timer() {
    for (datagram_max, telemetry, credit, age_s) in [
        (1_200, true, 64 << 10, 0),
        (1_452, false, 10_000, 2_000),
        (8_952, true, 256 << 10, 2_000),
        (65_507, false, 1, 0),
    ] {
        let config = ClientConfig { datagram_max, telemetry, credit_max: credit, ..ClientConfig::default() };
        let mut client = Client::new(config).expect("in range");
        for bytes in
            [0, 1, 1_100, 1_144, 1_145, 1_168, 1_169, 1_428, 8_900, 9_000, 65_000, 70_000, 262_144, 1 << 20]
        {
            if credit == 1 && bytes > 100_000 {
                continue; // one datagram a window
            }
            let value: Vec<u8> = (0..bytes).map(|at: usize| (at * 7 + at / 256) as u8).collect();
            let sealed = [&seal::seal(b"key", &value)[..], &value].concat();
            let mut ends = Vec::new();
            client.get(0, b"key", 1, SECOND, Join::Alone).expect("accepted");
            while exchange(&mut client, &sealed, &PORT, age_s, &mut ends).is_some() {}
            assert!(ends == [(1, 0, value)], "{bytes} B in {datagram_max} B datagrams");
        }
        let counters = client.counters();
        assert_eq!(
            (counters.duplicates, counters.rerequests, counters.challenges),
            (0, 0, 1),
            "{counters:?}"
        );
        assert_eq!(client.poll_timeout(), None);
    }
}

#[test]
fn reads_packed_together_are_answered_together() {
    let config = ClientConfig { gets_per_datagram_max: 64, telemetry: true, ..ClientConfig::default() };
    let mut client = Client::new(config).expect("in range");
    client.set_cookie(CookieKeys::new([1; 16]).make(IP, 1_000_000));
    let sealed = [&seal::seal(b"key", b"value")[..], b"value"].concat();
    for token in 0..64 {
        client.get(0, b"key", token, SECOND, Join::WithPrevious).expect("accepted");
    }
    let mut ends = Vec::new();
    let summary = exchange(&mut client, &sealed, &PORT, 0, &mut ends).expect("one request");
    assert_eq!((summary.gets, summary.datagrams), (64, 2), "21 B a read");
    assert!(ends.iter().map(|end| end.0).eq(0..64) && ends.iter().all(|end| end.2 == b"value"));
    assert!(exchange(&mut client, &sealed, &PORT, 0, &mut ends).is_none());
}

#[test]
fn a_port_that_answers_in_one_datagram_is_read_in_one() {
    let port = PortLimits { one_datagram_answers: true, probes_served: false, ..PORT };
    let mut client = Client::new(ClientConfig::default()).expect("in range");
    client.set_cookie(CookieKeys::new([1; 16]).make(IP, 1_000_000));
    let value = vec![7; 60_000];
    let sealed = [&seal::seal(b"key", &value)[..], &value].concat();
    client.get(0, b"key", 1, SECOND, Join::Alone).expect("accepted");
    let mut out = [0; 2048];
    let transmit = client.poll_transmit(0, &mut out).expect("a request");
    let request = Request::parse(&out[..transmit.bytes], Carrier::Udp).expect("valid");
    let facts = Facts { proof: Proof::Valid, draining: false, telemetry: None };
    let (mut workspace, found) = (Workspace::new(), Found::Value { sealed: &sealed, version: 1 });
    let mut answer = Answer::new(&request, &port, &facts, &mut workspace, |_, _| found);
    assert_eq!(answer.len(), 1);
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    let length = answer.next().expect("one datagram").write(&mut bytes);
    let mut read = false;
    client.handle_datagram(0, &bytes[..length], &mut |event| read = event.end == Ended::Value(&value));
    assert!(read);
}
