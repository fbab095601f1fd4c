//! What a blocking client is told when it connects.

use std::time::Duration;

use shingle_proto::limits::PATH_MTU_BYTES_MIN;

use crate::limits::{READ_RETRIES_DEFAULT, READ_TIMEOUT_DEFAULT};

/// Settings of a [`Client`](super::Client).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The server's token; reads need none. Default: empty.
    pub token: Vec<u8>,
    /// UDP port to read from, one of [`Welcome::ports`](crate::control::Welcome::ports). Default: the server's first.
    pub udp_port: Option<u16>,
    /// Time a read may take; also the longest silence on the TCP connection. Default: 1 s.
    pub timeout: Duration,
    /// Times a request is repeated, with doubling patience within the timeout, when nothing came; 10 at most. Default: 3.
    pub retries: u8,
    /// Path MTU known to bring packets here from the server, in bytes. Default: 1248, which every path carries; a larger
    /// one makes large values cheaper. Only `chunked` and `compressed` ports keep to it, others fragment.
    pub path_mtu_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            token: Vec::new(),
            udp_port: None,
            timeout: READ_TIMEOUT_DEFAULT,
            retries: READ_RETRIES_DEFAULT,
            path_mtu_bytes: PATH_MTU_BYTES_MIN,
        }
    }
}
