//! The floor: the least code that asks and answers over UDP sockets, for benches to measure everything else against.
//!
//! IPv4 only, one request size, one answer size. Headers are wired once when memory is taken; between two system calls only what
//! the kernel overwrote, or what differs from message to message, is written. Nothing here is meant to be served to anybody.

mod echo;
mod incoming;
mod process;
mod requests;

pub use echo::{AnswerShape, Echo};
pub use incoming::Incoming;
pub use process::{confine, hold, unpin_thread};
pub use requests::Requests;

use crate::{MtuDiscovery, Socket, SocketOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Buffers asked for on both sides, so that nothing is dropped for want of them; bytes.
const BUFFER_BYTES: usize = 8 << 20;

/// A socket on loopback with large buffers and nothing switched on that costs time: no timestamps, no drop counter, no error queue.
/// Its datagrams have DF set and are never fragmented here (IP_PMTUDISC_PROBE), so that the kernel need not draw an IP
/// identification for each (ip_select_ident_segs, include/net/ip.h), a twentieth of what an unconnected echo costs.
///
/// # Errors
/// Whatever the kernel says.
pub fn socket(gro: bool) -> io::Result<Socket> {
    let options = SocketOptions {
        recv_buffer_bytes: BUFFER_BYTES,
        send_buffer_bytes: BUFFER_BYTES,
        recv_error_queue: false,
        drop_counter: false,
        mtu_discovery: Some(MtuDiscovery::Probe),
        gro,
        ..SocketOptions::default()
    };
    Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options)
}

/// A header that names nothing.
fn empty_header() -> libc::mmsghdr {
    // SAFETY: all zeroes is a valid mmsghdr: no name, no slices, no control.
    unsafe { std::mem::zeroed() }
}

/// Distance of two buffers of `bytes` bytes: an odd number of cache lines, so that the first lines of all buffers, which are
/// always touched, do not compete for the same sets of the cache.
fn stride(bytes: usize) -> usize {
    const LINE: usize = 64;
    (bytes.div_ceil(LINE) | 1) * LINE
}
