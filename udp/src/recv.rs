//! Receiving in batches: recvmmsg(2) into memory taken once, trains of UDP_GRO taken apart.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

use crate::address::RawAddress;
use crate::cmsg::controls;
use crate::limits::{
    CACHE_LINE_BYTES, GRO_SLOT_BYTES_MIN, MESSAGES_PER_CALL_MAX, PENDING_ERRORS_PER_RECV_MAX,
    RECV_CONTROL_BYTES,
};
use crate::socket::Socket;

/// Memory for receiving many datagrams with one system call.
///
/// Its memory is wired once: the headers point into vectors that never grow, whose places do not change when the batch
/// moves.
pub struct RecvBatch {
    slot_bytes: usize,
    /// From one slot's start to the next one's.
    stride_bytes: usize,
    buffers: Vec<u8>,
    names: Vec<RawAddress>,
    controls: Vec<ControlBuffer>,
    /// What the headers point at; never looked at here.
    _iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    slots: Vec<Slot>,
    /// Slots the last receive filled: those whose headers the kernel wrote to.
    filled: usize,
    drops: Option<u32>,
    met_errors: bool,
}

// SAFETY: the raw pointers in iovecs and headers point into this batch's own vectors and are followed by the kernel
// alone, while RecvBatch::recvmmsg has the batch borrowed mutably; nothing else refers to that memory.
unsafe impl Send for RecvBatch {}
// SAFETY: as above; with a shared reference only plain data is read.
unsafe impl Sync for RecvBatch {}

/// One received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it; an IPv4 peer of an IPv6 socket is shown as IPv4.
    pub source: SocketAddr,
    /// Its payload, or the part that fitted the slot.
    pub bytes: &'a [u8],
    /// The slot was too short and the rest of the datagram is lost.
    pub truncated: bool,
    /// When the kernel received it: nanoseconds of [`realtime_ns`](crate::clock::realtime_ns)'s clock. `None`
    /// without [`SocketOptions::timestamps`](crate::SocketOptions::timestamps). Datagrams that came as one train
    /// share the time of the first.
    pub kernel_time_ns: Option<u64>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct ControlBuffer([u8; RECV_CONTROL_BYTES]);

/// What a filled slot holds.
#[derive(Clone, Copy)]
struct Slot {
    source: SocketAddr,
    bytes: usize,
    /// Length of each datagram in it but the last; never 0.
    segment_bytes: usize,
    truncated: bool,
    kernel_time_ns: Option<u64>,
}

impl Slot {
    const EMPTY: Slot = Slot {
        source: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        bytes: 0,
        segment_bytes: 1,
        truncated: false,
        kernel_time_ns: None,
    };

    /// An empty datagram is one datagram.
    fn datagrams(&self) -> usize {
        self.bytes.div_ceil(self.segment_bytes).max(1)
    }
}

