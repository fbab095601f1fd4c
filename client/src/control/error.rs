//! What can go wrong between a client and a server's TCP port, in words that say what to do.

use std::io;
use std::time::Duration;

use shingle_proto::limits::KEY_BYTES_MAX;
use shingle_proto::seal::SealError;
use shingle_proto::wire::{ErrorCode, Refusal};

/// Why a call to [`Control`](super::Control) failed.
///
/// After some errors the connection is closed, because what the server still owed on it can no longer be told apart:
/// see [`connection_lost`](Self::connection_lost).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The address given is not HOST:PORT, or the host has no address.
    #[error(
        "cannot resolve server address {address:?}: {source}; give HOST:PORT, for example 127.0.0.1:7401"
    )]
    Resolve {
        /// What was given.
        address: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error(
        "{address} refused the connection: nothing listens there; start cache-server on that host, or give the \
         port of its `ready tcp=` line (7401 unless --tcp-port says otherwise; --listen must not be loopback for \
         other hosts)"
    )]
    Refused {
        /// The address tried.
        address: String,
    },
    /// No answer to the connection attempt.
    #[error(
        "{address} did not accept a connection within {after:?}: the host is down, or a firewall or security group \
         drops the TCP port; check both, or allow more time"
    )]
    ConnectTimedOut {
        /// The address tried.
        address: String,
        /// Time allowed.
        after: Duration,
    },
    /// The kernel knows no way there.
    #[error("cannot reach {address}: {source}; check the address and this host's routes")]
    Unreachable {
        /// The address tried.
        address: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The server speaks another version of the protocol.
    #[error(
        "{address} speaks protocol version {theirs}, this client speaks version {ours}; install the same release of \
         Shingle on both hosts"
    )]
    Version {
        /// The server.
        address: String,
        /// Version in the server's answer.
        theirs: u8,
        /// Version of this client.
        ours: u8,
    },
    /// Whatever answered is not a Shingle server.
    #[error(
        "{address} is not a Shingle server: {found}; give the TCP port of cache-server, not one of another service"
    )]
    NotShingle {
        /// The address tried.
        address: String,
        /// What came instead of a WELCOME.
        found: String,
    },
    /// The token is not the server's.
    #[error("{address} does not accept the token; give the file the server was started with as --token-file")]
    TokenWrong {
        /// The server.
        address: String,
    },
    /// Updates and administration from this host need a token.
    #[error(
        "{address} wants a token for updates and administration from other hosts; start the server with \
         --token-file FILE and give the same file here"
    )]
    TokenNeeded {
        /// The server.
        address: String,
    },
    /// The server said no; its words name the value and the range.
    #[error("{address} refused {request}: {text}")]
    Server {
        /// The server.
        address: String,
        /// The request refused.
        request: &'static str,
        /// What it is about (PROTOCOL.md section 8.2).
        code: ErrorCode,
        /// The server's own words.
        text: String,
    },
    /// The server went silent.
    #[error(
        "{address} did not answer {request} within {after:?}; is it stopped, overloaded or another service?"
    )]
    TimedOut {
        /// The server.
        address: String,
        /// The request that was to be answered.
        request: &'static str,
        /// Longest silence allowed.
        after: Duration,
    },
    /// The server ended the connection, or an earlier error did.
    #[error(
        "{address} closed the connection before it had answered {request}; was it stopped? Connect again"
    )]
    Closed {
        /// The server.
        address: String,
        /// The request that was to be answered.
        request: &'static str,
    },
    /// The server sent what the protocol does not allow.
    #[error("{address} answered {request} with {found}; install the same release of Shingle on both hosts")]
    Invalid {
        /// The server.
        address: String,
        /// The request that was to be answered.
        request: &'static str,
        /// What came.
        found: String,
    },
    /// The kernel reported an error on the connection.
    #[error("connection to {address} failed: {source}")]
    Io {
        /// The server.
        address: String,
        /// The kernel's words.
        source: io::Error,
    },
    /// A key of a length that cannot be.
    #[error("key has {bytes} bytes: allowed are 1 to {KEY_BYTES_MAX}")]
    Key {
        /// Length found.
        bytes: usize,
    },
    /// A value longer than the server keeps.
    #[error("value has {bytes} B; this server keeps at most {max} B")]
    Value {
        /// Length found.
        bytes: usize,
        /// The server's limit.
        max: u32,
    },
    /// A token longer than HELLO can carry.
    #[error("token has {bytes} B; a token has at most 255 B")]
    Token {
        /// Length found.
        bytes: usize,
    },
    /// A value that failed its end-to-end checksum. It is never delivered.
    #[error(
        "{address} sent a value of {bytes} B (sealed) that fails its end-to-end check: {source}; set the key again"
    )]
    Corrupt {
        /// The server.
        address: String,
        /// Length of the sealed value.
        bytes: usize,
        /// What the check found.
        source: SealError,
    },
    /// The server has the key and cannot give its value.
    #[error("{address} cannot give the value ({reason:?}); set the key again")]
    ReadRefused {
        /// The server.
        address: String,
        /// The server's reason.
        reason: Refusal,
    },
}

impl ControlError {
    /// Whether the connection is closed: any further call on it fails. After other errors it can be used on.
    #[must_use]
    pub fn connection_lost(&self) -> bool {
        matches!(
            self,
            Self::Io { .. }
                | Self::Closed { .. }
                | Self::TimedOut { .. }
                | Self::Invalid { .. }
                | Self::Version { .. }
        )
    }
}
