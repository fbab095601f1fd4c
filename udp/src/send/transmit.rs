//! The sendmmsg(2) loop: what happens to each message when the kernel refuses one.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::SendCounts;
use super::queue::{Message, Queue};
use crate::clock::monotonic_ns;
use crate::error_queue::SocketError;
use crate::limits::{
    MESSAGES_PER_CALL_MAX, SEGMENTS_PER_SEND_MAX, SEGMENTS_PER_SEND_OLD_MAX, SEND_WAIT_NS_MAX,
};
use crate::socket::Socket;

/// Room `split` needs: a piece a segment, and each cut between pieces may add a slice.
pub(super) fn pieces(slices: usize) -> Queue {
    Queue::new(SEGMENTS_PER_SEND_MAX, slices + SEGMENTS_PER_SEND_MAX)
}

/// One send on its way.
pub(super) struct Transmission<'s> {
    socket: &'s Socket,
    counts: SendCounts,
    /// What is left of [`SEND_WAIT_NS_MAX`].
    wait_ns: u64,
    /// Gets what is found in the error queue.
    met: &'s mut dyn FnMut(SocketError),
}

impl<'s> Transmission<'s> {
    pub(super) fn new(socket: &'s Socket, met: &'s mut dyn FnMut(SocketError)) -> Self {
        Transmission { socket, counts: SendCounts::default(), wait_ns: SEND_WAIT_NS_MAX, met }
    }

    /// Sends every message of `queue`, in pieces those with more segments than the socket takes.
    pub(super) fn run(
        mut self,
        queue: &mut Queue,
        pieces: &mut Queue,
        report: &mut impl FnMut(usize, io::Error),
    ) -> io::Result<SendCounts> {
        let mut next = 0;
        while next < queue.len() {
            let segments_max = self.socket.segments_max();
            let whole = queue.messages()[next..]
                .iter()
                .take_while(|message| message.datagrams <= segments_max)
                .count();
            if whole == 0 {
                self.send_in_pieces(queue, next, pieces, report)?;
                next += 1;
                continue;
            }
            let failed_before = self.counts.failed;
            let done =
                self.pass(queue, next..next + whole, &mut |index, error| report(next + index, error))?;
            self.counts.messages += done as u64 - (self.counts.failed - failed_before);
            next += done;
        }
        Ok(self.counts)
    }

    /// Sends message `index` of `queue` as several messages, each of as many segments as the socket takes. It counts
    /// as failed, with the first error, if any of them fails.
    fn send_in_pieces(
        &mut self,
        queue: &Queue,
        index: usize,
        pieces: &mut Queue,
        report: &mut impl FnMut(usize, io::Error),
    ) -> io::Result<()> {
        let failed_before = self.counts.failed;
        let mut first_error = None;
        let mut datagrams_done = 0;
        while datagrams_done < queue.message(index).datagrams {
            cut(queue, index, datagrams_done, pieces, self.socket.segments_max());
            let done = self.pass(pieces, 0..pieces.len(), &mut |_, error| {
                first_error.get_or_insert(error);
            })?;
            datagrams_done += pieces.messages()[..done].iter().map(|piece| piece.datagrams).sum::<usize>();
        }
        self.counts.failed = failed_before;
        match first_error {
            Some(error) => {
                self.counts.failed += 1;
                report(index, error);
            }
            None => self.counts.messages += 1,
        }
        Ok(())
    }