impl RecvBatch {
    /// Takes the memory for `slots` datagrams (1 to 1024) of up to `slot_bytes` bytes.
    ///
    /// # Panics
    /// If `slots` or `slot_bytes` is 0, or `slots` above 1024, which one system call cannot fill.
    #[must_use]
    pub fn new(slots: usize, slot_bytes: usize) -> Self {
        assert!(
            (1..=MESSAGES_PER_CALL_MAX).contains(&slots),
            "receive batch of {slots} slots; allowed are 1 to {MESSAGES_PER_CALL_MAX}"
        );
        assert!(slot_bytes > 0, "receive batch with slots of 0 bytes");
        let stride_bytes = stride_bytes(slot_bytes);
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: slot_bytes };
        // SAFETY: all zeroes is a valid mmsghdr: no name, no slices, no control.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let mut buffers = vec![0; slots * stride_bytes];
        let mut names = vec![RawAddress::EMPTY; slots];
        let mut controls = vec![ControlBuffer([0; RECV_CONTROL_BYTES]); slots];
        let mut iovecs = vec![iovec; slots];
        let mut headers = vec![header; slots];
        for index in 0..slots {
            iovecs[index].iov_base = buffers.as_mut_ptr().wrapping_add(index * stride_bytes).cast();
            let header = &mut headers[index].msg_hdr;
            header.msg_name = names.as_mut_ptr().wrapping_add(index).cast();
            header.msg_iov = iovecs.as_mut_ptr().wrapping_add(index);
            header.msg_iovlen = 1;
            header.msg_control = controls.as_mut_ptr().wrapping_add(index).cast();
            offer(header);
        }
        RecvBatch {
            slot_bytes,
            stride_bytes,
            buffers,
            names,
            controls,
            _iovecs: iovecs,
            headers,
            slots: vec![Slot::EMPTY; slots],
            filled: 0,
            drops: None,
            met_errors: false,
        }
    }

    /// Receives what is there now, up to a datagram (or, with GRO, a train of them) a slot, and returns how many
    /// datagrams [`RecvBatch::iter`] will give: 0 when none is waiting. What the batch held before is gone.
    ///
    /// An ICMP error pending on the socket is not a reason to come back without datagrams: it is cleared and the
    /// receive starts again; see [`RecvBatch::met_errors`].
    ///
    /// # Errors
    /// InvalidInput on a socket with GRO and slots shorter than
    /// [`GRO_SLOT_BYTES_MIN`]; otherwise whatever the kernel says.
    pub fn recv(&mut self, socket: &Socket) -> io::Result<usize> {
        // The kernel wrote over the lengths of the headers it used, and of no others.
        self.headers[..self.filled].iter_mut().for_each(|header| offer(&mut header.msg_hdr));
        self.filled = 0;
        self.met_errors = false;
        if socket.has_gro() && self.slot_bytes < GRO_SLOT_BYTES_MIN {
            let text = format!(
                "slots of {} bytes would cut trains of a socket with GRO; give at least {GRO_SLOT_BYTES_MIN} bytes \
                 or switch GRO off",
                self.slot_bytes
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let received = self.recvmmsg(socket)?;
        self.filled = received;
        Ok((0..received).map(|index| self.note(index)).sum())
    }

    /// The datagrams of the last receive, in the order the kernel gave them.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let buffers = self.buffers.chunks_exact(self.stride_bytes);
        self.slots[..self.filled].iter().zip(buffers).flat_map(|(slot, buffer)| {
            (0..slot.datagrams()).map(move |index| {
                let start = index * slot.segment_bytes;
                let end = slot.bytes.min(start + slot.segment_bytes);
                Datagram {
                    source: slot.source,
                    bytes: &buffer[start..end],
                    truncated: slot.truncated,
                    kernel_time_ns: slot.kernel_time_ns,
                }
            })
        })
    }

    /// Whether the last receive found nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether the last receive filled every slot, so that more may be waiting.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.filled == self.slots.len()
    }

    /// Datagrams the socket had dropped in all when the latest one received was queued (SO_RXQ_OVFL). `None` before
    /// the first drop, and without [`SocketOptions::drop_counter`](crate::SocketOptions::drop_counter). Use a batch
    /// with one socket only if this is to mean anything.
    #[must_use]
    pub fn drops(&self) -> Option<u32> {
        self.drops
    }

    /// Whether the last receive met errors pending on the socket. If the error queue is on, call
    /// [`Socket::drain_errors`] then: its entries take room in the receive buffer.
    #[must_use]
    pub fn met_errors(&self) -> bool {
        self.met_errors
    }

    fn recvmmsg(&mut self, socket: &Socket) -> io::Result<usize> {
        let count = self.headers.len() as libc::c_uint;
        let mut pending_errors = 0;
        loop {
            // SAFETY: new() has pointed the headers at this batch's own vectors, which never grow, and offer() has set
            // their lengths; none of it is touched by Rust during the call.
            let received = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    count,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            if received >= 0 {
                return Ok(received as usize);
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(0),
                Some(libc::EINTR) => {}
                Some(errno) if is_pending_error(errno) => {
                    self.met_errors = true;
                    pending_errors += 1;
                    if pending_errors == PENDING_ERRORS_PER_RECV_MAX {
                        return Ok(0);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    /// Reads what the kernel wrote about slot `index`, and returns the number of datagrams in it.
    fn note(&mut self, index: usize) -> usize {
        let header = &self.headers[index];
        let control_bytes: usize = header.msg_hdr.msg_controllen as _;
        let bytes = (header.msg_len as usize).min(self.slot_bytes);
        let mut slot = Slot {
            source: self.names[index].get().unwrap_or(Slot::EMPTY.source),
            bytes,
            segment_bytes: bytes.max(1),
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            kernel_time_ns: None,
        };
        // A single datagram before the first drop, without timestamps, brings none.
        for control in controls(&self.controls[index].0[..control_bytes.min(RECV_CONTROL_BYTES)]) {
            match (control.level, control.kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = control.word(0).unwrap_or_default() as usize;
                    slot.segment_bytes = if segment == 0 { bytes.max(1) } else { segment };
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = control.long(0).zip(control.long(8));
                    slot.kernel_time_ns =
                        time.map(|(seconds, nanoseconds)| seconds * 1_000_000_000 + nanoseconds);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => self.drops = control.word(0).or(self.drops),
                _ => {}
            }
        }
        self.slots[index] = slot;
        slot.datagrams()
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("slots", &self.slots.len())
            .field("slot_bytes", &self.slot_bytes)
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

/// Sets the lengths of what a header points at to all there is; the kernel lowers them to what it used.
fn offer(header: &mut libc::msghdr) {
    header.msg_namelen = RawAddress::BYTES as libc::socklen_t;
    header.msg_controllen = RECV_CONTROL_BYTES as _;
    header.msg_flags = 0;
}

/// Distance between slots: an odd number of cache lines, so that the starts of neighbouring slots, which are all that
/// short datagrams use, fall into different cache sets and not all into one as they would 64 KiB apart.
const fn stride_bytes(slot_bytes: usize) -> usize {
    (slot_bytes.div_ceil(CACHE_LINE_BYTES) | 1) * CACHE_LINE_BYTES
}

/// Errors that say something about an earlier datagram, not about this receive (icmp_err_convert in
/// net/ipv4/icmp.c, tab_unreach in net/ipv6/icmp.c).
fn is_pending_error(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EMSGSIZE
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::EOPNOTSUPP
            | libc::EACCES
    )
}
