//! The programs a laboratory is built with: whether they are there, and how they are run.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::LabError;
use crate::plan::Plan;

/// Program and the Debian package that has it.
type Tool = (&'static str, &'static str);

const ALWAYS: [Tool; 4] =
    [("ip", "iproute2"), ("ethtool", "ethtool"), ("nsenter", "util-linux"), ("setpriv", "util-linux")];
const RULES: Tool = ("nft", "nftables");
const SHAPING: Tool = ("tc", "iproute2");
const HOLDS: [Tool; 2] = [("iptables", "iptables"), ("ip6tables", "iptables")];

/// Where programs are that an ordinary user's PATH does not name.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Checks that everything the plan will be built with is installed.
pub(super) fn check(plan: &Plan) -> Result<(), LabError> {
    let mut needed: Vec<Tool> = ALWAYS.to_vec();
    if plan.hosts.iter().any(|host| !host.rules.is_empty() || !host.later.is_empty()) {
        needed.push(RULES);
    }
    if plan.hosts.iter().any(|host| !host.shaping.is_empty()) {
        needed.push(SHAPING);
    }
    if plan.hosts.iter().any(|host| !host.holds.is_empty()) {
        needed.extend(HOLDS);
    }
    let missing: Vec<Tool> = needed.into_iter().filter(|(program, _)| find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: BTreeSet<&'static str> = missing.iter().map(|&(_, package)| package).collect();
    Err(LabError::Tools {
        programs: missing.iter().map(|&(program, _)| program).collect(),
        packages: packages.into_iter().collect(),
    })
}

/// The program's file.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// The program, also where it is outside of PATH.
pub(super) fn command(program: &str) -> Command {
    Command::new(find(program).unwrap_or_else(|| program.into()))
}

/// Runs a program in the namespaces of the calling thread, with this on its standard input; what it wrote to its standard output.
///
/// # Errors
/// It cannot be started, or its exit status is not 0.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, LabError> {
    let failed = |output: String| LabError::Tool {
        command: format!("{program} {}", arguments.join(" ")),
        host: None,
        output,
    };
    let mut child = command(program)
        .args(arguments)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who refuses its input says why on stderr: a broken pipe adds nothing.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
}
