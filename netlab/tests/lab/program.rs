//! The program `netlab`: what it runs, what it says, and that nothing is left of it however it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use shingle_netlab::lab::LabOptions;

use crate::common::{lab, plan, wait_until};

/// Answers one datagram.
const SERVER: &str = r#"exec perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => $ENV{SERVER}, LocalPort => 7400, Proto => "udp") or die;
    while ($s->recv(my $d, 2000)) { $s->send("re: $d"); }'"#;
const CLIENT: &str = r#"perl -MIO::Socket::INET -e '
    my $c = IO::Socket::INET->new(PeerAddr => $ENV{SERVER}, PeerPort => 7400, Proto => "udp") or die;
    $c->send("hello"); $c->recv(my $d, 2000); print $d;'; exit 7"#;

fn netlab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_netlab")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether this machine can have laboratories; else that was said.
fn possible() -> bool {
    lab(&plan(1500, 1500), &LabOptions::default()).is_some()
}

#[test]
fn it_runs_a_command_against_a_server_and_passes_its_status_on() {
    if !possible() {
        return;
    }
    let output = netlab(&["run", "-v", "direct", "--server-command", SERVER, "--", "sh", "-c", CLIENT]);
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "re: hello");
    assert!(said(&output).contains("lost by the laboratory itself: nothing"), "{}", said(&output));
}

#[test]
fn bad_input_is_refused_in_one_line_that_says_what_to_do() {
    for (arguments, words) in [
        (&["run", "fragment-limt", "--", "true"][..], "fragment-limit"),
        (&["run", "narrow", "--set", "mtuu=1500", "--", "true"], "mtu"),
        (&["run", "narrow", "--set", "mtu=1", "--", "true"], "1280 to 9216"),
        (&["run", "narrow", "--set", "mtu", "--", "true"], "NAME=VALUE"),
        (&["list", "nothing"], "direct"),
    ] {
        let output = netlab(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(words) && said(&output).lines().count() == 1, "{}", said(&output));
    }
    if possible() {
        let output = netlab(&["run", "direct", "--name", "a/b", "--", "true"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("\"a/b\""), "{}", said(&output));
    }
}

#[test]
fn the_list_explains_every_parameter() {
    let output = netlab(&["list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for entry in shingle_netlab::catalogue() {
        assert!(text.contains(&format!("{}: {}", entry.name, entry.sentence)) && text.contains(entry.story));
        for parameter in entry.parameters {
            assert!(text.contains(&format!(
                "{}={}  {}",
                parameter.name,
                parameter.default(),
                parameter.sentence
            )));
        }
    }
}

#[test]
fn a_signal_takes_it_down_at_once() {
    if !possible() {
        return;
    }
    let (mut program, sleep) = start_sleeping("t-ended", "86011");
    Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert_eq!(program.wait().unwrap().signal(), Some(15));
    assert_gone("t-ended", &sleep);
}

#[test]
fn the_next_start_removes_what_a_killed_one_left() {
    if !possible() {
        return;
    }
    let (mut program, sleep) = start_sleeping("t-killed", "86012");
    program.kill().unwrap();
    program.wait().unwrap();
    // Another test's laboratory may have been the next start already.
    drop(lab(&plan(1500, 1500), &LabOptions::default()));
    assert_gone("t-killed", &sleep);
}

/// `netlab run` with a command that sleeps long, and a grandchild that does not die with it.
fn start_sleeping(name: &str, seconds: &str) -> (Child, String) {
    let script = format!("setsid sleep {seconds}.1 & exec sleep {seconds}.2");
    let program = Command::new(env!("CARGO_BIN_EXE_netlab"))
        .args(["run", "direct", "--name", name, "--", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sleep = format!("sleep\0{seconds}.");
    wait_until("both are sleeping", || processes(&sleep) == 2);
    assert!(Path::new(&format!("/run/netns/shingle-{name}-client")).exists());
    (program, sleep)
}

fn assert_gone(name: &str, sleep: &str) {
    for host in ["client", "server", "router"] {
        assert!(!Path::new(&format!("/run/netns/shingle-{name}-{host}")).exists(), "{host}");
    }
    assert!(!Path::new(&format!("/run/shingle-netlab/{name}.lock")).exists());
    // Killed, but the kernel may be at it still.
    wait_until("its processes are gone", || processes(sleep) == 0);
}

/// Processes whose command line, words ended by 0, begins so.
fn processes(command_line: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|it| it.starts_with(command_line.as_bytes()))
    })
    .count()
}

#[test]
fn an_ordinary_user_has_laboratories_where_the_kernel_allows_it() {
    // A copy where everybody may read it: the build's directory may be root's alone.
    let directory = std::env::temp_dir().join(format!("shingle-rootless-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.join("netlab");
    std::fs::copy(env!("CARGO_BIN_EXE_netlab"), &program).unwrap();
    let root = std::fs::metadata("/proc/self").unwrap();
    let mut command = if std::os::unix::fs::MetadataExt::uid(&root) == 0 {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let captures = directory.join("captures");
    std::fs::create_dir(&captures).unwrap();
    std::fs::set_permissions(&captures, PermissionsExt::from_mode(0o777)).unwrap();
    command.args(["run", "narrow", "--set", "delay=1ms", "--name", "t-rootless", "--pcap"]).arg(&captures);
    let output = command.args(["--server-command", SERVER, "--", "sh", "-c", CLIENT]).output().unwrap();
    let captured = std::fs::read(captures.join("server-s0.pcap")).unwrap_or_default();
    std::fs::remove_dir_all(&directory).unwrap();
    if output.status.code() == Some(2) {
        // No rights to be had: then it says how to get them, and that is all that can be asked on this machine.
        assert!(said(&output).contains("run as root, or:"), "{}", said(&output));
        eprintln!("skipped: {}", said(&output).trim());
        return;
    }
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "re: hello");
    assert!(captured.windows(9).any(|bytes| bytes == b"re: hello"), "{} B captured", captured.len());
    assert!(
        !Path::new("/run/netns/shingle-t-rootless-client").exists(),
        "outside of its own /run there is nothing"
    );
}
