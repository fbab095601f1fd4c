//! The server's limits and constants, each with its reason; those of the protocol are in `shingle_proto::limits`.

use std::time::Duration;

use shingle_proto::limits::{
    CREDIT_BYTES_MAX, DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, GETS_PER_DATAGRAM_MAX, RANGES_MAX,
    TCP_LENGTH_BYTES, TCP_MESSAGE_BYTES_MAX, VALUE_BYTES_LIMIT,
};

/// UDP port unless told otherwise.
pub const UDP_PORT: u16 = 7400;
/// TCP port unless told otherwise.
pub const TCP_PORT: u16 = 7401;
/// Memory budget of the store unless told otherwise: 100,000 values of the default workload take less than a third.
pub const MEMORY_BYTES: usize = 256 << 20;
/// Largest path MTU used unless told otherwise: what cloud networks carry, so that chunking is exercised on loopback.
pub const PATH_MTU_BYTES: usize = 9001;
/// Largest path MTU that can be asked for: the longest IP packet.
pub const PATH_MTU_BYTES_MAX: usize = 65_535;
/// Most workers of all ports together: telemetry and receipts number them with one byte.
pub const WORKERS_MAX: usize = 256;
/// How long a draining server tells everybody before it goes, unless told otherwise.
pub const DRAIN: Duration = Duration::from_secs(1);
/// Longest drain that can be asked for: supervisors kill a service that takes longer.
pub const DRAIN_MAX: Duration = Duration::from_secs(600);
/// How long a server interrupted at the terminal (SIGINT) still tells its clients.
pub const DRAIN_INTERRUPTED: Duration = Duration::from_millis(100);
/// How long a server of which a thread failed still tells its clients, from the threads that are left: some hundred reads of
/// a busy client, and soon enough for a supervisor to start another.
pub const DRAIN_FAILED: Duration = Duration::from_millis(200);
/// Longest busy polling that can be asked for: a worker idle for longer has nothing to gain.
pub const BUSY_POLL_MAX: Duration = Duration::from_secs(1);
/// Shortest interval of injected pauses: below it workers would do nothing else.
pub const PAUSE_INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Longest token: its length travels in one byte.
pub const TOKEN_BYTES_MAX: usize = 255;

/// Slots one system call fills, each with a datagram or (UDP_GRO) a train of one client's: at 1 million reads a second a batch
/// of single ones is 64 microseconds, well under the millisecond of the service level, and the call's own cost is spread
/// over 64.
pub(crate) const RECV_SLOTS: usize = 64;
/// Bytes of a receive slot: the longest train UDP_GRO hands over. Memory that no datagram ever touched is not backed by the
/// kernel.
pub(crate) const RECV_SLOT_BYTES: usize = shingle_udp::limits::GRO_SLOT_BYTES_MIN;
/// Longest request looked at on ports whose path MTU is smaller: requests as long as the largest path MTU of cloud networks.
pub(crate) const REQUEST_BYTES_MAX: usize = 9216;
/// Keys that are hashed and fetched ahead together: about as many cache lines as the CPU's first-level cache can take in beside
/// the requests themselves, and more than it can wait for at once (10 to 16 line fill buffers). It is what is sent together, too: a client
/// with 128 reads in flight is busy with the first half while the server answers the second.
pub(crate) const GROUP_KEYS: usize = 64;
/// How long the kernel goes on stamping what it receives after telemetry was last wanted.
pub(crate) const STAMPS_KEPT_NS: u64 = 1_000_000_000;
/// Receive buffer asked for, in payload bytes; the kernel grants twice that, if it may: a worker that stalls for 100 ms at
/// 100,000 requests/s, each charged 832 B, loses nothing. What was granted is in the statistics.
pub(crate) const RECV_BUFFER_BYTES: usize = 4 << 20;
/// Send buffer asked for: four answers of the largest credit, so that a batch is seldom waited for.
pub(crate) const SEND_BUFFER_BYTES: usize = 1 << 20;
/// Chunks in the answer to one request: one for each range asked for again, and what the credit buys in balanced chunks,
/// which are never under half of the smallest datagram where a range takes several.
const CHUNKS_PER_REQUEST: usize =
    GETS_PER_DATAGRAM_MAX * RANGES_MAX + 2 * CREDIT_BYTES_MAX / DATAGRAM_BYTES_MIN;
