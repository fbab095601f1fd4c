//! memcached as a target: against a real one where it is installed, and against a fake that misbehaves.

mod memcached_fake;
mod relay;

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use memcached_fake::{Fake, Mood};
use relay::{check_books, lost_by};
use serde_json::Value;
use shingle_loadgen::attribution::{Cause, Direction};
use shingle_loadgen::cli::{Cli, Command as Typed};
use shingle_loadgen::embedded::Site;
use shingle_loadgen::engine::Pace;
use shingle_loadgen::error::Error;
use shingle_loadgen::options::Options;
use shingle_loadgen::progress::Progress;
use shingle_loadgen::rig::Rig;
use shingle_loadgen::stage::StageResult;
use shingle_netlab::skip;

/// Makes a memcached that is not installed a failure.
const REQUIRE: &str = "SHINGLE_REQUIRE_MEMCACHED";
const SHORT: Duration = Duration::from_millis(300);

/// A real memcached, killed when dropped.
struct Memcached {
    process: Child,
    address: String,
}

impl Memcached {
    /// Starts one; `None`, with a line that says so, where it is not installed.
    fn start(flags: &[&str], with_udp: bool) -> Option<Self> {
        let port = free_port();
        let port_text = port.to_string();
        let udp_port = if with_udp { &port_text } else { "0" };
        let mut command = Command::new("memcached");
        command.args(["-l", "127.0.0.1", "-p", &port_text, "-U", udp_port, "-t", "1"]).args(flags);
        // As root it wants to be told whom to become.
        command.args(["-u", "nobody"]).stdin(Stdio::null()).stderr(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                let missing = format!("memcached cannot be started ({error}); install it to run this test");
                skip::unless_required(REQUIRE, missing);
                return None;
            }
        };
        let memcached = Self { process, address: format!("127.0.0.1:{port}") };
        let is_up = || TcpStream::connect(&memcached.address).is_ok();
        assert!(
            (0..500).any(|_| is_up() || {
                thread::sleep(Duration::from_millis(20));
                false
            }),
            "memcached does not come up"
        );
        Some(memcached)
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A number that is free for TCP and for UDP.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn build(address: &str, protocol: &str, flags: &[&str]) -> Result<Rig, Error> {
    let typed = [
        "loadgen",
        "run",
        "--quiet",
        "--server",
        address,
        "--protocol",
        protocol,
        "--threads",
        "1",
        "--flows",
        "2",
    ];
    let Typed::Run(run) = Cli::try_parse_from(typed.iter().chain(flags)).unwrap().command else {
        unreachable!("`run` was typed")
    };
    Rig::build(&Options::resolve(&run.common)?, &Site::loopback(), &Progress::new(true))
}

fn stage(rig: &mut Rig, pace: Pace) -> StageResult {
    let result = rig.stage(pace, SHORT, &Progress::new(true)).unwrap();
    check_books(&result);
    assert!(result.stage.sent > 0);
    result
}

const PATIENT: [&str; 2] = ["--timeout", "10s"];
const PROTOCOLS: [&str; 2] = ["memcached-udp", "memcached-tcp"];

#[test]
fn a_real_memcached_answers_every_read_rightly() {
    let Some(memcached) = Memcached::start(&["-m", "64"], true) else { return };
    for protocol in PROTOCOLS {
        for values in ["object-metadata", "fixed:0", "fixed:4000", "fixed:100000"] {
            for gets in ["1", "16"] {
                let flags = ["--items", "200", "--values", values, "--gets-per-datagram", gets];
                let mut rig = build(&memcached.address, protocol, &[&flags[..], &PATIENT].concat()).unwrap();
                let result = stage(&mut rig, Pace::InFlight(if values == "fixed:100000" { 2 } else { 32 }));
                // Over UDP a datagram dropped for want of buffer fails its read; more than a few would be another thing.
                let stage = &result.stage;
                let failed = if protocol == "memcached-tcp" { 0 } else { stage.sent / 10 };
                assert!(stage.misses == 0 && stage.failed <= failed, "{protocol} {values} {gets}");
                assert!(stage.counters["server.get_hits"] >= stage.answered);
            }
        }
    }
}

#[test]
fn what_a_real_memcached_has_lost_is_a_miss() {
    let Some(memcached) = Memcached::start(&["-m", "64"], true) else { return };
    for (protocol, several) in [("memcached-udp", "2"), ("memcached-tcp", "5")] {
        for gets in ["1", several] {
            let flags = ["--items", "100", "--values", "fixed:50", "--gets-per-datagram", gets];
            let mut rig = build(&memcached.address, protocol, &[&flags[..], &PATIENT].concat()).unwrap();
            flush(&memcached.address);
            let result = stage(&mut rig, Pace::InFlight(8));
            assert!(
                result.stage.misses > 0 && result.stage.misses == result.stage.answered,
                "{protocol} {gets}"
            );
            assert!(result.stage.broke.is_some());
        }
    }
    // Of more keys a get over UDP does not tell; memcached's own count does.
    let flags = ["--items", "100", "--values", "fixed:50", "--gets-per-datagram", "5", "--timeout", "200ms"];
    let mut rig = build(&memcached.address, "memcached-udp", &flags).unwrap();
    flush(&memcached.address);
    let result = stage(&mut rig, Pace::InFlight(10));
    assert!(result.stage.failed > 0 && result.stage.misses > 0);
    let said = result
        .causes
        .iter()
        .flat_map(|cause| &cause.evidence)
        .any(|words| words.contains("keys that are not stored"));
    assert!(said, "{:?}", result.causes);
}

fn flush(address: &str) {
    use std::io::{Read as _, Write as _};
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"flush_all\r\n").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"OK\r\n");
}