    /// Sends `range` of `queue` and returns how many of its messages are done with, sent or failed. It ends early
    /// only when the kernel refused a train for its segments; the socket's limit is lower then.
    ///
    /// `sendmmsg` reports an error only for the first message it tries. Where it stops later it keeps the error to
    /// itself, so the message it stopped at has failed once without anybody knowing why.
    fn pass(
        &mut self,
        queue: &mut Queue,
        range: Range<usize>,
        failed: &mut impl FnMut(usize, io::Error),
    ) -> io::Result<usize> {
        let (headers, messages) = queue.wire(range);
        let mut next = 0;
        let mut tried = false;
        while next < headers.len() {
            let end = headers.len().min(next + MESSAGES_PER_CALL_MAX);
            let error = match self.sendmmsg(&mut headers[next..end]) {
                Ok(sent) => {
                    self.counts.retried += u64::from(tried);
                    self.count(&headers[next..next + sent], &messages[next..next + sent]);
                    next += sent;
                    tried = next < end;
                    if tried {
                        self.drain()?;
                    }
                    continue;
                }
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => return Err(error),
                Some(libc::EAGAIN) if self.wait_for_room()? => {
                    // A full buffer says nothing about the message: it keeps its retry.
                    tried = false;
                    continue;
                }
                Some(libc::EAGAIN) => {}
                Some(errno) if self.lower_segments(errno, messages[next]) => return Ok(next),
                _ if !tried => {
                    self.drain()?;
                    tried = true;
                    continue;
                }
                _ => self.counts.retried += 1,
            }
            self.counts.failed += 1;
            failed(next, error);
            next += 1;
            tried = false;
        }
        Ok(next)
    }

    fn sendmmsg(&mut self, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
        self.counts.system_calls += 1;
        // SAFETY: wire() has pointed the headers at the queue's own memory, at the arena of the batch and at slices
        // that Outgoing keeps borrowed until the send is over; the kernel reads them and writes msg_len only.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
    }

    fn count(&mut self, headers: &[libc::mmsghdr], messages: &[Message]) {
        for (header, message) in headers.iter().zip(messages) {
            self.counts.bytes += u64::from(header.msg_len);
            self.counts.datagrams += message.datagrams as u64;
        }
    }

    /// Clears what another message left behind, so that it does not cost this one its send.
    fn drain(&mut self) -> io::Result<()> {
        let drained = self.socket.drain_errors(&mut self.met)?;
        self.counts.errors_drained += drained as u64;
        Ok(())
    }

    /// Waits for room in the send buffer; false when the time for that is used up.
    fn wait_for_room(&mut self) -> io::Result<bool> {
        let start = monotonic_ns();
        let mut waited = 0;
        while waited < self.wait_ns {
            self.counts.system_calls += 1;
            let ready = self.socket.wait(false, true, Duration::from_nanos(self.wait_ns - waited))?;
            waited = monotonic_ns() - start;
            if ready.error {
                // The wait would return at once for as long as the queue holds something.
                self.drain()?;
            }
            if ready.writable {
                self.wait_ns = self.wait_ns.saturating_sub(waited);
                return Ok(true);
            }
        }
        self.wait_ns = 0;
        Ok(false)
    }

    /// Whether `errno` says that the kernel does not cut `message`, and if so lowers the socket's limit: EIO where
    /// checksums of segments cannot be computed (`udp_send_skb`, net/ipv4/udp.c), EINVAL for more than the 64 segments
    /// older kernels take.
    fn lower_segments(&self, errno: i32, message: Message) -> bool {
        let limit = match errno {
            libc::EIO if message.datagrams > 1 => 1,
            libc::EINVAL if message.datagrams > SEGMENTS_PER_SEND_OLD_MAX => SEGMENTS_PER_SEND_OLD_MAX,
            _ => return false,
        };
        self.socket.limit_segments(limit);
        true
    }
}

