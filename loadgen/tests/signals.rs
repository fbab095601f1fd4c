//! A signal ends `run` and `qualify` early, and what they measured until then is told.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use shingle_proto::wire::Strategy;
use shingle_server::{Config, PortConfig, Server};

fn server() -> (Server, String) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config {
        listen: "127.0.0.1".parse().unwrap(),
        tcp_port: tcp,
        udp_ports: vec![PortConfig::new(udp, Strategy::Chunked)],
        memory_bytes: 64 << 20,
        receipts: true,
        ..Config::default()
    };
    (Server::start(config).unwrap(), format!("127.0.0.1:{tcp}"))
}

fn begin(command: &str, server: &str, json: &Path) -> Child {
    // A shell's background jobs are born with SIGINT ignored, and so are their children.
    Command::new("env")
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_loadgen")])
        .args(command.split(' '))
        .args(["--server", server, "--items", "100", "--slo", "failures=99%,p99=10s", "--json"])
        .arg(json)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn told(output: &Output, json: &Path) -> (String, Value) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let record = std::fs::read(json).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (text, serde_json::from_slice(&record).unwrap())
}

#[test]
fn a_run_that_is_cut_short_tells_what_it_measured() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("run.json");
    let (server, address) = server();
    let run = begin("run --rate 1k --duration 60s", &address, &json);
    // Far more than the warm-up reads.
    while server.stats().ports[0].workers.iter().map(|worker| worker.requests).sum::<u64>() < 5_000 {
        thread::sleep(Duration::from_millis(20));
    }
    signal(&run, "TERM");
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15), "{output:?}");
    let (text, record) = told(&output, &json);
    assert!(text.contains("CUT SHORT, MET SO FAR") && text.contains("of 60.0 s"), "{text}");
    assert_eq!(record["verdict"]["outcome"], "cut_short");
    let stage = &record["stages"][0];
    assert_eq!(stage["cut_short_of_s"], 60.0);
    let (length_s, sent) = (stage["duration_s"].as_f64().unwrap(), stage["sent"].as_u64().unwrap());
    assert!(sent > 1_000 && length_s < 59.0, "{sent} reads in {length_s} s");
    assert_eq!(sent, stage["answered"].as_u64().unwrap() + stage["failed"].as_u64().unwrap());
    // The figures are those of the time that it ran, not of the time it was to run.
    let intervals = stage["intervals"].as_array().unwrap();
    let lengths: f64 = intervals.iter().map(|interval| interval["length_s"].as_f64().unwrap()).sum();
    assert!((lengths - length_s).abs() < 0.001, "{lengths} s of {length_s} s");
    let read: u64 = intervals.iter().map(|interval| interval["reads"].as_u64().unwrap()).sum();
    assert_eq!(read, sent);
}

#[test]
fn a_search_that_is_cut_short_tells_of_the_stages_before() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("qualify.json");
    let (_server, address) = server();
    let mut search = begin("qualify --rate 100 --duration 1s", &address, &json);
    let mut lines = BufReader::new(search.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut stages = lines.by_ref().skip_while(|line| !line.contains("offered"));
    assert!(stages.by_ref().take(3).count() == 3, "the header and two stages");
    signal(&search, "INT");
    let rest = thread::spawn(move || lines.for_each(drop));
    let output = search.wait_with_output().unwrap();
    rest.join().unwrap();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    let (text, record) = told(&output, &json);
    assert!(
        text.contains("CUT SHORT, MET SO FAR") && text.contains("the stage under way is left out"),
        "{text}"
    );
    assert_eq!(record["verdict"]["outcome"], "cut_short");
    let stages = record["stages"].as_array().unwrap();
    assert!(stages.len() >= 2 && stages.iter().all(|stage| stage["cut_short_of_s"].is_null()), "{stages:?}");
}
