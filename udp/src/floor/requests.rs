//! Sending prebuilt requests with nothing beside sendmmsg(2).

use std::io;
use std::os::fd::AsRawFd;

use super::empty_header;
use crate::limits::{MESSAGE_BYTES_MAX, SEGMENTS_PER_SEND_MAX};
use crate::{Socket, sockopt};

/// Requests of one length, sent in their order, round and round, over a connected socket.
pub struct Requests {
    bytes: Box<[u8]>,
    message_bytes: usize,
    train: usize,
    /// The next message to send, in messages.
    next: usize,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

// SAFETY: the raw pointers point into this value's own boxes, which nothing else refers to and which never move.
unsafe impl Send for Requests {}

impl Requests {
    /// Requests of `request_bytes` bytes each, one behind the other in `bytes`, `train` of them in one UDP_SEGMENT send; `batch`
    /// sends in one system call at most. The segment size is an option of the socket, set here once.
    ///
    /// # Errors
    /// The kernel does not cut trains.
    ///
    /// # Panics
    /// If the requests do not make whole trains, or a train is longer than one send takes.
    pub fn new(
        socket: &Socket,
        bytes: Vec<u8>,
        request_bytes: usize,
        train: usize,
        batch: usize,
    ) -> io::Result<Self> {
        let message_bytes = request_bytes * train;
        assert!((1..=SEGMENTS_PER_SEND_MAX).contains(&train) && message_bytes <= MESSAGE_BYTES_MAX);
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(message_bytes));
        let segment = if train > 1 { request_bytes } else { 0 };
        sockopt::set_int(socket, libc::SOL_UDP, libc::UDP_SEGMENT, segment as libc::c_int)?;
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: message_bytes };
        let mut iovecs: Box<[_]> = vec![iovec; batch].into();
        let mut headers: Box<[_]> = (0..batch).map(|_| empty_header()).collect();
        for (header, iovec) in headers.iter_mut().zip(&mut iovecs) {
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
        }
        Ok(Requests { bytes: bytes.into(), message_bytes, train, next: 0, iovecs, headers })
    }

    /// How many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages() * self.train
    }

    /// Never: [`Requests::new`] refuses none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Requests in one send.
    #[must_use]
    pub fn train(&self) -> usize {
        self.train
    }

    /// Index of the request that is sent next.
    #[must_use]
    pub fn next(&self) -> usize {
        self.next * self.train
    }

    /// Sends the next trains, at most so many; returns how many the kernel took.
    ///
    /// # Errors
    /// Whatever the kernel says; a full send buffer is no error.
    #[inline]
    pub fn send(&mut self, socket: &Socket, trains: usize) -> io::Result<usize> {
        let trains = trains.min(self.headers.len()).min(self.messages() - self.next);
        for (index, iovec) in self.iovecs[..trains].iter_mut().enumerate() {
            let at = (self.next + index) * self.message_bytes;
            iovec.iov_base = self.bytes[at..][..self.message_bytes].as_mut_ptr().cast();
        }
        // SAFETY: the first `trains` headers point to slices of this value's own bytes, and live through the call.
        let sent = unsafe {
            libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), trains as libc::c_uint, 0)
        };
        if sent < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        self.next = (self.next + sent as usize) % self.messages();
        Ok(sent as usize)
    }

    fn messages(&self) -> usize {
        self.bytes.len() / self.message_bytes
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests")
            .field("requests", &self.len())
            .field("train", &self.train)
            .finish_non_exhaustive()
    }
}