/// Messages in the answer to one request: each chunk may be a train of its own, and each read of other kinds a datagram.
pub(crate) const MESSAGES_PER_REQUEST: usize = CHUNKS_PER_REQUEST + GETS_PER_DATAGRAM_MAX;
/// Longest datagram that is put together in the send batch's own memory; of a longer one with a single value the kernel reads the
/// value bytes where they are stored. A slice of its own costs the kernel about as much as copying 1 KiB costs here, where the
/// bytes have just been read for the checksum (docs/performance.md).
pub(crate) const COPIED_DATAGRAM_BYTES_MAX: usize = 1024;
/// Datagrams in a send batch, unless a single answer has more: a batch this long takes well under a millisecond, and the first
/// answers do not wait for many more.
pub(crate) const SEND_DATAGRAMS: usize = 512;
/// Messages in a send batch: each datagram may be one.
pub(crate) const SEND_MESSAGES: usize = MESSAGES_PER_REQUEST + SEND_DATAGRAMS;
/// Slices of a datagram at most: its headers, the value bytes, and what levels a value's last chunk.
pub(crate) const SLICES_PER_DATAGRAM: usize = 3;
/// Slices in a send batch.
pub(crate) const SEND_SLICES: usize = SLICES_PER_DATAGRAM * SEND_MESSAGES;
/// Bytes copied in a send batch: as much as the send buffer takes, and more than the largest answer has.
pub(crate) const SEND_ARENA_BYTES: usize = 512 << 10;
const _: () =
    assert!(CREDIT_BYTES_MAX + DATAGRAM_BYTES_MAX <= SEND_ARENA_BYTES, "any answer fits an empty batch");
/// Receipts a worker keeps: 32 MiB, a stage of 3 s at 350,000 requests/s.
pub(crate) const RECEIPTS_PER_WORKER: usize = 1 << 20;
/// How often a busy worker publishes what costs a system call to learn: its CPU time and its socket's drops.
pub(crate) const PUBLISH_NS: u64 = 10_000_000;
/// How long every receive of a worker may fail before the worker does: shortage of memory passes, a socket that is of no use
/// does not mend.
pub(crate) const RECV_FAILING_NS_MAX: u64 = 1_000_000_000;
/// Longest sleep of an idle worker: it bounds how old published figures are, and costs 10 wake-ups a second.
pub(crate) const IDLE: Duration = Duration::from_millis(100);

/// TCP connections served at once; at the limit the one idle for longest makes room.
pub(crate) const CONNECTIONS_MAX: usize = 256;
/// Time a connection has to send HELLO: nobody gets a place for connecting alone.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Time a message may take from its first byte to its last: the largest one at 2 MB/s.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time a peer may take to read a batch of answers.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time a connection that is being closed may still send, so that it sees why.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// Bytes a connection reads at once, what its buffer shrinks to after a long message, and its turn before others have
/// theirs: 200 updates of 100 B, so that system calls do not show, and a tenth of a millisecond.
pub(crate) const READ_BUFFER_BYTES: usize = 32 << 10;
/// Answers are written out once this many bytes are waiting, so that pipelined reads do not pile up in memory.
pub(crate) const WRITE_BUFFER_BYTES: usize = 32 << 10;
/// What a connection keeps of the memory in which values get their seals: most values are shorter.
pub(crate) const SEALED_KEPT_BYTES: usize = 4 << 10;
/// Longest message of a connection that may not update: it has nothing to send but reads and questions, 64 of which
/// with the longest keys and 32 ranges each take 34 KiB.
pub(crate) const MESSAGE_BYTES_READER: usize = 48 << 10;
/// Memory for messages beyond [`READ_BUFFER_BYTES`], all connections together; later ones wait their turn. With the answers
/// and every connection's own buffers it stays under the 64 MiB the process may take beside the store's budget.
pub(crate) const LONG_MESSAGES_BYTES: usize = 20 << 20;
const _: () = assert!(LONG_MESSAGES_BYTES >= TCP_LENGTH_BYTES + TCP_MESSAGE_BYTES_MAX);
/// The same for answers on their way out: what a peer that does not read can hold.
pub(crate) const LONG_ANSWERS_BYTES: usize = 20 << 20;
const _: () = assert!(LONG_ANSWERS_BYTES >= VALUE_BYTES_LIMIT);
const _: () = assert!(
    LONG_MESSAGES_BYTES
        + LONG_ANSWERS_BYTES
        + CONNECTIONS_MAX * (READ_BUFFER_BYTES + WRITE_BUFFER_BYTES + SEALED_KEPT_BYTES)
        < 60 << 20
);
/// Longest HTTP request to the metrics port that is looked at.
pub(crate) const HTTP_REQUEST_BYTES_MAX: usize = 8 << 10;
/// Metrics connections served at once.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 16;
/// Longest configuration or token file that is read: anything longer is the wrong file.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Upper ends of the classes answers are counted in, in bytes of all datagrams that answer one request: a miss, a small
/// value, what fits an MTU of 1500, what fits one of 9000, what one datagram can hold; the rest is a class of its own.
pub(crate) const SIZE_CLASS_BYTES: [u64; 5] = [128, 512, 1472, 8972, 65_507];
