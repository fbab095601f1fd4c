//! Waiting on several sockets at once, with a timeout in nanoseconds: a thin `ppoll(2)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// A set of sockets to wait on, each in a place of its own. A socket must stay open as long as it is watched.
///
/// `ppoll` and not `epoll`: its timeout has nanoseconds, and a generator thread has a handful of sockets.
#[derive(Debug)]
pub struct PollSet {
    fds: Box<[libc::pollfd]>,
}

impl PollSet {
    /// A set of these sockets; [`readable`](Self::readable) numbers them in this order.
    pub fn new<'s, S: AsFd + 's>(sockets: impl IntoIterator<Item = &'s S>) -> Self {
        let fds = sockets.into_iter().map(|socket| entry(Some(socket.as_fd()), false));
        Self { fds: fds.collect() }
    }

    /// A set of so many places with nothing to watch in them yet.
    pub fn with_places(places: usize) -> Self {
        Self { fds: (0..places).map(|_| entry(None, false)).collect() }
    }

    /// Watches another socket in this place from now on, or none; with `write` also for room to send, which then counts as
    /// [`readable`](Self::readable) too.
    pub fn watch(&mut self, place: usize, socket: Option<BorrowedFd<'_>>, write: bool) {
        self.fds[place] = entry(socket, write);
    }

    /// Waits until a socket has something to read or an error, at most `timeout`; zero looks and returns.
    /// Returns how many are ready.
    ///
    /// # Errors
    /// Those of `ppoll(2)`; an interrupting signal counts as the end of the wait.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: `fds` points to `len` initialised pollfd entries that live through the call, `timeout` too; a null
        // signal mask leaves the mask as it is.
        let ready = unsafe {
            libc::ppoll(self.fds.as_mut_ptr(), self.fds.len() as libc::nfds_t, &timeout, std::ptr::null())
        };
        if ready >= 0 {
            return Ok(ready as usize);
        }
        for fd in &mut self.fds {
            fd.revents = 0;
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        }
    }

    /// Lets the time go by without looking; nothing counts as readable after it.
    pub fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
        for fd in &mut self.fds {
            fd.revents = 0;
        }
    }

    /// Whether the last wait found something to read or an error at the socket of this number.
    pub fn readable(&self, socket: usize) -> bool {
        self.fds[socket].revents != 0
    }
}

fn entry(socket: Option<BorrowedFd<'_>>, write: bool) -> libc::pollfd {
    libc::pollfd {
        // ppoll passes over negative descriptors.
        fd: socket.map_or(-1, |socket| socket.as_raw_fd()),
        events: libc::POLLIN | if write { libc::POLLOUT } else { 0 },
        revents: 0,
    }
}

/// Lets this thread's timeouts end when asked, not up to 50 us later as by default (`PR_SET_TIMERSLACK`, prctl(2)).
pub fn tighten_timer_slack() {
    // SAFETY: PR_SET_TIMERSLACK takes an integer and touches no memory. Failing leaves the default, which is no error.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1u64) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SendBatch, Socket, SocketOptions};

    #[test]
    fn finds_the_socket_that_has_something() {
        let bind = || {
            Socket::bind("127.0.0.1:0".parse().expect("literal"), &SocketOptions::default())
                .expect("loopback")
        };
        let (first, second) = (bind(), bind());
        let mut set = PollSet::new([&first, &second]);
        assert_eq!(set.wait(Duration::ZERO).expect("ppoll"), 0);
        let mut batch = SendBatch::new(1, 1, 16);
        let mut outgoing = batch.fill();
        assert!(outgoing.begin(second.local_addr().expect("bound")));
        outgoing.copy(b"x");
        outgoing.end(0).expect("one byte");
        outgoing.send(&first, &mut |_, error| panic!("{error}")).expect("loopback");
        assert_eq!(set.wait(Duration::from_secs(5)).expect("ppoll"), 1);
        assert!(!set.readable(0) && set.readable(1));
        set.sleep(Duration::ZERO);
        assert!(!set.readable(1), "nobody looked");

        set.watch(1, None, false);
        assert_eq!(set.wait(Duration::ZERO).expect("ppoll"), 0, "nothing is watched there any more");
        set.watch(0, Some(first.as_fd()), true);
        assert_eq!(set.wait(Duration::ZERO).expect("ppoll"), 1, "there is room to send");
        assert!(set.readable(0) && !set.readable(1));
    }
}