/// Fills `pieces` with the datagrams of message `index` from number `first_datagram` on, `segments_max` a piece.
fn cut(queue: &Queue, index: usize, first_datagram: usize, pieces: &mut Queue, segments_max: usize) {
    let message = queue.message(index);
    let piece_bytes = message.segment_bytes * segments_max;
    let mut skip = message.segment_bytes * first_datagram;
    let mut bytes_left = message.bytes - skip;
    let mut room = 0;
    pieces.clear();
    for slice in queue.slices_of(message) {
        let skipped = skip.min(slice.iov_len);
        skip -= skipped;
        let mut start = slice.iov_base.cast::<u8>().cast_const().wrapping_add(skipped);
        let mut left = slice.iov_len - skipped;
        while left > 0 {
            if room == 0 {
                pieces.begin_like(queue, index);
                room = piece_bytes;
            }
            let len = left.min(room);
            pieces.push(start, len);
            start = start.wrapping_add(len);
            left -= len;
            room -= len;
            bytes_left -= len;
            if room == 0 || bytes_left == 0 {
                // Cannot fail: a piece is shorter than the message, whose end() has been checked.
                let ended = pieces.end(message.segment_bytes);
                debug_assert_eq!(ended, Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketOptions;
    use crate::sockopt;
    use proptest::prelude::*;

    fn bytes_of(queue: &Queue, message: Message) -> Vec<u8> {
        let slices = queue.slices_of(message).iter();
        // SAFETY: the slices point into data the tests keep alive.
        slices
            .flat_map(|s| unsafe { std::slice::from_raw_parts(s.iov_base.cast::<u8>(), s.iov_len) }.to_vec())
            .collect()
    }

    proptest! {
        #[test]
        fn pieces_are_the_rest_of_the_message(
            lens in prop::collection::vec(1usize..400, 1..20),
            segment_bytes in 1usize..300,
            first: prop::sample::Index,
            segments_max in 1usize..129,
        ) {
            let data: Vec<u8> = (0..lens.iter().sum::<usize>()).map(|at| at as u8).collect();
            let mut queue = Queue::new(1, lens.len());
            queue.begin("127.0.0.1:9".parse().unwrap());
            let mut at = 0;
            for &len in &lens {
                queue.push(data[at..].as_ptr(), len);
                at += len;
            }
            prop_assume!(segment_bytes < data.len() && queue.end(segment_bytes).is_ok());
            let datagrams = queue.message(0).datagrams;
            let first = first.index(datagrams);
            let mut pieces = pieces(lens.len());
            cut(&queue, 0, first, &mut pieces, segments_max);
            let sent: Vec<u8> = pieces.messages().iter().flat_map(|piece| bytes_of(&pieces, *piece)).collect();
            prop_assert_eq!(&sent, &data[first * segment_bytes..]);
            let counts: Vec<_> = pieces.messages().iter().map(|piece| piece.datagrams).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), datagrams - first);
            prop_assert!(counts[..counts.len() - 1].iter().all(|count| *count == segments_max));
            prop_assert!(counts.iter().all(|count| *count <= segments_max));
        }
    }

    /// Without UDP checksums the kernel refuses every segmented send with EINVAL (`udp_send_skb`), as an older one
    /// refuses those above 64 segments.
    #[test]
    fn a_refused_train_lowers_the_limit_and_goes_in_pieces() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let to = socket.local_addr().unwrap();
        let data = vec![7; 100 * 20];
        let send = || {
            let mut batch = crate::SendBatch::new(1, 1, 0);
            let mut outgoing = batch.fill();
            assert!(outgoing.begin(to));
            outgoing.borrow(&data);
            outgoing.end(20).unwrap();
            let mut reported = Vec::new();
            let counts =
                outgoing.send(&socket, &mut |index, error| reported.push((index, error.raw_os_error())));
            (counts.unwrap(), reported)
        };
        sockopt::set_int(&socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let (counts, reported) = send();
        assert_eq!(reported, [(0, Some(libc::EINVAL))], "two pieces failed, the message is reported once");
        assert_eq!((counts.messages, counts.failed, counts.datagrams), (0, 1, 0));
        assert_eq!(socket.segments_max(), SEGMENTS_PER_SEND_OLD_MAX);

        sockopt::set_int(&socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 0).unwrap();
        let (counts, reported) = send();
        assert_eq!(reported, []);
        assert_eq!((counts.messages, counts.datagrams, counts.bytes), (1, 100, 2000));
    }

    #[test]
    fn only_trains_lower_the_limit() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        let mut met = |_| ();
        let transmission = Transmission::new(&socket, &mut met);
        let message = |datagrams| Message { datagrams, ..Message::default() };
        for (errno, datagrams) in
            [(libc::EIO, 1), (libc::EINVAL, 1), (libc::EINVAL, 64), (libc::EMSGSIZE, 128)]
        {
            assert!(!transmission.lower_segments(errno, message(datagrams)));
            assert_eq!(socket.segments_max(), SEGMENTS_PER_SEND_MAX);
        }
        assert!(transmission.lower_segments(libc::EINVAL, message(65)));
        assert_eq!(socket.segments_max(), 64);
        assert!(transmission.lower_segments(libc::EIO, message(2)));
        assert!(!socket.has_segmentation());
    }
}
