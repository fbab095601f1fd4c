//! A thread that failed while serving: who it was, why, and how the server ends rather than serve half.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::limits::DRAIN_FAILED;
use crate::shared::Shared;

/// A thread of the server that failed. The server has stopped, or does so within a quarter of a second.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{thread} failed: {reason}; the server stops rather than serve half")]
pub struct Failure {
    /// Which one: `worker 0 (UDP port 7400)`, or `the control plane`.
    pub thread: String,
    /// What the kernel said, or the text of the panic.
    pub reason: String,
}

/// Runs a thread of the server. When it fails, by an error or a panic, the others tell clients for a moment that the server
/// leaves, then all stop; the first failure is kept for [`Server::wait`](crate::Server::wait).
pub(crate) fn guard(shared: &Shared, thread: String, body: impl FnOnce() -> io::Result<()>) {
    // What a panic may leave in disorder, the store's queue, is behind a lock that is poisoned by it.
    let reason = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
    };
    let failure = Failure { thread, reason };
    tracing::error!("{failure}");
    shared.fail(failure);
    shared.drain(DRAIN_FAILED);
    // Timed here: the control plane, which ends other drains, may be what failed.
    thread::sleep(DRAIN_FAILED);
    shared.stop();
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_keep_their_words() {
        let text = |body: fn()| panic_text(&*catch_unwind(body).unwrap_err()).to_owned();
        assert_eq!(text(|| panic!("plain")), "plain");
        assert_eq!(text(|| panic!("with {}", 1)), "with 1");
        assert_eq!(text(|| std::panic::panic_any(1)), "without a text");
    }
}
