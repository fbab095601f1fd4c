//! One TCP connection towards memcached, opened again when it breaks: a socket under the core.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};

use shingle_udp::monotonic_ns;
use socket2::{Domain, Protocol, SockAddr, Type};

use super::limits::RECONNECT_NS;
use super::stream::{Config, Stream};
use super::worker::{Carrier, Sink};
use crate::error::Error;

/// A flow.
pub struct TcpFlow {
    number: u32,
    server: SocketAddr,
    local_port: u16,
    connection: Connection,
    core: Stream,
    /// No connection is tried before.
    next_try_ns: u64,
    broken: u64,
    silent: u64,
    malformed: u64,
}

enum Connection {
    Open(TcpStream),
    /// The kernel is at it.
    Opening(TcpStream),
    None,
}

impl TcpFlow {
    /// Connects to `server` and takes all memory of the core.
    ///
    /// # Errors
    /// No connection to be had.
    pub fn open(number: u32, server: SocketAddr, config: Config) -> Result<Self, Error> {
        let fail = |error| Error::system(format!("cannot open a TCP connection to {server}"), error);
        let stream = TcpStream::connect_timeout(&server, crate::limits::CONNECT_TIMEOUT).map_err(fail)?;
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(fail)?;
        Ok(Self {
            number,
            server,
            local_port: stream.local_addr().map_or(0, |local| local.port()),
            connection: Connection::Open(stream),
            core: Stream::new(config),
            next_try_ns: 0,
            broken: 0,
            silent: 0,
            malformed: 0,
        })
    }

    /// Begins to connect without waiting for the end of it.
    fn begin(&mut self, now_ns: u64) {
        self.next_try_ns = now_ns + RECONNECT_NS;
        let begun = || -> io::Result<TcpStream> {
            let kind = Type::STREAM.nonblocking();
            let socket = socket2::Socket::new(Domain::for_address(self.server), kind, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&SockAddr::from(self.server)) {
                Err(error) if error.raw_os_error() != Some(EINPROGRESS) => Err(error),
                _ => Ok(socket.into()),
            }
        };
        self.connection = begun().map_or(Connection::None, Connection::Opening);
    }

    /// Lets go of the connection; its reads fail.
    fn broke(&mut self, sink: &mut Sink<'_>) {
        self.broken += 1;
        self.connection = Connection::None;
        let now_ns = monotonic_ns();
        self.core.reset(&mut |ending| sink(now_ns, ending));
    }

    /// Goes on with connecting; true when the socket is another than before.
    fn connect(&mut self, now_ns: u64) -> bool {
        match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Opening(stream) => {
                self.connection = match (stream.take_error(), stream.peer_addr()) {
                    (Ok(None), Ok(_)) => Connection::Open(stream),
                    (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => {
                        Connection::Opening(stream)
                    }
                    _ => Connection::None,
                };
                true
            }
            Connection::None if now_ns >= self.next_try_ns => {
                self.begin(now_ns);
                true
            }
            same => {
                self.connection = same;
                false
            }
        }
    }

    /// Sends and receives what there is; false when the connection broke.
    fn exchange(&mut self, readable: bool, sink: &mut Sink<'_>) -> bool {
        let Connection::Open(stream) = &mut self.connection else { return true };
        if !write(stream, &mut self.core) {
            return false;
        }
        if !readable {
            return true;
        }
        loop {
            let input = self.core.input();
            let room = input.len();
            match stream.read(input) {
                Ok(0) => return false,
                Ok(bytes) => {
                    let now_ns = monotonic_ns();
                    if self.core.received(bytes, &mut |ending| sink(now_ns, ending)).is_err() {
                        self.malformed += 1;
                        return false;
                    }
                    // A short read emptied the socket.
                    if bytes < room {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

const EINPROGRESS: i32 = 115;

/// Sends what there is; false when the connection broke.
fn write(stream: &mut TcpStream, core: &mut Stream) -> bool {
    loop {
        let output = core.output();
        if output.is_empty() {
            return true;
        }
        // Before the call: the answer may be there when it returns.
        let now_ns = monotonic_ns();
        match stream.write(output) {
            Ok(bytes) => core.sent(bytes, now_ns),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

impl Carrier for TcpFlow {
    type Gear = ();

    fn number(&self) -> u32 {
        self.number
    }

    fn core_in_flight(&self) -> usize {
        self.core.in_flight()
    }

    fn next_timeout_ns(&self) -> u64 {
        let retry = if matches!(self.connection, Connection::None) { self.next_try_ns } else { u64::MAX };
        self.core.next_timeout_ns().min(retry)
    }

    fn get(&mut self, key: &[u8], item: u32, deadline_ns: u64, join: bool) -> bool {
        self.core.get(key, item, deadline_ns, join)
    }

    fn pump(&mut self, (): &mut (), readable: bool, sink: &mut Sink<'_>) -> io::Result<bool> {
        let mut changed = false;
        if !matches!(self.connection, Connection::Open(_)) {
            changed = self.connect(monotonic_ns());
        }
        if !self.exchange(readable, sink) {
            self.broke(sink);
            changed = true;
        }
        let now_ns = monotonic_ns();
        if self.core.next_timeout_ns() <= now_ns {
            let connected = matches!(self.connection, Connection::Open(_));
            let told = self.core.handle_timeout(now_ns, connected, &mut |ending| sink(now_ns, ending));
            if told.is_err() {
                self.silent += 1;
                self.broke(sink);
                changed = true;
            }
        }
        Ok(changed || self.core.has_output())
    }

    fn poll(&self) -> (Option<BorrowedFd<'_>>, bool) {
        match &self.connection {
            Connection::Open(stream) => (Some(stream.as_fd()), self.core.has_output()),
            Connection::Opening(stream) => (Some(stream.as_fd()), true),
            Connection::None => (None, false),
        }
    }

    fn ports(&self) -> (u16, u16) {
        (self.local_port, self.server.port())
    }

    fn recv_buffer_granted_bytes(&self) -> usize {
        match &self.connection {
            Connection::Open(stream) => socket2::SockRef::from(stream).recv_buffer_size().unwrap_or(0),
            _ => 0,
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let core = self.core.counters();
        vec![
            ("keys_sent", core.keys_sent),
            ("values_received", core.values),
            ("bytes_received", core.bytes_in),
            ("connections_broken", self.broken),
            ("connections_silent", self.silent),
            ("connections_malformed", self.malformed),
            ("late", core.late),
        ]
    }
}
