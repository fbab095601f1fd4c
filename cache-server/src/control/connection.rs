//! One TCP connection: messages in, answers out in order, with bounds on memory and time (PROTOCOL.md, section 8).

use std::io;
use std::net::SocketAddr;

use shingle_proto::limits::TCP_LENGTH_BYTES;
use shingle_proto::wire::{Frame, next_message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::handlers::{Session, Step};
use super::reads;
use super::seats::Seat;
use crate::limits::{
    HELLO_TIMEOUT, LINGER, LONG_ANSWERS_BYTES, LONG_MESSAGES_BYTES, MESSAGE_TIMEOUT, READ_BUFFER_BYTES,
    WRITE_BUFFER_BYTES, WRITE_TIMEOUT,
};
use crate::shared::Shared;

/// The unit long messages are paid for in.
const UNIT_BYTES: usize = 1 << 10;

/// Memory for what does not fit a connection's own buffers, all connections together; who finds none waits.
pub(super) struct Budget {
    messages: Semaphore,
    answers: Semaphore,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            messages: Semaphore::new(LONG_MESSAGES_BYTES / UNIT_BYTES),
            answers: Semaphore::new(LONG_ANSWERS_BYTES / UNIT_BYTES),
        }
    }
}

/// Serves a connection until the peer leaves or misbehaves.
///
/// # Errors
/// Why it ended, for the log.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
    seat: &Seat,
    budget: &Budget,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let session = Session::new(shared, peer.ip());
    let mut connection = Connection {
        shared,
        session,
        output: Output { stream, bytes: Vec::new() },
        input: Input::new(&budget.messages),
        answers: &budget.answers,
    };
    loop {
        let open = connection.handle_messages(seat).await?;
        connection.output.flush().await?;
        if !open {
            return connection.output.close().await;
        }
        if connection.receive().await? == 0 {
            return Ok(());
        }
        // Everybody gets a buffer's turn, however fast this peer sends.
        if connection.input.is_full() {
            tokio::task::yield_now().await;
        }
    }
}

struct Connection<'s> {
    shared: &'s Shared,
    session: Session<'s>,
    input: Input<'s>,
    output: Output,
    answers: &'s Semaphore,
}

impl Connection<'_> {
    /// Handles every message that is whole, and says whether the connection goes on. Answers are written when enough of
    /// them wait; the rest is left in `output`.
    async fn handle_messages(&mut self, seat: &Seat) -> io::Result<bool> {
        let mut taken = 0;
        self.session.look_at_clock();
        let open = loop {
            let waiting = &self.input.bytes[taken..];
            if let Some(length) = announced(waiting)
                && length > self.session.message_bytes_max()
            {
                self.session.refuse_length(length, &mut self.output.bytes);
                break false;
            }
            let Ok(Some((bytes, message))) = next_message(waiting) else { break true };
            self.shared.control.messages.add(1);
            match self.session.handle(message, &mut self.output.bytes) {
                Step::Close => break false,
                Step::Continue => {}
                Step::Read(request) => {
                    let is_read = |frame: &Frame<'_>| matches!(frame, Frame::Get(_) | Frame::Rerequest(_));
                    for read in request.frames().filter(is_read) {
                        let units = (self.shared.value_bytes_max / UNIT_BYTES) as u32;
                        let _room = self.answers.acquire_many(units).await.map_err(io::Error::other)?;
                        self.shared.control.reads.add(1);
                        reads::answer_one(self.shared, &request, &read, &mut self.output.bytes);
                        self.output.flush_if_long().await?;
                    }
                    self.session.look_at_clock();
                }
            }
            taken += bytes;
            if self.output.flush_if_long().await? {
                self.session.look_at_clock();
            }
        };
        if taken > 0 {
            seat.touch(self.session.may_update());
        }
        self.input.consume(taken);
        Ok(open)
    }

    /// Receives more; 0 when the peer is done.
    async fn receive(&mut self) -> io::Result<usize> {
        let deadline = match self.session.is_open() {
            true => self.input.deadline,
            false => Some(self.session.begun + HELLO_TIMEOUT),
        };
        let receive = self.input.receive(&mut self.output.stream);
        match deadline {
            Some(deadline) => timeout_at(deadline, receive)
                .await
                .map_err(|_| timed_out("a message did not come to its end"))?,
            None => receive.await,
        }
    }
}

/// Answers on their way out.
struct Output {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Output {
    /// Whether they were written out, which may have taken a while.
    async fn flush_if_long(&mut self) -> io::Result<bool> {
        let long = self.bytes.len() >= WRITE_BUFFER_BYTES;
        if long {
            self.flush().await?;
        }
        Ok(long)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_TIMEOUT, self.stream.write_all(&self.bytes)).await;
        self.bytes.clear();
        self.bytes.shrink_to(WRITE_BUFFER_BYTES);
        written.map_err(|_| timed_out("the peer does not read its answers"))?
    }

    /// Closes so that the peer still gets what was written: were it cut off while it sends, the kernel would throw away
    /// both directions.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut nowhere = tokio::io::sink();
        timeout(LINGER, tokio::io::copy(&mut self.stream, &mut nowhere))
            .await
            .map_or(Ok(()), |copied| copied.map(drop))
    }
}

/// What was received and not handled yet: less than one message after [`Connection::handle_messages`].
struct Input<'s> {
    bytes: Vec<u8>,
    /// When the message begun must be whole; none begun, none due.
    deadline: Option<Instant>,
    long_messages: &'s Semaphore,
    permit: Option<SemaphorePermit<'s>>,
}

impl<'s> Input<'s> {
    fn new(long_messages: &'s Semaphore) -> Self {
        Input { bytes: Vec::with_capacity(READ_BUFFER_BYTES), deadline: None, long_messages, permit: None }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    /// Drops what was handled, and with it the memory a long message took.
    fn consume(&mut self, taken: usize) {
        self.bytes.drain(..taken);
        if taken > 0 {
            self.permit = None;
            self.bytes.shrink_to(READ_BUFFER_BYTES);
        }
        if taken > 0 || self.bytes.is_empty() {
            self.deadline = (!self.bytes.is_empty()).then(|| Instant::now() + MESSAGE_TIMEOUT);
        }
    }

    /// Reads what is there, making room for a long message once its turn has come.
    async fn receive(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        let wanted = announced(&self.bytes).map_or(0, |length| TCP_LENGTH_BYTES + length);
        if wanted > self.bytes.capacity() {
            let units = (wanted / UNIT_BYTES) as u32;
            self.permit = Some(self.long_messages.acquire_many(units).await.map_err(io::Error::other)?);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        let received = stream.read_buf(&mut self.bytes).await?;
        self.deadline = self.deadline.or_else(|| Some(Instant::now() + MESSAGE_TIMEOUT));
        Ok(received)
    }
}

/// The length of the message that begins here, once its prefix is there.
fn announced(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|prefix| u32::from_be_bytes(*prefix) as usize)
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
