//! One flow: a source port, the protocol's client core behind it, and the kernel's books of its socket.

use std::io;
use std::net::SocketAddr;

use shingle_proto::client::{Client, ClientConfig, Event, ReceiveBuffer, Transmit};
use shingle_proto::cookie::Cookie;
use shingle_udp::{RecvBatch, SendBatch, Socket, SocketOptions};

use crate::error::Error;
use crate::limits;

/// A flow of the generator.
pub struct Flow {
    /// Its number, unique in the process.
    pub number: u32,
    /// Where its requests go.
    pub server: SocketAddr,
    /// Its socket.
    pub socket: Socket,
    /// The protocol.
    pub core: Client,
    /// Request datagrams the kernel took.
    pub datagrams_sent: u64,
    /// Request datagrams the kernel refused.
    pub sends_refused: u64,
    /// Sequences of those it refused for another reason than want of buffers.
    pub unroutable: Vec<u32>,
}

/// What flows have in common.
#[derive(Clone, Debug)]
pub struct FlowSpec {
    /// Settings of the core; `flow` and `receive_buffer` are set for each.
    pub core: ClientConfig,
    /// Cookie from the server's WELCOME.
    pub cookie: Cookie,
}

impl Flow {
    /// Binds a socket towards `server` and takes all memory of the core.
    ///
    /// # Errors
    /// No socket to be had.
    pub fn open(number: u32, server: SocketAddr, spec: &FlowSpec) -> Result<Self, Error> {
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
        let granted = socket.recv_buffer_granted_bytes().map_err(fail)?;
        let receive_buffer = ReceiveBuffer::linux(u32::try_from(granted).unwrap_or(u32::MAX));
        let config = ClientConfig { flow: number, receive_buffer, ..spec.core };
        let mut core =
            Client::new(config).map_err(|error| Error::system("flow settings", io::Error::other(error)))?;
        core.set_cookie(spec.cookie);
        Ok(Self { number, server, socket, core, datagrams_sent: 0, sends_refused: 0, unroutable: Vec::new() })
    }

    /// Sends everything the core has to send, in batches.
    pub fn send(&mut self, now_ns: u64, batch: &mut SendBatch, scratch: &mut [u8]) -> io::Result<()> {
        loop {
            let mut sequences = [0; limits::BURST_READS_MAX];
            let mut outgoing = batch.fill();
            while outgoing.len() < sequences.len() && outgoing.has_room(1, scratch.len()) {
                let Some(Transmit { bytes, sequence, .. }) = self.core.poll_transmit(now_ns, scratch) else {
                    break;
                };
                sequences[outgoing.len()] = sequence;
                let begun = outgoing.begin(self.server);
                debug_assert!(begun, "there was room for a message");
                outgoing.copy(&scratch[..bytes]);
                outgoing.end(0).expect("a request is one datagram of at most the base size");
            }
            if outgoing.is_empty() {
                return Ok(());
            }
            let (core, unroutable) = (&mut self.core, &mut self.unroutable);
            let counts = outgoing.send(&self.socket, &mut |message, error| {
                core.transmit_failed(sequences[message]);
                if !is_want_of_buffers(&error) {
                    unroutable.push(sequences[message]);
                }
            })?;
            self.datagrams_sent += counts.datagrams;
            self.sends_refused += counts.failed;
        }
    }

    /// Hands everything the kernel has for this flow to the core.
    pub fn receive(
        &mut self,
        batch: &mut RecvBatch,
        clock: impl Fn() -> u64,
        sink: &mut impl FnMut(u64, Event<'_>),
    ) -> io::Result<()> {
        while batch.recv(&self.socket)? > 0 {
            let now_ns = clock();
            for datagram in batch.iter() {
                self.core.handle_datagram(now_ns, datagram.bytes, &mut |event| sink(now_ns, event));
            }
        }
        // What ICMP says would fill the receive buffer and keep the socket readable; the counters tell it too.
        if batch.met_errors() {
            self.socket.drain_errors(&mut |_| ())?;
        }
        Ok(())
    }
}

/// Whether the kernel refused a send because a buffer or a queue was full; else there was no way to go.
fn is_want_of_buffers(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
        || error.raw_os_error() == Some(ENOBUFS)
}
