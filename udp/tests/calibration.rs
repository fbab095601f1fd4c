//! What the kernel charges for a datagram is what it says it charges, and it predicts what a buffer holds.

mod common;

use common::{bind, loopbacks, receive, send_all};
use shingle_udp::limits::MESSAGE_BYTES_MAX;
use shingle_udp::{RecvBatch, SocketOptions, allowed_cpus, pin_thread_to, receive_charges};

const SIZES: [usize; 8] = [1, 199, 640, 1200, 1472, 3700, 8952, 60_000];

#[test]
fn charges_cover_the_payload_and_rise_with_it() {
    for loopback in loopbacks() {
        let charges = receive_charges(loopback.is_ipv6(), &SIZES).unwrap();
        assert_eq!(charges.len(), SIZES.len());
        assert!(charges.is_sorted(), "{charges:?}");
        for (bytes, charged) in SIZES.into_iter().zip(charges) {
            assert!(charged as usize > bytes, "{charged} for {bytes} B");
        }
    }
    assert!(receive_charges(false, &[]).unwrap().is_empty());
}

/// A socket takes datagrams until their charges exceed its buffer: as many as the charges measured say, give or take
/// the one that crosses the limit.
#[test]
fn charges_predict_how_many_datagrams_a_buffer_holds() {
    // Loopback keeps the order of one CPU, so once the marker is there, all sent before it was delivered or dropped.
    pin_thread_to(allowed_cpus().unwrap()[0]).unwrap();
    for loopback in loopbacks() {
        let marker = bind(loopback, &SocketOptions::default());
        for bytes in [640, 1472, 8952] {
            let charged = receive_charges(loopback.is_ipv6(), &[bytes]).unwrap()[0] as usize;
            let receiver =
                bind(loopback, &SocketOptions { recv_buffer_bytes: 100_000, ..SocketOptions::default() });
            let sender = bind(loopback, &SocketOptions::default());
            let fits = receiver.recv_buffer_granted_bytes().unwrap() / charged;
            let payload = vec![0; bytes];
            let to = receiver.local_addr().unwrap();
            let send_and_settle = || {
                send_all(&sender, to, &vec![&payload[..]; fits]);
                send_all(&sender, marker.local_addr().unwrap(), &[b"done"]);
                assert_eq!(receive(&marker, &mut RecvBatch::new(1, 8), 1), [b"done"]);
            };
            send_and_settle();
            assert_eq!(receiver.mem_info().unwrap().drops, 0, "{fits} datagrams of {bytes} B");
            let queued = receiver.mem_info().unwrap().recv_queue_bytes as usize;
            assert_eq!(queued, fits * charged, "{fits} datagrams of {bytes} B");
            send_and_settle();
            assert!(receiver.mem_info().unwrap().drops as usize >= fits - 2);
            assert!(RecvBatch::new(1024, bytes).recv(&receiver).unwrap().abs_diff(fits) <= 2);
        }
    }
}

#[test]
fn sizes_no_datagram_has_are_refused() {
    let error = receive_charges(false, &[1200, MESSAGE_BYTES_MAX + 1]).unwrap_err();
    assert!(error.to_string().contains("65508"), "{error}");
}
