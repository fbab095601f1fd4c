//! Reads over UDP by the blocking client, against the protocol's own server core.

mod peer;

use std::sync::atomic::Ordering;
use std::time::Duration;

use peer::udp::{CHUNKED, Server, Values, values};
use peer::{COOKIE, Peer};
use shingle_client::blocking::Client;
use shingle_client::{ConnectError, GetError, Options, PathMtu};
use shingle_proto::server::PortLimits;

/// Long enough never to matter, with retries so close that tests of loss are quick.
fn patient() -> Options {
    let timeout = Duration::from_secs(20);
    Options { timeout, retries: 10, retry_budget_percent: 100, ..Options::default() }
}

fn connect(server: &Server, options: Options) -> Client {
    Client::connect_with(&server.tcp.host_port(), options).unwrap()
}

fn value(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// One value of each size that takes another way: empty, in one datagram, just too long for it, many chunks, several
/// credits.
const SIZES: [usize; 7] = [0, 1, 500, 1200, 5000, 300_000, 1 << 20];

fn of_all_sizes() -> Values {
    values(SIZES.map(|bytes| (bytes.to_string().into_bytes(), value(bytes))))
}

fn assert_all_sizes_are_read(client: &mut Client) {
    let keys: Vec<String> = SIZES.iter().map(usize::to_string).collect();
    let results = client.get_many(&keys);
    for (bytes, result) in SIZES.into_iter().zip(results) {
        assert!(result.unwrap().is_some_and(|found| found == value(bytes)), "value of {bytes} B");
    }
}

#[test]
fn values_of_all_sizes_and_none() {
    for path_mtu_bytes in [1248, 1500, 9001] {
        let server = Server::start(&of_all_sizes(), CHUNKED, 1, 0, |_, _| true);
        let mut client = connect(&server, Options { path_mtu: PathMtu::Known(path_mtu_bytes), ..patient() });
        assert_eq!((client.welcome().cookie, client.draining()), (COOKIE, false));
        assert!(client.get(b"500").unwrap().is_some_and(|found| found == value(500)));
        assert!(client.counters().challenges > 0, "the cookie is of another server");
        assert!(client.draining(), "the server's answers say so");
        assert_all_sizes_are_read(&mut client);
        assert_eq!(client.get(b"not stored").unwrap(), None);
        assert_eq!(server.over_tcp.load(Ordering::Relaxed), 0);
        drop(client);
        server.join();
    }
}

#[test]
fn more_reads_than_may_be_under_way_keep_their_order() {
    let stored = values((0..500_u32).map(|i| (i.to_be_bytes().to_vec(), value(i as usize * 4))));
    let server = Server::start(&stored, CHUNKED, 1, 0, |_, _| true);
    let mut client = connect(&server, patient());
    let mut keys: Vec<Vec<u8>> = (0..500_u32).map(|i| i.to_be_bytes().to_vec()).collect();
    keys[70] = b"not stored".to_vec();
    keys[80] = Vec::new();
    for (i, result) in client.get_many(&keys).into_iter().enumerate() {
        match (i, result) {
            (70, result) => assert_eq!(result.unwrap(), None),
            (80, result) => assert!(matches!(result, Err(GetError::NotBegun(_))), "{result:?}"),
            (_, result) => assert!(result.unwrap() == Some(value(i * 4)), "read {i}"),
        }
    }
    assert!(client.get_many::<&[u8]>(&[]).is_empty());
    drop(client);
    server.join();
}

#[test]
fn what_is_lost_or_changed_is_asked_for_again() {
    // Every third datagram of first answers is lost, every seventh has a bit flipped.
    let mut count = 0;
    let server = Server::start(&of_all_sizes(), CHUNKED, 1, 0, move |attempt, datagram| {
        count += 1;
        if count % 7 == 0 {
            datagram[count % 16] ^= 1;
        }
        attempt > 0 || count % 3 > 0
    });
    let mut client = connect(&server, patient());
    assert_all_sizes_are_read(&mut client);
    assert!(client.counters().rerequests > 0, "{:?}", client.counters());
    assert!(client.counters().drops.iter().sum::<u64>() > 0, "{:?}", client.counters());
    drop(client);
    server.join();
}

#[test]
fn what_a_port_does_not_send_is_read_over_tcp() {
    let small = PortLimits { datagram_max: 1200, too_big_is_refused: true, ..CHUNKED };
    // Each connection ends after two reads, so the last ones need new connections.
    let server = Server::start(&of_all_sizes(), small, 3, 2, |_, _| true);
    let mut client = connect(&server, patient());
    for _ in 0..2 {
        assert!(client.get(b"5000").unwrap().is_some_and(|found| found == value(5000)));
    }
    assert_all_sizes_are_read(&mut client);
    assert_eq!(server.over_tcp.load(Ordering::Relaxed), 6, "5000 three times, and what is longer, and 1200");
    drop(client);
    server.join();
}

#[test]
fn silence_and_absence_are_told_apart() {
    let mut server = Server::start(&of_all_sizes(), CHUNKED, 1, 0, |_, _| false);
    let options = Options { timeout: Duration::from_millis(300), ..Options::default() };
    let mut client = connect(&server, options);
    let error = client.get(b"500").unwrap_err();
    assert!(matches!(error, GetError::TimedOut { total_bytes: 0, .. }), "{error}");
    server.stop_udp();
    let error = client.get(b"500").unwrap_err();
    assert!(matches!(error, GetError::Unreachable), "{error}");
    assert!(error.to_string().starts_with("nothing listens on the server's UDP port"), "{error}");
    drop(client);
    server.tcp.join();
}

#[test]
fn ports_that_are_not_served() {
    let server = Server::start(&of_all_sizes(), CHUNKED, 1, 0, |_, _| true);
    let wrong = Options { udp_port: Some(1), ..patient() };
    let error = Client::connect_with(&server.tcp.host_port(), wrong).unwrap_err();
    assert!(matches!(error, ConnectError::NoSuchPort { wanted: 1, .. }), "{error}");
    assert!(error.to_string().ends_with(&format!("it serves [{}]", server.udp.port())), "{error}");
    server.join();
    let none = Peer::welcoming(|_| ());
    let error = Client::connect(&none.host_port()).unwrap_err();
    assert!(matches!(error, ConnectError::NoPort { .. }), "{error}");
    none.join();
}

#[test]
fn settings_out_of_range() {
    // Said before anything is sent.
    let options = Options { path_mtu: PathMtu::Known(1100), ..patient() };
    let error = Client::connect_with("127.0.0.1:1", options).unwrap_err();
    assert_eq!(error.to_string(), "path_mtu is Known(1100): allowed are 1248 and more; see Options");
}
