//! What the tests share: sockets on the loopback of both families, and receiving what is expected.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use shingle_udp::{Datagram, RecvBatch, SendBatch, SendCounts, Socket, SocketOptions};

/// Loopback addresses of the families this machine has, port 0.
pub(crate) fn loopbacks() -> Vec<SocketAddr> {
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
    let mut addrs = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)];
    match std::net::UdpSocket::bind(v6) {
        Ok(_) => addrs.push(v6),
        Err(error) => eprintln!("SKIPPED for IPv6: cannot bind {v6}: {error}"),
    }
    addrs
}

pub(crate) fn bind(addr: SocketAddr, options: &SocketOptions) -> Socket {
    Socket::bind(addr, options).expect("loopback can be bound")
}

/// A loopback address nobody listens on.
pub(crate) fn closed_port(loopback: SocketAddr) -> SocketAddr {
    std::net::UdpSocket::bind(loopback).and_then(|socket| socket.local_addr()).expect("loopback can be bound")
}

/// Sends each of `payloads` as one message and fails if one is not sent.
pub(crate) fn send_all(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> SendCounts {
    let mut batch = SendBatch::new(payloads.len(), payloads.len(), 0);
    let mut outgoing = batch.fill();
    for payload in payloads {
        assert!(outgoing.begin(to));
        outgoing.borrow(payload);
        outgoing.end(0).expect("within the limits");
    }
    outgoing.send(socket, &mut |index, error| panic!("message {index} failed: {error}")).expect("sends")
}

/// Sends `bytes` as one message cut into `segment_bytes`.
pub(crate) fn send_train(socket: &Socket, to: SocketAddr, bytes: &[u8], segment_bytes: usize) -> SendCounts {
    let mut batch = SendBatch::new(1, 1, 0);
    let mut outgoing = batch.fill();
    assert!(outgoing.begin(to));
    outgoing.borrow(bytes);
    outgoing.end(segment_bytes).expect("within the limits");
    outgoing.send(socket, &mut |index, error| panic!("message {index} failed: {error}")).expect("sends")
}

/// Receives `expected` datagrams, or fewer if no more come, shows each to `see`, and checks that there are no more.
pub(crate) fn receive_with(
    socket: &Socket,
    batch: &mut RecvBatch,
    expected: usize,
    mut see: impl FnMut(Datagram<'_>),
) -> usize {
    let mut received = 0;
    // Only a failing test waits that long: loopback delivers at once.
    while received < expected && socket.wait(true, false, Duration::from_secs(5)).expect("waits").readable {
        let count = batch.recv(socket).expect("receives");
        assert_eq!(batch.iter().count(), count);
        batch.iter().for_each(&mut see);
        received += count;
    }
    assert_eq!(batch.recv(socket).expect("receives"), 0, "more datagrams than expected");
    received
}

/// The payloads [`receive_with`] sees.
pub(crate) fn receive(socket: &Socket, batch: &mut RecvBatch, expected: usize) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    receive_with(socket, batch, expected, |datagram| payloads.push(datagram.bytes.to_vec()));
    payloads
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at / 251) as u8).collect()
}
