//! Programs that stand still for a while, again and again: SIGSTOP and SIGCONT.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Pauses a process group until it is dropped.
pub(super) struct Pauser {
    /// Nothing is ever sent: the thread waits for its end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pauser {
    /// Pauses the group of this number for `length` in every `interval`.
    pub(super) fn start(group: u32, (length, interval): (Duration, Duration)) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let group = Pid::from_raw(group as i32);
        let thread = std::thread::spawn(move || {
            let ended = |after: Duration| stopped.recv_timeout(after) == Err(RecvTimeoutError::Disconnected);
            loop {
                if ended(interval.saturating_sub(length)) || killpg(group, Signal::SIGSTOP).is_err() {
                    return;
                }
                let last = ended(length);
                if killpg(group, Signal::SIGCONT).is_err() || last {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Pauser {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
