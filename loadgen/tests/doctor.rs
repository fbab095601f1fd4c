//! `loadgen doctor` as people and scripts meet it: on this host alone, and from one end of a laboratory to the other. Laboratories are
//! skipped, and said so, where this machine allows none, unless SHINGLE_REQUIRE_LAB=1.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use shingle_netlab::lab::{Lab, LabOptions};
use shingle_netlab::{Spec, skip};
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};
use shingle_udp::route;

fn doctor(words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.arg("doctor").args(words.split_whitespace()).stdin(Stdio::null()).output().unwrap()
}

/// The document of `--json`, what was printed, and the exit status; `None` where this machine allows no laboratory.
fn report(words: &str) -> Option<(Value, String, i32)> {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("doctor.json");
    let output = doctor(&format!("{words} --json {}", json.display()));
    let stderr = String::from_utf8(output.stderr).unwrap();
    if let Some(missing) = stderr.lines().find(|line| line.contains("the laboratory needs")) {
        skip::unless_required(skip::REQUIRE_LAB, missing);
        return None;
    }
    let status = output.status.code().unwrap();
    assert!(status < 2, "{words}: {stderr}");
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let hurts = report["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "hurts");
    assert_eq!(status, i32::from(hurts), "{report:#}");
    Some((report, String::from_utf8(output.stdout).unwrap(), status))
}

fn names(report: &Value) -> BTreeSet<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["name"].as_str().unwrap()).collect()
}

/// Names that speak of what passes the path.
fn path_names(report: &Value) -> BTreeSet<&str> {
    names(report)
        .into_iter()
        .filter(|name| name.starts_with("narrow_") || name.starts_with("black_hole_"))
        .collect()
}

#[test]
fn this_host_alone_is_examined_without_a_server() {
    let (report, words, _) = report("").unwrap();
    assert_eq!(report["schema"], "shingle.doctor/1");
    assert!(report["facts"]["here"]["buffers"]["receive_granted_bytes"].as_u64() > Some(0));
    assert!(words.contains("could not be told: the path"), "{words}");
    assert!(path_names(&report).is_empty());
}

#[test]
fn a_rate_that_no_buffer_holds_is_found_on_loopback() {
    let (report, words, status) = report("--rate 10M --pause 5s").unwrap();
    let names = names(&report);
    assert!(names.contains("receive_buffer") || names.contains("udp_memory"), "{names:?}");
    assert_eq!(status, 1);
    assert!(words.contains("sysctl -w net."), "{words}");
}

#[test]
fn the_narrow_path_is_found_in_both_families() {
    for topology in ["narrow", "fragment-limit"] {
        for family in ["4", "6"] {
            let Some((report, _, status)) = report(&format!("--lab {topology} --set family={family}")) else {
                return;
            };
            assert_eq!(path_names(&report), BTreeSet::from(["narrow_path_down"]), "{report:#}");
            let path = &report["facts"]["path"];
            assert_eq!((&path["down_mtu"], &path["server_mtu"]), (&1500.into(), &9001.into()), "{path}");
            assert_eq!(path["icmp_down"], "arrives", "{path}");
            assert_eq!(status, 1, "a port of the server answers in one datagram");
        }
    }
}

#[test]
fn filtered_icmp_is_found() {
    let Some((report, ..)) = report("--lab narrow --set icmp=off") else { return };
    assert_eq!(report["facts"]["path"]["icmp_down"], "silent");
    assert_eq!(path_names(&report), BTreeSet::from(["black_hole_down"]));
}

#[test]
fn black_holes_are_found_to_the_byte_and_in_their_direction() {
    for family in ["4", "6"] {
        let words = format!("--lab black-hole --set size=4321 --values fixed:6000 --set family={family}");
        let Some((report, words, status)) = report(&words) else { return };
        assert_eq!(path_names(&report), BTreeSet::from(["black_hole_down", "black_hole_up"]), "{report:#}");
        let path = &report["facts"]["path"];
        assert_eq!((&path["down_mtu"], &path["up_mtu"]), (&4321.into(), &4321.into()), "{path}");
        assert_eq!((&path["icmp_down"], &path["icmp_up"]), (&"silent".into(), &"silent".into()));
        assert!(words.contains("4321 B") && status == 1, "{words}");
    }
    let Some((report, ..)) = report("--lab asymmetric") else { return };
    assert_eq!(path_names(&report), BTreeSet::from(["black_hole_down"]), "{report:#}");
    let path = &report["facts"]["path"];
    assert_eq!((&path["down_mtu"], &path["up_mtu"]), (&8500.into(), &9001.into()), "{path}");
}

