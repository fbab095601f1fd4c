//! Whether the kernel stamps what it receives: only while somebody wants to know how long requests waited.

use shingle_udp::Socket;

use crate::limits::STAMPS_KEPT_NS;

/// When to have timestamps. Without them a request counts as received when its batch was.
pub(super) struct Stamps {
    /// Receipts are kept, and tell of every request.
    always: bool,
    on: bool,
    /// A request wanted telemetry since the last [`Stamps::apply`].
    pub(super) wanted: bool,
    wanted_ns: u64,
}

impl Stamps {
    /// The socket has none so far, unless they are `always` wanted.
    pub(super) fn new(always: bool) -> Self {
        Stamps { always, on: always, wanted: false, wanted_ns: 0 }
    }

    /// Switches timestamps on when telemetry is wanted, and off when it was not for a while.
    pub(super) fn apply(&mut self, socket: &Socket, now_ns: u64) {
        if self.always || !(self.wanted || self.on) {
            return;
        }
        if self.wanted {
            (self.wanted, self.wanted_ns) = (false, now_ns);
        }
        let wanted = now_ns.saturating_sub(self.wanted_ns) < STAMPS_KEPT_NS;
        if wanted != self.on {
            if let Err(error) = socket.set_timestamps(wanted) {
                tracing::warn!("timestamps stay {}: {error}", if self.on { "on" } else { "off" });
            }
            self.on = wanted;
        }
    }
}
