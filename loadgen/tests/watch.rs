//! `loadgen watch` as people run it: against servers that come and go, in laboratories, until a signal ends it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use shingle_netlab::skip;
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};

fn watch(args: &[&str]) -> Command {
    // A shell's background jobs are born with SIGINT ignored, and so are their children.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_loadgen"), "watch"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A watch that a failing test does not leave running.
struct Running(Option<Child>);

impl Running {
    fn begin(command: &mut Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    fn signal(&self, name: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// All that it said, when it has ended.
    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.is_some() {
            // Its laboratory goes with it.
            self.signal("TERM");
            let _ = self.0.take().unwrap().wait();
        }
    }
}

/// A TCP port and a UDP port that nobody has.
fn ports() -> (u16, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (tcp, udp)
}

fn server((tcp, udp): (u16, u16)) -> Server {
    let config = Config {
        listen: "127.0.0.1".parse().unwrap(),
        tcp_port: tcp,
        udp_ports: vec![PortConfig::new(udp, Strategy::Chunked)],
        memory_bytes: 64 << 20,
        receipts: true,
        ..Config::default()
    };
    Server::start(config).unwrap()
}

/// Intervals written so far.
fn intervals(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn wait_for(path: &std::path::Path, what: &str, is_there: impl Fn(&[Value]) -> bool) {
    for _ in 0..1200 {
        if is_there(&intervals(path)) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}: {:#?}", intervals(path));
}

#[test]
fn a_server_may_go_and_come_and_a_signal_brings_the_summary() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("watch.jsonl");
    let ports = ports();
    let first = server(ports);
    let address = format!("127.0.0.1:{}", ports.0);
    let args = ["--server", &address, "--interval", "1s", "--rate", "50", "--json", json.to_str().unwrap()];
    let running = Running::begin(watch(&args).args(["--slo", "failures=99%,p99=10s"]));
    wait_for(&json, "an interval", |all| !all.is_empty());
    drop(first);
    wait_for(&json, "silence", |all| all.iter().any(|it| it["server_answers"] == false));
    let again = server(ports);
    wait_for(&json, "the new server", |all| all.iter().any(|it| it["server_restarted"] == true));
    wait_for(&json, "answers with values", |all| {
        let last = all.last().unwrap();
        last["server_control"] == true && last["answered"] == last["reads"] && last["misses"] == 0
    });
    running.signal("TERM");
    let output = running.end();
    let (out, err) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    for words in
        ["server restarts: 1", "control connections lost: 1", "who lost reads", "was met over the whole time"]
    {
        assert!(out.contains(words), "no `{words}` in\n{out}\n{err}");
    }
    assert!(
        err.contains("the control connection is lost") && err.contains("own items stored again"),
        "{err}"
    );
    let all = intervals(&json);
    let lost: u64 = all.iter().map(|it| it["first_try_lost"].as_u64().unwrap()).sum();
    let by_cause = all.iter().flat_map(|it| it["causes"].as_array().unwrap());
    assert_eq!(by_cause.map(|it| it["reads"].as_u64().unwrap()).sum::<u64>(), lost);
    assert!(all.iter().all(|it| it["reads"].as_u64().unwrap() <= 90), "some 50 reads an interval");
    // Nothing of the watch is left in the server.
    assert_eq!(again.stats().store.items, 0);
}

#[test]
fn a_restart_between_two_looks_is_told() {
    let ports = ports();
    let first = server(ports);
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("watch.json");
    let address = format!("127.0.0.1:{}", ports.0);
    let args = ["--server", &address, "--rate", "50", "--interval", "1s", "--json", json.to_str().unwrap()];
    let running = Running::begin(watch(&args).args(["--slo", "failures=99%,p99=10s"]));
    wait_for(&json, "an interval", |all| !all.is_empty());
    drop(first);
    let again = server(ports);
    wait_for(&json, "the new server", |all| all.iter().any(|it| it["server_restarted"] == true));
    wait_for(&json, "answers with values", |all| all.last().unwrap()["misses"] == 0);
    running.signal("TERM");
    let (out, err) = said(&running.end());
    assert!(out.contains("server restarts: 1") && err.contains("own items stored again"), "{out}{err}");
    assert_eq!(again.stats().store.items, 0);
}

#[test]
fn metrics_can_be_scraped_while_it_runs() {
    let port = ports().0;
    let metrics = format!("127.0.0.1:{port}");
    let running = Running::begin(&mut watch(&["--interval", "1s", "--metrics", &metrics]));
    let scrape = |has: &str| -> Option<String> {
        let mut stream = TcpStream::connect(&metrics).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.contains(has).then_some(text)
    };
    let scrape_until = |has: &str| {
        let text = (0..600).find_map(|_| {
            thread::sleep(Duration::from_millis(50));
            scrape(has)
        });
        text.unwrap_or_else(|| panic!("no {has}"))
    };
    let first = scrape_until("shingle_watch_offered_reads_per_second");
    let lost = "shingle_watch_lost_reads_total{cause=\"path_loss\",direction=\"down\"}";
    assert!(first.contains(lost), "every cause has its series from the first scrape on: {first}");
    let text = scrape_until("shingle_watch_server_answers");
    for line in [
        "shingle_watch_server_answers 1",
        "shingle_watch_server_control_up 1",
        "shingle_watch_offered_reads_per_second 100",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    running.signal("INT");
    let output = running.end();
    let (out, err) = said(&output);
    assert!(matches!(output.status.code(), Some(0 | 1)) && out.contains("latency: p50"), "{out}{err}");
}

#[test]
fn items_that_are_stored_already_are_read_and_left_alone() {
    let ports = ports();
    let held = server(ports);
    let address = format!("127.0.0.1:{}", ports.0);
    let seed = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["seed", "--server", &address, "--items", "300", "--quiet"])
        .status();
    assert!(seed.unwrap().success());
    let args = ["--server", &address, "--items", "300", "--for", "1s", "--interval", "1s"];
    let (out, err) = said(&watch(&args).output().unwrap());
    assert!(
        err.contains("reads the 300 items of this workload") && out.contains(" 0 found nothing stored"),
        "{out}{err}"
    );
    assert_eq!(held.stats().store.items, 300);
}

#[test]
fn what_cannot_be_watched_is_refused_in_one_line() {
    for (args, words) in [
        (&["--rate", "20k"][..], &["--rate 20000", "1 to 10000"][..]),
        (&["--interval", "10ms"], &["--interval 10ms", "1s to 10m"]),
        (&["--for", "10ms"], &["--for 10ms", "1s and more"]),
        (&["--html", "x.html"], &["--html", "use --json"]),
        (&["--server", "127.0.0.1:1"], &["127.0.0.1:1 refused the connection"]),
        (&["--protocol", "memcached-udp", "--server", "x:1"], &["--protocol", "leave it out"]),
        (&["--lab", "lossy+direct"], &["name the other alone"]),
    ] {
        let output = watch(args).output().unwrap();
        let (_, err) = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(words.iter().all(|word| err.contains(word)), "{args:?}: {err}");
    }
}

/// Whether this machine can have laboratories; else that was said.
fn laboratory() -> bool {
    let output = watch(&["--lab", "direct", "--for", "1s", "--interval", "1s"]).output().unwrap();
    let (_, err) = said(&output);
    let Some(missing) = err.lines().find(|line| line.contains("the laboratory needs")) else { return true };
    skip::unless_required(skip::REQUIRE_LAB, missing);
    false
}

#[test]
fn laboratories_show_what_it_says_and_are_gone_after_a_signal() {
    if !laboratory() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("watch.jsonl");
    let args = [
        "--lab",
        "fragment-limit+lossy",
        "--set",
        "lossy.rate=20%",
        "--interval",
        "1s",
        "--json",
        json.to_str().unwrap(),
    ];
    let mut running = Running::begin(&mut watch(&args));
    let id = running.0.as_ref().unwrap().id();
    let mut lines =
        BufReader::new(running.0.as_mut().unwrap().stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains(" lost first")).expect("a line for an interval with losses");
    assert!(line.contains("last hour: "), "{line}");
    running.signal("INT");
    let output = running.end();
    let (out, _) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("who lost reads") && out.contains("was not met"), "{out}");
    let (lost, judged) = intervals(&json).iter().fold((0, 0), |(lost, _), it| {
        let window = it["window_causes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["reads"].as_u64().unwrap())
            .sum::<u64>();
        (lost + it["first_try_lost"].as_u64().unwrap(), window)
    });
    assert!(lost > 0 && judged == lost, "the last hour is all there was: {judged} of {lost}");
    let name = format!("shingle-{id}-");
    let left = std::fs::read_dir("/run/netns").map(|all| {
        all.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).count()
    });
    assert_eq!(left.unwrap_or(0), 0);
}

#[test]
fn a_server_that_falls_silent_and_returns_is_watched_on() {
    if !laboratory() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("watch.jsonl");
    let args = [
        "--lab",
        "dead-server",
        "--set",
        "after=2s",
        "--set",
        "back=20s",
        "--interval",
        "1s",
        "--json",
        json.to_str().unwrap(),
    ];
    let running = Running::begin(&mut watch(&args));
    wait_for(&json, "silence", |all| all.iter().any(|it| it["server_answers"] == false));
    wait_for(&json, "its return", |all| {
        let last = all.last().unwrap();
        last["server_answers"] == true && last["server_control"] == true && all.len() > 3
    });
    running.signal("TERM");
    let (out, err) = said(&running.end());
    assert!(
        out.contains("control connections lost: 1") && err.contains("connected again, to the same server"),
        "{out}{err}"
    );
    // Each interval lost all it sent or nearly so, and began at any time: all of them together are one outage, and nobody else's doing.
    let (last, mut lost) = (intervals(&json).pop().unwrap(), std::collections::BTreeMap::new());
    for share in last["window_causes"].as_array().unwrap() {
        *lost.entry(share["cause"].as_str().unwrap().to_owned()).or_insert(0) +=
            share["reads"].as_u64().unwrap();
    }
    let silent = lost.remove("server_silent").unwrap_or(0);
    assert!(silent > 100 && out.contains("server_silent "), "{silent} and {lost:?}\n{out}{err}");
    // A busy host of the laboratory may stand still meanwhile; a loss or two beside the outage may have no cause yet.
    lost.retain(|cause, _| !["generator_limited", "unexplained"].contains(&cause.as_str()));
    assert!(lost.is_empty(), "{lost:?}\n{out}{err}");
}
