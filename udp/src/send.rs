//! Sending in batches: sendmmsg(2) from memory taken once, trains of datagrams by UDP_SEGMENT.

mod queue;
mod transmit;

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;

pub use self::queue::MessageError;
use self::queue::Queue;
use self::transmit::Transmission;
use crate::error_queue::SocketError;
use crate::socket::Socket;

/// Memory for sending many datagrams with few system calls.
pub struct SendBatch {
    queue: Queue,
    /// Where a message is cut that the kernel will not cut.
    pieces: Queue,
    arena: Box<[u8]>,
}

// SAFETY: the raw pointers in the queues point into this batch's own boxes, or at slices that an Outgoing borrows; they
// are followed only by Outgoing::send, while that borrow lives.
unsafe impl Send for SendBatch {}
// SAFETY: nothing is reachable through a shared reference.
unsafe impl Sync for SendBatch {}

/// A batch being filled. Each message is begun, given its bytes by [`Outgoing::copy`], [`Outgoing::write`] and
/// [`Outgoing::borrow`], and ended; then all are sent. `'d` is the life of the borrowed slices.
#[derive(Debug)]
pub struct Outgoing<'b, 'd> {
    batch: &'b mut SendBatch,
    /// Start of the arena. All writes go through it, so that slices already handed to the queue stay valid.
    arena: *mut u8,
    arena_used: usize,
    open: bool,
    /// The open message's last slice ends where the arena's free part begins.
    last_in_arena: bool,
    borrowed: PhantomData<&'d [u8]>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendCounts {
    /// Messages handed to the kernel whole.
    pub messages: u64,
    /// Datagrams handed to the kernel.
    pub datagrams: u64,
    /// Payload bytes handed to the kernel.
    pub bytes: u64,
    /// System calls that sent or waited.
    pub system_calls: u64,
    /// Messages tried a second time after an error.
    pub retried: u64,
    /// Messages not sent, or not whole; each was reported.
    pub failed: u64,
    /// Entries taken off the error queue on the way.
    pub errors_drained: u64,
}

impl SendBatch {
    /// Takes the memory for `messages` messages of `slices` slices in all, with `arena_bytes` bytes for what is
    /// copied.
    ///
    /// # Panics
    /// If `messages` or `slices` is 0.
    #[must_use]
    pub fn new(messages: usize, slices: usize, arena_bytes: usize) -> Self {
        assert!(
            messages > 0 && slices > 0,
            "send batch of {messages} messages and {slices} slices; at least 1 each"
        );
        SendBatch {
            queue: Queue::new(messages, slices),
            pieces: transmit::pieces(slices),
            arena: vec![0; arena_bytes].into(),
        }
    }

    /// Empties the batch and begins to fill it.
    #[must_use]
    pub fn fill<'d>(&mut self) -> Outgoing<'_, 'd> {
        self.queue.clear();
        let arena = self.arena.as_mut_ptr();
        Outgoing {
            batch: self,
            arena,
            arena_used: 0,
            open: false,
            last_in_arena: false,
            borrowed: PhantomData,
        }
    }
}

