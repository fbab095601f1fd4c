//! Every limit of this crate, unit last in the name, with the reason it has that value.

use std::time::Duration;

/// Most segments the kernel takes in one UDP_SEGMENT send (`UDP_MAX_SEGMENTS`, include/linux/udp.h, since 6.9).
pub const SEGMENTS_PER_SEND_MAX: usize = 128;

/// `UDP_MAX_SEGMENTS` of kernels before 6.9; assumed once such a kernel answers EINVAL to a longer train.
pub const SEGMENTS_PER_SEND_OLD_MAX: usize = 64;

/// Most payload bytes of one message: an IPv4 packet of 65535 bytes less its 20 byte header and UDP's 8. A
/// segmented message is one such packet until it is cut, so the limit holds for the whole train.
pub const MESSAGE_BYTES_MAX: usize = 65_507;

/// Most slices of one message (`UIO_MAXIOV`, include/uapi/linux/uio.h).
pub const SLICES_PER_MESSAGE_MAX: usize = 1024;

/// Most messages one `sendmmsg` or `recvmmsg` handles; the kernel silently cuts longer vectors (`UIO_MAXIOV`).
pub const MESSAGES_PER_CALL_MAX: usize = 1024;

/// How long one [`Outgoing::send`](crate::Outgoing::send) waits in all for room in the send buffer. A queue that
/// moves at 1 Gbit/s empties 250 kB in this time, more than the default buffer; one that does not move in this time
/// would make every later answer late too, and failing one message is better than that.
pub const SEND_WAIT_NS_MAX: u64 = 2_000_000;

/// Most entries one call takes from the error queue, so that a flood of ICMP cannot hold a worker: about 0.1 ms.
pub const ERRORS_PER_DRAIN_MAX: usize = 256;

/// How often one receive starts again because an ICMP error was pending on the socket. Each try clears one; a peer
/// that keeps producing them gets the socket looked at again at the next readiness only.
pub const PENDING_ERRORS_PER_RECV_MAX: usize = 16;

/// Least slot of a receive batch on a socket with GRO: the longest train the kernel coalesces, since what does not
/// fit is lost for every datagram behind the cut.
pub const GRO_SLOT_BYTES_MIN: usize = 65_535;

/// How long a calibration waits for a datagram sent to oneself. Loopback delivers at once, a host that stalls in tens of
/// milliseconds.
pub const CALIBRATION_WAIT_MAX: Duration = Duration::from_millis(500);

/// Most sockets of a group that are steered to by CPU: two instructions each, of the 4096 a program may have (`BPF_MAXINSNS`,
/// include/uapi/linux/bpf_common.h).
pub const STEERED_CPUS_MAX: usize = 1024;

/// Control bytes for each received message: timestamp (32), drop count (24) and GRO size (24), rounded up.
pub(crate) const RECV_CONTROL_BYTES: usize = 96;

/// Control bytes of one error-queue entry: the error with its offender (16 + 16 + 28, rounded up) and whatever the
/// socket's timestamps and drop counter add.
pub(crate) const ERROR_CONTROL_BYTES: usize = 256;

/// Cache line of x86_64 and of most aarch64.
pub(crate) const CACHE_LINE_BYTES: usize = 64;

/// CPUs an affinity mask holds: the highest `CONFIG_NR_CPUS` of x86_64 and aarch64.
pub(crate) const CPUS_MAX: usize = 8192;

const _: () = assert!(SEGMENTS_PER_SEND_OLD_MAX < SEGMENTS_PER_SEND_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX < GRO_SLOT_BYTES_MIN);
const _: () = assert!(RECV_CONTROL_BYTES.is_multiple_of(8) && RECV_CONTROL_BYTES >= 32 + 24 + 24);
