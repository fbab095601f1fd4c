//! Rules that come later: a thread a host that waits for the clock.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

use super::{Host, LabError};
use crate::plan::Later;

/// Scripts on their way. Those that did not come yet never come when this is dropped.
#[derive(Debug)]
pub(super) struct Clock {
    /// Nothing is ever sent: the threads wait for its end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), LabError>>>,
}

impl Clock {
    /// Starts the clock of a host.
    pub(super) fn start(host: &Host, scripts: &[Later]) -> Self {
        let mut scripts = scripts.to_vec();
        scripts.sort_by_key(|script| script.after);
        let (host, begin) = (host.clone(), Instant::now());
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                let early = script.after.checked_sub(begin.elapsed()).filter(|early| !early.is_zero());
                let stop = |early| stopped.recv_timeout(early) == Err(RecvTimeoutError::Disconnected);
                // What is due has its turn, however soon the end comes.
                if early.is_some_and(stop) {
                    break;
                }
                host.nft(&script.rules)?;
            }
            Ok(())
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Ends it; the error of the script that failed, if one did.
    pub(super) fn stop(&mut self) -> Result<(), LabError> {
        self.stop = None;
        self.thread
            .take()
            .map_or(Ok(()), |thread| thread.join().expect("the thread of a clock does not panic"))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
