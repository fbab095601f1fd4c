//! The `loadgen` binary as people and scripts meet it: what bad input gets, and what a run leaves behind.

mod relay;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use relay::config;
use serde_json::Value;
use shingle_proto::checksum::crc32c;
use shingle_proto::wire::{AnswerHeader, Control, ErrorCode, ErrorText, Frame, MessageWriter};
use shingle_server::{Config, Server, Token};

/// Runs the binary in a directory of its own.
fn loadgen(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that bad input ends with status 2 and one error line with these words, and that nothing was begun: no result, no file.
fn refused(directory: &Path, args: &[&str], words: &[&str]) {
    let before = files(directory);
    let output = loadgen(directory, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?} printed a result");
    let lines: Vec<_> = stderr.lines().filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&&str| line.starts_with("error: ") || line.starts_with("loadgen: ");
    assert_eq!(lines.iter().filter(is_error).count(), 1, "{args:?}: {stderr}");
    // Beside it there may be the usage and where to find help.
    assert!(lines.len() <= 3 && is_error(&&lines[0]), "{args:?}: {stderr}");
    for word in words {
        assert!(lines[0].contains(word), "{args:?}: no `{word}` in `{}`", lines[0]);
    }
    assert_eq!(files(directory), before, "{args:?} left something behind");
}

#[test]
fn values_out_of_range_are_named_with_their_range() {
    let directory = tempfile::tempdir().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["run", "--frobnicate"], &["--frobnicate"]),
        (&["frobnicate"], &["frobnicate"]),
        (&["run", "--rate", "0"], &["--rate", "'0'", "1 to 100M", "50k"]),
        (&["run", "--rate", "101M"], &["--rate", "'101M'", "1 to 100M"]),
        (&["run", "--rate", "fast"], &["--rate", "'fast'", "max"]),
        (&["qualify", "--rate", "0"], &["--rate", "'0'"]),
        (&["qualify", "--target", "none"], &["--target", "'none'"]),
        (&["qualify", "--resolution", "0.5%"], &["--resolution", "'0.5%'", "1% to 50%"]),
        (&["qualify", "--resolution", "5"], &["--resolution", "'5'", "5%"]),
        (&["qualify", "--fleet-tps", "0"], &["--fleet-tps", "'0'", "1 to 1G"]),
        (&["qualify", "--fleet-tps", "2M", "--spare", "95%"], &["--spare", "'95%'", "1/3", "90%"]),
        (&["qualify", "--canary-addr", "here"], &["--canary-addr", "'here'"]),
        (&["qualify", "--canary-addr", "127.0.0.1"], &["--canary-addr", "127.0.0.1", "the load uses it"]),
        (&["qualify", "--canary-addr", "203.0.113.7"], &["203.0.113.7", "ip address"]),
        (&["qualify", "--canary-addr", "::1"], &["::1", "IPv4"]),
        (&["qualify", "--baseline", "nowhere.json"], &["nowhere.json", "check the path"]),
        (
            &[
                "qualify",
                "--protocol",
                "memcached-udp",
                "--server",
                "127.0.0.1:1",
                "--canary-addr",
                "127.0.0.2",
            ],
            &["--canary-addr", "memcached-udp"],
        ),
        (&["run", "--duration", "1ms"], &["--duration", "1ms", "100ms to 24h"]),
        (&["run", "--items", "0"], &["--items", "'0'", "1 to 1G"]),
        (&["run", "--items", "2G"], &["--items", "'2G'", "1 to 1G"]),
        (&["run", "--values", "fixed:17MiB"], &["--values", "16777216"]),
        (&["run", "--values", "fixed:-1"], &["--values", "'-1'"]),
        (&["run", "--values", "gigantic"], &["--values", "gigantic", "object-metadata"]),
        (&["run", "--keys", "zipf:99"], &["--keys", "99", "10"]),
        (&["run", "--flows", "0"], &["--flows", "0", "1 to 1024"]),
        (&["run", "--flows", "1025"], &["--flows", "1025", "1 to 1024"]),
        (&["run", "--threads", "0"], &["--threads", "0", "1 to "]),
        (&["run", "--threads", "10000"], &["--threads", "10000", "1 to "]),
        (&["run", "--timeout", "61s"], &["--timeout", "61s", "1ms to 60s"]),
        (&["run", "--retries", "11"], &["--retries", "11", "10"]),
        (&["run", "--train", "65"], &["--train", "65", "64"]),
        (&["run", "--path-mtu", "576"], &["--path-mtu", "576", "1248", "65535"]),
        (&["run", "--gets-per-datagram", "65"], &["--gets-per-datagram", "65", "64"]),
        (&["run", "--rate", "max", "--in-flight", "0"], &["--in-flight", "0", "1 to "]),
        (&["run", "--slo", "failures=101%"], &["--slo", "101%", "0% to 100%"]),
        (&["run", "--strategy", "fragments"], &["--strategy", "fragments", "chunked"]),
        (&["run", "--items", "1M", "--values", "fixed:1MiB", "--json", "a.json"], &["memory", "1153"]),
        (&["run", "--lab", "fragment-limits"], &["fragment-limits", "did you mean", "fragment-limit"]),
        (&["run", "--lab", "direct", "--set", "limit=5"], &["direct", "limit", "delay"]),
        (&["run", "--lab", "direct", "--set", "delay=9s"], &["delay=9s", "out of range"]),
        (&["run", "--lab", "direct", "--set", "delay"], &["delay", "NAME=VALUE"]),
        (&["run", "--set", "delay=1ms"], &["--set", "--lab"]),
        (&["run", "--pcap", "captures"], &["--pcap", "--lab"]),
        (&["run", "--lab", "direct", "--server", "127.0.0.1:1"], &["--lab", "--server"]),
        (&["qualify", "--lab", "direct", "--protocol", "memcached-udp"], &["--lab", "memcached-udp"]),
        (&["run", "--inject-pause", "5ms"], &["--inject-pause", "'5ms'", "DURATION/INTERVAL"]),
        (&["run", "--inject-pause", "5ms/5ms"], &["--inject-pause", "5ms", "below the interval"]),
        (&["seed"], &["seed", "--server HOST:PORT"]),
    ];
    for (args, words) in cases {
        refused(directory.path(), args, words);
    }
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("trace.csv"), "0,key,3,100,1,get,0\n1,key,3,many,1,get,0\n").unwrap();
    fs::write(at("sizes.txt"), "100 1\n200 -1\n").unwrap();
    fs::write(at("empty.token"), "\n").unwrap();
    fs::write(at("other.json"), "{\"schema\": \"somebody.else/7\"}").unwrap();
    fs::write(at("no.json"), "not JSON").unwrap();
    fs::write(at("list.json"), "[]").unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["run", "--values", "trace:trace.csv"], &["trace.csv:2:", "many"]),
        (&["run", "--values", "histogram:sizes.txt"], &["sizes.txt:2:", "-1"]),
        (&["run", "--values", "trace:absent.csv"], &["absent.csv", "No such file"]),
        (&["run", "--token-file", "absent.token"], &["absent.token", "No such file"]),
        (&["run", "--token-file", "empty.token"], &["empty.token", "0 bytes", "1 to 255"]),
        (&["run", "--json", "a.json", "--html", "absent/page.html"], &["absent/page.html", "No such file"]),
        (&["run", "--hdr", "."], &["cannot write .", "directory"]),
        (&["report", "absent.json"], &["absent.json", "No such file"]),
        (&["report", "other.json", "--html", "a.html"], &["other.json", "--json"]),
        (&["report", "no.json"], &["no.json", "--json", "no JSON"]),
        (&["report", "list.json"], &["list.json", "--json", "a record of a run"]),
    ];
    for (args, words) in cases {
        refused(directory.path(), args, words);
    }
}

