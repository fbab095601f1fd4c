//! What one flow counted.

use crate::wire::DropReason;

/// Counts since the flow began. None of them wraps in practice: all are 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Reads accepted by `get`.
    pub gets: u64,
    /// Reads ended by `cancel`.
    pub cancelled: u64,
    /// Request datagrams handed out by `poll_transmit`, probes and heartbeats included.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Request datagrams the kernel refused (`transmit_failed`).
    pub datagrams_not_sent: u64,
    /// Datagrams given to `handle_datagram`.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams that could not be read, by [`DropReason::index`]. Which read they belonged to cannot be known.
    pub drops: [u64; DropReason::COUNT],
    /// Valid answers to another flow.
    pub foreign: u64,
    /// Frames that brought nothing new: of reads that had ended or did not ask for them (section 9), chunks already there, chunks of older versions.
    pub duplicates: u64,
    /// First answers that came after an answer to a later request of the flow (RFC 4737's reordering, by sequence).
    pub reordered: u64,
    /// Reads of which an answer, or a part of one, came after their deadline.
    pub late: u64,
    /// Whole values that failed the checksum over key and value, or did not decode. None was delivered.
    pub corrupt_values: u64,
    /// Requests repeated because something of an answer was missing or corrupt.
    pub rerequests: u64,
    /// Requests for the rest of an answer that the credit had cut; nothing was lost.
    pub continuations: u64,
    /// Whole requests repeated because nothing came.
    pub retries: u64,
    /// Retries not sent because the budget was used up.
    pub retries_over_budget: u64,
    /// Heartbeats handed out.
    pub heartbeats: u64,
    /// Probes of the path-MTU search handed out.
    pub probes: u64,
    /// Challenges that made requests go out again with a cookie.
    pub challenges: u64,
    /// Times a read began again because the value had been replaced.
    pub version_restarts: u64,
    /// Chunks left out because no memory to put them together was free; the reads wait for some, which is no loss.
    pub reassembly_full: u64,
}
