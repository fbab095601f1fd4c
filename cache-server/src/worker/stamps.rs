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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shingle_udp::{RecvBatch, SendBatch, SocketOptions};

    use super::*;

    #[test]
    fn stamps_come_while_they_are_wanted_and_for_a_while_after() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let mut received = RecvBatch::new(1, 100);
        let mut stamped = || {
            let mut batch = SendBatch::new(1, 1, 1);
            let mut outgoing = batch.fill();
            assert!(outgoing.begin(socket.local_addr().unwrap()));
            outgoing.copy(b"x");
            outgoing.end(0).unwrap();
            outgoing.send(&socket, &mut |_, error| panic!("{error}")).unwrap();
            assert!(socket.wait(true, false, Duration::from_secs(20)).unwrap().readable);
            received.recv(&socket).unwrap();
            received.iter().next().unwrap().kernel_time_ns.is_some()
        };
        let mut stamps = Stamps::new(false);
        let start_ns = 5 * STAMPS_KEPT_NS;
        for (wanted, after_ns, on) in [
            (false, 0, false),
            (true, 1, true),
            (false, STAMPS_KEPT_NS, true),
            (false, STAMPS_KEPT_NS + 1, false),
            (true, 2 * STAMPS_KEPT_NS, true),
        ] {
            stamps.wanted = wanted;
            stamps.apply(&socket, start_ns + after_ns);
            assert_eq!(stamped(), on, "{after_ns} ns");
        }
    }
}
