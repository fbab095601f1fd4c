//! What is asked of a socket is what the kernel has.

mod common;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{bind, loopbacks, receive, send_all};
use shingle_udp::{MtuDiscovery, RecvBatch, Socket, SocketOptions, interface_mtu};

#[test]
fn every_mtu_mode_is_set_and_read_back() {
    for loopback in loopbacks() {
        for mode in MtuDiscovery::ALL {
            let options = SocketOptions { mtu_discovery: Some(mode), ..SocketOptions::default() };
            let socket = bind(loopback, &options);
            assert_eq!(socket.mtu_discovery().unwrap(), mode, "{loopback}");
            for other in MtuDiscovery::ALL {
                socket.set_mtu_discovery(other).unwrap();
                assert_eq!(socket.mtu_discovery().unwrap(), other, "{loopback}");
            }
        }
    }
}

#[test]
fn default_options_leave_the_mtu_mode_to_the_system() {
    for loopback in loopbacks() {
        let plain = std::net::UdpSocket::bind(loopback).unwrap();
        let level = if loopback.is_ipv4() {
            (libc::SOL_IP, libc::IP_MTU_DISCOVER)
        } else {
            (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER)
        };
        let mut system = 0i32;
        let mut len = size_of::<i32>() as libc::socklen_t;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&plain);
        // SAFETY: pointer and length describe `system`.
        let result = unsafe { libc::getsockopt(fd, level.0, level.1, (&raw mut system).cast(), &mut len) };
        assert_eq!(result, 0);
        let ours = bind(loopback, &SocketOptions::default()).mtu_discovery().unwrap();
        let raw = [MtuDiscovery::Dont, MtuDiscovery::Want, MtuDiscovery::Do];
        assert_eq!(raw.get(system as usize), Some(&ours), "{loopback}");
    }
}

#[test]
fn receive_buffer_is_granted_doubled_up_to_the_limit() {
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok();
    let limit: Option<usize> = limit.and_then(|text| text.trim().parse().ok());
    for loopback in loopbacks() {
        for asked in [32 << 10, 256 << 20] {
            let options = SocketOptions { recv_buffer_bytes: asked, ..SocketOptions::default() };
            let socket = bind(loopback, &options);
            let granted = socket.recv_buffer_granted_bytes().unwrap();
            assert_eq!(socket.mem_info().unwrap().recv_buffer_bytes as usize, granted);
            match limit {
                // With CAP_NET_ADMIN the limit does not hold.
                Some(limit) => assert!(
                    granted == 2 * asked || asked > limit && granted == 2 * limit,
                    "asked {asked}, limit {limit}, granted {granted}"
                ),
                None => assert!(granted <= 2 * asked),
            }
        }
    }
}

#[test]
fn a_port_is_shared_only_by_sockets_that_ask_for_it() {
    for loopback in loopbacks() {
        let shared = SocketOptions { reuse_port: true, ..SocketOptions::default() };
        let first = bind(loopback, &shared);
        let addr = first.local_addr().unwrap();
        let second = bind(addr, &shared);
        assert_eq!(second.local_addr().unwrap(), addr);
        let error = Socket::bind(addr, &SocketOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

#[test]
fn ipv4_peers_reach_a_dual_socket_as_ipv4_and_are_answered() {
    let any: SocketAddr = "[::]:0".parse().unwrap();
    let Ok(dual) = Socket::bind(any, &SocketOptions::default()) else {
        return eprintln!("SKIPPED: cannot bind {any}");
    };
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let peer = bind(v4, &SocketOptions::default());
    send_all(&peer, SocketAddr::new(v4.ip(), dual.local_addr().unwrap().port()), &[b"ask"]);
    let mut batch = RecvBatch::new(4, 64);
    assert_eq!(receive_one(&dual, &mut batch), b"ask");
    let source = batch.iter().next().unwrap().source;
    assert_eq!(source, peer.local_addr().unwrap());
    send_all(&dual, source, &[b"answer"]);
    assert_eq!(receive(&peer, &mut batch, 1), [b"answer"]);
}

#[test]
fn ipv4_peers_do_not_reach_a_socket_that_takes_ipv6_only() {
    let any: SocketAddr = "[::]:0".parse().unwrap();
    let Ok(only) = Socket::bind(any, &SocketOptions { only_v6: true, ..SocketOptions::default() }) else {
        return eprintln!("SKIPPED: cannot bind {any}");
    };
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), only.local_addr().unwrap().port());
    // The port is free for IPv4, so nobody stands there.
    let other = bind(v4, &SocketOptions::default());
    let sender = bind(SocketAddr::new(v4.ip(), 0), &SocketOptions::default());
    send_all(&sender, v4, &[b"x"]);
    assert_eq!(receive(&other, &mut RecvBatch::new(1, 8), 1), [b"x"]);
    assert_eq!(RecvBatch::new(1, 8).recv(&only).unwrap(), 0);
}

#[test]
fn mtu_of_loopback_is_that_of_its_interface() {
    let Ok(text) = std::fs::read_to_string("/sys/class/net/lo/mtu") else {
        return eprintln!("SKIPPED: no /sys/class/net/lo/mtu");
    };
    let mtu: u32 = text.trim().parse().unwrap();
    for loopback in loopbacks() {
        assert_eq!(interface_mtu(loopback.ip()).unwrap(), mtu);
        let unspecified = bind(loopback, &SocketOptions::default());
        assert_eq!(unspecified.path_mtu().unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
        unspecified.connect(SocketAddr::new(loopback.ip(), 9)).unwrap();
        // A route's MTU stops at what the IP header can say.
        assert_eq!(unspecified.path_mtu().unwrap().min(65_535), mtu.min(65_535));
    }
    // Not held by the interface by name, but routed to it.
    assert_eq!(interface_mtu("127.1.2.3".parse().unwrap()).unwrap(), mtu);
    assert!(interface_mtu(Ipv4Addr::UNSPECIFIED.into()).unwrap() >= mtu);
}

#[test]
fn waiting_ends_at_the_timeout_or_with_a_datagram() {
    for loopback in loopbacks() {
        let socket = bind(loopback, &SocketOptions::default());
        let ready = socket.wait(true, false, Duration::from_nanos(1)).unwrap();
        assert!(!ready.readable && !ready.writable && !ready.error);
        assert!(socket.wait(true, true, Duration::MAX).unwrap().writable);
        send_all(&socket, socket.local_addr().unwrap(), &[b"x"]);
        let ready = socket.wait(true, false, Duration::from_secs(5)).unwrap();
        assert!(ready.readable && !ready.writable, "writability was not asked for");
    }
}

fn receive_one(socket: &Socket, batch: &mut RecvBatch) -> Vec<u8> {
    assert!(socket.wait(true, false, Duration::from_secs(5)).unwrap().readable);
    assert_eq!(batch.recv(socket).unwrap(), 1);
    batch.iter().next().unwrap().bytes.to_vec()
}
