//! Faults on request, for tests of how a server dies: compiled with the feature `fault-injection` alone, which is off wherever
//! this package is not tested.

use std::io;

/// A datagram, or the key of a DELETE, that makes the thread it comes to panic.
const PANIC: &[u8] = b"fault: panic";
/// The same for an error, as of a socket that is of no more use.
const ERROR: &[u8] = b"fault: error";

/// Strikes where `bytes` asks for a fault.
///
/// # Errors
/// The one asked for.
///
/// # Panics
/// If asked to.
pub(crate) fn strike(bytes: &[u8]) -> io::Result<()> {
    match bytes {
        PANIC => panic!("asked to"),
        ERROR => Err(io::Error::other("asked to")),
        _ => Ok(()),
    }
}
