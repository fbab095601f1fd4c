//! The program `netlab`: what it runs, what it says, and that nothing is left of it however it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use shingle_netlab::lab::LabOptions;
use shingle_netlab::skip;

use crate::common::{lab, own, plan, wait_until};

/// Answers datagrams, for half a minute at most.
const SERVER: &str = r#"exec perl -MIO::Socket::INET -e 'alarm 30;
    my $s = IO::Socket::INET->new(LocalAddr => $ENV{SERVER}, LocalPort => 7400, Proto => "udp") or die;
    while ($s->recv(my $d, 2000)) { $s->send("re: $d"); }'"#;
const CLIENT: &str = r#"perl -MIO::Socket::INET -e 'alarm 30;
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

/// Sends 20 datagrams while the laboratory's own process, its parent, stands still for 100 ms.
const WHILE_IT_STANDS_STILL: &str = r#"
    my $c = IO::Socket::INET->new(PeerAddr => $ENV{SERVER}, PeerPort => 7400, Proto => "udp") or die;
    kill "STOP", getppid; $c->send("late") for 1..20; select undef, undef, undef, 0.1; kill "CONT", getppid;
    select undef, undef, undef, 0.1;"#;

#[test]
fn packets_that_came_while_nobody_looked_are_known_as_late() {
    if !possible() {
        return;
    }
    let client = ["perl", "-MIO::Socket::INET", "-e", WHILE_IT_STANDS_STILL];
    let output = netlab(&[&["run", "direct", "--set", "delay=5ms", "--"][..], &client].concat());
    let said = said(&output);
    let late = said.lines().filter_map(|line| line.trim().strip_prefix("router.hold")?.split_once(".late "));
    let late: u64 = late.map(|(_, count)| count.parse::<u64>().unwrap()).sum();
    assert!(output.status.success() && late >= 20, "{said}");
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
    let text = |arguments: &[&str]| String::from_utf8_lossy(&netlab(arguments).stdout).into_owned();
    let overview = text(&["list"]);
    for entry in shingle_netlab::catalogue() {
        let full = text(&["list", entry.name]);
        for text in [&overview, &full] {
            assert!(text.contains(&format!("{}: {}\n", entry.name, entry.sentence)), "{text}");
            assert!(text.contains(entry.story), "{text}");
        }
        for parameter in entry.parameters {
            let setting = format!(" {}={} ", parameter.name, parameter.default());
            for (text, values) in [(&overview, parameter.range()), (&full, parameter.allowed())] {
                let at = text.find(&setting).unwrap_or_else(|| panic!("{} {setting}: {text}", entry.name));
                assert!(text[at..].contains(parameter.sentence) && text[at..].contains(&values), "{setting}");
            }
        }
    }
    assert_eq!(overview.matches(" delay=").count(), 1, "what all have is said once");
}

#[test]
fn a_list_that_nobody_reads_to_its_end_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_netlab"))
        .arg("list")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
}

#[test]
fn a_signal_takes_it_down_at_once() {
    if !possible() {
        return;
    }
    let name = own("t-ended");
    let (mut program, sleep) = start_sleeping(&name, 86_011);
    Command::new("kill").arg(program.0.id().to_string()).status().unwrap();
    assert_eq!(program.0.wait().unwrap().signal(), Some(15));
    assert_gone(&name, &sleep);
}

#[test]
fn the_next_start_removes_what_a_killed_one_left() {
    if !possible() {
        return;
    }
    let name = own("t-killed");
    let (mut program, sleep) = start_sleeping(&name, 86_012);
    program.0.kill().unwrap();
    program.0.wait().unwrap();
    // Another test's laboratory may have been the next start already.
    drop(lab(&plan(1500, 1500), &LabOptions::default()));
    assert_gone(&name, &sleep);
}

#[test]
fn who_is_ended_while_it_comes_up_leaves_nothing_either() {
    if !possible() {
        return;
    }
    for (signal, round) in ["TERM", "KILL"].into_iter().flat_map(|signal| (0..40).map(move |it| (signal, it)))
    {
        let (name, seconds) = (own(&format!("t-{signal}-{round}")), format!("86013.{}", std::process::id()));
        let program = Command::new(env!("CARGO_BIN_EXE_netlab"))
            .args(["run", "direct", "--name", &name, "--", "sleep", &seconds])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut program = Killed(program.unwrap());
        std::thread::sleep(Duration::from_millis(round));
        Command::new("kill").args(["-s", signal, &program.0.id().to_string()]).status().unwrap();
        program.0.wait().unwrap();
        // What it was just starting may have held its lock for a moment more.
        wait_until("what it left is removed", || {
            signal == "TERM" || netlab(&["clean"]).status.success() && left(&name).is_empty()
        });
        // And may go on for another one.
        std::thread::sleep(Duration::from_millis(20));
        assert_gone(&name, &format!("sleep\0{seconds}"));
    }
}

/// A program that does not live on when a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `netlab run` with a command that sleeps long, and a grandchild that does not die with it; how their command lines begin.
fn start_sleeping(name: &str, seconds: u32) -> (Killed, String) {
    let sleep = format!("{seconds}.{}", std::process::id());
    let script = format!("setsid sleep {sleep}1 & exec sleep {sleep}2");
    let program = Command::new(env!("CARGO_BIN_EXE_netlab"))
        .args(["run", "direct", "--name", name, "--", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let program = Killed(program.unwrap());
    let sleep = format!("sleep\0{sleep}");
    wait_until("both are sleeping", || processes(&sleep) == 2);
    assert!(Path::new(&format!("/run/netns/shingle-{name}-client")).exists());
    (program, sleep)
}

fn assert_gone(name: &str, sleep: &str) {
    assert_eq!(left(name), [""; 0]);
    // Killed, but the kernel may be at it still.
    wait_until("its processes are gone", || processes(sleep) == 0);
}

/// Files of a laboratory that are still there.
fn left(name: &str) -> Vec<String> {
    let namespaces = ["client", "server", "router"].map(|host| format!("/run/netns/shingle-{name}-{host}"));
    let files = namespaces.into_iter().chain([format!("/run/shingle-netlab/{name}.lock")]);
    files.filter(|file| Path::new(file).exists()).collect()
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
    // Copied by another process: a file this one has open for writing is "busy" to execve(2) for as long as a child that
    // another test is just forking holds it too.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_netlab")).arg(&program).status().unwrap();
    assert!(copied.success());
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
    command
        .args(["run", "narrow", "--set", "delay=1ms", "--name", &own("t-rootless"), "--pcap"])
        .arg(&captures);
    let output = command.args(["--server-command", SERVER, "--", "sh", "-c", CLIENT]).output().unwrap();
    let captured = std::fs::read(captures.join("server-s0.pcap")).unwrap_or_default();
    std::fs::remove_dir_all(&directory).unwrap();
    if output.status.code() == Some(127) {
        // Root's name without root's rights, as in a container.
        return skip::say(said(&output));
    }
    if output.status.code() == Some(2) {
        // No rights to be had: then it says how to get them, and that is all that can be asked on this machine.
        assert!(said(&output).contains("run as root, or:"), "{}", said(&output));
        skip::say(said(&output));
        return;
    }
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "re: hello");
    assert!(captured.windows(9).any(|bytes| bytes == b"re: hello"), "{} B captured", captured.len());
    assert!(
        !Path::new(&format!("/run/netns/shingle-{}-client", own("t-rootless"))).exists(),
        "outside of its own /run there is nothing"
    );
}
