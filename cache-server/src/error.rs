//! Why a server does not start. Nothing is running and nothing is bound when one of these is returned.

use std::io;
use std::net::SocketAddr;

use shingle_store::StoreError;

use crate::config::ConfigError;
use crate::failure::Failure;

/// A server that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The budget does not hold what the store needs for one item of the largest size.
    #[error(
        "memory is {found} B: with value-max at {value_bytes_max} B at least {min} B are needed; raise --memory to that, or \
         lower --value-max"
    )]
    Memory {
        /// Budget found, in bytes.
        found: usize,
        /// Longest value, in bytes.
        value_bytes_max: usize,
        /// Least budget for values of that length, in bytes.
        min: usize,
    },
    /// The store refuses its budget for another reason.
    #[error("{0} (--memory)")]
    Store(StoreError),
    /// A port is taken.
    #[error(
        "{protocol} port {port} is in use on {ip}: choose another, or see who holds it with `ss -{flag}lpn 'sport = :{port}'`",
        port = addr.port(), ip = addr.ip(), flag = if *protocol == "UDP" { "u" } else { "t" }
    )]
    InUse {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// A port cannot be bound for another reason.
    #[error("{protocol} port {port} cannot be opened on {ip}: {source}; {hint}", port = addr.port(), ip = addr.ip(), hint = bind_hint(source))]
    Bind {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// A thread failed before all of them ran.
    #[error(transparent)]
    Failed(Failure),
    /// Something else the system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn bind(protocol: &'static str, addr: SocketAddr, source: io::Error) -> StartError {
        match source.kind() {
            io::ErrorKind::AddrInUse => StartError::InUse { protocol, addr },
            _ => StartError::Bind { protocol, addr, source },
        }
    }

    pub(crate) fn store(value_bytes_max: usize) -> impl Fn(StoreError) -> StartError {
        move |error| match error {
            StoreError::BudgetTooSmall { budget_bytes: found, needed_bytes: min } => {
                StartError::Memory { found, value_bytes_max, min }
            }
            other => StartError::Store(other),
        }
    }

    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
        move |source| StartError::System { what, source }
    }
}

fn bind_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrNotAvailable => {
            "listen on an address of this host (`ip address` lists them), 0.0.0.0 or ::"
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or give the right to bind low ones",
        _ => "choose another address or port",
    }
}
