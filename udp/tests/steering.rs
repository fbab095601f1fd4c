//! Sockets that share a port: each flow keeps its socket, whether the kernel chooses by flow or a program by CPU.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{bind, loopbacks, send_all};
use shingle_udp::limits::STEERED_CPUS_MAX;
use shingle_udp::{RecvBatch, Socket, SocketOptions, allowed_cpus, pin_thread_to};

/// Sockets on one port, in the order they were bound.
fn group(loopback: SocketAddr, count: usize) -> Vec<Socket> {
    let options = SocketOptions { reuse_port: true, ..SocketOptions::default() };
    let first = bind(loopback, &options);
    let addr = first.local_addr().unwrap();
    let mut group = vec![first];
    group.extend((1..count).map(|_| bind(addr, &options)));
    group
}

/// How many of `count` datagrams, sent from here to the group's port, each socket got.
fn shares(group: &[Socket], sender: &Socket, count: usize) -> Vec<usize> {
    send_all(sender, group[0].local_addr().unwrap(), &vec![&b"datagram"[..]; count]);
    let mut batch = RecvBatch::new(64, 64);
    let mut shares = vec![0; group.len()];
    while shares.iter().sum::<usize>() < count {
        // Loopback has delivered when the send returns.
        for (share, socket) in shares.iter_mut().zip(group) {
            *share += batch.recv(socket).unwrap();
        }
    }
    shares
}

fn whose(shares: &[usize]) -> usize {
    assert_eq!(shares.iter().filter(|share| **share > 0).count(), 1, "a flow keeps its socket: {shares:?}");
    shares.iter().position(|share| *share > 0).unwrap()
}

#[test]
fn by_flow_every_flow_keeps_its_socket_and_every_socket_gets_some() {
    for loopback in loopbacks() {
        let group = group(loopback, 3);
        let mut flows = [0; 3];
        for _ in 0..200 {
            let sender = bind(loopback, &SocketOptions::default());
            flows[whose(&shares(&group, &sender, 8))] += 1;
        }
        assert!(flows.iter().all(|count| *count > 0), "{flows:?}");
    }
}

#[test]
fn by_cpu_datagrams_go_to_the_socket_of_the_cpu_that_handles_them() {
    // Loopback handles a datagram on the CPU that sends it.
    let cpus: Vec<u32> = allowed_cpus().unwrap().into_iter().map(|cpu| cpu as u32).collect();
    for loopback in loopbacks() {
        let mut group = group(loopback, cpus.len() + 1);
        // The last socket's CPU does not exist, and the order is not that of the CPUs.
        let order: Vec<u32> = cpus.iter().rev().copied().chain([u32::MAX]).collect();
        group[0].steer_by_cpu(&order).unwrap();
        for (index, &cpu) in order[..cpus.len()].iter().enumerate() {
            on_cpu(cpu, || {
                for _ in 0..20 {
                    let sender = bind(loopback, &SocketOptions::default());
                    assert_eq!(whose(&shares(&group, &sender, 8)), index, "CPU {cpu}");
                }
            });
        }
        // With a socket fewer the kernel moves the last into its place; whatever the program says, nothing is lost.
        group.remove(0);
        for &cpu in &cpus {
            on_cpu(cpu, || {
                for _ in 0..20 {
                    let sender = bind(loopback, &SocketOptions::default());
                    whose(&shares(&group, &sender, 8));
                }
            });
        }
        group.truncate(1);
        let sender = bind(loopback, &SocketOptions::default());
        assert_eq!(shares(&group, &sender, 8), [8], "one socket is left");
    }
}

#[test]
fn cpus_not_listed_share_by_their_number() {
    let cpus = allowed_cpus().unwrap();
    for loopback in loopbacks() {
        let group = group(loopback, 2);
        group[1].steer_by_cpu(&[u32::MAX, u32::MAX]).unwrap();
        for &cpu in &cpus {
            on_cpu(cpu as u32, || {
                let sender = bind(loopback, &SocketOptions::default());
                assert_eq!(whose(&shares(&group, &sender, 8)), cpu % 2);
            });
        }
    }
}

#[test]
fn what_cannot_be_steered_is_refused() {
    let group = group(loopbacks()[0], 2);
    for cpus in [vec![], vec![0; STEERED_CPUS_MAX + 1]] {
        let error = group[0].steer_by_cpu(&cpus).unwrap_err();
        assert!(error.to_string().contains(&cpus.len().to_string()), "{error}");
    }
    group[0].steer_by_cpu(&vec![0; STEERED_CPUS_MAX]).unwrap();
    let alone = bind(loopbacks()[0], &SocketOptions::default());
    assert!(alone.steer_by_cpu(&[0]).is_err());
    assert!(!alone.wait(true, false, Duration::ZERO).unwrap().readable);
}

/// Runs `body` on a thread pinned to `cpu`.
fn on_cpu(cpu: u32, body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin_thread_to(cpu as usize).unwrap();
            body();
        });
    });
}
