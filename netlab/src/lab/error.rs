//! What can go wrong with a laboratory, in words that say what to do.

use std::io;

/// Why there is no laboratory, or why something in it did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Programs that it is built with are not installed.
    #[error("the laboratory needs {}; install with: apt-get install {}", programs.join(", "), packages.join(" "))]
    Tools {
        /// What was looked for in PATH and in the sbin directories.
        programs: Vec<&'static str>,
        /// Debian's packages that have them.
        packages: Vec<&'static str>,
    },
    /// This process may not make network namespaces.
    #[error("the laboratory needs network namespaces, and {missing}; {remedy}")]
    Rights {
        /// What is in the way.
        missing: String,
        /// How to get it.
        remedy: String,
    },
    /// The name cannot be part of a file's name.
    #[error("laboratory name {name:?}; give 1 to {max} of a-z, A-Z, 0-9, - and _", max = crate::limits::LAB_NAME_BYTES_MAX)]
    Name {
        /// The name found.
        name: String,
    },
    /// A living process has a laboratory of this name.
    #[error("laboratory {name} is in use by process {owner}; choose another name, or end that process")]
    InUse {
        /// The name asked for.
        name: String,
        /// Process id of its owner.
        owner: String,
    },
    /// Another process has been making or removing a laboratory for very long.
    #[error(
        "{file} stays locked: the process that makes or removes a laboratory does not go on; let it go on (kill -CONT) or end it (lsof {file} names it)"
    )]
    Guard {
        /// The file that whoever makes or removes a laboratory has locked.
        file: String,
    },
    /// The ends shall talk IPv6, and the kernel does not.
    #[error(
        "this machine's kernel has no IPv6 (/proc/net/if_inet6 is missing); boot without ipv6.disable=1, or take family=4"
    )]
    NoIpv6,
    /// The plan names a host or a device that it does not have.
    #[error("the plan of {topology} is not whole: {fault}")]
    Plan {
        /// Name of the topology.
        topology: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A program said no.
    #[error("{command} failed{place}: {output}", place = host.as_ref().map(|host| format!(" in {host}")).unwrap_or_default())]
    Tool {
        /// The command line.
        command: String,
        /// The host in which it ran, if in one.
        host: Option<String>,
        /// What it wrote to stderr, or how it ended.
        output: String,
    },
    /// The kernel said no.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl LabError {
    /// For `map_err`: the kernel's answer to what was tried.
    pub(super) fn system<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source: source.into() }
    }

    /// Names the host in which a program failed.
    pub(super) fn within(self, name: &str) -> Self {
        match self {
            Self::Tool { command, host: None, output } => {
                Self::Tool { command, host: Some(name.to_owned()), output }
            }
            Self::System { doing, source } => Self::System { doing: format!("{name}: {doing}"), source },
            other => other,
        }
    }
}
