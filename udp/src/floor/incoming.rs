//! Receiving with nothing beside recvmmsg(2).

use std::io;
use std::os::fd::AsRawFd;

use super::{empty_header, stride};
use crate::Socket;
use crate::limits::MESSAGES_PER_CALL_MAX;

/// Slots for datagrams or trains, wired once.
pub struct Incoming {
    buffers: Box<[u8]>,
    stride: usize,
    slot_bytes: usize,
    names: Box<[libc::sockaddr_in]>,
    controls: Box<[Control]>,
    _iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    filled: usize,
}

/// One control message of an int, as UDP_GRO brings it: header of 16 B, then the segment's size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

const CONTROL_BYTES: usize = 24;
const SEGMENT_AT: usize = size_of::<libc::cmsghdr>();

// SAFETY: the raw pointers point into this value's own boxes, which nothing else refers to and which never move.
unsafe impl Send for Incoming {}

impl Incoming {
    /// For a server: notes who sent each datagram; trains are taken apart by the request's known length.
    ///
    /// # Panics
    /// If `slots` is not 1 to 1024 or `slot_bytes` is 0.
    #[must_use]
    pub fn with_sources(slots: usize, slot_bytes: usize) -> Self {
        let mut incoming = Self::new(slots, slot_bytes);
        for (header, name) in incoming.headers.iter_mut().zip(&mut incoming.names) {
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            // An IPv4 socket writes the same length back, so this is never set again.
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        incoming
    }

    /// For a client of one server: notes the segment size of each train.
    ///
    /// # Panics
    /// As [`Incoming::with_sources`].
    #[must_use]
    pub fn with_segments(slots: usize, slot_bytes: usize) -> Self {
        let mut incoming = Self::new(slots, slot_bytes);
        for (header, control) in incoming.headers.iter_mut().zip(&mut incoming.controls) {
            header.msg_hdr.msg_control = (&raw mut *control).cast();
            header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        }
        incoming
    }

    fn new(slots: usize, slot_bytes: usize) -> Self {
        assert!((1..=MESSAGES_PER_CALL_MAX).contains(&slots) && slot_bytes > 0);
        let stride = stride(slot_bytes);
        let mut buffers: Box<[u8]> = vec![0; slots * stride].into();
        let mut iovecs: Box<[_]> = buffers
            .chunks_exact_mut(stride)
            .map(|slot| libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot_bytes })
            .collect();
        let mut headers: Box<[_]> = (0..slots).map(|_| empty_header()).collect();
        for (header, iovec) in headers.iter_mut().zip(&mut iovecs) {
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: all zeroes is a valid sockaddr_in.
        let name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        Incoming {
            buffers,
            stride,
            slot_bytes,
            names: vec![name; slots].into(),
            controls: vec![Control([0; CONTROL_BYTES]); slots].into(),
            _iovecs: iovecs,
            headers,
            filled: 0,
        }
    }

    /// Waits for a datagram on a blocking socket, takes it and what else is there; on a non-blocking one takes what is there,
    /// maybe nothing. Returns the slots filled.
    ///
    /// # Errors
    /// Whatever the kernel says; an empty socket and a signal are no errors.
    #[inline]
    pub fn recv(&mut self, socket: &Socket) -> io::Result<usize> {
        let controls = !self.headers[0].msg_hdr.msg_control.is_null();
        if controls {
            for header in &mut self.headers[..self.filled] {
                header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            }
        }
        // SAFETY: the headers point to this value's own names, controls and slots with their true lengths, and live through the call.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as libc::c_uint,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        self.filled = result.max(0) as usize;
        if result < 0 {
            let error = io::Error::last_os_error();
            if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                return Err(error);
            }
        }
        Ok(self.filled)
    }

    /// The bytes in a filled slot.
    #[inline]
    #[must_use]
    pub fn bytes(&self, slot: usize) -> &[u8] {
        let length = (self.headers[slot].msg_len as usize).min(self.slot_bytes);
        &self.buffers[slot * self.stride..][..length]
    }

    /// Gives `sink` each datagram of the last receive, trains taken apart.
    #[inline]
    pub fn each(&self, mut sink: impl FnMut(&[u8])) {
        for slot in 0..self.filled {
            let bytes = self.bytes(slot);
            let segment = self.segment_bytes(slot).unwrap_or(bytes.len()).max(1);
            bytes.chunks(segment).for_each(&mut sink);
        }
    }

    /// Length of each datagram of a train but the last.
    #[inline]
    fn segment_bytes(&self, slot: usize) -> Option<usize> {
        let header = &self.headers[slot].msg_hdr;
        // UDP_GRO is the only control message these sockets ask for.
        let control_bytes: usize = header.msg_controllen as _;
        if header.msg_control.is_null() || control_bytes < SEGMENT_AT + 4 {
            return None;
        }
        let segment = self.controls[slot].0[SEGMENT_AT..].first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*segment) as usize)
    }

    /// Where the sender of a filled slot is noted, for answering it.
    pub(super) fn name(&mut self, slot: usize) -> *mut libc::sockaddr_in {
        &raw mut self.names[slot]
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("slots", &self.headers.len()).finish_non_exhaustive()
    }
}
