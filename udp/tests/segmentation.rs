//! Trains of datagrams: cut by the kernel or by us, coalesced or not, the receiver sees the same datagrams.

mod common;

use std::time::Duration;

use common::{bind, loopbacks, pattern, receive, send_train};
use shingle_udp::limits::GRO_SLOT_BYTES_MIN;
use shingle_udp::{MtuDiscovery, RecvBatch, SendBatch, SocketOptions};

const SEGMENT_BYTES: usize = 500;
const TRAIN_BYTES: usize = 120 * SEGMENT_BYTES + 123;

fn roomy(gro: bool) -> SocketOptions {
    SocketOptions { recv_buffer_bytes: 1 << 20, gro, ..SocketOptions::default() }
}

#[test]
fn every_way_of_cutting_and_coalescing_gives_the_same_datagrams() {
    let data = pattern(TRAIN_BYTES);
    let expected: Vec<_> = data.chunks(SEGMENT_BYTES).map(<[u8]>::to_vec).collect();
    for loopback in loopbacks() {
        for gro in [false, true] {
            for segments_max in [128, 64, 50, 1] {
                let sender = bind(loopback, &SocketOptions::default());
                let receiver = bind(loopback, &roomy(gro));
                sender.limit_segments(segments_max);
                assert_eq!(sender.has_segmentation(), segments_max > 1, "this kernel has UDP_SEGMENT");
                let counts = send_train(&sender, receiver.local_addr().unwrap(), &data, SEGMENT_BYTES);
                assert_eq!((counts.messages, counts.datagrams, counts.bytes), (1, 121, TRAIN_BYTES as u64));
                assert_eq!(counts.system_calls, 1, "however many messages, they fit one sendmmsg");
                let mut batch = RecvBatch::new(128, GRO_SLOT_BYTES_MIN);
                assert_eq!(receive(&receiver, &mut batch, 121), expected, "{loopback} {gro} {segments_max}");
            }
        }
    }
}

#[test]
fn gro_hands_a_whole_train_to_one_slot() {
    let data = pattern(TRAIN_BYTES);
    for loopback in loopbacks() {
        let sender =
            bind(loopback, &SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..Default::default() });
        let receiver = bind(loopback, &roomy(true));
        assert!(receiver.has_gro());
        send_train(&sender, receiver.local_addr().unwrap(), &data, SEGMENT_BYTES);
        let mut batch = RecvBatch::new(1, GRO_SLOT_BYTES_MIN);
        assert!(receiver.wait(true, false, Duration::from_secs(5)).unwrap().readable);
        assert_eq!(batch.recv(&receiver).unwrap(), 121);
        assert!(batch.iter().map(|datagram| datagram.bytes).eq(data.chunks(SEGMENT_BYTES)));
        assert!(batch.iter().all(|datagram| datagram.source == sender.local_addr().unwrap()));
    }
}

#[test]
fn trains_among_single_messages_keep_order_and_count() {
    let data = pattern(3000);
    for loopback in loopbacks() {
        for segments_max in [128, 2, 1] {
            let (sender, receiver) =
                (bind(loopback, &SocketOptions::default()), bind(loopback, &roomy(false)));
            sender.limit_segments(segments_max);
            let to = receiver.local_addr().unwrap();
            let mut batch = SendBatch::new(10, 40, 200);
            let mut outgoing = batch.fill();
            let mut expected = Vec::new();
            for (index, segment_bytes) in [0, 700, 0, 1000, 3000, 1, 999].into_iter().enumerate() {
                // One that goes through cuts inside copied and borrowed slices; one byte a segment gets few bytes.
                let body = if segment_bytes == 1 { &data[..20] } else { &data[..] };
                assert!(outgoing.begin(to));
                outgoing.copy(&[index as u8; 10]);
                outgoing.borrow(&body[..body.len() / 2]);
                outgoing.copy(&[]);
                outgoing.borrow(&body[body.len() / 2..]);
                outgoing.end(segment_bytes).unwrap();
                let whole = [&[index as u8; 10], body].concat();
                expected.extend(
                    whole.chunks(if segment_bytes == 0 { 4000 } else { segment_bytes }).map(<[u8]>::to_vec),
                );
            }
            let counts = outgoing.send(&sender, &mut |index, error| panic!("{index}: {error}")).unwrap();
            assert_eq!((counts.messages, counts.datagrams, counts.failed), (7, expected.len() as u64, 0));
            assert_eq!(receive(&receiver, &mut RecvBatch::new(64, 4096), expected.len()), expected);
        }
    }
}

#[test]
fn slots_that_would_cut_trains_are_refused() {
    let receiver = bind(loopbacks()[0], &roomy(true));
    let error = RecvBatch::new(4, 2048).recv(&receiver).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("2048") && error.to_string().contains("65535"), "{error}");
}
