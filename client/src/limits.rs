//! Limits of the client, each with its reason.

use std::time::Duration;

/// Updates on their way before their answers are waited for. 4096 answers of 36 B are 144 KiB, and a lost connection
/// leaves at most so many updates unknown.
pub const UPDATES_IN_FLIGHT_MAX: u64 = 4096;

/// Bytes of updates gathered for one write: large enough that system calls do not show, small enough for the cache.
pub const UPDATE_BATCH_BYTES: usize = 64 * 1024;

/// Room the receive buffer of a TCP connection starts with; it grows with what has arrived, never with what a
/// length announces.
pub const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// Time a blocking read may take unless told otherwise.
pub const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// Version of the protocol that this client speaks.
pub const PROTOCOL_VERSION: u8 = 1;
