//! A server in this process with values in it, alone or behind a relay, and what tests of the client for tokio share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use shingle_client::{Client, Control, Options, ServerState};
use shingle_server::{Config, PortConfig, Server, Strategy};

use crate::relay::{Relay, Weather};

/// Only a failing test waits that long.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// A server on loopback with one chunked port.
pub(crate) fn server() -> Server {
    server_on(Ipv4Addr::LOCALHOST, 0, 0)
}

/// The same on given ports, to start a server again where another was.
pub(crate) fn server_on(listen: Ipv4Addr, tcp_port: u16, udp_port: u16) -> Server {
    let udp_ports = vec![PortConfig::new(udp_port, Strategy::Chunked)];
    let config = Config {
        listen: IpAddr::V4(listen),
        udp_ports,
        tcp_port,
        memory_bytes: 64 << 20,
        ..Config::default()
    };
    // The ports of a server that has just stopped may take a moment to be free.
    let begin = Instant::now();
    loop {
        match Server::start(config.clone()) {
            Ok(server) => return server,
            Err(error) => assert!(tcp_port > 0 && begin.elapsed() < PATIENT, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server behind a relay.
pub(crate) fn server_behind(weather: Weather, seed: u64) -> (Server, Relay) {
    for _ in 0..100 {
        let server = server_on(Ipv4Addr::new(127, 0, 0, 2), 0, 0);
        if let Some(relay) = Relay::start(server.tcp_addr(), server.ports()[0].port, weather, seed) {
            return (server, relay);
        }
    }
    panic!("no UDP port is free on 127.0.0.1 and 127.0.0.2")
}

/// Bytes that differ from value to value and from place to place.
pub(crate) fn value(bytes: usize) -> Vec<u8> {
    (0..bytes as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(bytes as u32) >> 24) as u8)
        .collect()
}

/// Stores values of these sizes; the key of each is its size in decimal.
pub(crate) fn store(server: &Server, sizes: impl IntoIterator<Item = usize>) {
    let mut control = Control::connect(&server.tcp_addr().to_string(), b"", PATIENT).unwrap();
    let items = sizes.into_iter().map(|bytes| (bytes.to_string(), value(bytes), 0));
    control.set_all(items, |_| {}).unwrap();
}

pub(crate) async fn connect(server: &Server, options: Options) -> Client {
    Client::connect_with(&server.tcp_addr().to_string(), options).await.unwrap()
}

pub(crate) async fn connect_through(relay: &Relay, options: Options) -> Client {
    Client::connect_with(&relay.tcp.to_string(), options).await.unwrap()
}

/// Waits until something is so; fails after a time that only a failing test takes.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENT, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the client tells a state; fails after a time that only a failing test takes.
pub(crate) async fn until_state(client: &Client, state: ServerState) {
    let mut changes = client.watch_state();
    let waited = tokio::time::timeout(PATIENT, changes.wait_for(|now| *now == state)).await;
    assert!(waited.is_ok_and(|state| state.is_ok()), "never came: {state:?}; {:?}", client.state());
}
