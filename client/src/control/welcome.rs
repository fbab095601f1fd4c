//! What a server says about itself when a connection begins.

use shingle_proto::cookie::Cookie;
use shingle_proto::limits::VALUE_BYTES_LIMIT;
use shingle_proto::wire::{self, Port};

/// A server's answer to HELLO (PROTOCOL.md section 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Nonce of the server instance; another one means that the server was started again.
    pub nonce: u32,
    /// Longest value the server keeps, in bytes; at most 16 MiB.
    pub value_bytes_max: u32,
    /// Proof of this host's address for reads over UDP.
    pub cookie: Cookie,
    /// The server keeps receipts of request datagrams.
    pub receipts: bool,
    /// The server is about to leave.
    pub draining: bool,
    /// Updates and administration are allowed on this connection.
    pub may_update: bool,
    /// The server's UDP ports in its order, at most 64.
    pub ports: Vec<Port>,
}

impl Welcome {
    /// Takes a WELCOME over; its words if a field is out of range.
    pub(super) fn from_wire(welcome: &wire::Welcome<'_>) -> Result<Welcome, String> {
        if welcome.value_bytes_max as usize > VALUE_BYTES_LIMIT {
            return Err(format!(
                "a value limit of {} B (the protocol allows {VALUE_BYTES_LIMIT} B)",
                welcome.value_bytes_max
            ));
        }
        Ok(Welcome {
            nonce: welcome.nonce,
            value_bytes_max: welcome.value_bytes_max,
            cookie: welcome.cookie,
            receipts: welcome.receipts,
            draining: welcome.draining,
            may_update: welcome.updates,
            ports: welcome.ports.iter().collect(),
        })
    }
}
