//! How reads end, as the caller is told.

use crate::wire::{Refusal, Telemetry};

/// One read ended, or an answer came after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The caller's number for the read.
    pub token: u64,
    /// Requests repeated because something was missing or corrupt. Above 0, the first try was lost at least in part.
    pub attempts: u8,
    /// Those requests were needless: all that came answered what was asked before them, and so was late, not lost. Answers name the attempt they
    /// answer, as TCP's timestamps do for the Eifel detection (RFC 3522).
    pub spurious: bool,
    /// Requests for the rest of an answer that the credit had cut: no loss. Stays at 255 from there on.
    pub continuations: u8,
    /// Whether a cookie had to be fetched first, which cost a round trip.
    pub challenged: bool,
    /// CHUNK frames that came for this read, duplicates included; 0 for a value in one piece.
    pub chunks: u16,
    /// Sequence of the first request datagram of this read, and so its name in the server's receipts; 0 if none was sent.
    pub first_sequence: u32,
    /// When that datagram was handed out, ns of the caller's clock; 0 if none was.
    pub first_sent_ns: u64,
    /// The deadline given to `get`, ns of the caller's clock.
    pub deadline_ns: u64,
    /// The newest telemetry that came with an answer to this read.
    pub telemetry: Option<Telemetry>,
    /// What became of the read.
    pub end: Ended<'a>,
}

/// The ways a read ends. Every accepted read ends exactly once; [`Ended::Late`] may follow a [`Ended::TimedOut`] once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<'a> {
    /// The value: whole, decoded, checked end to end against the key.
    Value(&'a [u8]),
    /// Nothing is stored under the key.
    Miss,
    /// The server declined.
    Refused {
        /// Why.
        reason: Refusal,
        /// What the reason says beside.
        detail: u32,
    },
    /// UDP does not serve this read, TCP may: the value was replaced too often while being read, is too big for the port, or is
    /// longer than the client's value limit.
    OverTcp,
    /// The kernel refused the request datagram.
    NotSent,
    /// The deadline passed.
    TimedOut {
        /// Bytes of the sealed value that had arrived; 0 with `Event::chunks` above 0 when there was no memory to keep them.
        received_bytes: u32,
        /// Length of the sealed value; 0 when no part of it was kept.
        total_bytes: u32,
        /// Whole values of this read that failed the end-to-end check.
        corrupt: u32,
    },
    /// An answer, or part of one, came after the deadline.
    Late {
        /// Whether the whole answer has arrived by now.
        complete: bool,
        /// Time of its last piece beyond the deadline, ns.
        after_ns: u64,
    },
}
