//! The frames that only TCP carries: hello, updates, administration (`PROTOCOL.md`, section 8).

use super::bytes::{put, u16_at};
use super::receipt::Receipts;
use crate::cookie::Cookie;
use crate::limits::{PORT_BYTES, PORTS_MAX};

/// A frame that only TCP carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// Begins a connection.
    Hello(Hello<'a>),
    /// Stores a value.
    Set(Set<'a>),
    /// Removes a key.
    Delete(KeyRequest<'a>),
    /// Empties something.
    Flush(Flush),
    /// The statistics are wanted.
    Stats {
        /// Id of the request.
        id: u32,
    },
    /// Receipts are wanted.
    Receipts(ReceiptsRequest),
    /// Is somebody there?
    Ping(Ping),
    /// The server is to leave.
    Drain {
        /// Id of the request.
        id: u32,
    },
    /// Answers HELLO.
    Welcome(Welcome<'a>),
    /// Answers what has a number for a result.
    Done(Done),
    /// Answers what went wrong.
    Error(ErrorText<'a>),
    /// Answers STATS.
    Text(Text<'a>),
    /// Answers RECEIPTS.
    ReceiptList(ReceiptList<'a>),
    /// Answers PING.
    Pong(Pong),
}

/// HELLO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Id of the request.
    pub id: u32,
    /// Lowest version spoken.
    pub version_min: u8,
    /// Highest version spoken.
    pub version_max: u8,
    /// What allows updates from other hosts; at most 255 bytes, empty for none.
    pub token: &'a [u8],
}

/// SET. The key is checked by the server, so that it can say what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// Id of the request.
    pub id: u32,
    /// Seconds until the value is forgotten; 0: never.
    pub ttl_s: u32,
    /// CRC-32C over key and value; to be verified before the value is stored.
    pub checksum: u32,
    /// At most 255 bytes; valid are 1 to 250.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// DELETE. The key is checked by the server, as in SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRequest<'a> {
    /// Id of the request.
    pub id: u32,
    /// At most 255 bytes; valid are 1 to 250.
    pub key: &'a [u8],
}

/// What FLUSH empties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushWhat {
    /// All values.
    Values,
    /// The path MTUs the server's kernel has learned.
    PathMtus,
}

/// FLUSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Id of the request.
    pub id: u32,
    /// What to empty.
    pub what: FlushWhat,
}

/// RECEIPTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptsRequest {
    /// Id of the request.
    pub id: u32,
    /// Whose receipts.
    pub worker: u8,
    /// Number of the first one wanted; receipts of a worker are numbered from 0.
    pub first: u64,
}

/// PING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Id of the request.
    pub id: u32,
    /// Anything; PONG brings it back.
    pub payload: u64,
}

/// PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Id of the PING.
    pub id: u32,
    /// The server is about to leave.
    pub draining: bool,
    /// As in the PING.
    pub payload: u64,
}

/// How a UDP port limits what it sends, and who fragments (`--udp-port PORT=STRATEGY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Chunks of at most the announced size, DF set.
    Chunked,
    /// Path-MTU discovery by the kernel; one datagram an answer.
    KernelPmtud,
    /// DF off; one datagram an answer.
    DfOff,
    /// DF on; what does not fit is refused.
    DfStrict,
    /// The interface's MTU, learned path MTUs ignored; one datagram an answer.
    Interface,
    /// As chunked, with values compressed when stored.
    Compressed,
}

impl Strategy {
    /// All strategies, each at the place of its number.
    pub const ALL: [Strategy; 6] = [
        Strategy::Chunked,
        Strategy::KernelPmtud,
        Strategy::DfOff,
        Strategy::DfStrict,
        Strategy::Interface,
        Strategy::Compressed,
    ];

    /// Name on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::Chunked => "chunked",
            Strategy::KernelPmtud => "kernel-pmtud",
            Strategy::DfOff => "df-off",
            Strategy::DfStrict => "df-strict",
            Strategy::Interface => "interface",
            Strategy::Compressed => "compressed",
        }
    }

    /// The strategy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// One UDP port of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Port number.
    pub port: u16,
    /// How it limits what it sends.
    pub strategy: Strategy,
    /// How many workers share it.
    pub workers: u8,
    /// Largest datagram it sends; bytes of UDP payload.
    pub datagram_max: u16,
}

