//! One flow: a source port, the protocol's client core behind it, and the kernel's books of its socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use shingle_proto::client::{Client, ClientConfig, Event, ReceiveBuffer, Transmit};
use shingle_proto::cookie::Cookie;
use shingle_udp::{MtuDiscovery, Outgoing, RecvBatch, SendBatch, Socket, SocketOptions};

use super::train::{Names, Trains};
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
    /// Most requests in one send.
    pub train: usize,
    /// Request datagrams the kernel took.
    pub datagrams_sent: u64,
    /// In how many sends.
    pub trains_sent: u64,
    /// System calls that sent, or waited for room.
    pub send_calls: u64,
    /// System calls that received.
    pub receive_calls: u64,
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
    /// Most requests that share a send (UDP_SEGMENT).
    pub train: usize,
}

impl Flow {
    /// Binds a socket towards `server` and takes all memory of the core.
    ///
    /// # Errors
    /// No socket to be had.
    pub fn open(number: u32, server: SocketAddr, spec: &FlowSpec) -> Result<Self, Error> {
        Self::open_from(number, None, server, spec)
    }

    /// The same from a certain address of this host, or from the one the kernel chooses.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), or the address is none of this host.
    pub fn open_from(
        number: u32,
        source: Option<IpAddr>,
        server: SocketAddr,
        spec: &FlowSpec,
    ) -> Result<Self, Error> {
        let any = if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let local = SocketAddr::new(source.unwrap_or(any), 0);
        let options = SocketOptions {
            recv_buffer_bytes: limits::RECV_BUFFER_BYTES,
            send_buffer_bytes: limits::SEND_BUFFER_BYTES,
            recv_error_queue: true,
            gro: true,
            // By default the kernel would clear DF on the datagrams of a train.
            mtu_discovery: (spec.train > 1).then_some(MtuDiscovery::Probe),
            ..SocketOptions::default()
        };
        let fail = |error| Error::system(format!("cannot open a UDP socket towards {server}"), error);
        let socket = Socket::bind(local, &options).map_err(fail)?;
        socket.connect(server).map_err(fail)?;
        let granted = socket.recv_buffer_granted_bytes().map_err(fail)?;
        let receive_buffer = ReceiveBuffer::linux(u32::try_from(granted).unwrap_or(u32::MAX));
        let config = ClientConfig { flow: number, receive_buffer, ..spec.core };
        let mut core =
            Client::new(config).map_err(|error| Error::system("flow settings", io::Error::other(error)))?;
        core.set_cookie(spec.cookie);
        Ok(Self {
            number,
            server,
            socket,
            core,
            train: spec.train,
            datagrams_sent: 0,
            trains_sent: 0,
            send_calls: 0,
            receive_calls: 0,
            sends_refused: 0,
            unroutable: Vec::new(),
        })
    }

    /// Sends everything the core has to send, in batches of trains; true if there was anything.
    pub fn send(&mut self, now_ns: u64, batch: &mut SendBatch, scratch: &mut [u8]) -> io::Result<bool> {
        let mut any = false;
        loop {
            let mut trains = Trains::new(batch, if self.socket.has_segmentation() { self.train } else { 1 });
            while !trains.is_full() {
                let Some(Transmit { bytes, sequence, .. }) = self.core.poll_transmit(now_ns, scratch) else {
                    break;
                };
                trains.push(&scratch[..bytes], sequence);
            }
            let is_last = !trains.is_full();
            let (outgoing, names) = trains.finish();
            if names.requests() > 0 {
                any = true;
                self.hand_over(outgoing, &names)?;
            }
            if is_last {
                return Ok(any);
            }
        }
    }

    fn hand_over(&mut self, outgoing: Outgoing<'_, '_>, names: &Names) -> io::Result<()> {
        let Self { core, unroutable, sends_refused, .. } = self;
        let counts = outgoing.send(&self.socket, &mut |message, error| {
            // None of a train left, unless it was the first that the kernel would not cut: then each went by itself.
            for &sequence in names.of(message) {
                core.transmit_failed(sequence);
                *sends_refused += 1;
                if !is_want_of_buffers(&error) && unroutable.len() < limits::LOSSES_PER_THREAD_MAX {
                    unroutable.push(sequence);
                }
            }
        })?;
        self.datagrams_sent += counts.datagrams;
        self.trains_sent += counts.messages;
        self.send_calls += counts.system_calls;
        Ok(())
    }

    /// Hands what the kernel has for this flow to the core: all of it, or as much as others can wait for. Gives the time of the
    /// last of it by `clock`; `None` if there was nothing.
    pub fn receive(
        &mut self,
        batch: &mut RecvBatch,
        clock: impl Fn() -> u64,
        sink: &mut impl FnMut(u64, Event<'_>),
    ) -> io::Result<Option<u64>> {
        let (mut last, mut datagrams, mut met_errors) = (None, 0, false);
        while datagrams < limits::RECV_TURN_DATAGRAMS {
            datagrams += batch.recv(&self.socket)?;
            self.receive_calls += 1;
            met_errors |= batch.met_errors();
            if batch.is_empty() {
                break;
            }
            let now_ns = clock();
            last = Some(now_ns);
            for datagram in batch.iter() {
                self.core.handle_datagram(now_ns, datagram.bytes, &mut |event| sink(now_ns, event));
            }
            if !batch.is_full() {
                break;
            }
        }
        // What ICMP says would fill the receive buffer and keep the socket readable; the counters tell it too.
        if met_errors {
            self.socket.drain_errors(&mut |_| ())?;
        }
        Ok(last)
    }
}

/// Whether the kernel refused a send because a buffer or a queue was full; else there was no way to go.
fn is_want_of_buffers(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
        || error.raw_os_error() == Some(ENOBUFS)
}
