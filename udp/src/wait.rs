//! Waiting for one socket, of whatever protocol.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::socket::Readiness;

/// Waits until a socket can be read or written, as asked, or `timeout` has passed (ppoll(2), so nanoseconds count). A
/// signal ends the wait early with nothing ready.
///
/// # Errors
/// Whatever the kernel says.
pub fn wait(socket: impl AsFd, read: bool, write: bool, timeout: Duration) -> io::Result<Readiness> {
    let mut events = 0;
    events |= if read { libc::POLLIN } else { 0 };
    events |= if write { libc::POLLOUT } else { 0 };
    let mut poll = libc::pollfd { fd: socket.as_fd().as_raw_fd(), events, revents: 0 };
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: one pollfd and a timespec, both living through the call; no signal mask.
    let result = unsafe { libc::ppoll(&mut poll, 1, &timeout, std::ptr::null()) };
    if result < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok(Readiness::default()),
            _ => Err(error),
        };
    }
    let has = |event| poll.revents & event != 0;
    Ok(Readiness { readable: has(libc::POLLIN), writable: has(libc::POLLOUT), error: has(libc::POLLERR) })
}
