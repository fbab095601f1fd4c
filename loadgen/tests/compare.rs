//! `loadgen compare`: what bad input gets, what a comparison records and prints, and what it finds in a laboratory whose path is narrower
//! than the server's interface. The laboratory's part is skipped, and said so, where this machine allows none, unless
//! SHINGLE_REQUIRE_LAB=1.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use shingle_netlab::skip;
use shingle_server::{Config, PortConfig, Server, Strategy};

fn loadgen(directory: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(words.split_whitespace()).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

/// Asserts that this ends with status 2 and one error with these words, and leaves nothing.
fn refused(directory: &Path, words: &str, expected: &[&str]) {
    let output = loadgen(directory, words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
    assert!(output.stdout.is_empty(), "{words} printed a result");
    let errors: Vec<_> =
        stderr.lines().filter(|line| line.starts_with("error: ") || line.starts_with("loadgen: ")).collect();
    assert_eq!(errors.len(), 1, "{words}: {stderr}");
    for word in expected {
        assert!(errors[0].contains(word), "{words}: no `{word}` in `{}`", errors[0]);
    }
    assert_eq!(fs::read_dir(directory).unwrap().count(), 0, "{words} left something behind");
}

#[test]
fn what_cannot_be_compared_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (words, expected) in [
        ("--strategies chunked,fragments", &["fragments", "kernel-pmtud", "df-off"][..]),
        ("--strategies chunked,df-off,chunked", &["chunked", "twice"]),
        ("--strategies chunked", &["only one strategy", "chunked", "df-strict", "loadgen run --strategy"]),
        ("--strategies", &["--strategies"]),
        ("--strategy chunked", &["--strategy", "--strategies A,B"]),
        ("--protocol memcached-udp --server 127.0.0.1:1", &["--protocol", "nothing to compare"]),
        ("--rounds 0", &["--rounds", "0", "1 to 100"]),
        ("--rounds 101", &["--rounds", "101", "1 to 100"]),
        ("--rate 0", &["--rate", "'0'"]),
        ("--duration 1ms", &["--duration", "1ms", "100ms to 24h"]),
        ("--strategies chunked,df-off --values fixed:100000", &["65507", "df-off"]),
    ] {
        refused(directory.path(), &format!("compare --json a.json {words}"), expected);
    }
}

#[test]
fn what_a_server_does_not_offer_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = |strategies: &[Strategy]| {
        let udp_ports = strategies.iter().map(|strategy| PortConfig::new(0, *strategy)).collect();
        Server::start(Config { udp_ports, tcp_port: 0, memory_bytes: 16 << 20, ..Config::default() }).unwrap()
    };
    let two = server(&[Strategy::Chunked, Strategy::DfOff]);
    let words = format!("compare --server {} --strategies chunked,interface", two.tcp_addr());
    refused(directory.path(), &words, &["interface", "chunked, df-off", "--udp-port PORT=interface"]);
    // Two ports of one strategy are one strategy.
    let one = server(&[Strategy::Chunked, Strategy::Chunked]);
    let words = format!("compare --server {}", one.tcp_addr());
    refused(directory.path(), &words, &["only one strategy", "chunked", "--udp-port"]);
}

