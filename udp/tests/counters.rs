//! The parsers of /proc over files of several kernels, whole and broken.

use std::path::Path;

use proptest::prelude::*;
use shingle_udp::counters::{Snapshot, Snmp, Snmp6, Softnet, SoftnetCpu, UdpSockets};

fn fixture(kernel: &str) -> Snapshot {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kernel);
    Snapshot::parse(|name| {
        Some(String::from_utf8_lossy(&std::fs::read(directory.join(name)).ok()?).into_owned())
    })
}

#[test]
fn linux_6_18_reads_whole() {
    let snapshot = fixture("linux-6.18");
    assert!(snapshot.missing.is_empty());
    let udp = |name| snapshot.snmp.get("Udp", name);
    assert_eq!((udp("InDatagrams"), udp("InErrors"), udp("RcvbufErrors")), (Some(232), Some(37), Some(37)));
    assert_eq!(udp("MemErrors"), Some(0));
    assert_eq!(snapshot.snmp.get("Tcp", "MaxConn"), None, "-1 is no count");
    assert_eq!(snapshot.netstat.get("IpExt", "ReasmOverlaps"), Some(0));
    assert_eq!(snapshot.snmp6.get("Udp6MemErrors"), Some(0));

    let sockets: Vec<_> = snapshot.udp.iter().collect();
    assert_eq!(sockets.len(), 2);
    assert_eq!(sockets[0].local, "127.0.0.1:7400".parse().unwrap());
    assert_eq!((sockets[0].recv_queue_bytes, sockets[0].drops), (0x1b00, Some(37)));
    assert_eq!(sockets[1].remote, "127.0.0.1:7400".parse().unwrap());
    assert_ne!(sockets[0].inode, sockets[1].inode);
    let sockets6: Vec<_> = snapshot.udp6.iter().collect();
    assert_eq!(sockets6[0].local, "[::1]:7400".parse().unwrap());
    assert_eq!((sockets6[0].recv_queue_bytes, sockets6[0].drops), (0x500, Some(0)));
    assert_eq!(snapshot.udp6.on_port(7402).count(), 1);

    let cpus: Vec<_> = snapshot.softnet.iter().map(|cpu| cpu.cpu).collect();
    assert_eq!(cpus, [0, 1]);
    let flat = snapshot.flat();
    assert_eq!(flat["Udp.RcvbufErrors"], 37);
    for name in ["Udp.SndbufErrors", "Udp.MemErrors", "Ip.FragCreates", "Ip.ReasmTimeout", "Ip.OutDiscards"] {
        assert!(flat.contains_key(name), "{name}");
    }
    for name in
        ["Ip6.FragFails", "Icmp.OutRateLimitHost", "Icmp6.InPktTooBigs", "Udp6.NoPorts", "Softnet.Dropped"]
    {
        assert!(flat.contains_key(name), "{name}");
    }
}

#[test]
fn an_older_kernel_lacks_counters_and_columns_but_reads() {
    let snapshot = fixture("older");
    let udp = |name| snapshot.snmp.get("Udp", name);
    assert_eq!((udp("RcvbufErrors"), udp("SndbufErrors")), (Some(30), Some(3)));
    assert_eq!((udp("MemErrors"), udp("InCsumErrors")), (None, None));
    assert_eq!(snapshot.snmp.get("UdpLite", "InDatagrams"), None);
    assert_eq!(snapshot.snmp.get("Ip", "InReceives"), Some(u64::MAX));
    let sockets: Vec<_> = snapshot.udp.iter().collect();
    assert_eq!(sockets.len(), 2);
    assert_eq!((sockets[1].send_queue_bytes, sockets[1].recv_queue_bytes), (16, 0x1a2b0));
    assert_eq!((sockets[1].inode, sockets[1].drops), (4242, None));
    assert_eq!(sockets[1].remote, "127.0.0.2:53".parse().unwrap());
    assert_eq!(snapshot.udp6.on_port(7400).next().unwrap().inode, 4300);
    let cpus: Vec<_> = snapshot.softnet.iter().copied().collect();
    assert_eq!(cpus[1], SoftnetCpu { cpu: 1, processed: 4096, dropped: 3, time_squeeze: 0 });
    let flat = snapshot.flat();
    assert_eq!((flat["Softnet.Dropped"], flat["Softnet.TimeSqueeze"], flat["Ip.FragCreates"]), (5, 5, 1800));
    assert!(!flat.contains_key("Udp.MemErrors") && !flat.contains_key("Ip6.FragFails"));
}

