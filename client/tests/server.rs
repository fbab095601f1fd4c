//! Every call against the server itself, on loopback.

use std::time::{Duration, Instant};

use shingle_client::Options;
use shingle_client::blocking::Client;
use shingle_client::control::{Control, ControlError, ErrorCode, FlushWhat, Outcome, Strategy};
use shingle_server::{Config, PortConfig, Server};

const PATIENT: Duration = Duration::from_secs(20);

/// A server with one port of each strategy, in the order of [`Strategy::ALL`].
fn server() -> Server {
    let udp_ports = Strategy::ALL.map(|strategy| PortConfig::new(0, strategy)).to_vec();
    Server::start(Config {
        udp_ports,
        tcp_port: 0,
        memory_bytes: 32 << 20,
        receipts: true,
        ..Config::default()
    })
    .unwrap()
}

fn address(server: &Server) -> String {
    server.tcp_addr().to_string()
}

fn value(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 28) as u8).collect()
}

#[test]
fn updates_and_administration() {
    let server = server();
    let mut control = Control::connect(&address(&server), b"", PATIENT).unwrap();
    let welcome = control.welcome();
    assert!(welcome.may_update && welcome.receipts && !welcome.draining);
    assert!(welcome.ports.iter().map(|port| port.strategy).eq(Strategy::ALL));
    let first = control.set(b"k", &value(300_000), 0).unwrap();
    assert!(control.set(b"k", &value(1 << 20), 0).unwrap() > first);
    assert_eq!(control.get(b"k").unwrap(), Some(value(1 << 20)));
    assert!(control.delete(b"k").unwrap());
    assert_eq!(control.get(b"k").unwrap(), None);
    let items = (0..20_000_u32).map(|i| (i.to_be_bytes(), i.to_le_bytes(), 0));
    assert_eq!(control.set_all(items, |_| {}).unwrap(), 20_000);
    assert_eq!(control.get(&7_u32.to_be_bytes()).unwrap().as_deref(), Some(&7_u32.to_le_bytes()[..]));
    assert_eq!(control.flush(FlushWhat::Values).unwrap(), 20_000);
    assert!(control.stats().unwrap().starts_with('{'));
    assert!(!control.ping().unwrap().draining);
    let error = control.receipts(99, 0).unwrap_err();
    assert!(matches!(error, ControlError::Server { code: ErrorCode::NoReceipts, .. }), "{error}");
    control.drain().unwrap();
    assert!(control.ping().unwrap().draining);
    drop(control);
    server.stop();
}

#[test]
fn reads_over_every_strategy() {
    const SIZES: [usize; 6] = [0, 400, 1400, 9_000, 60_000, 1 << 20];
    let server = server();
    let mut control = Control::connect(&address(&server), b"", PATIENT).unwrap();
    for bytes in SIZES {
        control.set(bytes.to_string().as_bytes(), &value(bytes), 0).unwrap();
    }
    let keys: Vec<String> = SIZES.iter().map(usize::to_string).collect();
    for (worker, port) in control.welcome().ports.clone().into_iter().enumerate() {
        let options =
            Options { udp_port: Some(port.port), timeout: PATIENT, retries: 10, ..Options::default() };
        let mut client = Client::connect_with(&address(&server), options).unwrap();
        for (bytes, result) in SIZES.into_iter().zip(client.get_many(&keys)) {
            let found = result.unwrap();
            assert!(found.is_some_and(|found| found == value(bytes)), "{bytes} B over {:?}", port.strategy);
        }
        assert_eq!(client.get(b"not stored").unwrap(), None);
        assert_eq!(client.counters().challenges, 0, "WELCOME brought the cookie");
        assert_receipts(&mut control, worker as u8, client.counters().datagrams_out);
    }
    server.stop();
}

/// A worker writes its receipts after it has sent, so the last ones may be a moment behind the answers.
fn assert_receipts(control: &mut Control, worker: u8, count: u64) {
    let begin = Instant::now();
    loop {
        let list = control.all_receipts(worker, 0).unwrap();
        assert!(list.receipts.iter().all(|receipt| receipt.outcome == Outcome::Answered), "{list:?}");
        if list.receipts.len() as u64 == count {
            return;
        }
        assert!(begin.elapsed() < PATIENT, "{} receipts of {count} requests", list.receipts.len());
    }
}
