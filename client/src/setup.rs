//! From an address to a flow: the TCP hello, the port, the socket, and what the kernel grants, put into the core's
//! settings. Both clients begin so.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use shingle_proto::client::{Client, ClientConfig, ReceiveBuffer};
use shingle_proto::limits::{
    DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, IPV4_OVERHEAD_BYTES, IPV6_OVERHEAD_BYTES, PATH_MTU_BYTES_MIN,
    SEAL_BYTES, datagram_bytes,
};
use shingle_proto::search::SearchConfig;
use shingle_proto::wire::{Port, Strategy};
use shingle_udp::{MtuDiscovery, Socket, SocketOptions, interface_mtu};

use crate::control::{Control, Welcome};
use crate::error::ConnectError;
use crate::flow::Flow;
use crate::limits::{HEARTBEAT_MIN, REASSEMBLED_AT_ONCE_MIN, REASSEMBLY_BYTES_MAX};
use crate::options::{Options, PathMtu};
use crate::receive_window::ReceiveWindow;

/// What a client is made of.
pub(crate) struct Connected {
    pub(crate) control: Control,
    pub(crate) socket: Socket,
    pub(crate) flow: Flow,
}

/// Says hello over TCP, which brings the UDP ports and the cookie that proves this host's address, and opens a socket to
/// the port chosen. Blocks.
pub(crate) fn connect(
    address: &str,
    options: &Options,
    heartbeat: Duration,
) -> Result<Connected, ConnectError> {
    if let PathMtu::Known(found) = options.path_mtu
        && found < PATH_MTU_BYTES_MIN
    {
        return Err(ConnectError::PathMtu { found });
    }
    let control = Control::connect(address, &options.token, options.timeout)?;
    let welcome = control.welcome();
    let port = choose_port(address, welcome, options.udp_port)?;
    let mut server = control.peer()?;
    server.set_port(port.port);
    let failed = |source| ConnectError::Socket { address: server.to_string(), source };
    let socket = open_socket(server, options.receive_buffer_bytes).map_err(failed)?;
    let window = ReceiveWindow::measure(&socket, server.is_ipv6()).map_err(failed)?;
    let path = Path {
        port,
        ipv6: server.is_ipv6(),
        interface_mtu: interface_mtu(server.ip()).map_err(failed)? as usize,
    };
    let config = ClientConfig {
        secret: random(),
        heartbeat_ns: heartbeat_ns(heartbeat),
        ..core_config(options, welcome, &path, window.buffer())
    };
    let mut core = Client::new(config)?;
    core.set_cookie(welcome.cookie);
    let longest_answer = path.longest_answer(options.path_mtu);
    let flow = Flow::new(core, &config, longest_answer, server, window);
    Ok(Connected { control, socket, flow })
}

/// The port asked for, or the server's first.
fn choose_port(address: &str, welcome: &Welcome, wanted: Option<u16>) -> Result<Port, ConnectError> {
    let address = || address.to_owned();
    let Some(wanted) = wanted else {
        return welcome.ports.first().copied().ok_or_else(|| ConnectError::NoPort { address: address() });
    };
    let found = welcome.ports.iter().find(|port| port.port == wanted).copied();
    found.ok_or_else(|| ConnectError::NoSuchPort {
        address: address(),
        wanted,
        served: welcome.ports.iter().map(|port| port.port).collect(),
    })
}

/// A socket that takes datagrams from `server` only, and sets DF on the way up, so that probes tell the truth.
fn open_socket(server: SocketAddr, recv_buffer_bytes: usize) -> io::Result<Socket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let options = SocketOptions {
        recv_buffer_bytes,
        mtu_discovery: Some(MtuDiscovery::Probe),
        ..SocketOptions::default()
    };
    let socket = Socket::bind(any, &options)?;
    socket.connect(server)?;
    Ok(socket)
}

/// What is known of the path before anything was sent over it.
struct Path {
    port: Port,
    ipv6: bool,
    /// MTU of this host's interface on the way to the server.
    interface_mtu: usize,
}

impl Path {
    /// Whether the port keeps to the datagram size announced, and sets DF: the others answer with one datagram whatever
    /// is announced, and leave fragmenting to the kernel or the network (PROTOCOL.md section 4.1).
    fn is_chunked(&self) -> bool {
        matches!(self.port.strategy, Strategy::Chunked | Strategy::Compressed)
    }

    /// Largest datagram to search for, where there is something to search.
    fn search_max(&self, path_mtu: PathMtu) -> Option<usize> {
        let PathMtu::SearchUpTo(max) = path_mtu else { return None };
        let bytes = datagram_bytes(max.min(self.interface_mtu), self.ipv6);
        (self.is_chunked() && bytes > DATAGRAM_BYTES_MIN).then_some(bytes)
    }

