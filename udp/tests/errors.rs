//! Errors: each is described, and none costs another peer its datagram.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{bind, closed_port, loopbacks, pattern, receive, send_all};
use shingle_udp::limits::MESSAGE_BYTES_MAX;
use shingle_udp::{ErrorOrigin, MtuDiscovery, RecvBatch, SendBatch, Socket, SocketOptions};

/// Sends to a closed port and returns once the refusal has come back.
fn provoke(socket: &Socket, closed: SocketAddr) {
    send_all(socket, closed, &[b"is anybody there?"]);
    let ready = socket.wait(false, false, Duration::from_secs(5)).unwrap();
    assert!(ready.error, "no refusal from {closed}");
}

#[test]
fn the_error_queue_tells_what_happened_to_whom() {
    for loopback in loopbacks() {
        let socket = bind(loopback, &SocketOptions::default());
        let closed = closed_port(loopback);
        provoke(&socket, closed);
        let mut errors = Vec::new();
        assert_eq!(socket.drain_errors(&mut |error| errors.push(error)).unwrap(), 1);
        let error = errors[0];
        // RFC 792: destination unreachable, port unreachable; RFC 4443 has it as type 1, code 4.
        let (origin, kind) = match loopback {
            SocketAddr::V4(_) => (ErrorOrigin::Icmp, (3, 3)),
            SocketAddr::V6(_) => (ErrorOrigin::Icmp6, (1, 4)),
        };
        assert_eq!((error.origin, error.errno), (origin, libc::ECONNREFUSED));
        assert_eq!((error.icmp_type, error.icmp_code), kind);
        assert_eq!(error.destination, Some(closed));
        assert_eq!(error.offender.map(|offender| offender.ip()), Some(closed.ip()));
        assert_eq!(error.mtu(), None);
        assert_eq!(socket.drain_errors(&mut |_| panic!("drained already")).unwrap(), 0);
        assert!(!socket.wait(false, false, Duration::ZERO).unwrap().error);
    }
}

#[test]
fn an_error_of_one_peer_does_not_cost_another_its_datagram() {
    for loopback in loopbacks() {
        let (socket, live) =
            (bind(loopback, &SocketOptions::default()), bind(loopback, &SocketOptions::default()));
        let closed = closed_port(loopback);
        for round in 0..10u8 {
            provoke(&socket, closed);
            let counts = send_all(&socket, live.local_addr().unwrap(), &[&[round]]);
            assert_eq!((counts.messages, counts.retried, counts.failed, counts.errors_drained), (1, 1, 0, 1));
            assert_eq!(receive(&live, &mut RecvBatch::new(4, 16), 1), [[round]]);
        }
    }
}

#[test]
fn what_a_send_takes_off_the_error_queue_can_be_seen() {
    for loopback in loopbacks() {
        let (socket, live) =
            (bind(loopback, &SocketOptions::default()), bind(loopback, &SocketOptions::default()));
        let closed = closed_port(loopback);
        provoke(&socket, closed);
        let mut batch = SendBatch::new(1, 1, 8);
        let mut outgoing = batch.fill();
        assert!(outgoing.begin(live.local_addr().unwrap()));
        outgoing.copy(b"hello");
        outgoing.end(0).unwrap();
        let mut met = Vec::new();
        let mut failed = |index, error| panic!("{index}: {error}");
        let counts = outgoing.send_and_see(&socket, &mut failed, &mut |error| met.push(error)).unwrap();
        assert_eq!((counts.messages, counts.errors_drained), (1, 1));
        let [error] = met[..] else { panic!("{met:?}") };
        assert!(error.is_port_unreachable() && error.destination == Some(closed), "{error:?}");
    }
}

#[test]
fn an_error_inside_one_batch_does_not_stop_the_rest() {
    for loopback in loopbacks() {
        let (socket, live) =
            (bind(loopback, &SocketOptions::default()), bind(loopback, &SocketOptions::default()));
        let mut batch = SendBatch::new(8, 8, 8);
        let mut outgoing = batch.fill();
        for (to, byte) in
            [(closed_port(loopback), 0), (live.local_addr().unwrap(), 1), (live.local_addr().unwrap(), 2)]
        {
            assert!(outgoing.begin(to));
            outgoing.copy(&[byte]);
            outgoing.end(0).unwrap();
        }
        let counts = outgoing.send(&socket, &mut |index, error| panic!("{index}: {error}")).unwrap();
        assert_eq!((counts.messages, counts.failed), (3, 0));
        assert!(counts.retried <= 1, "the refusal came back once");
        assert_eq!(receive(&live, &mut RecvBatch::new(4, 16), 2), [[1], [2]]);
    }
}