#[test]
fn a_truncated_file_gives_what_was_whole() {
    let snapshot = fixture("truncated");
    assert_eq!(snapshot.missing, ["udp6"]);
    assert!(snapshot.snmp.get("Ip", "InReceives").is_some());
    assert_eq!(snapshot.snmp.get("Udp", "InDatagrams"), None, "its line of values was cut inside a number");
    assert_eq!(snapshot.snmp6.get("Ip6InReceives"), Some(2));
    assert_eq!(snapshot.udp.iter().count(), 1);
    assert_eq!(snapshot.softnet.iter().count(), 0);
    assert!(snapshot.flat().keys().all(|name| !name.starts_with("Softnet")), "no CPU, no counter");
}

#[test]
fn garbage_gives_little_and_harms_nothing() {
    let (garbage, good) = (fixture("garbage"), fixture("linux-6.18"));
    assert!(garbage.missing.is_empty(), "it can be read, it only says nothing");
    assert!(garbage.snmp.iter().count() < good.snmp.iter().count());
    let delta = good.since(&garbage);
    assert!(!delta.unknown.is_empty());
}

#[test]
fn missing_files_are_named() {
    let snapshot = Snapshot::parse(|_| None);
    assert_eq!(snapshot.missing, ["snmp", "netstat", "snmp6", "udp", "udp6", "softnet_stat"]);
    assert!(snapshot.flat().is_empty());
}

#[test]
fn growth_is_told_and_never_negative() {
    let snmp = |udp: &str, softnet: &str| {
        Snapshot::parse(|name| match name {
            "snmp" => Some(format!("Udp: InErrors NoPorts RcvbufErrors\nUdp: {udp}\n")),
            "softnet_stat" => Some(format!("{softnet}\n")),
            _ => None,
        })
    };
    let before = snmp("10 20 30", "fffffff0 00000001 00000000");
    let after = snmp("15 3 30", "00000010 00000001 00000002");
    let delta = after.since(&before);
    assert_eq!(delta.counters["Udp.InErrors"], 5);
    assert_eq!(delta.counters["Udp.RcvbufErrors"], 0);
    assert_eq!(delta.reset, ["Udp.NoPorts"]);
    assert!(!delta.counters.contains_key("Udp.NoPorts"), "what it grew by is not known");
    assert_eq!(delta.counters["Softnet.Processed"], 0x20, "32-bit counters wrap");
    assert_eq!(delta.counters["Softnet.TimeSqueeze"], 2);
    assert!(delta.unknown.is_empty());

    let without = Snapshot::parse(|_| None);
    assert_eq!(after.since(&without).unknown.len(), 6);
    assert_eq!(without.since(&after).unknown.len(), 6);
    assert!(after.since(&without).counters.is_empty(), "growth since an unknown value is unknown");
}

#[test]
fn this_kernel_counts_what_this_test_sends() {
    let before = Snapshot::read().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = socket.local_addr().unwrap();
    (0..10).for_each(|_| assert_eq!(socket.send_to(b"x", to).unwrap(), 1));
    let after = Snapshot::read().unwrap();
    assert!(after.udp.iter().any(|listed| listed.local == to && listed.recv_queue_bytes > 0));
    let delta = after.since(&before);
    assert!(delta.elapsed_ns > 0 && delta.reset.is_empty());
    assert!(delta.counters["Udp.OutDatagrams"] >= 10);
}

proptest! {
    #[test]
    fn parsers_take_any_text(text in "\\PC*|([A-Za-z0-9:]{0,9}[ \\n:]){0,60}") {
        let _ = Snmp::parse(&text);
        let _ = Snmp6::parse(&text);
        let sockets = UdpSockets::parse(&text);
        prop_assert!(sockets.iter().count() <= text.lines().count());
        prop_assert!(Softnet::parse(&text).iter().count() <= text.lines().count());
    }

    #[test]
    fn parsers_take_any_damage_to_a_real_file(file in 0usize..4, at: prop::sample::Index, with in "\\PC{0,4}") {
        let real = [
            include_str!("fixtures/linux-6.18/snmp"),
            include_str!("fixtures/linux-6.18/snmp6"),
            include_str!("fixtures/linux-6.18/udp6"),
            include_str!("fixtures/linux-6.18/softnet_stat"),
        ][file];
        let at = at.index(real.len());
        let damaged = format!("{}{with}{}", &real[..at], &real[at + 1..]);
        let snapshot = Snapshot::parse(|_| Some(damaged.clone()));
        let whole = Snapshot::parse(|_| Some(real.to_owned()));
        prop_assert!(snapshot.udp.iter().count() <= 2);
        // Whatever came out, growth against the whole file is never negative, and every counter has one outcome.
        let (delta, flat) = (whole.since(&snapshot), whole.flat());
        let outcomes = |name| {
            [delta.counters.contains_key(name), delta.unknown.contains(name), delta.reset.contains(name)]
        };
        prop_assert!(flat.keys().all(|name| outcomes(name).iter().filter(|outcome| **outcome).count() == 1));
    }
}