#[test]
fn a_memcached_too_small_for_the_items_is_said_to_be() {
    let Some(memcached) = Memcached::start(&["-m", "2"], true) else { return };
    let error = build(&memcached.address, "memcached-tcp", &["--items", "30k", "--values", "fixed:2000"])
        .err()
        .unwrap();
    let Error::MemcachedNotKept { evictions, .. } = error else { panic!("{error}") };
    assert!(evictions > 0);
    let limit =
        build(&memcached.address, "memcached-udp", &["--values", "fixed:1MiB"]).err().unwrap().to_string();
    for word in ["1048576", "-I", "1048256"] {
        assert!(limit.contains(word), "no {word} in {limit}");
    }
}

#[test]
fn the_binary_leaves_a_record_that_names_protocol_and_version() {
    let Some(memcached) = Memcached::start(&["-m", "64"], true) else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = ["--server", &memcached.address, "--items", "500", "--quiet"];
    let seeded = loadgen(directory.path(), &[&["seed", "--protocol", "memcached-tcp"], &server[..]].concat());
    assert_eq!(String::from_utf8(seeded.stdout).unwrap(), "500 items stored\n");
    let easy = ["--timeout", "5s", "--slo", "failures=50%,p99=4s", "--rate", "1k", "--duration", "200ms"];
    for protocol in PROTOCOLS {
        let run = [&["run", "--protocol", protocol, "--json", "run.json"], &server[..], &easy].concat();
        let output = loadgen(directory.path(), &run);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let record: Value =
            serde_json::from_slice(&fs::read(directory.path().join("run.json")).unwrap()).unwrap();
        assert_eq!(record["server"]["protocol"], protocol);
        assert!(record["server"]["version"].as_str().unwrap().starts_with("1."), "{record:#}");
        assert!(record["command"].as_str().unwrap().contains(&format!("--protocol {protocol}")));
        assert_eq!((&record["stages"][0]["wrong"], &record["stages"][0]["misses"]), (&0.into(), &0.into()));
        let again = loadgen(directory.path(), &["report", "run.json"]);
        assert_eq!(again.stdout, output.stdout, "the same table again");
    }
    let qualify = [
        "qualify",
        "--protocol",
        "memcached-tcp",
        "--rate",
        "1k",
        "--duration",
        "100ms",
        "--slo",
        "failures=50%,p99=1us",
    ];
    let output = loadgen(directory.path(), &[&qualify[..], &server].concat());
    assert_eq!(output.status.code(), Some(1), "no read takes less than a microsecond");
}

