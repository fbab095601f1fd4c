//! A UDP port and a TCP peer that serve the same values with the protocol's own server core.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use shingle_proto::cookie::CookieKeys;
use shingle_proto::seal;
use shingle_proto::server::{Answer, Facts, Found, PortLimits, Workspace, answer_over_tcp};
use shingle_proto::wire::{Carrier, Port, Request};

use super::{Peer, port};

/// Sealed values by key.
pub(crate) type Values = Arc<HashMap<Vec<u8>, Vec<u8>>>;

/// What a port may send that does as the default strategy does.
pub(crate) const CHUNKED: PortLimits = PortLimits {
    datagram_max: 8973,
    one_datagram_answers: false,
    too_big_is_refused: false,
    probes_served: false,
};

/// A server of two threads.
pub(crate) struct Server {
    pub(crate) tcp: Peer,
    pub(crate) udp: SocketAddr,
    /// Reads served over TCP.
    pub(crate) over_tcp: Arc<AtomicU32>,
    udp_thread: JoinHandle<()>,
}

pub(crate) fn values(values: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Values {
    let seal = |(key, value): (Vec<u8>, Vec<u8>)| {
        let sealed = [&seal::seal(&key, &value)[..], &value].concat();
        (key, sealed)
    };
    Arc::new(values.into_iter().map(seal).collect())
}

impl Server {
    /// Serves `values` on a UDP port with `limits`, and `connections` TCP connections, each of which ends after `reads`
    /// reads. `pass` sees each answer's request (its attempt) and datagram, and may change it; false loses it.
    pub(crate) fn start(
        values: &Values,
        limits: PortLimits,
        connections: usize,
        reads: usize,
        mut pass: impl FnMut(u8, &mut Vec<u8>) -> bool + Send + 'static,
    ) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = socket.local_addr().unwrap();
        let stored = values.clone();
        let udp_thread = std::thread::spawn(move || serve_udp(&socket, &stored, &limits, &mut pass));
        let over_tcp = Arc::new(AtomicU32::new(0));
        let (stored, count) = (values.clone(), over_tcp.clone());
        let ports = [Port { datagram_max: limits.datagram_max, ..port(udp.port()) }];
        let tcp = Peer::serve(connections, move |mut connection| {
            connection.welcome(&ports);
            for _ in 0..reads {
                let Some(request) = connection.next() else { return };
                let request = Request::parse(&request, Carrier::Tcp).unwrap();
                let mut out = Vec::new();
                let summary = answer_over_tcp(&request, false, |_, key| find(&stored, key), &mut out);
                count.fetch_add(summary.gets.into(), Ordering::Relaxed);
                std::io::Write::write_all(&mut connection.stream, &out).unwrap();
            }
        });
        Server { tcp, udp, over_tcp, udp_thread }
    }

    /// Ends the UDP thread, so that nothing listens on its port any more.
    pub(crate) fn stop_udp(&mut self) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"stop", self.udp).unwrap();
        let finished = std::mem::replace(&mut self.udp_thread, std::thread::spawn(|| ()));
        finished.join().unwrap();
    }

    /// Ends both threads, and fails where one of them failed.
    pub(crate) fn join(mut self) {
        self.stop_udp();
        self.tcp.join();
    }
}

fn serve_udp(
    socket: &UdpSocket,
    values: &Values,
    limits: &PortLimits,
    pass: &mut impl FnMut(u8, &mut Vec<u8>) -> bool,
) {
    // Not the secret of the cookie that WELCOME brings: the first read is challenged.
    let (cookies, unix_s) = (CookieKeys::new([1; 16]), 1_700_000_000);
    let mut bytes = [0; 65536];
    loop {
        let (length, client) = socket.recv_from(&mut bytes).unwrap();
        if &bytes[..length] == b"stop" {
            return;
        }
        let request = Request::parse(&bytes[..length], Carrier::Udp).unwrap();
        let proof = cookies.prove(request.cookie.as_ref(), client.ip(), unix_s);
        let facts = Facts { proof, draining: true, telemetry: None };
        let mut workspace = Workspace::new();
        for datagram in Answer::new(&request, limits, &facts, &mut workspace, |_, key| find(values, key)) {
            let mut bytes = vec![0; datagram.len()];
            datagram.write(&mut bytes);
            if pass(request.header.attempt, &mut bytes) {
                socket.send_to(&bytes, client).unwrap();
            }
        }
    }
}

fn find<'v>(values: &'v Values, key: &[u8]) -> Found<'v> {
    values.get(key).map_or(Found::Nothing, |sealed| Found::Value { sealed, version: 5 })
}
