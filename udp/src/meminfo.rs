//! What a socket's queues hold right now: SO_MEMINFO (`sk_get_meminfo`, net/core/sock.c).

use std::io;
use std::os::fd::AsRawFd;

use crate::sockopt;

/// Memory of a socket, in bytes as the kernel charges them: the true size of buffers, not payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemInfo {
    /// Charged to the receive queue (SK_MEMINFO_RMEM_ALLOC).
    pub recv_queue_bytes: u32,
    /// Limit of the receive queue (SK_MEMINFO_RCVBUF).
    pub recv_buffer_bytes: u32,
    /// Charged to what was sent and has not left the host (SK_MEMINFO_WMEM_ALLOC).
    pub send_queue_bytes: u32,
    /// Limit of what was sent and has not left (SK_MEMINFO_SNDBUF).
    pub send_buffer_bytes: u32,
    /// Memory reserved for the socket and not yet charged to a buffer (SK_MEMINFO_FWD_ALLOC).
    pub forward_bytes: u32,
    /// Option memory (SK_MEMINFO_OPTMEM).
    pub option_bytes: u32,
    /// Waiting while another thread holds the socket (SK_MEMINFO_BACKLOG).
    pub backlog_bytes: u32,
    /// Datagrams dropped by this socket since it was opened, for whatever reason (SK_MEMINFO_DROPS).
    pub drops: u32,
}

impl MemInfo {
    pub(crate) fn read(socket: &impl AsRawFd) -> io::Result<Self> {
        let mut words = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
        sockopt::get_words(socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut words)?;
        let word = |index: libc::c_int| words[index as usize];
        Ok(MemInfo {
            recv_queue_bytes: word(libc::SK_MEMINFO_RMEM_ALLOC),
            recv_buffer_bytes: word(libc::SK_MEMINFO_RCVBUF),
            send_queue_bytes: word(libc::SK_MEMINFO_WMEM_ALLOC),
            send_buffer_bytes: word(libc::SK_MEMINFO_SNDBUF),
            forward_bytes: word(libc::SK_MEMINFO_FWD_ALLOC),
            option_bytes: word(libc::SK_MEMINFO_OPTMEM),
            backlog_bytes: word(libc::SK_MEMINFO_BACKLOG),
            drops: word(libc::SK_MEMINFO_DROPS),
        })
    }
}