/// Answers one connection's first bytes with these, then closes.
fn peer(answer: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(&answer).unwrap();
    });
    (address, thread)
}

/// What a server of the next version says to a HELLO: bytes that are the same in every version (PROTOCOL.md, section 2.1).
fn next_versions_refusal() -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = AnswerHeader { attempt: 0, flow: 0, sequence: 0, draining: false };
    let mut message = MessageWriter::answer(&mut bytes, &header);
    let refusal = ErrorText { id: 0, code: ErrorCode::Version, text: "version 2 is spoken here" };
    message.push(&Frame::Control(Control::Error(refusal)));
    message.finish();
    bytes[4 + 5] = 2;
    let checksum = crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

#[test]
fn servers_that_cannot_be_loaded_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let against = |server: &str, words: &[&str]| {
        for command in ["run", "qualify", "seed"] {
            refused(directory.path(), &[command, "--server", server, "--json", "record.json"], words);
        }
    };
    against("127.0.0.1", &["127.0.0.1", "HOST:PORT"]);
    against("127.0.0.1:99999", &["127.0.0.1:99999", "HOST:PORT"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    against(&nobody, &[&nobody, "refused", "start cache-server"]);
    for (answer, words) in [
        (next_versions_refusal(), &["version 2", "version 1", "same release"][..]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), &["not a Shingle server", "HTTP/1.1 400"][..]),
    ] {
        let (address, thread) = peer(answer);
        refused(directory.path(), &["run", "--server", &address, "--html", "page.html"], words);
        thread.join().unwrap();
    }
}