impl<'d> Outgoing<'_, 'd> {
    /// Begins a message to `to`; false when the batch is full of messages. A message begun and not ended is
    /// forgotten.
    #[must_use]
    pub fn begin(&mut self, to: SocketAddr) -> bool {
        self.open = !self.batch.queue.is_full();
        self.last_in_arena = false;
        if self.open {
            self.batch.queue.begin(to);
        }
        self.open
    }

    /// As [`Outgoing::begin`], to the peer the socket is connected to: the kernel uses the route it keeps with the socket then,
    /// where an address makes it look one up for each message.
    #[must_use]
    pub fn begin_connected(&mut self) -> bool {
        self.open = !self.batch.queue.is_full();
        self.last_in_arena = false;
        if self.open {
            self.batch.queue.begin_connected();
        }
        self.open
    }

    /// Whether `slices` more slices and `arena_bytes` more copied bytes fit. Each [`Outgoing::borrow`] takes a slice;
    /// [`Outgoing::copy`] and [`Outgoing::write`] take one unless they follow another copy in the same message.
    #[must_use]
    pub fn has_room(&self, slices: usize, arena_bytes: usize) -> bool {
        slices <= self.batch.queue.slices_left() && arena_bytes <= self.batch.arena.len() - self.arena_used
    }

    /// Adds a copy of `bytes` to the message.
    ///
    /// # Panics
    /// If no message has begun or there is no room; ask [`Outgoing::has_room`] first.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.write(bytes.len()).copy_from_slice(bytes);
    }

    /// Adds `len` bytes to the message and lends them, so that they can be written where they are sent from. They hold
    /// whatever was there before.
    ///
    /// # Panics
    /// If no message has begun or there is no room; ask [`Outgoing::has_room`] first.
    #[inline]
    pub fn write(&mut self, len: usize) -> &mut [u8] {
        assert!(self.open, "bytes for a message that has not begun");
        let room = self.batch.arena.len() - self.arena_used;
        assert!(len <= room, "{len} bytes to copy, but room for {room}");
        let start = self.arena.wrapping_add(self.arena_used);
        if len > 0 {
            self.arena_used += len;
            if self.last_in_arena {
                self.batch.queue.extend_last(len);
            } else {
                self.batch.queue.push(start, len);
                self.last_in_arena = true;
            }
        }
        // SAFETY: the assertion keeps start + len inside the arena, which this value borrows alone and whose bytes are
        // initialised; no two calls lend the same bytes, and the kernel reads them only in Outgoing::send, which ends
        // the loan by taking self.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// Adds `bytes` to the message without copying: the kernel reads them at the send.
    ///
    /// # Panics
    /// If no message has begun or there is no room; ask [`Outgoing::has_room`] first.
    pub fn borrow(&mut self, bytes: &'d [u8]) {
        assert!(self.open, "bytes for a message that has not begun");
        if !bytes.is_empty() {
            self.batch.queue.push(bytes.as_ptr(), bytes.len());
            self.last_in_arena = false;
        }
    }

    /// Ends the message. With `segment_bytes` 0 it is one datagram; otherwise it is cut into datagrams of that many
    /// bytes, the last one shorter if they do not divide it. The kernel cuts them (UDP_SEGMENT), or where it cannot,
    /// [`Outgoing::send`] does.
    ///
    /// # Errors
    /// More bytes, segments or slices than one message may have ([`limits`](crate::limits)); the message is out.
    ///
    /// # Panics
    /// If no message has begun.
    pub fn end(&mut self, segment_bytes: usize) -> Result<(), MessageError> {
        assert!(self.open, "end of a message that has not begun");
        self.open = false;
        self.batch.queue.end(segment_bytes)
    }

    /// Messages ended so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.queue.len()
    }

    /// Whether no message has been ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends every message. None costs another its send:
    ///
    /// - A message that fails is tried once more after the error queue was emptied, because the error may be that of
    ///   an earlier datagram to somebody else; if it fails again, `report` gets its index and the error.
    /// - A full send buffer is waited for, [`SEND_WAIT_NS_MAX`](crate::limits::SEND_WAIT_NS_MAX) in all; after that
    ///   each message that finds it full is reported with EAGAIN (WouldBlock). A full queue of the network device is
    ///   ENOBUFS, if the socket has its error queue on; otherwise the kernel calls it success.
    /// - A train the kernel does not cut (EIO; EINVAL with more than 64 segments) is sent in pieces, and the socket
    ///   remembers. A segment above the path MTU is reported as EMSGSIZE (EINVAL on older kernels).
    ///
    /// # Errors
    /// Only what makes sending on this socket pointless altogether.
    pub fn send(self, socket: &Socket, report: &mut impl FnMut(usize, io::Error)) -> io::Result<SendCounts> {
        self.send_and_see(socket, report, &mut |_| ())
    }

    /// As [`Outgoing::send`], and gives `met` each entry that was taken off the error queue on the way, whichever datagram
    /// it is about: for sockets whose ICMP errors are of use.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub fn send_and_see(
        self,
        socket: &Socket,
        report: &mut impl FnMut(usize, io::Error),
        met: &mut impl FnMut(SocketError),
    ) -> io::Result<SendCounts> {
        Transmission::new(socket, met).run(&mut self.batch.queue, &mut self.batch.pieces, report)
    }
}

impl std::fmt::Debug for SendBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendBatch")
            .field("messages", &self.queue.len())
            .field("arena_bytes", &self.arena.len())
            .finish_non_exhaustive()
    }
}
