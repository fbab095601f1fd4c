//! Limits of the client, each with its reason.

use std::time::Duration;

/// Updates written and not answered, from which on no further ones are written until some are answered: what a connection
/// carries in a round trip of 40 ms at 100,000 updates/s. A lost connection leaves no more than these unknown.
pub const UPDATES_IN_FLIGHT_MAX: usize = 4096;

/// Bytes gathered for one write: large enough that system calls do not show, small enough for the cache.
pub const UPDATE_BATCH_BYTES: usize = 64 * 1024;

/// Bytes of answers taken in while requests are written, before they are looked at: more than 4096 updates are answered with, unless
/// they are refused with long texts.
pub const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// Room the receive buffer of a TCP connection starts with; it grows with what has arrived, never with what a
/// length announces.
pub const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// Time a read may take unless told otherwise.
pub const READ_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// Version of the protocol that this client speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// Retries for each 100 reads: what Finagle's budget allows, and four times what 5 % loss needs.
pub const RETRY_BUDGET_PERCENT_DEFAULT: u8 = 20;

/// Reads under way at a time. Enough to hide round trips from many small reads; what large ones bring at a time is
/// limited by the receive buffer, not by this.
pub const IN_FLIGHT_MAX_DEFAULT: usize = 128;

/// Reads of one `get_many` in a request datagram: most of what sharing one saves, and a lost one costs no more than this.
pub const GETS_PER_DATAGRAM_DEFAULT: u8 = 8;

/// Largest path MTU searched for: jumbo frames as clouds have them. A larger one saves little and its search costs more.
pub const PATH_MTU_BYTES_MAX_DEFAULT: usize = 9001;

/// Quiet before a server is asked for a sign of life. It counts as silent after four times this: within a second, with
/// some room for timers.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_millis(240);

/// Shortest heartbeat: a shorter one would keep a CPU busy with nothing else, and timers are no finer.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(1);

/// Receive buffer a client asks the kernel for; it is told what was granted.
pub const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Memory for values that are partly there, where the reads under way could fill it: what is not used is never touched,
/// so the kernel does not provide it.
pub const REASSEMBLY_BYTES_MAX: usize = 64 << 20;

/// Longest values that have room in that memory at once, however long the server's values may be.
pub const REASSEMBLED_AT_ONCE_MIN: usize = 2;

/// Sizes of datagrams whose charge is measured: a little below where Linux takes the next larger piece of memory on
/// loopback, and what the usual answers have (1200 B at first, 1472 B on Ethernet, 8973 B on jumbo frames).
pub const CALIBRATED_DATAGRAM_BYTES: [u16; 8] = [160, 600, 1200, 1472, 3600, 7700, 8973, 65_507];

/// Datagrams after which a receive's charge is compared with the measured ones: two calls of the kernel beside some
/// hundred.
pub const DATAGRAMS_PER_SAMPLE: usize = 256;

/// Datagrams handed to the kernel with one call.
pub const DATAGRAMS_PER_SEND: usize = 32;

/// Batches received before the driver looks at other things: most of what a buffer holds, so that timers do not take for lost what
/// is there, and no more, so that a flood of datagrams does not keep the driver from calls and timers.
pub const RECEIVES_PER_TURN_MAX: usize = 64;

/// Pause after a failure of the UDP socket itself, so that one that lasts does not keep a CPU busy.
pub const SOCKET_FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// Datagrams taken from the kernel with one call.
pub const DATAGRAMS_PER_RECEIVE: usize = 32;

/// Shortest timeout: the kernel takes none of zero.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);
