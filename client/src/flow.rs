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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use shingle_proto::search::SearchConfig;
    use shingle_server::{Config, PortConfig, Server, Strategy};
    use shingle_udp::{ErrorOrigin, MtuDiscovery, SocketOptions, interface_mtu};

    use super::*;
    use crate::control::Control;

    /// A flow that searches both ways up to the longest datagram there is, whatever the interface takes.
    fn searching(server: SocketAddr) -> (Socket, Flow) {
        let any = SocketAddr::new(server.ip(), 0);
        let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..SocketOptions::default() };
        let socket = Socket::bind(any, &options).unwrap();
        socket.connect(server).unwrap();
        let window = ReceiveWindow::measure(&socket, server.is_ipv6()).unwrap();
        let search = SearchConfig { datagram_max: 65_507, overhead_bytes: 28, ..SearchConfig::default() };
        let config = ClientConfig {
            search: Some(search),
            search_up: true,
            heartbeat_ns: 50_000_000,
            ..ClientConfig::default()
        };
        let core = Client::new(config).unwrap();
        (socket, Flow::new(core, &config, 65_507, server, window))
    }

    /// The kernel refuses a probe that the interface does not take, and names the path MTU, which is the next size tried.
    #[test]
    fn what_the_kernel_refuses_shortens_the_search() {
        let config = Config {
            listen: "::1".parse().unwrap(),
            udp_ports: vec![PortConfig::new(0, Strategy::Chunked)],
            tcp_port: 0,
            memory_bytes: 16 << 20,
            ..Config::default()
        };
        // No IPv6 here; over IPv4 loopback takes whatever a datagram may have.
        let Ok(server) = Server::start(config) else { return };
        let tcp = server.tcp_addr();
        let limit = datagram_bytes(interface_mtu(tcp.ip()).unwrap() as usize, true);
        let control = Control::connect(&tcp.to_string(), b"", Duration::from_secs(20)).unwrap();
        // Between flow and server, to see what was sent.
        let [front, back] = [(); 2].map(|()| UdpSocket::bind("[::1]:0").unwrap());
        front.set_nonblocking(true).unwrap();
        back.set_nonblocking(true).unwrap();
        back.connect((tcp.ip(), server.ports()[0].port)).unwrap();
        let (socket, mut flow) = searching(front.local_addr().unwrap());
        flow.core.set_cookie(control.welcome().cookie);
        let mut bytes = vec![0; 65_536];
        let begin = Instant::now();
        let first_large = loop {
            flow.send(&socket, monotonic_ns()).unwrap();
            let from_flow = front.recv(&mut bytes);
            match from_flow {
                Ok(length) if length > DATAGRAM_BYTES_MIN => break length,
                Ok(length) => _ = back.send(&bytes[..length]).unwrap(),
                Err(_nothing) => std::thread::sleep(Duration::from_millis(1)),
            }
            while let Ok(length) = back.recv(&mut bytes) {
                front.send_to(&bytes[..length], socket.local_addr().unwrap()).unwrap();
            }
            flow.receive(&socket, &mut |_| ()).unwrap();
            flow.core.handle_timeout(monotonic_ns(), &mut |_| ());
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", flow.core.path());
        };
        assert!(flow.core.path().up.counters.lost > 0, "the longest datagram there is was refused");
        assert_eq!(first_large, limit);
    }

    #[test]
    fn icmp_errors_say_what_they_are_about() {
        let error = |errno, info| SocketError {
            origin: ErrorOrigin::Icmp,
            errno,
            icmp_type: 3,
            icmp_code: 4,
            info,
            destination: None,
            offender: None,
        };
        let mut said = Said::default();
        said.add(&error(EMSGSIZE, 1400));
        said.add(&error(113, 0));
        assert_eq!((said.path_mtu, said.port_unreachable), (Some(1400), false));
        said.add(&error(111, 0));
        assert_eq!((said.path_mtu, said.port_unreachable), (Some(1400), true));
    }
}
