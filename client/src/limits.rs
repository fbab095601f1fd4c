//! Limits of the client, each with its reason.

use std::time::Duration;

/// Updates on their way from which on no further batch is written until some are answered. 4096 answers of 36 B are
/// 144 KiB, and a lost connection leaves no more than these and one batch unknown.
pub const UPDATES_IN_FLIGHT_MAX: u64 = 4096;

/// Bytes gathered for one write: large enough that system calls do not show, small enough for the cache.
pub const UPDATE_BATCH_BYTES: usize = 64 * 1024;

/// Room the receive buffer of a TCP connection starts with; it grows with what has arrived, never with what a
/// length announces.
pub const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// Time a blocking read may take unless told otherwise.
pub const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// Version of the protocol that this client speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// Times a blocking read is repeated when nothing came, with doubling patience within its timeout.
pub const READ_RETRIES_DEFAULT: u8 = 3;

/// Reads of a blocking client under way at a time. Enough to hide round trips from many small reads, few enough that
/// each can be given a good part of the receive buffer.
pub const READS_IN_FLIGHT_MAX: usize = 8;

/// Receive buffer a blocking client asks the kernel for; it is told what was granted.
pub const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Datagrams taken from the kernel with one call.
pub const DATAGRAMS_PER_RECEIVE: usize = 32;

/// Shortest timeout: the kernel takes none of zero.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);