/// Runs a comparison; its record and what it printed.
fn compared(words: &str) -> (Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let output = loadgen(directory.path(), &format!("compare --json run.json --html page.html {words}"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let json = fs::read(directory.path().join("run.json")).unwrap_or_else(|_| panic!("{words}: {stderr}"));
    let record: Value = serde_json::from_slice(&json).unwrap();
    let status = match record["verdict"]["outcome"].as_str().unwrap() {
        "pass" => 0,
        "fail" => 1,
        _ => 3,
    };
    assert_eq!(output.status.code(), Some(status), "{words}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let again = loadgen(directory.path(), "report run.json");
    assert_eq!(String::from_utf8(again.stdout).unwrap(), stdout, "the record shows the same table again");
    let page = fs::read_to_string(directory.path().join("page.html")).unwrap();
    for figures in strategies(&record) {
        let name = figures["strategy"].as_str().unwrap();
        assert!(page.contains(name) && stdout.lines().any(|line| line.starts_with(name)), "{name}: {stdout}");
    }
    (record, stdout)
}

fn strategies(record: &Value) -> &[Value] {
    record["strategies"].as_array().unwrap()
}

#[test]
fn every_strategy_has_its_turn_in_each_round() {
    let words = "--strategies chunked,kernel-pmtud,compressed --content metadata --items 500 --rate 1k --duration 200ms --rounds 2 --no-search --timeout 1s";
    let (record, stdout) = compared(words);
    let turns: Vec<_> = record["stages"].as_array().unwrap().iter().map(|stage| &stage["strategy"]).collect();
    // A turn that the host spoiled is repeated at once.
    let mut order = turns.clone();
    order.dedup();
    assert_eq!(order.len(), 6, "{turns:?}: in rotated order nobody follows himself");
    assert_eq!(order[..4], ["chunked", "kernel-pmtud", "compressed", "kernel-pmtud"]);
    for figures in strategies(&record) {
        let count = |name: &str| figures[name].as_u64().unwrap();
        assert_eq!(count("sent"), count("answered") + count("failed"), "{figures:#}");
        assert_eq!((count("misses"), figures["tps_at_slo"].is_null()), (0, true), "{figures:#}");
        assert_eq!(figures["fragments_sent_per_s"], 0.0, "nothing is as long as loopback's MTU");
        assert!(figures["server_cpu_us_per_read"].as_f64().unwrap() > 0.0);
        assert!(figures["generator_cpu_us_per_read"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(record["comparison"]["answers_above_path"], 0.0);
    let share = record["comparison"]["compressed_share"].as_f64().unwrap();
    assert!((0.3..0.95).contains(&share), "{share}");
    assert!(stdout.contains("all strategies send the same"), "{stdout}");
}

#[test]
fn the_search_ends_and_gives_a_rate_or_none() {
    let words = "--strategies chunked,df-off --items 500 --rate 1k --duration 200ms --rounds 1";
    let (record, _) = compared(words);
    for figures in strategies(&record) {
        let met = figures["tps_at_slo"].as_f64().unwrap();
        let broken = figures["broken_at_tps"].as_f64();
        assert!(met > 0.0 || broken.is_some(), "{figures:#}");
        assert!(broken.is_none_or(|broken| broken > met), "{figures:#}");
    }
    // A round and at most 14 stages of the search for each, and one more where the host spoiled a turn.
    assert!(record["stages"].as_array().unwrap().len() <= 2 * (2 + 14));
}

/// A comparison in a laboratory whose path is narrower than the server's interface; nothing where this machine allows none.
fn in_narrow(family: &str, more: &str) -> Option<(Value, String)> {
    let directory = tempfile::tempdir().unwrap();
    let probe = loadgen(directory.path(), "run --lab direct --rate 100 --duration 100ms --items 10");
    let stderr = String::from_utf8(probe.stderr).unwrap();
    if let Some(missing) = stderr.lines().find(|line| line.contains("the laboratory needs")) {
        skip::unless_required(skip::REQUIRE_LAB, missing);
        return None;
    }
    let common = "--items 2k --rate 1k --duration 500ms --rounds 1 --no-search --content metadata";
    Some(compared(&format!("--lab narrow --set family={family} {common} {more}")))
}

/// First and later large answers lost, and which kinds of fragments there were: made by the server's host, arrived at the client's.
fn behaviour(figures: &Value) -> ([u64; 4], [bool; 2]) {
    let cold =
        ["first_lost", "first", "later_lost", "later"].map(|name| figures["cold"][name].as_u64().unwrap());
    let fragments = ["fragments_sent_per_s", "fragments_received_per_s"];
    (cold, fragments.map(|name| figures[name].as_f64().unwrap() > 0.0))
}

#[test]
fn a_narrow_path_tells_strategies_apart_in_both_families() {
    const NONE: [u64; 4] = [0, 3, 0, 9];
    const FIRST: [u64; 4] = [3, 3, 0, 9];
    const ALL: [u64; 4] = [3, 3, 9, 9];
    for family in ["4", "6"] {
        let Some((record, stdout)) = in_narrow(family, "--timeout 300ms") else { return };
        let comparison = &record["comparison"];
        assert_eq!((&comparison["path_mtu"], &comparison["cold_measured"]), (&1500.into(), &true.into()));
        assert_eq!(comparison["ipv6"], family == "6");
        assert_eq!(strategies(&record).len(), 6);
        for figures in strategies(&record) {
            let name = figures["strategy"].as_str().unwrap();
            let expected = match (name, family) {
                ("chunked" | "compressed", _) => (NONE, [false, false]),
                ("kernel-pmtud", _) => (FIRST, [true, true]),
                ("df-off" | "interface", "4") => (NONE, [false, true]),
                _ => (ALL, [false, false]),
            };
            assert_eq!(behaviour(figures), expected, "{name} over IPv{family}: {figures:#}");
            let refused = figures["refused"].as_u64().unwrap();
            assert_eq!(refused > 0, name == "df-strict", "{name}: {refused} refused");
        }
        assert!(stdout.contains("ip_no_pmtu_disc") == (family == "4"), "{stdout}");
        assert!(stdout.contains("on IPv6 no router makes fragments") == (family == "6"), "{stdout}");
    }
}

#[test]
fn chunked_is_recommended_where_the_kernel_loses_first_answers() {
    let Some((record, stdout)) =
        in_narrow("4", "--strategies kernel-pmtud,chunked --slo p99=1s --timeout 2s")
    else {
        return;
    };
    assert_eq!(record["comparison"]["recommended"], "chunked", "{stdout}");
    assert_eq!(record["verdict"]["outcome"], "pass");
    assert!(stdout.contains("Use chunked: "), "{stdout}");
    assert!(stdout.contains("3 of 3 first ones"), "{stdout}");
}