impl Port {
    /// The port as it travels.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PORT_BYTES] {
        let mut bytes = [0; PORT_BYTES];
        put::<0, 2, _>(&mut bytes, self.port.to_be_bytes());
        bytes[2] = self.strategy as u8;
        bytes[3] = self.workers;
        put::<4, 2, _>(&mut bytes, self.datagram_max.to_be_bytes());
        bytes
    }

    /// Reads a port; `None` for a strategy this version does not know.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; PORT_BYTES]) -> Option<Self> {
        Some(Port {
            port: u16_at::<0, _>(bytes),
            strategy: *Strategy::ALL.get(usize::from(bytes[2]))?,
            workers: bytes[3],
            datagram_max: u16_at::<4, _>(bytes),
        })
    }
}

/// The ports of a WELCOME as they travel. Every one of them has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports<'a>(&'a [[u8; PORT_BYTES]]);

impl<'a> Ports<'a> {
    /// Wraps ports made by [`Port::to_bytes`]; `None` where one of them is not a port or there are more than 64.
    #[must_use]
    pub fn new(ports: &'a [[u8; PORT_BYTES]]) -> Option<Self> {
        let fits = ports.len() <= PORTS_MAX;
        (fits && ports.iter().all(|bytes| Port::from_bytes(bytes).is_some())).then_some(Ports(ports))
    }

    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (ports, []) = bytes.as_chunks::<PORT_BYTES>() else { return None };
        Self::new(ports)
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }

    /// The ports in the server's order.
    pub fn iter(self) -> impl Iterator<Item = Port> + 'a {
        self.0.iter().filter_map(Port::from_bytes)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// WELCOME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// Id of the HELLO.
    pub id: u32,
    /// The server keeps receipts.
    pub receipts: bool,
    /// The server is about to leave.
    pub draining: bool,
    /// Updates and administration are allowed on this connection.
    pub updates: bool,
    /// Nonce of the server instance.
    pub nonce: u32,
    /// Longest value stored; bytes.
    pub value_bytes_max: u32,
    /// Cookie for the address this connection comes from.
    pub cookie: Cookie,
    /// The UDP ports.
    pub ports: Ports<'a>,
}

/// DONE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Id of the request.
    pub id: u32,
    /// SET: version. DELETE: 1 if the key was stored. FLUSH: items. DRAIN: 0.
    pub result: u64,
}

/// What an ERROR is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No version is spoken by both.
    Version,
    /// The token is wrong.
    TokenWrong,
    /// Updates and administration from other hosts need the token.
    TokenNeeded,
    /// The value is above the value limit.
    ValueTooLarge,
    /// The key does not have 1 to 250 bytes.
    KeyLength,
    /// The memory budget does not hold the value.
    StoreFull,
    /// The checksum over key and value is wrong.
    Checksum,
    /// The message failed its checks.
    Malformed,
    /// Not allowed on this connection.
    NotPermitted,
    /// The server is about to leave.
    Draining,
    /// No such worker, or the server keeps no receipts.
    NoReceipts,
}

impl ErrorCode {
    /// All codes, in the order of their numbers, which begin with 1.
    pub const ALL: [ErrorCode; 11] = [
        ErrorCode::Version,
        ErrorCode::TokenWrong,
        ErrorCode::TokenNeeded,
        ErrorCode::ValueTooLarge,
        ErrorCode::KeyLength,
        ErrorCode::StoreFull,
        ErrorCode::Checksum,
        ErrorCode::Malformed,
        ErrorCode::NotPermitted,
        ErrorCode::Draining,
        ErrorCode::NoReceipts,
    ];
}

/// ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorText<'a> {
    /// Id of the request; 0 where it could not be read.
    pub id: u32,
    /// What it is about.
    pub code: ErrorCode,
    /// For people. Cut at 65,535 bytes when written.
    pub text: &'a str,
}

/// TEXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// Id of the request.
    pub id: u32,
    /// A JSON document.
    pub text: &'a str,
}

/// RECEIPT_LIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptList<'a> {
    /// Id of the request.
    pub id: u32,
    /// Whose receipts.
    pub worker: u8,
    /// Number of the first one given: later than asked where older ones were overwritten.
    pub first: u64,
    /// The receipts, oldest first.
    pub receipts: Receipts<'a>,
}