    /// Largest datagram announced before any search.
    fn announced(&self, path_mtu: PathMtu) -> usize {
        match path_mtu {
            _ if !self.is_chunked() => DATAGRAM_BYTES_MAX,
            PathMtu::SearchUpTo(_) => DATAGRAM_BYTES_MIN,
            PathMtu::Known(bytes) => datagram_bytes(bytes, self.ipv6),
        }
    }

    /// Longest datagram that may come.
    fn longest_answer(&self, path_mtu: PathMtu) -> usize {
        self.search_max(path_mtu).unwrap_or_else(|| self.announced(path_mtu))
    }
}

/// Settings of the core for this server, path and socket.
fn core_config(
    options: &Options,
    welcome: &Welcome,
    path: &Path,
    receive_buffer: ReceiveBuffer,
) -> ClientConfig {
    let value_bytes_max = welcome.value_bytes_max as usize;
    let partial_bytes = (value_bytes_max + SEAL_BYTES).next_power_of_two();
    let partials = options.in_flight_max.max(1);
    let reassembly_bytes = partials.saturating_mul(partial_bytes).min(REASSEMBLY_BYTES_MAX);
    ClientConfig {
        in_flight_max: options.in_flight_max,
        partial_max: partials,
        value_bytes_max,
        reassembly_bytes: reassembly_bytes
            .max(REASSEMBLED_AT_ONCE_MIN * partial_bytes)
            .max(ClientConfig::default().reassembly_bytes),
        datagram_max: u16::try_from(path.announced(options.path_mtu)).unwrap_or(u16::MAX),
        base_datagram: DATAGRAM_BYTES_MIN as u16,
        search: path.search_max(options.path_mtu).map(|bytes| SearchConfig {
            datagram_max: bytes as u16,
            overhead_bytes: if path.ipv6 { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES } as u16,
            ..SearchConfig::default()
        }),
        receive_buffer,
        timeout_ns: nanoseconds(options.timeout),
        retries: options.retries,
        retry_budget_percent: options.retry_budget_percent,
        // Three re-requests in a row bring nothing once in a thousand times at 5 % loss, and a long value needs many series of them: its
        // deadline ends it, not a count. The gap doubles, so a dead server is not asked often.
        rerequests_max: u8::MAX,
        gets_per_datagram_max: options.gets_per_datagram_max,
        ..ClientConfig::default()
    }
}

/// Zero stays zero: no heartbeats.
fn heartbeat_ns(heartbeat: Duration) -> u64 {
    if heartbeat.is_zero() { 0 } else { nanoseconds(heartbeat.max(HEARTBEAT_MIN)) }
}

/// A number that others cannot guess: std seeds its hashers from the operating system.
fn random() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// A time in the unit of the core.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use shingle_proto::cookie::Cookie;
    use shingle_proto::limits::VALUE_BYTES_LIMIT;

    use super::*;

    #[test]
    fn heartbeats_have_a_floor() {
        let (none, shortest) = (Duration::ZERO, Duration::from_nanos(1));
        let long = Duration::from_millis(240);
        assert_eq!([none, shortest, long].map(heartbeat_ns), [0, 1_000_000, 240_000_000]);
    }

    #[test]
    fn the_core_accepts_every_server_and_socket() {
        let options = Options { timeout: Duration::MAX, ..Options::default() };
        for value_bytes_max in [0, 1, 1 << 20, VALUE_BYTES_LIMIT as u32] {
            let welcome = Welcome {
                nonce: 0,
                value_bytes_max,
                cookie: Cookie([0; 16]),
                receipts: false,
                draining: false,
                may_update: false,
                ports: Vec::new(),
            };
            for strategy in Strategy::ALL {
                let port = Port { port: 1, strategy, workers: 1, datagram_max: 1200 };
                for (granted_bytes, ipv6, interface_mtu) in [
                    (0, false, 0),
                    (2304, true, 1280),
                    (212_992, false, 65_536),
                    (u32::MAX, true, usize::MAX),
                ] {
                    let path = Path { port, ipv6, interface_mtu };
                    let buffer = ReceiveBuffer::linux(granted_bytes);
                    let config = core_config(&options, &welcome, &path, buffer);
                    assert!(Client::new(config).is_ok(), "{config:?}");
                    // What README says, and for values longer than usual two of them.
                    let longest = value_bytes_max as usize;
                    let values = REASSEMBLY_BYTES_MAX.max(4 * longest + (1 << 20)) + longest;
                    assert!(config.memory_bytes() < values + (1 << 20), "{} B", config.memory_bytes());
                }
            }
        }
    }
}