/// The server's TCP port as seen on an address where nothing has its UDP port, which the kernel then says by ICMP.
#[test]
fn a_udp_port_where_nothing_listens_is_said_to_be_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(config()).unwrap();
    let listener = TcpListener::bind("127.0.0.3:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = server.tcp_addr();
    let forwarder = thread::spawn(move || {
        let (client, server) = (listener.accept().unwrap().0, TcpStream::connect(to).unwrap());
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || io::copy(&mut from_server, &mut to_client));
        // Either end may go at any time.
        let _ = io::copy(&mut &client, &mut &server);
        let _ = server.shutdown(Shutdown::Both);
        let _ = back.join().unwrap();
    });
    let port = server.ports()[0].port.to_string();
    refused(
        directory.path(),
        &["run", "--server", &address],
        &["nothing listens on UDP port", &port, "127.0.0.3"],
    );
    forwarder.join().unwrap();
}

#[test]
fn a_wrong_token_and_a_strategy_not_offered_are_refused_by_the_server() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("wrong"), "wrong").unwrap();
    let server = Server::start(Config { token: Some(Token::new(b"right").unwrap()), ..config() }).unwrap();
    let address = server.tcp_addr().to_string();
    let run = ["run", "--server", &address];
    refused(directory.path(), &[&run[..], &["--token-file", "wrong"]].concat(), &["token", "--token-file"]);
    let words = ["df-off", "=chunked", "--strategy"];
    refused(directory.path(), &[&run[..], &["--strategy", "df-off"]].concat(), &words);
    let stats = server.stats();
    assert_eq!((stats.store.items, stats.workers().map(|worker| worker.gets).sum::<u64>()), (0, 0));
}

/// Every field of design.md's section 6 that this version fills, by path.
const RECORD_FIELDS: &[&str] = &[
    "/command",
    "/host/kernel",
    "/host/cpus",
    "/server/address",
    "/server/ports",
    "/shared_namespace",
    "/slo/failure_rate",
    "/slo/p99_us",
    "/verdict/outcome",
    "/verdict/tps_at_slo",
    "/verdict/broke_first",
    "/verdict/hosts_needed",
    "/causes",
];
const STAGE_FIELDS: &[&str] = &[
    "/offered_tps",
    "/duration_s",
    "/valid",
    "/sent",
    "/answered",
    "/first_try_lost",
    "/failed",
    "/failure_rate",
    "/latency_us/p50",
    "/latency_us/p90",
    "/latency_us/p99",
    "/latency_us/p999",
    "/latency_us/max",
    "/losses",
    "/first_try_losses",
    "/generator_limited",
    "/by_size/0/reads",
    "/by_flow/0/reads",
    "/intervals/0/reads",
    "/counters/server.requests",
];
const CAUSE_FIELDS: &[&str] = &[
    "/cause",
    "/direction",
    "/where",
    "/reads",
    "/share",
    "/confidence",
    "/evidence",
    "/estimate",
    "/remedy",
];

fn check_fields(json: &Value, fields: &[&str]) {
    for field in fields {
        assert!(json.pointer(field).is_some(), "no {field} in {json:#}");
    }
}

fn number(json: &Value, field: &str) -> u64 {
    json[field].as_u64().unwrap_or_else(|| panic!("{field} in {json:#}"))
}

fn total(json: &Value) -> u64 {
    json.as_object().unwrap().values().map(|value| value.as_u64().unwrap()).sum()
}

