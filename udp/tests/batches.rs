//! What is sent in a batch is what is received, however it is put together.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{bind, loopbacks, pattern, receive, receive_with, send_all};
use shingle_udp::limits::{MESSAGE_BYTES_MAX, SEGMENTS_PER_SEND_MAX, SLICES_PER_MESSAGE_MAX};
use shingle_udp::{MessageError, RecvBatch, SendBatch, Socket, SocketOptions, realtime_ns};

fn pair(loopback: SocketAddr) -> (Socket, Socket) {
    let roomy = SocketOptions { recv_buffer_bytes: 1 << 20, ..SocketOptions::default() };
    (bind(loopback, &SocketOptions::default()), bind(loopback, &roomy))
}

#[test]
fn batches_of_every_mixture_arrive_as_sent() {
    for loopback in loopbacks() {
        let (sender, receiver) = pair(loopback);
        let to = receiver.local_addr().unwrap();
        let data = pattern(4096);
        let mut outgoing_memory = SendBatch::new(100, 300, 8192);
        let mut incoming = RecvBatch::new(7, 2048);
        for round in 0..3 {
            let mut outgoing = outgoing_memory.fill();
            assert!(outgoing.is_empty());
            let mut expected = Vec::new();
            for index in 0..100 {
                assert!(outgoing.begin(to));
                let body = &data[index..index * 14 + round];
                outgoing.copy(&data[..index % 5]);
                outgoing.copy(b"head");
                outgoing.borrow(body);
                outgoing.copy(&data[..index % 3]);
                outgoing.end(0).unwrap();
                expected.push([&data[..index % 5], b"head", body, &data[..index % 3]].concat());
            }
            assert_eq!(outgoing.len(), 100);
            assert!(!outgoing.begin(to), "the batch is full");
            let counts = outgoing.send(&sender, &mut |index, error| panic!("{index}: {error}")).unwrap();
            let bytes: usize = expected.iter().map(Vec::len).sum();
            assert_eq!((counts.messages, counts.datagrams, counts.bytes), (100, 100, bytes as u64));
            assert_eq!((counts.system_calls, counts.retried, counts.failed), (1, 0, 0));
            assert_eq!(receive(&receiver, &mut incoming, 100), expected);
        }
    }
}

#[test]
fn a_connected_socket_needs_no_address_and_a_full_batch_says_so() {
    for loopback in loopbacks() {
        let (sender, receiver) = pair(loopback);
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut outgoing_memory = SendBatch::new(3, 3, 64);
        let mut outgoing = outgoing_memory.fill();
        for segment_bytes in [0, 2, 0] {
            assert!(outgoing.begin_connected());
            outgoing.copy(b"four");
            outgoing.end(segment_bytes).unwrap();
        }
        assert!(!outgoing.begin_connected(), "the batch is full");
        let counts = outgoing.send(&sender, &mut |index, error| panic!("{index}: {error}")).unwrap();
        assert_eq!((counts.messages, counts.datagrams, counts.system_calls), (3, 4, 1));
        receiver.wait(true, false, Duration::from_secs(5)).unwrap();
        let mut incoming = RecvBatch::new(3, 64);
        let mut received = Vec::new();
        for (datagrams, full, empty) in [(3, true, false), (1, false, false), (0, false, true)] {
            assert_eq!(incoming.recv(&receiver).unwrap(), datagrams);
            assert_eq!((incoming.is_full(), incoming.is_empty()), (full, empty));
            received.extend(incoming.iter().map(|datagram| datagram.bytes.to_vec()));
        }
        assert_eq!(received, [&b"four"[..], b"fo", b"ur", b"four"]);
    }
}

#[test]
fn more_messages_than_one_call_takes_go_in_two() {
    let (sender, receiver) = pair(loopbacks()[0]);
    let to = receiver.local_addr().unwrap();
    // Half of them to a second socket, so that no receive buffer overflows.
    let second = pair(loopbacks()[0]).1;
    let other = second.local_addr().unwrap();
    let mut batch = SendBatch::new(1100, 1100, 1100);
    let mut outgoing = batch.fill();
    for index in 0..1100u32 {
        assert!(outgoing.begin(if index % 2 == 0 { to } else { other }));
        outgoing.copy(&[index as u8]);
        outgoing.end(0).unwrap();
    }
    let counts = outgoing.send(&sender, &mut |index, error| panic!("{index}: {error}")).unwrap();
    assert_eq!((counts.messages, counts.system_calls), (1100, 2));
    // A small buffer may not hold them all; what matters here is that each went out once.
    let mut incoming = RecvBatch::new(64, 64);
    let (mut arrived, mut dropped) = (0, 0);
    for _ in 0..5000 {
        for socket in [&receiver, &second] {
            arrived += receive_now(socket, &mut incoming);
        }
        dropped = [&receiver, &second].map(|socket| socket.mem_info().unwrap().drops as usize).iter().sum();
        if arrived + dropped >= 1100 {
            break;
        }
        receiver.wait(true, false, Duration::from_millis(1)).unwrap();
    }
    assert_eq!(arrived + dropped, 1100);
}

