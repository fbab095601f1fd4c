//! Messages ready for sendmmsg(2): headers, slices, addresses and control messages in memory taken once.

use std::net::SocketAddr;

use crate::address::RawAddress;
use crate::cmsg::SegmentControl;
use crate::limits::{MESSAGE_BYTES_MAX, SEGMENTS_PER_SEND_MAX, SLICES_PER_MESSAGE_MAX};

/// Why a message cannot be sent. It has been taken out of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// More payload than one message carries.
    #[error(
        "message of {bytes} bytes; at most {MESSAGE_BYTES_MAX} can be sent at once, use several messages"
    )]
    Bytes {
        /// Bytes the message had.
        bytes: usize,
    },
    /// More segments than the kernel cuts.
    #[error(
        "message of {segments} segments; at most {SEGMENTS_PER_SEND_MAX} can be sent at once, use several messages"
    )]
    Segments {
        /// Segments it would have been cut into.
        segments: usize,
    },
    /// More slices than the kernel gathers.
    #[error(
        "message of {slices} slices; at most {SLICES_PER_MESSAGE_MAX} can be sent at once, copy the small ones"
    )]
    Slices {
        /// Slices the message had.
        slices: usize,
    },
}

/// What one message consists of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message {
    pub(super) first_slice: usize,
    pub(super) slices: usize,
    pub(super) bytes: usize,
    /// Length of each datagram but the last; 0 if there is only one.
    pub(super) segment_bytes: usize,
    pub(super) datagrams: usize,
    pub(super) name_bytes: libc::socklen_t,
}

pub(super) struct Queue {
    headers: Box<[libc::mmsghdr]>,
    names: Box<[RawAddress]>,
    controls: Box<[SegmentControl]>,
    iovecs: Box<[libc::iovec]>,
    messages: Box<[Message]>,
    /// Messages that are complete; the one after them may be open.
    len: usize,
    slices: usize,
}

impl Queue {
    pub(super) fn new(messages: usize, slices: usize) -> Self {
        // SAFETY: all zeroes is a valid mmsghdr: no name, no slices, no control.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Queue {
            headers: vec![header; messages].into(),
            names: vec![RawAddress::EMPTY; messages].into(),
            controls: vec![SegmentControl::new(0); messages].into(),
            iovecs: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; slices].into(),
            messages: vec![Message::default(); messages].into(),
            len: 0,
            slices: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.slices = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.messages.len()
    }

    pub(super) fn slices_left(&self) -> usize {
        self.iovecs.len() - self.slices
    }

    pub(super) fn message(&self, index: usize) -> Message {
        self.messages[index]
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages[..self.len]
    }

    pub(super) fn slices_of(&self, message: Message) -> &[libc::iovec] {
        &self.iovecs[message.first_slice..message.first_slice + message.slices]
    }

    /// Opens a message to `to`; the queue is not full. An open one that was never ended is forgotten.
    pub(super) fn begin(&mut self, to: SocketAddr) {
        let name_bytes = self.names[self.len].set(to);
        self.open(name_bytes);
    }

    /// Opens a message without an address.
    pub(super) fn begin_connected(&mut self) {
        self.open(0);
    }

    /// Opens a message to where message `index` of `other` goes.
    pub(super) fn begin_like(&mut self, other: &Queue, index: usize) {
        self.names[self.len] = other.names[index];
        self.open(other.messages[index].name_bytes);
    }

    fn open(&mut self, name_bytes: libc::socklen_t) {
        self.slices = self.messages[..self.len].last().map_or(0, |last| last.first_slice + last.slices);
        self.messages[self.len] = Message { first_slice: self.slices, name_bytes, ..Message::default() };
    }

    /// Adds a slice to the open message.
    pub(super) fn push(&mut self, bytes: *const u8, len: usize) {
        self.iovecs[self.slices] = libc::iovec { iov_base: bytes.cast_mut().cast(), iov_len: len };
        self.slices += 1;
        let open = &mut self.messages[self.len];
        open.slices += 1;
        open.bytes += len;
    }

    /// Makes the last slice of the open message longer.
    pub(super) fn extend_last(&mut self, len: usize) {
        self.iovecs[self.slices - 1].iov_len += len;
        self.messages[self.len].bytes += len;
    }

    /// Completes the open message, to be cut into datagrams of `segment_bytes` (0: one datagram).
    pub(super) fn end(&mut self, segment_bytes: usize) -> Result<(), MessageError> {
        let open = &mut self.messages[self.len];
        let cut = segment_bytes != 0 && segment_bytes < open.bytes;
        open.segment_bytes = if cut { segment_bytes } else { 0 };
        open.datagrams = if cut { open.bytes.div_ceil(segment_bytes) } else { 1 };
        if open.bytes > MESSAGE_BYTES_MAX {
            return Err(MessageError::Bytes { bytes: open.bytes });
        }
        if open.datagrams > SEGMENTS_PER_SEND_MAX {
            return Err(MessageError::Segments { segments: open.datagrams });
        }
        if open.slices > SLICES_PER_MESSAGE_MAX {
            return Err(MessageError::Slices { slices: open.slices });
        }
        // Fits u16: shorter than MESSAGE_BYTES_MAX.
        self.controls[self.len] = SegmentControl::new(open.segment_bytes as u16);
        self.len += 1;
        Ok(())
    }

    /// Points the headers of `range` at what they describe and returns them. The pointers hold until the queue is
    /// changed.
    pub(super) fn wire(&mut self, range: std::ops::Range<usize>) -> (&mut [libc::mmsghdr], &[Message]) {
        let names = self.names.as_mut_ptr();
        let controls = self.controls.as_mut_ptr();
        let iovecs = self.iovecs.as_mut_ptr();
        for index in range.clone() {
            let message = self.messages[index];
            self.headers[index].msg_len = 0;
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = match message.name_bytes {
                0 => std::ptr::null_mut(),
                _ => names.wrapping_add(index).cast(),
            };
            header.msg_namelen = message.name_bytes;
            header.msg_iov = iovecs.wrapping_add(message.first_slice);
            header.msg_iovlen = message.slices as _;
            if message.segment_bytes == 0 {
                header.msg_control = std::ptr::null_mut();
                header.msg_controllen = 0;
            } else {
                header.msg_control = controls.wrapping_add(index).cast();
                header.msg_controllen = SegmentControl::BYTES as _;
            }
        }
        (&mut self.headers[range.clone()], &self.messages[range])
    }
}
