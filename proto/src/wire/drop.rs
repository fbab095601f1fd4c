//! Why a datagram was dropped: one reason each, counted by name (`PROTOCOL.md`, section 2.1).

/// The first check a received datagram or message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DropReason {
    /// Under 16 B, or a request shorter than its header or (over UDP) than 48 B.
    #[error("short: under 16 bytes, or a request under 48 bytes (over TCP 24)")]
    Short,
    /// Byte 4 is not 0x5E: not this protocol.
    #[error("magic: not a Shingle message")]
    Magic,
    /// Another version of the protocol.
    #[error("version: only version 1 is spoken here")]
    Version,
    /// The CRC-32C over the message is wrong.
    #[error("checksum: the message was changed on its way")]
    Checksum,
    /// An answer sent to a server, or a request sent to a client.
    #[error("kind: an answer where requests are expected, or the other way round")]
    Kind,
    /// A frame that is truncated, unknown, out of its range or not allowed here, or no frame at all.
    #[error("frame: truncated, unknown, out of range, not allowed here, or none at all")]
    Frame,
    /// Larger than the receiver's buffer.
    #[error("oversized: larger than the receive buffer")]
    Oversized,
    /// UDP source port 0 or one of the server's own.
    #[error("source: from port 0 or a port of the server itself")]
    Source,
}

impl DropReason {
    /// How many reasons there are: the length of a table indexed by [`DropReason::index`].
    pub const COUNT: usize = 8;

    /// All reasons, in the order receivers check them.
    pub const ALL: [DropReason; Self::COUNT] = [
        DropReason::Short,
        DropReason::Magic,
        DropReason::Version,
        DropReason::Checksum,
        DropReason::Kind,
        DropReason::Frame,
        DropReason::Oversized,
        DropReason::Source,
    ];

    /// Place in [`DropReason::ALL`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name it is counted under in statistics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::Short => "short",
            DropReason::Magic => "magic",
            DropReason::Version => "version",
            DropReason::Checksum => "checksum",
            DropReason::Kind => "kind",
            DropReason::Frame => "frame",
            DropReason::Oversized => "oversized",
            DropReason::Source => "source",
        }
    }
}
