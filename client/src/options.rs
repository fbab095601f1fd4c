//! What a client is told when it connects.

use std::time::Duration;

use shingle_proto::limits::PATH_MTU_BYTES_MIN;

use crate::limits::{
    GETS_PER_DATAGRAM_DEFAULT, HEARTBEAT_DEFAULT, IN_FLIGHT_MAX_DEFAULT, PATH_MTU_BYTES_MAX_DEFAULT,
    READ_TIMEOUT_DEFAULT, RECEIVE_BUFFER_BYTES, RETRY_BUDGET_PERCENT_DEFAULT,
};

/// Settings of both clients, [`Client`](crate::Client) and [`blocking::Client`](crate::blocking::Client).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server's token; reads need none. Default: empty.
    pub token: Vec<u8>,
    /// UDP port to read from, one of [`Welcome::ports`](crate::control::Welcome::ports). Default: the server's first.
    pub udp_port: Option<u16>,
    /// Time a read may take, counted from the call; also the longest silence on the TCP connection, and the longest wait of
    /// [`Client`](crate::Client)'s calls for their turn there. Default: 1 s.
    pub timeout: Duration,
    /// Times a request is repeated when nothing came, 0..=10: the patience doubles each time, and all of them fit the timeout
    /// (PROTOCOL.md section 10.3). What is missing of an answer that came in part is asked for again whatever this says.
    /// Default: 0.
    pub retries: u8,
    /// Retries allowed for each 100 reads, beside a small reserve: a server in trouble is not asked twice by everybody.
    /// Default: 20.
    pub retry_budget_percent: u8,
    /// Reads under way at most; further calls wait for their turn. Default: 128.
    pub in_flight_max: usize,
    /// Reads of one `get_many` that share a request datagram at most, 1..=64, and with it its fate. Default: 8.
    pub gets_per_datagram_max: u8,
    /// How the size of datagrams that the path carries is found. Default: by a search up to 9001 B.
    pub path_mtu: PathMtu,
    /// Receive buffer asked of the kernel, in bytes of payload (SO_RCVBUF; the kernel doubles it, and cuts it to
    /// `net.core.rmem_max`). No more is asked of the server at a time than what was granted holds. Default: 4 MiB.
    pub receive_buffer_bytes: usize,
    /// Longest quiet before the server is asked for a sign of life, and how often from then on; after four times this
    /// without an answer it counts as silent. Zero: never; less than 1 ms is taken for 1 ms. [`Client`](crate::Client) only: between two calls of the blocking
    /// one nobody is there to listen. Default: 240 ms, so that silence is noticed within 1 s.
    pub heartbeat: Duration,
}

/// How the path MTU between client and server is found; both directions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMtu {
    /// Probe what the path carries (PROTOCOL.md section 6), up to this path MTU in bytes and that of the interface. Reads
    /// use the size proved so far, at first 1248. On ports that leave fragmenting to the kernel or the network there is
    /// nothing to search.
    SearchUpTo(usize),
    /// Take this path MTU in bytes, 1248 or more, as known for answers: larger ones are lost. Requests keep to the 1200 B that every
    /// path carries.
    Known(usize),
}

impl PathMtu {
    /// A path MTU that every path carries, and no search.
    pub const SMALLEST: PathMtu = PathMtu::Known(PATH_MTU_BYTES_MIN);
}

impl Default for Options {
    fn default() -> Self {
        Options {
            token: Vec::new(),
            udp_port: None,
            timeout: READ_TIMEOUT_DEFAULT,
            retries: 0,
            retry_budget_percent: RETRY_BUDGET_PERCENT_DEFAULT,
            in_flight_max: IN_FLIGHT_MAX_DEFAULT,
            gets_per_datagram_max: GETS_PER_DATAGRAM_DEFAULT,
            path_mtu: PathMtu::SearchUpTo(PATH_MTU_BYTES_MAX_DEFAULT),
            receive_buffer_bytes: RECEIVE_BUFFER_BYTES,
            heartbeat: HEARTBEAT_DEFAULT,
        }
    }
}
