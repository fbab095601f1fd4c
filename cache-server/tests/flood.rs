//! A full store under a flood of updates from several connections: reads and administration are served meanwhile, and memory
//! stays within its budget and 64 MiB.

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Read1, Running, Tcp, Udp, noise, set};
use shingle_proto::wire::{Control, ErrorCode};

const BUDGET_MIB: usize = 64;
const FLOODS: u32 = 4;
/// What each connection sends: together with the others 2.5 times the budget.
const FLOOD_BYTES: usize = 40 << 20;
/// Bytes on their way before a connection waits for its answers.
const BATCH_BYTES: usize = 2 << 20;

/// The most memory of the process that was resident so far, in MiB (`VmHWM`, proc_pid_status(5)).
fn resident_mib_max(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() >> 10
}

/// Sets new keys, mostly small values, some large and some over the limit. Returns how many were stored and refused.
fn flood(tcp: SocketAddr, connection: u32) -> (u64, u64) {
    let values = [100, 400, 1500, 100, 400, 60_000, 100, 1 << 20, (1 << 20) + 1].map(noise);
    let mut tcp = Tcp::hello(tcp);
    let (mut stored, mut refused, mut number, mut sent) = (0, 0, 0_u32, 0);
    while sent < FLOOD_BYTES {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            // One in 200 is large, one of those in 3 over the limit.
            let pick = if number.is_multiple_of(200) { 6 + number / 200 % 3 } else { number % 6 };
            batch.push(([connection.to_be_bytes(), number.to_be_bytes()].concat(), pick as usize));
            bytes += values[pick as usize].len();
            number += 1;
        }
        sent += bytes;
        for answer in tcp.pipeline(batch.iter().map(|(key, pick)| Control::Set(set(key, &values[*pick])))) {
            match answer {
                Ok(_version) => stored += 1,
                Err((ErrorCode::ValueTooLarge, _)) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    (stored, refused)
}

#[test]
fn a_flood_of_updates_on_a_full_store_leaves_reads_and_administration_served() {
    let memory = format!("--memory={BUDGET_MIB}MiB");
    let running = Running::start(&["--udp-port=0", "--tcp-port=0", &memory]);
    let (tcp, ended) = (running.tcp, AtomicBool::new(false));
    let mut admin = Tcp::hello(tcp);
    let cookie = admin.cookie(tcp);
    let kept = noise(300);
    admin.set(b"kept", &kept);
    let (floods, reads, answers) = thread::scope(|scope| {
        let floods: Vec<_> = (0..FLOODS).map(|number| scope.spawn(move || flood(tcp, number))).collect();
        let reader = scope.spawn(|| {
            let mut udp = Udp::to(running.udp[0], Some(cookie));
            let mut reads = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                // Evicted is no failure; an answer that does not come, or another value, is.
                match udp.get(b"kept") {
                    Read1::Value(value) => assert!(value == kept, "{} B", value.len()),
                    Read1::Miss => drop(admin_set(tcp, b"kept", &kept)),
                    other => panic!("{other:?}"),
                }
                reads += 1;
            }
            reads
        });
        let mut answers = 0;
        while !floods.iter().all(|flood| flood.is_finished()) {
            let store = admin.stats().store;
            assert!(store.used_bytes <= store.budget_bytes, "{store:?}");
            answers += 1;
        }
        ended.store(true, Ordering::Relaxed);
        let floods: Vec<_> = floods.into_iter().map(|flood| flood.join().unwrap()).collect();
        (floods, reader.join().unwrap(), answers)
    });
    let stats = admin.stats();
    assert!(floods.iter().all(|(stored, refused)| *stored > 1000 && *refused > 0), "{floods:?}");
    assert!(reads > 0 && answers > 0, "{reads} reads, {answers} answers to STATS");
    let stored: u64 = floods.iter().map(|(stored, _)| stored).sum();
    assert!(stats.store.sets > stored && stats.store.evictions > 1000, "{:?}", stats.store);
    assert!(stats.store.evictions + stats.store.items <= stats.store.sets, "{:?}", stats.store);
    let resident = resident_mib_max(running.child.id());
    println!("{stored} stored, {reads} reads, {answers} answers to STATS, {resident} MiB resident");
    assert!(resident <= BUDGET_MIB + 64, "{resident} MiB resident");
}

fn admin_set(tcp: SocketAddr, key: &[u8], value: &[u8]) -> u64 {
    Tcp::hello(tcp).set(key, value)
}
