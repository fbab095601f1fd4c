//! memcached as a target: its text protocol over UDP and over TCP, with the same schedule, workload, ledger and checks as Shingle's.
//!
//! [`text`] reads the protocol's lines; [`datagrams`] and [`stream`] are the cores of one flow: bytes in, ends of reads out, no socket
//! and no clock. [`udp_flow`] and [`tcp_flow`] put sockets under them, [`worker`] gives them to the engine's loop. [`admin`] is the
//! connection for storing, statistics and settings, [`target`] the server itself.

pub mod admin;
mod assembly;
pub(crate) mod books;
pub mod datagrams;
pub mod limits;
mod reads;
mod requests;
pub mod stream;
pub mod target;
pub mod tcp_flow;
pub mod text;
pub mod udp_flow;
pub mod worker;

/// One read ended, or an answer came after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending<'a> {
    /// The item asked for.
    pub item: u32,
    /// The deadline it was given, on the caller's clock.
    pub deadline_ns: u64,
    /// When its request left; 0 if it did not.
    pub sent_ns: u64,
    /// Number of its request within the flow, from 1.
    pub sequence: u32,
    /// Datagrams of several that its answer came in so far; 0 for an answer in one piece.
    pub pieces: u16,
    /// What became of it.
    pub end: End<'a>,
}

/// The ways a read ends. Every accepted read ends once; [`End::Late`] may follow an [`End::TimedOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// The server sent this as the key's value. The protocol has no checksum: whoever knows the bytes compares them.
    Value {
        /// The bytes.
        bytes: &'a [u8],
        /// It was put together from datagrams that do not say which of several keys they belong to: if the bytes are wrong, pieces
        /// of other answers may have got among them.
        ambiguous: bool,
    },
    /// Nothing is stored under the key.
    Miss,
    /// The deadline passed.
    TimedOut {
        /// Some of the answer had arrived.
        part_arrived: bool,
        /// There was no memory to put it together.
        no_memory: bool,
    },
    /// An answer to its request came after its deadline.
    Late,
    /// The kernel refused the request.
    NotSent,
    /// The server answered with an error line.
    ServerError,
    /// The connection broke before the answer was there, or there was none.
    ConnectionLost,
}
