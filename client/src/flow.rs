//! One flow: the core of [`shingle_proto::client`] and the batches and buffers that join it to its socket. Both clients drive
//! it, each in its own way of waiting.

use std::io;
use std::net::SocketAddr;

use shingle_proto::client::{Client, ClientConfig, Event};
use shingle_proto::limits::{DATAGRAM_BYTES_MIN, datagram_bytes};
use shingle_udp::{RecvBatch, SendBatch, Socket, SocketError, monotonic_ns};

use crate::limits::{DATAGRAMS_PER_RECEIVE, DATAGRAMS_PER_SEND, RECEIVES_PER_TURN_MAX};
use crate::receive_window::ReceiveWindow;

/// What goes through one socket, which the caller keeps.
pub(crate) struct Flow {
    pub(crate) core: Client,
    server: SocketAddr,
    outgoing: SendBatch,
    incoming: RecvBatch,
    /// Where the core writes a datagram.
    datagram: Box<[u8]>,
    /// Those of the batch being sent.
    sequences: Vec<u32>,
    window: ReceiveWindow,
    /// The last receive left nothing behind.
    emptied: bool,
    port_unreachable: bool,
}

impl Flow {
    /// A flow to `server` with the settings of `config`, of which the sizes bound the memory taken.
    pub(crate) fn new(
        core: Client,
        config: &ClientConfig,
        longest_answer: usize,
        server: SocketAddr,
        window: ReceiveWindow,
    ) -> Flow {
        let datagram_bytes = core.transmit_bytes_max().max(config.base_datagram.into());
        Flow {
            core,
            server,
            outgoing: SendBatch::new(
                DATAGRAMS_PER_SEND,
                DATAGRAMS_PER_SEND,
                DATAGRAMS_PER_SEND * datagram_bytes,
            ),
            incoming: RecvBatch::new(DATAGRAMS_PER_RECEIVE, longest_answer),
            datagram: vec![0; datagram_bytes].into(),
            sequences: Vec::with_capacity(DATAGRAMS_PER_SEND),
            window,
            emptied: true,
            port_unreachable: false,
        }
    }

    /// The server's UDP port.
    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// What the socket's buffer holds, as far as is known by now.
    pub(crate) fn window(&self) -> &ReceiveWindow {
        &self.window
    }

    /// Datagrams the socket had dropped when the latest one received was queued.
    pub(crate) fn socket_drops(&self) -> u32 {
        self.incoming.drops().unwrap_or_default()
    }

    /// Whether the server's host said that nothing listens on the port (ICMP port unreachable), and no datagram came since.
    pub(crate) fn port_unreachable(&self) -> bool {
        self.port_unreachable
    }

    /// Takes the port for reachable again until ICMP says otherwise of what is sent from now on.
    pub(crate) fn forget_port_unreachable(&mut self, socket: &Socket) {
        // A failure shows again when the socket is next used.
        let _ = self.drain_errors(socket);
        self.port_unreachable = false;
    }

    /// Sends all that the core wants sent.
    pub(crate) fn send(&mut self, socket: &Socket, now_ns: u64) -> io::Result<()> {
        loop {
            self.sequences.clear();
            let mut batch = self.outgoing.fill();
            while batch.len() < DATAGRAMS_PER_SEND
                && let Some(transmit) = self.core.poll_transmit(now_ns, &mut self.datagram)
            {
                self.sequences.push(transmit.sequence);
                let _has_room = batch.begin(self.server);
                batch.copy(&self.datagram[..transmit.bytes]);
                batch.end(0).map_err(io::Error::other)?;
            }
            if batch.is_empty() {
                return Ok(());
            }
            let (core, sequences) = (&mut self.core, &self.sequences);
            let (mut too_long, mut said) = (false, Said::default());
            let mut failed = |index: usize, error: io::Error| {
                too_long |= error.raw_os_error() == Some(EMSGSIZE);
                core.transmit_failed(sequences[index]);
            };
            let _counts = batch.send_and_see(socket, &mut failed, &mut |error| said.add(&error))?;
            if too_long && let Ok(path_mtu) = socket.path_mtu() {
                said.path_mtu = Some(path_mtu);
            }
            self.believe(now_ns, said);
        }
    }

    /// Gives the core what came; true when nothing is left to be received. ICMP errors are to be looked at after it: what they say is
    /// taken for newer than the datagrams.
    pub(crate) fn receive(&mut self, socket: &Socket, sink: &mut impl FnMut(Event<'_>)) -> io::Result<bool> {
        let (mut left, mut errors) = (true, false);
        for _ in 0..RECEIVES_PER_TURN_MAX {
            let sample = if self.emptied { self.window.before(socket)? } else { None };
            let received = self.incoming.recv(socket)?;
            errors |= self.incoming.met_errors();
            let now_ns = monotonic_ns();
            for datagram in self.incoming.iter() {
                self.core.handle_datagram(now_ns, datagram.bytes, sink);
            }
            self.port_unreachable &= received == 0;
            self.emptied = received < DATAGRAMS_PER_RECEIVE;
            if self.window.after(sample, socket, self.emptied, &self.incoming)? {
                self.core.set_receive_buffer(self.window.buffer());
            }
            left = received > 0;
            if !left {
                break;
            }
        }
        if errors {
            self.drain_errors(socket)?;
        }
        Ok(!left)
    }

    /// Empties the socket's error queue: ICMP says that the port is closed, or what size a link on the way up takes.
    pub(crate) fn drain_errors(&mut self, socket: &Socket) -> io::Result<()> {
        let mut said = Said::default();
        socket.drain_errors(&mut |error| said.add(&error))?;
        self.believe(monotonic_ns(), said);
        Ok(())
    }

    /// Passes on what the socket's errors said. What the core believes of a path MTU that a host named is its own affair.
    fn believe(&mut self, now_ns: u64, said: Said) {
        self.port_unreachable |= said.port_unreachable;
        let Some(path_mtu) = said.path_mtu else { return };
        let bytes = datagram_bytes(path_mtu as usize, self.server.is_ipv6());
        if bytes >= DATAGRAM_BYTES_MIN {
            self.core.hint_path_mtu(now_ns, bytes as u16);
        }
    }
}

/// What the entries of the error queue say together.
#[derive(Default)]
struct Said {
    path_mtu: Option<u32>,
    port_unreachable: bool,
}

impl Said {
    fn add(&mut self, error: &SocketError) {
        self.path_mtu = error.mtu().or(self.path_mtu);
        self.port_unreachable |= error.is_port_unreachable();
    }
}

/// A datagram longer than what the kernel sends here (asm-generic/errno.h; std has no name for it).
const EMSGSIZE: i32 = 90;