/// Checks a record and returns it.
fn check_record(path: &Path) -> Value {
    let record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(record["schema"], "shingle.run/1");
    check_fields(&record, RECORD_FIELDS);
    let stages = record["stages"].as_array().unwrap();
    assert!(!stages.is_empty());
    for stage in stages {
        check_fields(stage, STAGE_FIELDS);
        let of = |field| number(stage, field);
        assert_eq!(of("sent"), of("answered") + of("failed"));
        assert_eq!((of("wrong"), total(&stage["losses"])), (0, of("failed")));
        assert_eq!(total(&stage["first_try_losses"]), of("first_try_lost"));
        for parts in ["by_size", "by_flow", "intervals"] {
            let sum: u64 = stage[parts].as_array().unwrap().iter().map(|part| number(part, "reads")).sum();
            assert_eq!(sum, of("sent"), "{parts}");
        }
        let rate = of("failed") as f64 / of("sent") as f64;
        assert!((stage["failure_rate"].as_f64().unwrap() - rate).abs() < 1e-9);
    }
    for cause in record["causes"].as_array().unwrap() {
        check_fields(cause, CAUSE_FIELDS);
    }
    record
}

fn check_page(path: &Path) -> String {
    let page = fs::read_to_string(path).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{page}");
    assert!(page.contains("<svg"), "no curves");
    let rest = page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!rest.contains(outside), "the page refers to something outside: {outside}");
    }
    page
}

/// A service level that any machine meets.
const EASY: [&str; 8] =
    ["--items", "2k", "--timeout", "5s", "--slo", "failures=50%,p99=4s", "--duration", "200ms"];

#[test]
fn a_run_leaves_record_page_and_log() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let outputs = ["run", "--rate", "1k", "--json", "run.json", "--html", "run.html", "--hdr", "run.hdr"];
    let output = loadgen(directory.path(), &[&outputs[..], &EASY].concat());
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("MET: "), "{stdout}");
    assert_eq!(files(directory.path()), ["run.hdr", "run.html", "run.json"]);
    let record = check_record(&at("run.json"));
    assert_eq!(record["verdict"]["outcome"], "pass");
    assert_eq!(record["shared_namespace"], true);
    check_page(&at("run.html"));
    let log = fs::read_to_string(at("run.hdr")).unwrap();
    assert!(log.lines().any(|line| line.contains("HIST")), "no histogram: {log}");

    let again = loadgen(directory.path(), &["report", "run.json", "--html", "again.html"]);
    assert_eq!((again.status.code(), again.stderr.is_empty()), (Some(0), true));
    assert_eq!(String::from_utf8(again.stdout).unwrap(), stdout, "the same table again");
    assert_eq!(fs::read(at("again.html")).unwrap(), fs::read(at("run.html")).unwrap());

    // What cannot be printed is an error, and what would steer a terminal is not printed.
    fs::write(
        at("odd.json"),
        fs::read_to_string(at("run.json")).unwrap().replace("in-process", "\\u001b[2J"),
    )
    .unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut report = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let full =
        report.args(["report", "run.json"]).current_dir(directory.path()).stdout(full).output().unwrap();
    assert_eq!(full.status.code(), Some(2));
    assert!(String::from_utf8(full.stderr).unwrap().contains("standard output"));
    let odd = loadgen(directory.path(), &["report", "odd.json"]);
    assert!(odd.status.success() && !odd.stdout.contains(&0x1b), "{odd:?}");

    let quiet = loadgen(directory.path(), &[&["run", "--rate", "1k", "--quiet"][..], &EASY].concat());
    assert_eq!((quiet.status.code(), quiet.stderr.is_empty()), (Some(0), true));
}

