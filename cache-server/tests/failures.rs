//! A thread that dies ends the server, and whoever runs it is told: through the library and through the binary.
//! The faults come with the feature `fault-injection`, which this package's tests are built with.

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use common::{PATIENCE, Running, Tcp, Udp, start};
use shingle_proto::wire::{Answer, Carrier, Control, Frame, Get, KeyRequest};
use shingle_server::{Failure, Server, Strategy};

const TWO_PORTS: &[Strategy] = &[Strategy::Chunked, Strategy::DfOff];

fn send(to: SocketAddr, fault: &[u8]) {
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(fault, to).unwrap();
}

fn port(server: &Server, index: usize) -> SocketAddr {
    SocketAddr::new(server.tcp_addr().ip(), server.ports()[index].port)
}

/// Reads over UDP until an answer says that the server leaves.
fn see_draining(udp: &mut Udp) {
    let start = Instant::now();
    let mut draining = false;
    while !draining {
        assert!(start.elapsed() < PATIENCE, "no answer says that the server leaves");
        let request = udp.request(&[Frame::Get(Get { id: 1, key: b"absent" })]);
        udp.send_bytes(&request);
        udp.receive(PATIENCE, |bytes| draining = Answer::parse(bytes, Carrier::Udp).unwrap().header.draining);
    }
}

/// Asserts that the server stopped by this failure, and gave up its ports.
fn assert_failed(server: Server, thread: &str, reason: &str) {
    let ports = [port(&server, 0), port(&server, 1)];
    assert_eq!(server.wait(), Err(Failure { thread: thread.into(), reason: reason.into() }));
    let _free = ports.map(|port| UdpSocket::bind(port).expect("the port is free"));
}

#[test]
fn a_worker_that_fails_is_named_and_the_others_say_that_the_server_leaves() {
    for (fault, reason) in [("fault: panic", "it panicked: asked to"), ("fault: error", "asked to")] {
        let server = start(TWO_PORTS);
        assert_eq!(server.failure(), None);
        let mut other = Udp::proven(&server, 1);
        send(port(&server, 0), fault.as_bytes());
        see_draining(&mut other);
        let thread = format!("worker 0 (UDP port {})", server.ports()[0].port);
        assert_eq!(server.failure().map(|failure| &failure.thread), Some(&thread));
        assert_failed(server, &thread, reason);
    }
}

#[test]
fn a_panic_in_a_connection_ends_the_server_too() {
    let server = start(TWO_PORTS);
    let (mut udp, mut tcp) = (Udp::proven(&server, 1), Tcp::hello(server.tcp_addr()));
    tcp.send(&Frame::Control(Control::Delete(KeyRequest { id: 5, key: b"fault: panic" })));
    see_draining(&mut udp);
    assert_failed(server, "the control plane", "it panicked: asked to");
}

#[test]
fn stopping_a_server_that_failed_is_no_different() {
    let server = start(TWO_PORTS);
    let tcp = server.tcp_addr();
    send(port(&server, 1), b"fault: panic");
    server.stop();
    std::net::TcpListener::bind(tcp).expect("the port is free");
}

const FREE: &[&str] = &["--udp-port=0", "--udp-port=0", "--tcp-port=0"];

/// Waits for the end, and asserts status 101 and one error that names the thread and why it failed.
fn assert_dies(running: Running, thread: &str, reason: &str) {
    let (status, stderr) = running.end();
    assert_eq!(status, Some(101), "{stderr}");
    let error = format!("error: {thread} failed: {reason}; the server stops rather than serve half");
    assert_eq!(stderr.lines().filter(|line| *line == error).count(), 1, "no `{error}` in {stderr}");
}

#[test]
fn the_process_ends_when_a_worker_does() {
    for (fault, reason) in [("fault: panic", "it panicked: asked to"), ("fault: error", "asked to")] {
        let running = Running::start(FREE);
        let udp = running.udp[1];
        send(udp, fault.as_bytes());
        assert_dies(running, &format!("worker 1 (UDP port {})", udp.port()), reason);
    }
}

#[test]
fn the_process_ends_when_the_control_plane_does() {
    let running = Running::start(FREE);
    let mut tcp = Tcp::hello(running.tcp);
    tcp.send(&Frame::Control(Control::Delete(KeyRequest { id: 5, key: b"fault: panic" })));
    assert_eq!(tcp.receive(|_| ()), None);
    assert_dies(running, "the control plane", "it panicked: asked to");
}
