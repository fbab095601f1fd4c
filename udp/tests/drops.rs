//! A receive buffer that overflows: the datagram's own count, SO_MEMINFO and /proc agree on what was lost.

mod common;

use common::{bind, loopbacks, receive, send_all};
use shingle_udp::counters::Snapshot;
use shingle_udp::{RecvBatch, SocketOptions, allowed_cpus, pin_thread_to};

#[test]
fn every_book_has_the_same_number_of_drops() {
    const SENT: usize = 200;
    // Loopback keeps the order of one CPU, so once the marker is there, all sent before it was delivered or dropped.
    pin_thread_to(allowed_cpus().unwrap()[0]).unwrap();
    for loopback in loopbacks() {
        let marker = bind(loopback, &SocketOptions::default());
        // The kernel's least receive buffer.
        let receiver = bind(loopback, &SocketOptions { recv_buffer_bytes: 1, ..SocketOptions::default() });
        let sender = bind(loopback, &SocketOptions::default());
        let to = receiver.local_addr().unwrap();
        assert_eq!(receiver.mem_info().unwrap().drops, 0);
        let before = Snapshot::read().unwrap();
        let payload = [0; 300];
        send_all(&sender, to, &[&payload[..]; SENT]);
        send_all(&sender, marker.local_addr().unwrap(), &[b"done"]);
        assert_eq!(receive(&marker, &mut RecvBatch::new(1, 8), 1), [b"done"]);
        let info = receiver.mem_info().unwrap();
        assert!(info.recv_queue_bytes > 0 && info.drops > 0, "{info:?}");

        let mut batch = RecvBatch::new(SENT, 512);
        let kept = batch.recv(&receiver).unwrap();
        assert_eq!(kept + info.drops as usize, SENT);
        assert_eq!(batch.drops(), None, "nothing had been dropped when these were queued");
        assert_eq!(receiver.mem_info().unwrap().recv_queue_bytes, 0);

        send_all(&sender, to, &[&payload]);
        assert_eq!(receive(&receiver, &mut batch, 1).len(), 1);
        assert_eq!(batch.drops(), Some(info.drops));

        let after = Snapshot::read().unwrap();
        let sockets = if loopback.is_ipv4() { &after.udp } else { &after.udp6 };
        let listed: Vec<_> = sockets.on_port(to.port()).filter(|socket| socket.local == to).collect();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].drops, Some(info.drops));
        // Other tests count in the same namespace, so this one is a lower bound.
        let name = if loopback.is_ipv4() { "Udp.RcvbufErrors" } else { "Udp6.RcvbufErrors" };
        assert!(after.since(&before).counters[name] >= u64::from(info.drops));
    }
}
