//! A fresh start for every turn: learned path MTUs flushed at the server's host, and no fragments of the turn before left at this one.

use std::thread;
use std::time::{Duration, Instant};

use shingle_client::control::{Control, FlushWhat};

use crate::{lab, limits};

/// Keeps whether turns began fresh.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    refused: Option<String>,
    crowded: bool,
}

impl Fresh {
    /// Does what can be done before a turn against the server of this connection.
    pub(crate) fn start(&mut self, control: &mut Control) {
        self.flush(control);
        self.wait_for_reassembly();
    }

    /// Makes the server's kernel forget the path MTUs it learned; true if it did.
    pub(crate) fn flush(&mut self, control: &mut Control) -> bool {
        // What was refused once will be again.
        if self.refused.is_none() {
            self.refused = control.flush(FlushWhat::PathMtus).err().map(|error| error.to_string());
        }
        self.refused.is_none()
    }

    /// Why learned path MTUs were not flushed; `None` if they were, each time.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Whether some turn began while fragments of the one before were still held for want of the rest: they take memory from those
    /// that arrive.
    pub(crate) fn was_crowded(&self) -> bool {
        self.crowded
    }

    /// Waits, not for ever, until this host holds no fragments that wait for others.
    pub(crate) fn wait_for_reassembly(&mut self) {
        let begun = Instant::now();
        while lab::fragments_waiting() > 0 {
            if begun.elapsed() > limits::TURN_REASSEMBLY_WAIT_MAX {
                self.crowded = true;
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
