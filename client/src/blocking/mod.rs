//! Reads over UDP for programs without a runtime, and the model of a driver for those who write their own.
//!
//! The core of [`shingle_proto::client`] decides, this module owns the socket and the clock. The whole of the driver is
//! the loop in `Client::drive`: hand reads to the core, send what it wants sent, wait for a datagram or for the time it
//! names, give it what came.

mod results;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use shingle_proto::client::{ClientCounters, Join, PathReport, ServerState};
use shingle_udp::{Socket, monotonic_ns};

use self::results::{Outcome, Results};
use crate::control::{Control, ControlError, Welcome};
use crate::error::{ConnectError, GetError};
use crate::flow::Flow;
use crate::options::Options;
use crate::setup::{self, Connected};
use crate::tcp::Tcp;

/// Reads from one server over UDP, and over TCP what UDP does not serve. Calls block.
pub struct Client {
    options: Options,
    welcome: Welcome,
    tcp: Tcp,
    socket: Socket,
    flow: Flow,
    /// Number of the next read. Never used again, so that no event is taken for one of another call's reads.
    next_token: u64,
}

impl Client {
    /// Connects to `address` (HOST:PORT of the server's TCP port) with the default [`Options`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(address: &str) -> Result<Client, ConnectError> {
        Client::connect_with(address, Options::default())
    }

    /// Connects to `address` (HOST:PORT of the server's TCP port). The TCP hello brings the UDP ports and the cookie that
    /// proves this host's address; then a UDP socket is opened to the port chosen.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_with(address: &str, options: Options) -> Result<Client, ConnectError> {
        // Nobody would answer for the heartbeats that are due between two calls.
        let Connected { control, socket, flow } = setup::connect(address, &options, Duration::ZERO)?;
        let welcome = control.welcome().clone();
        let tcp = Tcp::new(address, &options.token, options.timeout, control);
        Ok(Client { options, welcome, tcp, socket, flow, next_token: 0 })
    }

    /// What the server said about itself when the connection began.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Whether the newest answer over UDP said that the server is about to leave.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.flow.core.server_state() == ServerState::Draining
    }

    /// What the core counted: datagrams, drops by reason, duplicates, re-requests.
    #[must_use]
    pub fn counters(&self) -> &ClientCounters {
        self.flow.core.counters()
    }

    /// The datagram sizes that reads use, and the state of the search for larger ones, each way.
    #[must_use]
    pub fn path(&self) -> PathReport {
        self.flow.core.path()
    }

    /// Where the reads go: the server's UDP port.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.flow.server()
    }

    /// The TCP connection, for updates and administration; a new one where the old one was found lost.
    ///
    /// # Errors
    /// When no new connection can be made.
    pub fn control(&mut self) -> Result<&mut Control, ControlError> {
        self.tcp.control()
    }

    /// Reads a value; `None` where the key is not stored. The value is verified end to end.
    ///
    /// # Errors
    /// See [`GetError`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, GetError> {
        // One key has one result.
        self.get_many(&[key]).pop().unwrap_or(Ok(None))
    }

    /// Reads many values, several at a time and several a datagram, each with the full timeout from when its request is
    /// made. The results are in the order of the keys.
    pub fn get_many<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> Vec<Result<Option<Vec<u8>>, GetError>> {
        let mut results = Results::new(keys.len(), self.next_token, self.options.timeout);
        if let Err(failure) = self.drive(keys, &mut results) {
            results.book_failure(&failure);
        }
        let finish = |(outcome, key): (Outcome, &K)| match outcome {
            Outcome::Ended(result) => result,
            // The loop does not end while one is under way.
            Outcome::OverTcp | Outcome::UnderWay => Ok(self.tcp.call(|control| control.get(key.as_ref()))?),
        };
        results.into_outcomes().into_iter().zip(keys).map(finish).collect()
    }

    /// Runs the core until every read has its outcome.
    fn drive<K: AsRef<[u8]>>(&mut self, keys: &[K], results: &mut Results) -> io::Result<()> {
        let mut waiting = keys.iter();
        loop {
            let now_ns = monotonic_ns();
            self.begin(now_ns, &mut waiting, results);
            self.flow.send(&self.socket, now_ns)?;
            if self.flow.core.in_flight() == 0 && waiting.len() == 0 {
                return Ok(());
            }
            let errors = self.wait(now_ns)?;
            self.receive(errors, results)?;
        }
    }

    /// Hands reads to the core, as many as may be under way.
    fn begin<K: AsRef<[u8]>>(
        &mut self,
        now_ns: u64,
        waiting: &mut std::slice::Iter<'_, K>,
        results: &mut Results,
    ) {
        let deadline_ns = now_ns.saturating_add(setup::nanoseconds(self.options.timeout));
        while self.flow.core.in_flight() < self.options.in_flight_max {
            let Some(key) = waiting.next() else { return };
            let token = self.next_token;
            self.next_token += 1;
            let begun = self.flow.core.get(now_ns, key.as_ref(), token, deadline_ns, Join::WithPrevious);
            if let Err(error) = begun {
                results.book_not_begun(token, error);
            }
        }
    }

    /// Waits for a datagram, or until the core has something to do; true if the error queue is not empty.
    fn wait(&mut self, now_ns: u64) -> io::Result<bool> {
        let until_ns = self.flow.core.poll_timeout().unwrap_or(now_ns);
        let ready = self.socket.wait(true, false, Duration::from_nanos(until_ns.saturating_sub(now_ns)))?;
        Ok(ready.error)
    }

    /// Gives the core what came, and the time.
    fn receive(&mut self, errors: bool, results: &mut Results) -> io::Result<()> {
        self.flow.receive(&self.socket, &mut |event| results.book(&event))?;
        if errors {
            self.flow.drain_errors(&self.socket)?;
        }
        results.port_unreachable = self.flow.port_unreachable();
        self.flow.core.handle_timeout(monotonic_ns(), &mut |event| results.book(&event));
        Ok(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
