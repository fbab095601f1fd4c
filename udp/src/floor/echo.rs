//! A server that answers every request with so many bytes: what any server over sockets pays at least.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use socket2::SockRef;

use super::{Incoming, empty_header, socket, stride};
use crate::limits::{MESSAGE_BYTES_MAX, SEGMENTS_PER_SEND_MAX};
use crate::{Socket, sockopt};

/// What is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerShape {
    /// Length of every request.
    pub request_bytes: usize,
    /// Requests in one UDP_SEGMENT train at most; above 1 they are received with UDP_GRO.
    pub train: usize,
    /// Bytes of all datagrams that answer one request.
    pub answer_bytes: usize,
    /// Length of each of those datagrams but the last.
    pub segment_bytes: usize,
}

/// Bytes of a request that come back at the start of each datagram of its answer, so that the driver knows which one it was: a
/// header of the protocols compared.
const STAMP_BYTES: usize = 16;

/// Requests or trains one system call receives.
const SLOTS: usize = 64;

/// The server. Answers to one train leave as few trains as they fit; nothing else is merged.
pub struct Echo {
    shape: AnswerShape,
    socket: Socket,
    incoming: Incoming,
    /// What is sent, of each slot: filled once, and stamped for each answer.
    answers: Box<[u8]>,
    stride: usize,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl AnswerShape {
    /// Datagrams that answer one request.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.answer_bytes.div_ceil(self.segment_bytes)
    }

    /// Bytes of one send, of all that answers a train. The kernel cuts a send at every segment_bytes: only answers of whole
    /// segments can share one.
    fn send_bytes(&self) -> usize {
        let most = (MESSAGE_BYTES_MAX / self.segment_bytes).min(SEGMENTS_PER_SEND_MAX) * self.segment_bytes;
        if most < self.answer_bytes {
            return most;
        }
        let shared =
            if self.answer_bytes.is_multiple_of(self.segment_bytes) { most / self.answer_bytes } else { 1 };
        shared.min(self.train) * self.answer_bytes
    }

    /// Sends that answer one train.
    fn sends(&self) -> usize {
        if self.send_bytes() < self.answer_bytes {
            self.train * self.answer_bytes.div_ceil(self.send_bytes())
        } else {
            (self.train * self.answer_bytes).div_ceil(self.send_bytes())
        }
    }
}

impl Echo {
    /// Binds a port of loopback and takes all memory.
    ///
    /// # Errors
    /// Whatever the kernel says.
    ///
    /// # Panics
    /// If a datagram is too long to be one, or too short to be known by its first bytes, or a train of requests is longer than 64.
    pub fn bind(shape: AnswerShape) -> io::Result<Self> {
        assert!(shape.request_bytes >= STAMP_BYTES && (1..=64).contains(&shape.train));
        assert!(shape.segment_bytes <= MESSAGE_BYTES_MAX && shape.segment_bytes <= shape.answer_bytes);
        let last = shape.answer_bytes - (shape.segments() - 1) * shape.segment_bytes;
        assert!(last >= STAMP_BYTES);
        let socket = socket(shape.train > 1)?;
        SockRef::from(&socket).set_nonblocking(false)?;
        if shape.send_bytes() > shape.segment_bytes {
            sockopt::set_int(&socket, libc::SOL_UDP, libc::UDP_SEGMENT, shape.segment_bytes as libc::c_int)?;
        }
        let stride = stride(shape.answer_bytes * shape.train);
        let messages = SLOTS * shape.sends();
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut iovecs: Box<[_]> = vec![iovec; messages].into();
        let mut headers: Box<[_]> = (0..messages).map(|_| empty_header()).collect();
        for (header, iovec) in headers.iter_mut().zip(&mut iovecs) {
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        Ok(Echo {
            shape,
            incoming: Incoming::with_sources(SLOTS, shape.request_bytes * shape.train),
            answers: vec![b'v'; SLOTS * stride].into(),
            stride,
            iovecs,
            headers,
            socket,
        })
    }

    /// Where requests are to be sent.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers one batch of requests.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn turn(&mut self) -> io::Result<()> {
        let slots = self.incoming.recv(&self.socket)?;
        let mut messages = 0;
        for slot in 0..slots {
            messages += self.answer(slot, messages);
        }
        self.send(messages)
    }

    /// Stamps the answers to a slot and wires the messages that carry them, from the one at `first`; returns how many.
    #[inline]
    fn answer(&mut self, slot: usize, first: usize) -> usize {
        let AnswerShape { request_bytes, answer_bytes, segment_bytes, .. } = self.shape;
        let requests = self.incoming.bytes(slot).chunks_exact(request_bytes);
        let count = requests.len();
        let answers = &mut self.answers[slot * self.stride..][..self.stride];
        for (answer, request) in answers.chunks_exact_mut(answer_bytes).zip(requests) {
            for segment in answer.chunks_mut(segment_bytes) {
                segment[..STAMP_BYTES].copy_from_slice(&request[..STAMP_BYTES]);
            }
        }
        let send_bytes = self.shape.send_bytes();
        // One piece, unless an answer is longer than a send: then no send may reach into the next answer.
        let piece_bytes =
            if send_bytes < answer_bytes { answer_bytes } else { (count * answer_bytes).max(1) };
        let mut messages = 0;
        for piece in answers[..count * answer_bytes].chunks_mut(piece_bytes) {
            for message in piece.chunks_mut(send_bytes) {
                let at = first + messages;
                self.iovecs[at] =
                    libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
                self.headers[at].msg_hdr.msg_name = self.incoming.name(slot).cast();
                messages += 1;
            }
        }
        messages
    }

    fn send(&mut self, messages: usize) -> io::Result<()> {
        let mut sent = 0;
        while sent < messages {
            let waiting = &mut self.headers[sent..messages];
            // SAFETY: these headers were wired by `answer` to slices of this value's own answers and names, and live through the call.
            let result = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    waiting.as_mut_ptr(),
                    waiting.len() as libc::c_uint,
                    0,
                )
            };
            if result < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            sent += result.max(0) as usize;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Echo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Echo").field("shape", &self.shape).finish_non_exhaustive()
    }
}
