//! A simulated network between a client core that reads by a schedule and the stateless server core, with every rule of the protocol
//! checked at both ends while it runs.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its part")]

mod announced;
mod reader;
mod replies;
pub mod values;

use std::net::SocketAddr;

pub use reader::{Books, Plan, Reader};
pub use replies::Replies;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;

/// Where the client and the server are.
pub fn addresses(ipv6: bool) -> (SocketAddr, SocketAddr) {
    let (client, server) =
        if ipv6 { ("[fd00::1]:40000", "[fd00::2]:7400") } else { ("198.18.0.1:40000", "198.18.0.2:7400") };
    (client.parse().expect("an address"), server.parse().expect("an address"))
}

/// Bytes of IP and UDP headers.
pub fn overhead_bytes(ipv6: bool) -> u16 {
    if ipv6 { 48 } else { 28 }
}
