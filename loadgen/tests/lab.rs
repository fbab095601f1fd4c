//! `--lab`: the binary's own server and generator on the two ends of real networks of namespaces. Skipped, and said so, where this machine
//! allows none, unless SHINGLE_REQUIRE_LAB=1.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use shingle_netlab::skip;

/// One laboratory at a time: they share the CPUs, and counts of losses need some of them.
static ONE: Mutex<()> = Mutex::new(());

/// The right to have a laboratory; none where the machine allows none, which is printed.
fn laboratory() -> Option<MutexGuard<'static, ()>> {
    let held = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output =
        loadgen(&["run", "--lab", "direct", "--rate", "100", "--duration", "100ms", "--items", "10"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let Some(missing) = stderr.lines().find(|line| line.contains("the laboratory needs")) else {
        assert!(output.status.code() == Some(0) || output.status.code() == Some(1), "{stderr}");
        return Some(held);
    };
    skip::unless_required(skip::REQUIRE_LAB, missing);
    None
}

fn loadgen(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs `loadgen run` in a laboratory, and gives the record.
fn record(words: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("run.json");
    let mut args = vec!["run", "--arrivals", "constant", "--json", json.to_str().unwrap()];
    args.extend(words.split_whitespace());
    if !words.contains("--timeout") {
        // What a busy machine makes late is not lost.
        args.extend(["--timeout", "3s"]);
    }
    let output = loadgen(&args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{words}: {stderr}");
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

fn number(record: &Value, pointer: &str) -> u64 {
    let value = record.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    value.as_u64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

fn counter(record: &Value, name: &str) -> u64 {
    record["stages"][0]["counters"][name].as_u64().unwrap_or(0)
}

fn lab_counter(record: &Value, name: &str) -> u64 {
    let counters = &record["stages"][0]["lab"]["counters"];
    counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {counters}"))
}

/// Sockets of neither host dropped anything.
fn assert_no_receive_drops(record: &Value) {
    for end in ["client", "server"] {
        for family in ["Udp", "Udp6"] {
            assert_eq!(counter(record, &format!("{end}.{family}.RcvbufErrors")), 0, "{record:#}");
        }
    }
}

#[test]
fn the_fragment_limit_costs_the_large_answers_above_it() {
    let Some(_held) = laboratory() else { return };
    for family in ["4", "6"] {
        let record = record(&format!(
            "--lab fragment-limit --set limit=50 --set family={family} --strategy kernel-pmtud --rate 4k --duration 2s"
        ));
        assert_eq!(record["shared_namespace"], false);
        assert_eq!(record["lab"]["topology"], "fragment-limit");
        assert_eq!(record["lab"]["settings"]["family"], family);
        let [sent, large, failed, large_failed] = [
            "/stages/0/sent",
            "/stages/0/above_path/reads",
            "/stages/0/failed",
            "/stages/0/above_path/failed",
        ]
        .map(|name| number(&record, name));
        assert_eq!(sent, 8000);
        assert!(large.abs_diff(280) < 100, "{large} of 8000 are some 3.5 %");
        // 50 a second for two seconds, and what had gathered before; 0.2 % of the reads are 16.
        assert!(failed.abs_diff(large - 100) <= 16, "{failed} of {large} failed");
        assert!(
            failed.abs_diff(large_failed) <= 2,
            "small answers are not concerned: {failed} {large_failed}"
        );
        assert_eq!(lab_counter(&record, "router.fragments_dropped"), large_failed);
        assert_no_receive_drops(&record);
        // The server's kernel made the fragments; nothing on either host dropped any.
        assert!(
            counter(&record, &format!("server.Ip{}.FragCreates", if family == "6" { "6" } else { "" }))
                >= large
        );
        let causes = record["causes"].as_array().unwrap();
        let lost_down = |cause: &&Value| cause["direction"] == "down";
        let down: u64 = causes.iter().filter(lost_down).map(|cause| cause["reads"].as_u64().unwrap()).sum();
        assert!(down >= large_failed, "receipts tell that the answers were lost: {causes:?}");
    }
}

#[test]
fn chunked_answers_need_no_fragments() {
    let Some(_held) = laboratory() else { return };
    let record = record("--lab fragment-limit --set limit=1 --rate 4k --duration 1s");
    assert!(number(&record, "/stages/0/above_path/reads") > 50);
    assert_eq!(number(&record, "/stages/0/above_path/failed"), 0);
    assert_eq!(lab_counter(&record, "router.fragments_first"), 0);
    assert_eq!(counter(&record, "server.Ip.FragCreates"), 0);
}

/// UDP payload that 1500, 8500 and 9001 bytes of an IP packet carry, in both families.
#[test]
fn the_size_that_the_path_carries_is_found_before_the_first_read() {
    let Some(_held) = laboratory() else { return };
    for (lab, carried) in [
        ("narrow", 1472),
        ("narrow --set family=6", 1452),
        ("narrow --set icmp=off", 1472),
        ("asymmetric", 8472),
        ("asymmetric --set family=6", 8452),
        ("black-hole --set size=4321", 4293),
        ("direct", 8973),
    ] {
        let record =
            record(&format!("--lab {lab} --rate 500 --duration 500ms --items 500 --values fixed:8900"));
        assert_eq!(number(&record, "/stages/0/above_path/datagram_bytes_max"), carried, "{lab}");
        assert_eq!(number(&record, "/stages/0/failed"), 0, "{lab}");
    }
}

#[test]
fn a_black_hole_swallows_what_the_kernel_sends_whole_and_nothing_else() {
    let Some(_held) = laboratory() else { return };
    let record = record(
        "--lab asymmetric --strategy kernel-pmtud --values bimodal:500,8700,10% --rate 1k --duration 1s --items 1k",
    );
    let failed = number(&record, "/stages/0/failed");
    assert!(failed > 50, "{failed} of some 100");
    assert_eq!(lab_counter(&record, "router.oversize_down"), failed);
    assert_no_receive_drops(&record);
    for cause in record["causes"].as_array().unwrap() {
        let accused = cause["cause"].as_str().unwrap();
        assert!(["unexplained", "mtu_black_hole"].contains(&accused), "{cause}");
    }
}

#[test]
fn experiments_find_the_size_of_a_black_hole_to_the_byte_unless_switched_off() {
    let Some(_held) = laboratory() else { return };
    let words = "--lab asymmetric --set size=7001 --set family=6 --strategy kernel-pmtud --values bimodal:500,8700,10% --rate 1k --duration 1s --items 1k";
    let made = record(words);
    let trials = made["trials"].as_array().unwrap();
    let largest = trials.iter().find(|trial| trial["experiment"]["LargestAnswer"].is_object());
    let largest = largest.unwrap_or_else(|| panic!("{trials:#?}"));
    assert_eq!(largest["bounds_bytes"], serde_json::json!([7001 - 48, 7001 - 47]), "{largest}");
    for words in ["done", "because", "outcome", "decided"] {
        assert!(largest[words].as_str().is_some_and(|words| !words.is_empty()), "{words} of {largest}");
    }
    let cause = &made["causes"][0];
    assert_eq!(cause["cause"], "mtu_black_hole", "{cause}");
    assert_eq!(cause["estimate"]["size"]["value"], 7001.0, "{cause}");
    // Each read of the stage is put down to something, anew too; none of the experiments' is among them.
    let lost: u64 = made["causes"].as_array().unwrap().iter().map(|cause| number(cause, "/reads")).sum();
    assert_eq!((lost, number(&made, "/stages/0/sent")), (number(&made, "/stages/0/first_try_lost"), 1000));
    let off = record(&format!("{words} --no-experiments"));
    assert_eq!(off["trials"], serde_json::json!([]));
}

#[test]
fn pauses_cost_what_the_socket_buffer_of_that_host_does_not_hold() {
    let Some(_held) = laboratory() else { return };
    for end in ["client", "server"] {
        // Answers of a datagram of the base size: longer ones would be asked for in parts while the client's buffer is full.
        let load =
            if end == "client" { "--values fixed:1100 --rate 12k" } else { "--values fixed:100 --rate 16k" };
        let record = record(&format!(
            "--lab pause --set end={end} --set duration=900ms --set interval=2s {load} --items 1k --flows 1 --duration 2s --timeout 5s"
        ));
        let dropped = counter(&record, &format!("{end}.Udp.RcvbufErrors"));
        assert!(dropped > 0, "the buffer of the {end} holds them all: {:#}", record["stages"][0]["counters"]);
        assert_eq!(number(&record, "/stages/0/first_try_lost"), dropped);
        let other = if end == "client" { "server" } else { "client" };
        assert_eq!(counter(&record, &format!("{other}.Udp.RcvbufErrors")), 0);
        assert_eq!(number(&record, &format!("/stages/0/first_try_losses/{end}_socket_buffer")), dropped);
    }
}

#[test]
fn a_delayed_path_delays_every_read() {
    let Some(_held) = laboratory() else { return };
    let record = record("--lab direct --set delay=2ms --rate 500 --duration 500ms --items 100");
    assert_eq!(number(&record, "/stages/0/failed"), 0);
    let p50_us = record.pointer("/stages/0/service_us/p50").unwrap().as_f64().unwrap();
    assert!(p50_us >= 4000.0, "{p50_us} us there and back");
}

#[test]
fn a_server_that_falls_silent_ends_the_run_and_leaves_nothing() {
    let Some(_held) = laboratory() else { return };
    let record = record("--lab dead-server --set after=500ms --rate 1k --duration 1s --items 100");
    assert!(number(&record, "/stages/0/failed") > 100);
    let words = record["verdict"]["words"].to_string();
    assert!(words.contains("could not be asked"), "{words}");
}

/// A run of a minute, whose laboratory is up and whose items are stored.
fn long_run() -> Child {
    // A shell's background jobs are born with SIGINT ignored, and so are their children.
    let mut run = Command::new("env")
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_loadgen")])
        .args("run --lab direct --rate 100 --duration 60s --items 100".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("items stored")), "it ended before");
    // Who closes the other end must not end it.
    std::thread::spawn(move || lines.for_each(drop));
    run
}

fn signalled(run: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap().success());
}

/// Namespaces of laboratories of this process. Those of an ordinary user are in a /run of their own.
fn namespaces(process: u32) -> Vec<String> {
    let entries = fs::read_dir(Path::new("/run/netns")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("shingle-{process}-"))).collect()
}

#[test]
fn signals_take_the_laboratory_down() {
    let Some(_held) = laboratory() else { return };
    for (signal, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut run = long_run();
        signalled(&run, signal);
        assert_eq!(run.wait().unwrap().signal(), Some(number), "it ends as a signal ends it");
        assert_eq!(namespaces(run.id()), [""; 0]);
    }
}

#[test]
fn what_a_killed_run_leaves_the_next_one_removes() {
    let Some(_held) = laboratory() else { return };
    let mut run = long_run();
    signalled(&run, "-KILL");
    run.wait().unwrap();
    record("--lab direct --rate 100 --duration 100ms --items 10");
    assert_eq!(namespaces(run.id()), [""; 0]);
}

/// Clients that read seldom, from the laboratory's spare addresses, and the cold path before the search: behind a narrow link the first long
/// answer to each is lost where the kernel has to learn the path MTU, and none where answers are cut to what the path carries.
#[test]
fn canaries_lose_their_first_long_answer_where_the_path_mtu_is_learned() {
    let Some(_held) = laboratory() else { return };
    for (strategy, lost) in [("kernel-pmtud", true), ("chunked", false)] {
        let directory = tempfile::tempdir().unwrap();
        let json = directory.path().join("run.json");
        // A level that nothing meets: the search ends at its first rate.
        let mut args = vec!["qualify", "--lab", "narrow", "--json", json.to_str().unwrap()];
        args.extend("--rate 500 --items 2k --duration 1s --timeout 500ms --slo p99=1us".split(' '));
        args.extend(["--strategy", strategy]);
        let output = loadgen(&args);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        let record: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        let expected = |whole: u64| if lost { whole } else { 0 };
        for stage in record["stages"].as_array().unwrap() {
            let canary = &stage["canary"];
            assert!(number(canary, "/first") > 0, "{canary}");
            assert_eq!(
                number(canary, "/first_lost"),
                expected(number(canary, "/first")),
                "{strategy}: {canary}"
            );
        }
        let cold = &record["cold"];
        assert_eq!(number(cold, "/first_lost"), expected(number(cold, "/first")), "{strategy}: {cold}");
        assert_eq!(number(cold, "/later_lost"), 0, "{strategy}: {cold}");
    }
}