#[test]
fn a_service_level_not_met_is_status_1_with_its_causes() {
    let directory = tempfile::tempdir().unwrap();
    // No answer comes within a millisecond after a pause of a tenth of a second.
    let pause = shingle_server::Pause {
        duration: std::time::Duration::from_millis(100),
        interval: std::time::Duration::from_millis(120),
    };
    let server = Server::start(Config { inject_pause: Some(pause), ..config() }).unwrap();
    let address = server.tcp_addr().to_string();
    let run = ["run", "--server", &address, "--items", "1k", "--rate", "1k", "--duration", "500ms"];
    let strict =
        ["--timeout", "40ms", "--slo", "failures=1%,p99=10ms", "--json", "run.json", "--html", "run.html"];
    let output = loadgen(directory.path(), &[&run[..], &strict].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("NOT MET") && stdout.contains("Who lost them: "), "{stdout}");
    let record = check_record(&directory.path().join("run.json"));
    assert_eq!(
        (&record["verdict"]["outcome"], &record["verdict"]["broke_first"]),
        (&"fail".into(), &"failure_rate".into())
    );
    let causes = record["causes"].as_array().unwrap();
    assert_eq!(causes[0]["cause"], "server_overload", "{causes:?}");
    let lost: u64 = causes.iter().map(|cause| number(cause, "reads")).sum();
    assert_eq!(lost, number(&record["stages"][0], "first_try_lost"));
    assert!(check_page(&directory.path().join("run.html")).contains("server_overload"));
}

#[test]
fn qualify_searches_and_its_target_decides() {
    let directory = tempfile::tempdir().unwrap();
    let common = ["qualify", "--items", "2k", "--rate", "2k", "--duration", "100ms", "--json", "run.json"];
    // How far this machine gets, and whether 2,000 reads/s are within it, is its own affair; that all agree is not.
    let slo = ["--timeout", "60ms", "--slo", "failures=10%,p99=80ms", "--target", "2k"];
    let output = loadgen(directory.path(), &[&common[..], &slo].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let record = check_record(&directory.path().join("run.json"));
    let met = number(&record["verdict"], "tps_at_slo") >= 2000;
    assert_eq!(output.status.code(), Some(i32::from(!met)), "{stdout}");
    assert_eq!(record["verdict"]["outcome"], if met { "pass" } else { "fail" });
    assert!(stdout.lines().any(|line| line.starts_with(if met { "MET: " } else { "NOT MET: " })), "{stdout}");

    // No read takes less than a microsecond.
    let slo = ["--slo", "failures=0.5%,p99=1us"];
    let output = loadgen(directory.path(), &[&common[..], &slo].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let record = check_record(&directory.path().join("run.json"));
    assert_eq!(number(&record["verdict"], "tps_at_slo"), 0);
    assert_eq!(record["verdict"]["outcome"], "fail");
    assert!(stdout.contains("NOT MET: no rate tried meets the service level"), "{stdout}");
}

/// A search that ends at its first rate, with a client from another address beside it; then the same with its record as baseline.
#[test]
fn qualify_keeps_canaries_apart_and_compares_with_an_earlier_record() {
    let directory = tempfile::tempdir().unwrap();
    let search = ["qualify", "--items", "2k", "--rate", "500", "--duration", "600ms", "--slo", "p99=1us"];
    let canary = ["--canary-addr", "127.0.0.2", "--json", "run.json", "--html", "run.html"];
    loadgen(directory.path(), &[&search[..], &canary].concat());
    let record = check_record(&directory.path().join("run.json"));
    let stages = record["stages"].as_array().unwrap();
    let mut canaries = (0, 0);
    for stage in stages {
        let canary = &stage["canary"];
        assert_eq!((&canary["measured"], &canary["addresses"][0]), (&true.into(), &"127.0.0.2".into()));
        canaries = (canaries.0 + number(canary, "first"), canaries.1 + number(canary, "later"));
        let of_flows = stage["by_flow"].as_array().unwrap().iter().map(|flow| number(flow, "reads"));
        assert_eq!(of_flows.sum::<u64>(), number(stage, "sent"), "no canary's read is in the load's figures");
        assert!(stage["generator"]["offered_in_time"].as_f64().unwrap() <= 1.0);
    }
    assert_eq!(canaries.0, 1, "the path of an address is cold once");
    assert!(canaries.1 >= 1, "{canaries:?}");
    assert!(record["cold"]["measured"].is_boolean(), "{}", record["cold"]);
    assert!(check_page(&directory.path().join("run.html")).contains("The generator itself"));

    let output = loadgen(
        directory.path(),
        &[&search[..], &["--baseline", "run.json", "--json", "second.json"]].concat(),
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("Against the baseline"), "{stdout}");
    let second = check_record(&directory.path().join("second.json"));
    assert!(second["baseline"]["tests"].is_array(), "{second:#}");
    assert_eq!(second["stages"][0]["canary"]["measured"], false, "no address was given");
}