#[test]
fn what_cannot_be_sent_is_retried_once_and_reported() {
    for loopback in loopbacks() {
        let (socket, live) =
            (bind(loopback, &SocketOptions::default()), bind(loopback, &SocketOptions::default()));
        // Port 0 is no destination: EINVAL each time.
        let nowhere = loopback;
        let to = live.local_addr().unwrap();
        let mut batch = SendBatch::new(8, 8, 8);
        let mut outgoing = batch.fill();
        for (index, to) in [to, nowhere, to, nowhere, nowhere, to].into_iter().enumerate() {
            assert!(outgoing.begin(to));
            outgoing.copy(&[index as u8]);
            outgoing.end(0).unwrap();
        }
        let mut reported = Vec::new();
        let counts =
            outgoing.send(&socket, &mut |index, error| reported.push((index, error.raw_os_error()))).unwrap();
        let invalid = Some(libc::EINVAL);
        assert_eq!(reported, [(1, invalid), (3, invalid), (4, invalid)]);
        assert_eq!((counts.messages, counts.datagrams, counts.bytes), (3, 3, 3));
        assert_eq!((counts.retried, counts.failed), (3, 3));
        assert_eq!(receive(&live, &mut RecvBatch::new(4, 16), 3), [[0], [2], [5]]);
    }
}

#[test]
fn a_datagram_above_the_path_mtu_is_reported_with_the_mtu() {
    // 65507 bytes with the headers of IPv6 are more than a loopback of 65536 takes; with those of IPv4 they fit.
    let Some(loopback) = loopbacks().into_iter().find(SocketAddr::is_ipv6) else { return };
    let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Do), ..SocketOptions::default() };
    let (socket, data) = (bind(loopback, &options), pattern(MESSAGE_BYTES_MAX));
    let mut batch = SendBatch::new(1, 1, 0);
    let mut outgoing = batch.fill();
    assert!(outgoing.begin(socket.local_addr().unwrap()));
    outgoing.borrow(&data);
    outgoing.end(0).unwrap();
    let mut reported = Vec::new();
    let counts = outgoing.send(&socket, &mut |_, error| reported.push(error.raw_os_error())).unwrap();
    assert_eq!((reported, counts.failed, counts.retried), (vec![Some(libc::EMSGSIZE)], 1, 1));
    let mut errors = Vec::new();
    socket.drain_errors(&mut |error| errors.push(error)).unwrap();
    assert_eq!(errors.len(), 1, "the first of the two was drained before the retry");
    assert_eq!(errors[0].origin, ErrorOrigin::Local);
    let mtu = errors[0].mtu().expect("it is about the MTU");
    assert!((1280..MESSAGE_BYTES_MAX as u32 + 48).contains(&mtu), "{mtu}");
}

#[test]
fn a_pending_error_does_not_hide_datagrams_from_a_receive() {
    for loopback in loopbacks() {
        let socket = bind(loopback, &SocketOptions::default());
        let peer = bind(loopback, &SocketOptions::default());
        let mut batch = RecvBatch::new(4, 16);
        assert_eq!(batch.recv(&socket).unwrap(), 0);
        assert!(!batch.met_errors());
        send_all(&peer, socket.local_addr().unwrap(), &[b"through"]);
        assert!(socket.wait(true, false, Duration::from_secs(5)).unwrap().readable);
        provoke(&socket, closed_port(loopback));
        assert_eq!(batch.recv(&socket).unwrap(), 1);
        assert!(batch.met_errors());
        assert_eq!(batch.iter().next().unwrap().bytes, b"through");
        assert_eq!(socket.drain_errors(&mut |_| ()).unwrap(), 1);
    }
}

#[test]
fn without_the_error_queue_an_unconnected_socket_hears_nothing() {
    for loopback in loopbacks() {
        let socket = bind(loopback, &SocketOptions { recv_error_queue: false, ..SocketOptions::default() });
        send_all(&socket, closed_port(loopback), &[b"x"]);
        assert_eq!(socket.drain_errors(&mut |_| ()).unwrap(), 0);
        assert!(!socket.wait(false, false, Duration::ZERO).unwrap().error);
    }
}