fn receive_now(socket: &Socket, batch: &mut RecvBatch) -> usize {
    std::iter::from_fn(|| Some(batch.recv(socket).unwrap()).filter(|count| *count > 0)).sum()
}

#[test]
fn empty_and_largest_datagrams_arrive() {
    for loopback in loopbacks() {
        let (sender, receiver) = pair(loopback);
        let largest = pattern(MESSAGE_BYTES_MAX);
        let payloads: [&[u8]; 3] = [b"", &largest, b""];
        let counts = send_all(&sender, receiver.local_addr().unwrap(), &payloads);
        assert_eq!((counts.datagrams, counts.bytes), (3, MESSAGE_BYTES_MAX as u64));
        assert_eq!(receive(&receiver, &mut RecvBatch::new(2, 65_535), 3), payloads);
    }
}

#[test]
fn a_slot_too_short_is_flagged_and_disturbs_no_other() {
    for loopback in loopbacks() {
        let (sender, receiver) = pair(loopback);
        let data = pattern(200);
        send_all(&sender, receiver.local_addr().unwrap(), &[&data[..100], &data[..101], &data[..99]]);
        let mut seen = Vec::new();
        receive_with(&receiver, &mut RecvBatch::new(8, 100), 3, |datagram| {
            assert_eq!(datagram.source, sender.local_addr().unwrap());
            seen.push((datagram.bytes.to_vec(), datagram.truncated));
        });
        let (short, long) = (data[..99].to_vec(), data[..100].to_vec());
        assert_eq!(seen, [(long.clone(), false), (long, true), (short, false)]);
    }
}

#[test]
fn kernel_timestamps_come_when_asked_for() {
    for loopback in loopbacks() {
        let sender = bind(loopback, &SocketOptions::default());
        for timestamps in [true, false] {
            let receiver = bind(loopback, &SocketOptions { timestamps, ..SocketOptions::default() });
            send_all(&sender, receiver.local_addr().unwrap(), &[b"1", b"2", b"3"]);
            let received = receive_with(&receiver, &mut RecvBatch::new(8, 64), 3, |datagram| {
                assert_eq!(datagram.kernel_time_ns.is_some(), timestamps);
                // The same clock: a minute apart at most, whatever the machine does meanwhile.
                assert!(
                    datagram.kernel_time_ns.is_none_or(|time| time.abs_diff(realtime_ns()) < 60_000_000_000)
                );
            });
            assert_eq!(received, 3);
        }
    }
}

#[test]
fn messages_beyond_the_limits_are_refused_and_leave_no_trace() {
    let (sender, receiver) = pair(loopbacks()[0]);
    let to = receiver.local_addr().unwrap();
    let data = pattern(MESSAGE_BYTES_MAX + 1);
    let mut batch = SendBatch::new(4, 2000, 16);
    let mut outgoing = batch.fill();

    assert!(outgoing.begin(to));
    outgoing.borrow(&data[..1281]);
    assert_eq!(outgoing.end(10), Err(MessageError::Segments { segments: 129 }));
    assert!(outgoing.begin(to));
    outgoing.borrow(&data);
    assert_eq!(outgoing.end(0), Err(MessageError::Bytes { bytes: 65_508 }));
    assert!(outgoing.begin(to));
    (0..=SLICES_PER_MESSAGE_MAX).for_each(|at| outgoing.borrow(&data[at..=at]));
    assert_eq!(outgoing.end(0), Err(MessageError::Slices { slices: 1025 }));
    let text = MessageError::Segments { segments: 129 }.to_string();
    assert!(text.contains("129") && text.contains(&SEGMENTS_PER_SEND_MAX.to_string()), "{text}");

    assert!(outgoing.is_empty());
    assert!(outgoing.begin(to));
    outgoing.copy(b"forgotten");
    assert!(outgoing.begin(to));
    outgoing.copy(b"kept");
    outgoing.end(0).unwrap();
    let counts = outgoing.send(&sender, &mut |index, error| panic!("{index}: {error}")).unwrap();
    assert_eq!((counts.messages, counts.bytes), (1, 4));
    assert_eq!(receive(&receiver, &mut RecvBatch::new(8, 64), 1), [b"kept"]);
}

#[test]
fn room_is_told_before_it_is_used_up() {
    let to = loopbacks()[0];
    let mut batch = SendBatch::new(2, 3, 10);
    let mut outgoing = batch.fill();
    assert!(outgoing.begin(to));
    assert!(outgoing.has_room(3, 10) && !outgoing.has_room(4, 10) && !outgoing.has_room(3, 11));
    outgoing.copy(b"1234");
    outgoing.copy(b"56");
    assert!(outgoing.has_room(2, 4) && !outgoing.has_room(3, 4) && !outgoing.has_room(2, 5));
    outgoing.borrow(b"x");
    outgoing.copy(b"7890");
    assert!(outgoing.has_room(0, 0) && !outgoing.has_room(1, 0) && !outgoing.has_room(0, 1));
    let full = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outgoing.copy(b"!")));
    assert!(full.is_err());
}
