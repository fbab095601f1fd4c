//! One UDP flow towards memcached: a socket under the core.

use std::io;
use std::net::SocketAddr;

use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions, monotonic_ns};

use super::datagrams::{Config, Datagrams, RequestName};
use super::limits::REQUEST_BYTES_MAX;
use super::worker::{Carrier, Sink};
use crate::error::Error;
use crate::limits;

/// A flow.
pub struct UdpFlow {
    number: u32,
    server: SocketAddr,
    socket: Socket,
    core: Datagrams,
    datagrams_sent: u64,
    sends_refused: u64,
}

/// Batches that all flows of a thread use in turn.
pub struct Batches {
    recv: RecvBatch,
    send: SendBatch,
    scratch: [u8; REQUEST_BYTES_MAX],
}

impl Default for Batches {
    fn default() -> Self {
        let messages = limits::BURST_READS_MAX;
        Self {
            // Room for what GRO may put together.
            recv: RecvBatch::new(limits::RECV_SLOTS, 65_535),
            send: SendBatch::new(messages, messages, messages * REQUEST_BYTES_MAX),
            scratch: [0; REQUEST_BYTES_MAX],
        }
    }
}

impl UdpFlow {
    /// Binds a socket towards `server` and takes all memory of the core.
    ///
    /// # Errors
    /// No socket to be had.
    pub fn open(number: u32, server: SocketAddr, config: Config) -> Result<Self, Error> {
        let local = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let options = SocketOptions {
            recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
            send_buffer_bytes: limits::SEND_BUFFER_BYTES,
            recv_error_queue: true,
            gro: true,
            ..SocketOptions::default()
        };
        let fail = |error| Error::system(format!("cannot open a UDP socket towards {server}"), error);
        let socket = Socket::bind(local.parse().expect("literal"), &options).map_err(fail)?;
        socket.connect(server).map_err(fail)?;
        Ok(Self { number, server, socket, core: Datagrams::new(config), datagrams_sent: 0, sends_refused: 0 })
    }

    fn send(&mut self, batches: &mut Batches, sink: &mut Sink<'_>) -> io::Result<()> {
        loop {
            let mut names = [RequestName::default(); limits::BURST_READS_MAX];
            let mut outgoing = batches.send.fill();
            while outgoing.len() < names.len() && outgoing.has_room(1, batches.scratch.len()) {
                let Some(request) = self.core.poll_transmit(monotonic_ns(), &mut batches.scratch) else {
                    break;
                };
                names[outgoing.len()] = request.name;
                let begun = outgoing.begin(self.server);
                debug_assert!(begun, "there was room for a message");
                outgoing.copy(&batches.scratch[..request.bytes]);
                outgoing.end(0).expect("a request is one datagram");
            }
            if outgoing.is_empty() {
                return Ok(());
            }
            let core = &mut self.core;
            let now_ns = monotonic_ns();
            let counts = outgoing.send(&self.socket, &mut |message, _| {
                core.transmit_failed(names[message], &mut |ending| sink(now_ns, ending));
            })?;
            self.datagrams_sent += counts.datagrams;
            self.sends_refused += counts.failed;
        }
    }

    fn receive(&mut self, batches: &mut Batches, sink: &mut Sink<'_>) -> io::Result<()> {
        while batches.recv.recv(&self.socket)? > 0 {
            let now_ns = monotonic_ns();
            for datagram in batches.recv.iter() {
                self.core.handle_datagram(datagram.bytes, &mut |ending| sink(now_ns, ending));
            }
        }
        // What ICMP says would fill the receive buffer and keep the socket readable; the counters tell it too.
        if batches.recv.met_errors() {
            self.socket.drain_errors(&mut |_| ())?;
        }
        Ok(())
    }
}

impl Carrier for UdpFlow {
    type Gear = Batches;

    fn number(&self) -> u32 {
        self.number
    }

    fn core_in_flight(&self) -> usize {
        self.core.in_flight()
    }

    fn next_timeout_ns(&self) -> u64 {
        self.core.next_timeout_ns()
    }

    fn get(&mut self, key: &[u8], item: u32, deadline_ns: u64, join: bool) -> bool {
        self.core.get(key, item, deadline_ns, join)
    }

    fn pump(&mut self, batches: &mut Batches, readable: bool, sink: &mut Sink<'_>) -> io::Result<bool> {
        self.send(batches, sink)?;
        if readable {
            self.receive(batches, sink)?;
        }
        let now_ns = monotonic_ns();
        if self.core.next_timeout_ns() <= now_ns {
            self.core.handle_timeout(now_ns, &mut |ending| sink(now_ns, ending));
        }
        Ok(false)
    }

    fn poll(&self) -> (Option<std::os::fd::BorrowedFd<'_>>, bool) {
        (Some(std::os::fd::AsFd::as_fd(&self.socket)), false)
    }

    fn ports(&self) -> (u16, u16) {
        (self.socket.local_addr().map_or(0, |local| local.port()), self.server.port())
    }

    fn recv_buffer_granted_bytes(&self) -> usize {
        self.socket.recv_buffer_granted_bytes().unwrap_or(0)
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let core = self.core.counters();
        vec![
            // 32 bits in the kernel, per socket.
            ("socket_drops", self.socket.mem_info().map_or(0, |info| u64::from(info.drops))),
            ("datagrams_sent", self.datagrams_sent),
            ("sends_refused", self.sends_refused),
            ("keys_sent", core.keys_sent),
            ("datagrams_received", core.datagrams),
            ("malformed", core.malformed),
            ("strays", core.strays),
            ("duplicates", core.duplicates),
            ("reassembly_full", core.assembly_full),
            ("late", core.late),
        ]
    }
}
