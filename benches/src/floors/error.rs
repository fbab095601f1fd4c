//! Why a comparison could not be made.

use std::io;

use shingle_client::control::ControlError;

/// What went wrong, and what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something asked of the system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Our server's control plane.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The generator.
    #[error(transparent)]
    Generator(#[from] shingle_loadgen::error::Error),
    /// There is no memcached.
    #[error(
        "memcached is not in PATH: install it (Debian: apt-get install memcached), or leave its rows out (--without-memcached)"
    )]
    NoMemcached,
    /// One CPU.
    #[error("{found} CPU may be used: 2 are needed, one for the servers and one for the driver")]
    Cpus {
        /// How many there are.
        found: usize,
    },
    /// A server that does not come up.
    #[error("{server} did not get ready: {why}")]
    NotReady {
        /// Which.
        server: String,
        /// What it said instead.
        why: String,
    },
    /// Answers that are not what they should be: no rate is worth anything then.
    #[error("{server}: {what}")]
    Wrong {
        /// Who answered.
        server: String,
        /// What was wrong.
        what: String,
    },
    /// A name no row has.
    #[error("there is no row {found:?}: the rows are {rows}")]
    NoRow {
        /// What was typed.
        found: String,
        /// What can be.
        rows: String,
    },
    /// A number out of its range.
    #[error("{flag} is {found}: allowed are {min} to {max}")]
    Range {
        /// The flag.
        flag: &'static str,
        /// What was typed.
        found: u64,
        /// Least value.
        min: u64,
        /// Largest value.
        max: u64,
    },
}

/// Names what was tried.
///
/// # Errors
/// What the closure is given, under that name.
pub fn system<T>(what: impl Into<String>) -> impl FnOnce(io::Error) -> Result<T, Error> {
    |source| Err(Error::System { what: what.into(), source })
}
