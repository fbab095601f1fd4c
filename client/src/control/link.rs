//! One TCP connection: whole messages out, whole messages in, and the same words for every failure.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use shingle_udp::{Readiness, wait};

use super::error::ControlError;
use crate::limits::{ANSWERS_BYTES_MAX, RECEIVE_STEP_BYTES, TIMEOUT_MIN};

/// The connection itself: a socket that never blocks, and the waiting for it.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    /// The server as the caller named it, for messages.
    pub(super) address: String,
    timeout: Duration,
}

impl Link {
    /// Connects to the first address of `address` (HOST:PORT) that accepts; `timeout` holds for each of them, and
    /// later for each silence.
    pub(super) fn connect(address: &str, timeout: Duration) -> Result<Link, ControlError> {
        let timeout = timeout.max(TIMEOUT_MIN);
        let resolve = |source| ControlError::Resolve { address: address.to_owned(), source };
        let mut failure = resolve(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
        for candidate in address.to_socket_addrs().map_err(resolve)? {
            match TcpStream::connect_timeout(&candidate, timeout) {
                Ok(stream) => {
                    let link = Link { stream, address: address.to_owned(), timeout };
                    link.prepare().map_err(|error| link.failed(error, "HELLO"))?;
                    return Ok(link);
                }
                Err(error) => failure = connect_error(candidate, timeout, error),
            }
        }
        Err(failure)
    }

    /// Small requests leave at once, and no call of the kernel waits.
    fn prepare(&self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_nonblocking(true)
    }

    pub(super) fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Ends the connection: a thread blocked on it returns, and later calls find it closed.
    pub(super) fn close(&self) {
        // The peer may have closed it already; closed is closed.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Writes all of it, and takes in what the peer sends meanwhile, so that neither side waits for the other to read first.
    pub(super) fn write(
        &self,
        bytes: &[u8],
        input: &mut Input,
        request: &'static str,
    ) -> Result<(), ControlError> {
        let mut written = self.write_some(bytes, input, request)?;
        while written < bytes.len() {
            self.wait(false, true, request)?;
            written += self.write_some(&bytes[written..], input, request)?;
        }
        Ok(())
    }

    /// As [`Link::write`], but comes back early where [`ANSWERS_BYTES_MAX`] wait to be used: the caller uses them and goes on. Returns
    /// the bytes written.
    pub(super) fn write_some(
        &self,
        bytes: &[u8],
        input: &mut Input,
        request: &'static str,
    ) -> Result<usize, ControlError> {
        let mut written = 0;
        while written < bytes.len() {
            match (&self.stream).write(&bytes[written..]) {
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if input.unread().len() >= ANSWERS_BYTES_MAX {
                        break;
                    }
                    if self.wait(true, true, request)?.readable {
                        input.receive_now(self, request)?;
                    }
                }
                Err(error) => return Err(self.failed(error, request)),
            }
        }
        Ok(written)
    }

    /// Waits for the peer; its silence ends the connection.
    fn wait(&self, read: bool, write: bool, request: &'static str) -> Result<Readiness, ControlError> {
        let begin = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(begin.elapsed());
            let ready = wait(&self.stream, read, write, left).map_err(|error| self.failed(error, request))?;
            // The read or write that follows says what an error is.
            if ready != Readiness::default() {
                return Ok(Readiness { readable: ready.readable || (read && ready.error), ..ready });
            }
            if begin.elapsed() >= self.timeout {
                return Err(self.failed(io::ErrorKind::TimedOut.into(), request));
            }
        }
    }

    /// An answer of another kind than the request has.
    pub(super) fn unexpected(&self, request: &'static str) -> ControlError {
        self.invalid(request, "frames that answer another kind of request")
    }

    /// What came is not what the protocol allows: nothing after it can be trusted.
    pub(super) fn invalid(&self, request: &'static str, found: impl Into<String>) -> ControlError {
        self.close();
        ControlError::Invalid { address: self.address.clone(), request, found: found.into() }
    }

    fn failed(&self, error: io::Error, request: &'static str) -> ControlError {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, WouldBlock,
        };
        self.close();
        let address = self.address.clone();
        match error.kind() {
            WouldBlock | TimedOut => ControlError::TimedOut { address, request, after: self.timeout },
            BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected => {
                ControlError::Closed { address, request }
            }
            _ => ControlError::Io { address, source: error },
        }
    }
}

/// Bytes received and not used yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Bytes received and not used yet.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes the first `bytes` of [`unread`](Self::unread).
    pub(super) fn take(&mut self, bytes: usize) -> &[u8] {
        let taken = self.start..self.start + bytes;
        self.start = taken.end;
        &self.buffer[taken]
    }

    /// Waits for at least one more byte.
    pub(super) fn receive(&mut self, link: &Link, request: &'static str) -> Result<(), ControlError> {
        while !self.receive_now(link, request)? {
            link.wait(true, false, request)?;
        }
        Ok(())
    }

    /// Takes what has come; false when that is nothing.
    pub(super) fn receive_now(&mut self, link: &Link, request: &'static str) -> Result<bool, ControlError> {
        self.make_room();
        loop {
            match (&link.stream).read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    link.close();
                    return Err(ControlError::Closed { address: link.address.clone(), request });
                }
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(link.failed(error, request)),
            }
        }
    }

    /// Moves what is unread to the front, and grows only when the buffer is full of it: memory follows the bytes
    /// that came.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.end * 2).max(RECEIVE_STEP_BYTES), 0);
        }
    }
}

fn connect_error(candidate: SocketAddr, timeout: Duration, error: io::Error) -> ControlError {
    let address = candidate.to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ControlError::Refused { address },
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            ControlError::ConnectTimedOut { address, after: timeout }
        }
        _ => ControlError::Unreachable { address, source: error },
    }
}
