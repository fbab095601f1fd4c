//! Reads over UDP for programs without a runtime, and the model of a driver for those who write their own.
//!
//! The core of [`shingle_proto::client`] decides, this module owns the socket and the clock. The whole of the driver is
//! the loop in `Client::drive`: hand reads to the core, send what it wants sent, wait for a datagram or for the time it
//! names, give it what came.

mod error;
mod options;
mod results;
mod setup;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use shingle_proto::client::{self, ClientCounters, Join, ServerState};
use shingle_udp::{RecvBatch, SendBatch, Socket, monotonic_ns};

use self::results::{Outcome, Results};
use crate::control::{Control, ControlError, Welcome};
use crate::limits::{DATAGRAMS_PER_RECEIVE, READS_IN_FLIGHT_MAX};

pub use self::error::{ConnectError, GetError};
pub use self::options::Options;

/// Reads from one server over UDP, and over TCP what UDP does not serve. Calls block.
pub struct Client {
    /// The server as the caller named it.
    address: String,
    options: Options,
    control: Control,
    core: client::Client,
    socket: Socket,
    server: SocketAddr,
    outgoing: SendBatch,
    incoming: RecvBatch,
    /// Where the core writes a request.
    datagram: Box<[u8]>,
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
        let control = Control::connect(address, &options.token, options.timeout)?;
        let welcome = control.welcome();
        let port = setup::choose_port(address, welcome, options.udp_port)?;
        let mut server = control.peer()?;
        server.set_port(port.port);
        let failed = |source| ConnectError::Socket { address: server.to_string(), source };
        let socket = setup::open_socket(server).map_err(failed)?;
        let granted_bytes = socket.recv_buffer_granted_bytes().map_err(failed)?;
        let config = setup::core_config(&options, welcome, &port, granted_bytes, server.is_ipv6());
        let mut core = client::Client::new(config)?;
        core.set_cookie(welcome.cookie);
        let request_bytes = usize::from(config.base_datagram);
        Ok(Client {
            address: address.to_owned(),
            options,
            control,
            core,
            socket,
            server,
            outgoing: SendBatch::new(
                READS_IN_FLIGHT_MAX,
                READS_IN_FLIGHT_MAX,
                READS_IN_FLIGHT_MAX * request_bytes,
            ),
            incoming: RecvBatch::new(DATAGRAMS_PER_RECEIVE, config.datagram_max.into()),
            datagram: vec![0; request_bytes].into(),
            next_token: 0,
        })
    }

    /// What the server said about itself when the connection began.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        self.control.welcome()
    }

    /// Whether the newest answer over UDP said that the server is about to leave.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.core.server_state() == ServerState::Draining
    }

    /// What the core counted: datagrams, drops by reason, duplicates, re-requests.
    #[must_use]
    pub fn counters(&self) -> &ClientCounters {
        self.core.counters()
    }

    /// The TCP connection, for updates and administration.
    pub fn control(&mut self) -> &mut Control {
        &mut self.control
    }

    /// Reads a value; `None` where the key is not stored. The value is verified end to end.
    ///
    /// # Errors
    /// See [`GetError`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, GetError> {
        // One key has one result.
        self.get_many(&[key]).pop().unwrap_or(Ok(None))
    }

    /// Reads many values, several at a time, each with a datagram and the full timeout of its own. The results are in
    /// the order of the keys.
    pub fn get_many<K: AsRef<[u8]>>(&mut self, keys: &[K]) -> Vec<Result<Option<Vec<u8>>, GetError>> {
        let mut results = Results::new(keys.len(), self.next_token, self.options.timeout);
        if let Err(failure) = self.drive(keys, &mut results) {
            results.book_failure(&failure);
        }
        let finish = |(outcome, key): (Outcome, &K)| match outcome {
            Outcome::Ended(result) => result,
            // The loop does not end while one is under way.
            Outcome::OverTcp | Outcome::UnderWay => Ok(self.get_over_tcp(key.as_ref())?),
        };
        results.into_outcomes().into_iter().zip(keys).map(finish).collect()
    }

    /// Runs the core until every read has its outcome.
    fn drive<K: AsRef<[u8]>>(&mut self, keys: &[K], results: &mut Results) -> io::Result<()> {
        let mut waiting = keys.iter();
        loop {
            let now_ns = monotonic_ns();
            self.begin(now_ns, &mut waiting, results);
            self.send(now_ns)?;
            if self.core.in_flight() == 0 && waiting.len() == 0 {
                return Ok(());
            }
            self.wait(now_ns, results)?;
            self.receive(results)?;
        }
    }

    /// Hands reads to the core, as many as may be under way.
    fn begin<K: AsRef<[u8]>>(
        &mut self,
        now_ns: u64,
        waiting: &mut std::slice::Iter<'_, K>,
        results: &mut Results,
    ) {
        let deadline_ns = now_ns.saturating_add(setup::nanoseconds(&self.options));
        while self.core.in_flight() < READS_IN_FLIGHT_MAX {
            let Some(key) = waiting.next() else { return };
            let token = self.next_token;
            self.next_token += 1;
            if let Err(error) = self.core.get(now_ns, key.as_ref(), token, deadline_ns, Join::Alone) {
                results.book_not_begun(token, error);
            }
        }
    }

    /// Sends what the core wants sent. A read has one request at a time, so all of them fit one batch.
    fn send(&mut self, now_ns: u64) -> io::Result<()> {
        let mut sequences = [0; READS_IN_FLIGHT_MAX];
        let mut batch = self.outgoing.fill();
        while batch.len() < READS_IN_FLIGHT_MAX
            && let Some(transmit) = self.core.poll_transmit(now_ns, &mut self.datagram)
        {
            sequences[batch.len()] = transmit.sequence;
            let _has_room = batch.begin(self.server);
            batch.copy(&self.datagram[..transmit.bytes]);
            batch.end(0).map_err(io::Error::other)?;
        }
        let core = &mut self.core;
        let _counts =
            batch.send(&self.socket, &mut |index, _error| core.transmit_failed(sequences[index]))?;
        Ok(())
    }

    /// Waits for a datagram, or until the core has something to do.
    fn wait(&mut self, now_ns: u64, results: &mut Results) -> io::Result<()> {
        let until_ns = self.core.poll_timeout().unwrap_or(now_ns);
        let ready = self.socket.wait(true, false, Duration::from_nanos(until_ns.saturating_sub(now_ns)))?;
        if ready.error {
            self.socket.drain_errors(&mut |error| {
                let kind = io::Error::from_raw_os_error(error.errno).kind();
                results.port_unreachable |= kind == io::ErrorKind::ConnectionRefused;
            })?;
        }
        Ok(())
    }

    /// Gives the core what came, and the time.
    fn receive(&mut self, results: &mut Results) -> io::Result<()> {
        let received = self.incoming.recv(&self.socket)?;
        let now_ns = monotonic_ns();
        for datagram in self.incoming.iter() {
            self.core.handle_datagram(now_ns, datagram.bytes, &mut |event| results.book(&event));
        }
        results.port_unreachable &= received == 0;
        self.core.handle_timeout(now_ns, &mut |event| results.book(&event));
        Ok(())
    }

    /// Reads over TCP, over a new connection where the server has closed the one from the beginning.
    fn get_over_tcp(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, ControlError> {
        match self.control.get(key) {
            Err(error) if error.connection_lost() => {
                self.control = Control::connect(&self.address, &self.options.token, self.options.timeout)?;
                self.core.set_cookie(self.control.welcome().cookie);
                self.control.get(key)
            }
            result => result,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .field("server", &self.server)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
