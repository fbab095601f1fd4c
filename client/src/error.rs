//! What can go wrong with reads, in words that say what to do.

use std::io;
use std::time::Duration;

use shingle_proto::client::{self, ConfigError};
use shingle_proto::limits::PATH_MTU_BYTES_MIN;
use shingle_proto::wire::Refusal;

use crate::control::ControlError;

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The TCP connection failed.
    #[error(transparent)]
    Tcp(#[from] ControlError),
    /// The server does not serve the UDP port asked for.
    #[error("{address} does not serve UDP port {wanted}; it serves {served:?}")]
    NoSuchPort {
        /// The server.
        address: String,
        /// The port asked for.
        wanted: u16,
        /// The ports there are.
        served: Vec<u16>,
    },
    /// The server serves no UDP port at all.
    #[error("{address} serves no UDP port; start it with --udp-port PORT, or read over TCP with Control")]
    NoPort {
        /// The server.
        address: String,
    },
    /// [`PathMtu::Known`](crate::PathMtu::Known) is less than every path carries.
    #[error("path_mtu is Known({found}): allowed are {PATH_MTU_BYTES_MIN} and more; see Options")]
    PathMtu {
        /// The path MTU given, in bytes.
        found: usize,
    },
    /// A setting is out of its range.
    #[error("{0}; see Options")]
    Setting(#[from] ConfigError),
    /// The kernel gave no UDP socket.
    #[error("cannot open a UDP socket to {address}: {source}")]
    Socket {
        /// The server.
        address: String,
        /// The kernel's words.
        source: io::Error,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The read was not begun: a key of a length that cannot be.
    #[error(transparent)]
    NotBegun(#[from] client::GetError),
    /// No whole answer in time.
    #[error(
        "no whole answer within {after:?}: {received_bytes} of {total_bytes} B came, {corrupt} corrupt values"
    )]
    TimedOut {
        /// Time the read had.
        after: Duration,
        /// Bytes of the sealed value that came; 0 if none.
        received_bytes: u32,
        /// Length of the sealed value; 0 if nothing came.
        total_bytes: u32,
        /// Whole values that came and failed the end-to-end check.
        corrupt: u32,
    },
    /// No turn came: as many reads were under way all the time as may be.
    #[error(
        "no turn within {after:?}: {in_flight_max} reads are under way, as many as may be; read less at a time or raise \
         Options::in_flight_max"
    )]
    NoTurn {
        /// Time the read had.
        after: Duration,
        /// Reads under way at most.
        in_flight_max: usize,
    },
    /// The server does not answer: four heartbeats in a row were lost, with all that the reads under way had sent.
    #[error(
        "the server has been silent for {silence:?}: it is stopped, or the path to it is down; reads work again as soon as it \
         answers a heartbeat"
    )]
    Silent {
        /// Time without any valid answer.
        silence: Duration,
    },
    /// The server's host says that nothing listens on the UDP port (ICMP port unreachable), and no datagram came since.
    /// [`blocking::Client`](crate::blocking::Client) lets the read's time pass first: the server may be back by then.
    #[error(
        "nothing listens on the server's UDP port: it was stopped, or is being started again; reads work again as soon as it \
         answers"
    )]
    Unreachable,
    /// The runtime that the client's driver ran on is shut down.
    #[error("the runtime the client was connected on is shut down; connect again on a running one")]
    Stopped,
    /// The kernel refused the request datagram.
    #[error("the kernel refused to send the request; see this host's routes, firewall and send buffers")]
    NotSent,
    /// The server has the key and cannot give its value.
    #[error("the server cannot give the value ({reason:?}); set the key again")]
    Refused {
        /// The server's reason.
        reason: Refusal,
    },
    /// The read was to be done over TCP, and failed there.
    #[error(transparent)]
    Tcp(#[from] ControlError),
    /// The socket failed.
    #[error("UDP socket failed: {0}")]
    Socket(io::Error),
}

/// The same error once more, for each of the reads that it ends.
pub(crate) fn copy_of(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