#[test]
fn a_healthy_path_is_not_accused() {
    let Some((report, ..)) = report("--lab direct") else { return };
    assert!(path_names(&report).is_empty(), "{report:#}");
    assert_eq!(report["facts"]["path"]["down_mtu"], 9001);
    assert_eq!(report["facts"]["path"]["up_mtu"], 9001);
    let settings = report["facts"]["server"]["host"]["settings"].as_object().unwrap();
    assert!(settings.contains_key("net.ipv4.ipfrag_time"), "the server tells of its host");
}

#[test]
fn a_server_on_this_host_is_examined_and_its_loopback_not_accused() {
    let config =
        Config { tcp_port: 0, udp_ports: vec![PortConfig::new(0, Strategy::Chunked)], ..Config::default() };
    let server = Server::start(Config { memory_bytes: 16 << 20, ..config }).unwrap();
    let (report, ..) = report(&format!("--server {}", server.tcp_addr())).unwrap();
    assert!(path_names(&report).is_empty(), "{report:#}");
    assert_eq!(report["facts"]["path"]["shares_host"], true);
    let granted = &report["facts"]["server"]["ports"][0]["receive_granted_bytes"];
    assert_eq!(granted.as_array().map(Vec::len), Some(1), "{granted}");
}

#[test]
fn a_server_of_another_kind_leaves_gaps_and_no_accusation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Write as _;
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (report, ..) = report(&format!("--server {address}")).unwrap();
    assert!(report["unknown"].to_string().contains("not a Shingle server"), "{report:#}");
    assert!(report["facts"]["path"]["interface_mtu"].as_u64() > Some(0) && path_names(&report).is_empty());
}

#[test]
fn bad_input_is_refused_with_what_to_do() {
    for (words, told) in [
        ("--rate max", "100k"),
        ("--rate 0", "1 to 100M"),
        ("--set mtu=1400", "--lab"),
        ("--lab narrow --server 127.0.0.1:1", "leave --server out"),
        ("--lab nowhere", "narrow"),
        ("--server 127.0.0.1:1", "refused the connection"),
        ("--json /nonexistent/file", "/nonexistent/file"),
    ] {
        let output = doctor(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
        assert!(stderr.contains(told), "{words}: {stderr}");
        assert!(output.stdout.is_empty(), "{words} printed a result");
    }
}

/// What `udp` reads of routes, against what `ip` was told, in a host of a laboratory.
#[test]
fn routes_tell_what_was_given_locked_and_learned() {
    let lab = match Lab::up(
        &Spec::new("narrow").unwrap().set("mtu=1400").unwrap().plan(),
        &LabOptions::default(),
    ) {
        Ok(lab) => lab,
        Err(error) => return skip::unless_required(skip::REQUIRE_LAB, error.to_string()),
    };
    let (client, server) = (lab.client(), lab.server());
    for family in [shingle_netlab::Family::V4, shingle_netlab::Family::V6] {
        let (peer, own) = (client.address(family), server.address(family));
        let read = || server.run(|| route::to(peer).unwrap()).unwrap();
        let before = read();
        assert_eq!((before.mtu_bytes, before.learned_mtu_bytes, before.is_mtu_locked), (None, None, false));
        assert_eq!((before.source, before.device.mtu_bytes), (Some(own), 9001));
        // One datagram too long teaches the kernel.
        let socket = server.run(|| UdpSocket::bind((own, 0)).unwrap()).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while read().learned_mtu_bytes.is_none() && std::time::Instant::now() < end {
            let _ = socket.send_to(&[0; 4000], (peer, 9));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(read().learned_mtu_bytes, Some(1400), "{:?}", read());
        let held = server.run(|| route::path_mtu((peer, 9).into()).unwrap()).unwrap();
        assert_eq!(held, 1400);
        let gateway = before.gateway.expect("behind a router").to_string();
        let ip = |mtu: &[&str]| {
            let mut words = if peer.is_ipv6() { vec!["-6"] } else { vec![] };
            let to = peer.to_string();
            words.extend(["route", "replace", &to, "via", &gateway, "dev", &before.device.name]);
            words.extend(mtu);
            server.ip(&words).unwrap();
        };
        ip(&["mtu", "2000"]);
        assert_eq!((read().mtu_bytes, read().is_mtu_locked), (Some(2000), false));
        ip(&["mtu", "lock", "3000"]);
        assert_eq!((read().mtu_bytes, read().is_mtu_locked), (Some(3000), true));
    }
    lab.down().unwrap();
}
