//! SIGINT and SIGTERM while a laboratory is up: it is taken down, then the process ends.

use std::process;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::error::Error;
use crate::lab::Laboratory;

/// Brings up a laboratory by `up` that a signal takes down from then on, at whatever point the run is; a signal that comes earlier waits
/// until it is whole. To be called before other threads are begun: those begun later leave these signals alone.
///
/// # Errors
/// Those of `up`, or there is no thread to be had.
pub(crate) fn guarded(up: impl FnOnce() -> Result<Laboratory, Error>) -> Result<Arc<Laboratory>, Error> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    let system = |error| Error::system("cannot wait for signals", error);
    signals.thread_block().map_err(|error| system(error.into()))?;
    let place: Arc<Mutex<Weak<Laboratory>>> = Arc::default();
    let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
    let watched = Arc::clone(&place);
    let wait = move || {
        loop {
            let signal = signals.wait().unwrap_or(Signal::SIGTERM);
            // Where it is gone already the process is at its end anyway.
            if let Some(lab) = watched.lock().unwrap_or_else(PoisonError::into_inner).upgrade() {
                lab.take_down();
                // What shells give for a process that a signal ended (bash(1), EXIT STATUS).
                process::exit(128 + signal as i32);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map_err(system)?;
    let lab = Arc::new(up()?);
    *held = Arc::downgrade(&lab);
    Ok(lab)
}