fn loadgen(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(args).current_dir(directory).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn without_u_there_is_no_udp() {
    let Some(memcached) = Memcached::start(&[], false) else { return };
    let error = build(&memcached.address, "memcached-udp", &[]).err().unwrap().to_string();
    assert!(error.contains("without -U") && error.contains("memcached-tcp"), "{error}");
    let fake = Fake::start(true);
    fake.set(Mood::Gone);
    let error = build(&fake.address.to_string(), "memcached-udp", &[]).err().unwrap();
    assert!(matches!(error, Error::NoUdpAnswer { .. }), "{error}");
}

#[test]
fn flags_without_meaning_are_refused() {
    let cases: [(&[&str], &str); 9] = [
        (&["--protocol", "memcached-udp"], "--server"),
        (&["--protocol", "memcached-udp", "--server", "h:1", "--strategy", "chunked"], "--strategy"),
        (&["--protocol", "memcached-udp", "--server", "h:1", "--path-mtu", "1500"], "--path-mtu"),
        (&["--protocol", "memcached-tcp", "--server", "h:1", "--retries", "0"], "--retries"),
        (&["--protocol", "memcached-udp", "--server", "h:1", "--train", "2"], "--train"),
        (&["--protocol", "memcached-tcp", "--server", "h:1", "--udp-port", "7"], "--udp-port"),
        (&["--udp-port", "7"], "--udp-port"),
        (&["--protocol", "redis"], "memcached-udp, memcached-tcp"),
        (&["--protocol", "memcached-tcp", "--server", "127.0.0.1"], "127.0.0.1"),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (args, word) in cases {
        for command in ["run", "qualify", "seed"] {
            let output = loadgen(directory.path(), &[&[command], args].concat());
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
            assert!(stderr.contains(word) && output.stdout.is_empty(), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn a_shingle_server_is_told_from_a_memcached() {
    let server = relay::server();
    let error = build(&server.tcp_addr().to_string(), "memcached-tcp", &[]).err().unwrap();
    assert!(matches!(error, Error::NotMemcached { .. } | Error::MemcachedConnection { .. }), "{error}");
}

#[test]
fn answers_out_of_order_and_twice_are_right_answers() {
    let fake = Fake::start(true);
    let flags = ["--items", "50", "--values", "fixed:5000"];
    let mut rig =
        build(&fake.address.to_string(), "memcached-udp", &[&flags[..], &PATIENT].concat()).unwrap();
    fake.set(Mood::ReversedAndTwice);
    let result = stage(&mut rig, Pace::InFlight(4));
    assert_eq!(result.stage.failed, 0);
    let counters = &result.stage.counters;
    assert!(counters["client.flow.duplicates"] + counters["client.flow.strays"] > 0, "{counters:?}");
}

#[test]
fn what_goes_wrong_fails_its_reads_and_is_named() {
    for (protocol, mood, evidence) in [
        ("memcached-udp", Mood::CutShort, "beyond what the counters"),
        ("memcached-udp", Mood::Gone, "beyond what the counters"),
        ("memcached-udp", Mood::Errors, "error lines"),
        ("memcached-tcp", Mood::CutShort, "TCP connections"),
        ("memcached-tcp", Mood::Gone, "TCP connections"),
        ("memcached-tcp", Mood::Errors, "error lines"),
    ] {
        let fake = Fake::start(true);
        let flags =
            ["--items", "50", "--values", "fixed:300", "--gets-per-datagram", "2", "--timeout", "200ms"];
        let mut rig = build(&fake.address.to_string(), protocol, &flags).unwrap();
        fake.set(mood);
        let result = stage(&mut rig, Pace::PerSecond(500.0));
        assert!(result.stage.failed > 0, "{protocol} {mood:?}");
        if mood != Mood::CutShort {
            assert_eq!(result.stage.answered, 0, "{protocol} {mood:?}");
        }
        // All directions together: what came of an answer tells some of them apart.
        // Where nothing at all came back from the first read to the last, that is silence.
        let unexplained = [Direction::Up, Direction::Down, Direction::Host].map(|way| {
            lost_by(&result, Cause::Unexplained, way) + lost_by(&result, Cause::ServerSilent, way)
        });
        assert!(unexplained.iter().sum::<u64>() > 0, "{protocol} {mood:?}");
        let said =
            result.causes.iter().flat_map(|cause| &cause.evidence).any(|words| words.contains(evidence));
        assert!(said, "{protocol} {mood:?}: {:?}", result.causes);
        // And afterwards all is well again, over new connections where the old ones broke.
        fake.set(Mood::Well);
        let result = stage(&mut rig, Pace::PerSecond(100.0));
        assert!(result.stage.answered > 0, "{protocol} after {mood:?}");
    }
}

#[test]
fn a_key_that_is_not_there_is_a_miss() {
    for protocol in PROTOCOLS {
        let fake = Fake::start(true);
        // Of three, nothing would be said of the second.
        let flags = ["--items", "50", "--values", "fixed:300", "--gets-per-datagram", "2"];
        let mut rig = build(&fake.address.to_string(), protocol, &[&flags[..], &PATIENT].concat()).unwrap();
        fake.set(Mood::Empty);
        let result = stage(&mut rig, Pace::InFlight(4));
        assert_eq!((result.stage.failed, result.stage.misses), (0, result.stage.sent), "{protocol}");
    }
}
