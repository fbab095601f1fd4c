//! The real binary: the ready line, signals, and how it refuses to start.

mod common;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Output;

use common::{Running, Tcp, command};

/// Asserts status 2, nothing on stdout, and one error with all of `named` in it.
fn refused(arguments: &[&str], named: &[&str]) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(2), &b""[..]), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{stderr}");
    named.iter().for_each(|text| assert!(stderr.contains(text), "{arguments:?}: no `{text}` in {stderr}"));
}

const FREE: [&str; 4] = ["--udp-port=0", "--udp-port=0=df-off", "--tcp-port=0", "--drain-for=50ms"];

#[test]
fn says_when_it_is_ready_and_leaves_in_order_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let running = Running::start(&FREE);
        let words: Vec<_> = running.ready.split_whitespace().collect();
        let ["ready", tcp, udp] = words[..] else { panic!("{:?}", running.ready) };
        let tcp: SocketAddr = tcp.strip_prefix("tcp=").unwrap().parse().unwrap();
        let ports: Vec<_> = udp.strip_prefix("udp=").unwrap().split(',').collect();
        let [chunked, df_off] = ports[..] else { panic!("{udp}") };
        let number = |port: &str, strategy| port.strip_suffix(strategy).unwrap().parse::<u16>().unwrap();
        assert!(number(chunked, "=chunked") != 0 && number(df_off, "=df-off") != 0);
        Tcp::hello(tcp).set(b"k", b"v");
        running.signal(signal);
        let (status, errors) = running.end();
        // Whoever starts what `cargo test` leaves behind is told, and told nothing else.
        let [warning] = errors.lines().collect::<Vec<_>>()[..] else { panic!("SIG{signal}: {errors}") };
        assert!(
            status == Some(0) && warning.contains("built for tests"),
            "SIG{signal}: {status:?}, {warning}"
        );
    }
}

#[test]
fn the_installed_allocator_counts_nothing_on_an_idle_and_a_busy_worker() {
    let running = Running::start(&FREE);
    let tcp = running.ready.split_whitespace().nth(1).unwrap().strip_prefix("tcp=").unwrap();
    let mut tcp = Tcp::hello(tcp.parse().unwrap());
    let stats = tcp.stats();
    assert!(stats.workers().all(|worker| worker.allocations == 0), "{stats:?}");
    assert!(stats.kernel.contains_key("Udp.InDatagrams"), "{:?}", stats.kernel);
}

#[test]
fn ports_in_use_are_named_with_who_holds_them() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port().to_string();
    for workers in ["--workers-per-port=1", "--workers-per-port=2"] {
        refused(&["--tcp-port=0", &format!("--udp-port={port}"), workers], &["UDP", &port, "ss -ulpn"]);
    }
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    refused(&["--udp-port=0", &format!("--tcp-port={port}")], &["TCP", &port, "ss -tlpn"]);
    refused(&["--udp-port=0", "--tcp-port=0", &format!("--metrics=127.0.0.1:{port}")], &["TCP", &port]);
}

#[test]
fn a_second_server_does_not_share_the_ports_of_the_first() {
    let running =
        Running::start(&["--udp-port=0", "--tcp-port=0", "--workers-per-port=2", "--drain-for=0ms"]);
    let port = running.ready.split("udp=").nth(1).unwrap().split('=').next().unwrap();
    refused(&["--tcp-port=0", &format!("--udp-port={port}"), "--workers-per-port=2"], &["UDP", port]);
}

/// What the error of a budget too small says is the least is taken, and a byte less is not.
#[test]
fn the_least_memory_is_the_one_that_is_named() {
    let Output { stderr, .. } = command(&["--memory=1KiB", "--value-max=100KiB"]).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    let (_, rest) = stderr.split_once("at least ").unwrap();
    let least: usize = rest.split_once(" B").unwrap().0.parse().unwrap();
    refused(&["--memory=1KiB"], &["memory is 1024 B", "value-max at 1048576 B", "raise --memory"]);
    refused(&["--memory=1KiB", "--value-max=2MiB"], &["value-max at 2097152 B", "lower --value-max"]);
    let memory = |bytes: usize| format!("--memory={bytes}");
    refused(&[&memory(least - 1), "--value-max=100KiB"], &[&format!("at least {least} B")]);
    let running = Running::start(&[&memory(least), "--value-max=100KiB", "--udp-port=0", "--tcp-port=0"]);
    let tcp = running.ready.split_whitespace().nth(1).unwrap().strip_prefix("tcp=").unwrap();
    Tcp::hello(tcp.parse().unwrap()).set(&[b'k'; 250], &common::noise(100 << 10));
}

#[test]
fn bad_usage_is_refused_with_status_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (unknown, empty) = (file("unknown.toml", "udp-prot = 7400\n"), file("token", ""));
    refused(&["--fast"], &["--fast"]);
    refused(&["--udp-port=7400=fast"], &["`fast`", "chunked"]);
    refused(&["--udp-port=70000"], &["`70000`", "65535"]);
    refused(&["--udp-port=1", "--udp-port=1"], &["udp-port 1 is given twice"]);
    refused(&["--memory=1KiB"], &["memory", "1024 B"]);
    refused(&["--memory=9999999GiB"], &["memory", "10737417166258176 B", "1099511627776 B"]);
    refused(&["--value-max=17MiB"], &["value-max is 17825792 B", "16777216 B"]);
    refused(&["--path-mtu=1247"], &["path-mtu is 1247 B", "1248 B"]);
    refused(&["--workers-per-port=0"], &["workers-per-port is 0"]);
    refused(&["--inject-pause=2s/1s"], &["inject-pause"]);
    refused(&["--listen=nowhere"], &["nowhere"]);
    refused(&["--listen=203.0.113.1", "--udp-port=0", "--tcp-port=0"], &["203.0.113.1", "0.0.0.0"]);
    refused(&["--config", &unknown], &["udp-prot", "unknown.toml", "udp-port"]);
    refused(&["--config=/nonexistent"], &["/nonexistent"]);
    refused(&["--token-file", &empty], &["token", "0 bytes"]);
    refused(&["--token-file=/nonexistent"], &["/nonexistent"]);
}
