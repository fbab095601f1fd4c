//! `netlab run`: a command at one end of a network, and a server at the other.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shingle_netlab::lab::{Host, Lab, LabOptions, prepare_process};
use shingle_netlab::{Plan, Spec};

use super::pauses::Pauser;
use super::report;

/// How long a server may take to open its first socket, and to end when it is told to.
const SERVER_WAIT: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The network, or several in one, A+B; `netlab list` names them
    topology: String,
    /// Sets a parameter of the topology; repeatable
    #[arg(long = "set", value_name = "[TOPOLOGY.]NAME=VALUE")]
    settings: Vec<String>,
    /// Name of the laboratory, part of the names of its namespaces
    #[arg(long)]
    name: Option<String>,
    /// Captures every device of every host into this directory, HOST-DEVICE.pcap
    #[arg(long, value_name = "DIR")]
    pcap: Option<PathBuf>,
    /// Runs in the server host beside the command, with the same environment; by `sh -c`
    #[arg(long, value_name = "COMMAND")]
    server_command: Option<String>,
    /// Says how long the laboratory took to come up and to go
    #[arg(long, short)]
    verbose: bool,
    /// Runs in the client host, with SERVER and CLIENT set to the addresses of the two ends; its exit status is ours
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command in the network.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let plan = Spec::new(&arguments.topology)?.set_all(&arguments.settings)?.plan();
    prepare_process()?;
    let begin = Instant::now();
    let options = LabOptions { name: arguments.name.clone(), pcap: arguments.pcap.clone(), cpu: None };
    let lab = Lab::up(&plan, &options)?;
    if arguments.verbose {
        eprintln!("laboratory {} up after {:.0?}", lab.name(), begin.elapsed());
    }
    let status = both_ends(arguments, &plan, &lab)?;
    report::print(&lab)?;
    let begin = Instant::now();
    lab.down()?;
    if arguments.verbose {
        eprintln!("gone after {:.0?}", begin.elapsed());
    }
    Ok(exit_code(status))
}

fn both_ends(arguments: &Arguments, plan: &Plan, lab: &Lab) -> Result<ExitStatus, Box<dyn Error>> {
    let server = match &arguments.server_command {
        Some(command) => Some(Server::start(command, plan, lab)?),
        None => None,
    };
    lab.start_clock();
    let mut client = at(lab.client(), &arguments.command[0], plan, lab);
    client.args(&arguments.command[1..]);
    if plan.pauses.client.is_some() {
        client.process_group(0);
    }
    let mut client = client.spawn()?;
    let pauser = plan.pauses.client.map(|pauses| Pauser::start(client.id(), pauses));
    let status = client.wait()?;
    drop((pauser, server));
    Ok(status)
}

/// A program in a host, which is told where the ends are.
fn at(host: &Host, program: impl AsRef<std::ffi::OsStr>, plan: &Plan, lab: &Lab) -> Command {
    let mut command = host.command(program);
    command
        .env("SERVER", lab.server().address(plan.family).to_string())
        .env("CLIENT", lab.client().address(plan.family).to_string());
    command
}

/// The server command, a process group of its own. It is stopped when this is dropped.
struct Server {
    child: Child,
    pauser: Option<Pauser>,
}

impl Server {
    /// Returns when it has a socket that can receive, has ended, or has had time enough.
    fn start(words: &str, plan: &Plan, lab: &Lab) -> Result<Self, Box<dyn Error>> {
        let mut command = at(lab.server(), "sh", plan, lab);
        command.args(["-c", words]).stdin(Stdio::null()).process_group(0);
        let mut server = Self { child: command.spawn()?, pauser: None };
        let begin = Instant::now();
        while !lab.server().run(has_sockets)? {
            if let Some(status) = server.child.try_wait()? {
                return Err(
                    format!("the server command ended ({status}) before it had a socket: {words}").into()
                );
            }
            if begin.elapsed() > SERVER_WAIT {
                eprintln!("netlab: the server command has no socket after {SERVER_WAIT:?}; going on without");
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.pauser = plan.pauses.server.map(|pauses| Pauser::start(server.child.id(), pauses));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pauser = None;
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let begin = Instant::now();
        while begin.elapsed() < SERVER_WAIT && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // What is left of it is killed with its host.
    }
}

/// Whether a TCP socket listens, or a UDP socket is bound, in the namespace of the calling thread.
fn has_sockets() -> bool {
    // States of linux/net/tcp_states.h, hexadecimal: TCP_LISTEN, and TCP_CLOSE for a UDP socket that is not connected.
    [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")].into_iter().any(|(file, state)| {
        let text: io::Result<String> = fs::read_to_string(Path::new("/proc/thread-self/net").join(file));
        text.is_ok_and(|text| text.lines().skip(1).any(|line| line.split_whitespace().nth(3) == Some(state)))
    })
}

/// As shells do: 128 and the number of the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
