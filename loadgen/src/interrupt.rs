//! What signals do to a command: the first one while it measures ends that early, so that what was measured is told; any other ends the
//! process, as it would have, when the laboratories are down.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use shingle_netlab::lab;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::error::Error;

/// The signals of this process, from [`heed`](Self::heed) on.
#[derive(Clone, Copy)]
pub struct Interrupt {
    state: &'static State,
}

#[derive(Default)]
struct State {
    measuring: AtomicBool,
    cut: AtomicBool,
    /// The signal that cut the work short.
    signal: AtomicI32,
}

impl Interrupt {
    /// Heeds SIGINT, SIGTERM and SIGHUP, but for those that whoever began this process ignores. Call it once, before a laboratory comes up.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn heed() -> Result<Self, Error> {
        lab::leave_signals_to_caller();
        let failed = |error| Error::system("cannot watch for signals", error);
        let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !lab::is_signal_ignored(*signal));
        let mut signals = Signals::new(heeded).map_err(failed)?;
        // The thread holds it until the process ends.
        let state: &'static State = Box::leak(Box::default());
        let watch = move || signals.forever().for_each(|signal| state.take(signal));
        thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(failed)?;
        Ok(Self { state })
    }

    /// From now on the first signal ends the process no more, but sets what this returns.
    pub fn measuring(self) -> &'static AtomicBool {
        self.state.measuring.store(true, Ordering::SeqCst);
        &self.state.cut
    }

    /// Ends the process as the signal does that cut its work short, if one did: to a shell that is something else than an exit status.
    pub fn end_if_cut(self) {
        if self.state.cut.load(Ordering::SeqCst) {
            let _ = emulate_default_handler(self.state.signal.load(Ordering::SeqCst));
        }
    }
}

impl State {
    fn take(&self, signal: i32) {
        if self.measuring.load(Ordering::SeqCst) && !self.cut.load(Ordering::SeqCst) {
            self.signal.store(signal, Ordering::SeqCst);
            self.cut.store(true, Ordering::SeqCst);
        } else {
            lab::take_all_down();
            let _ = emulate_default_handler(signal);
        }
    }
}
