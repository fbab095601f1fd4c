//! From what the server and the kernel say to the core's settings.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use shingle_proto::client::{ClientConfig, ReceiveBuffer};
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MIN, SEAL_BYTES, datagram_bytes};
use shingle_proto::wire::{Port, Strategy};
use shingle_udp::{Socket, SocketOptions};

use super::{ConnectError, Options};
use crate::control::Welcome;
use crate::limits::{READS_IN_FLIGHT_MAX, RECEIVE_BUFFER_BYTES};

/// The port asked for, or the server's first.
pub(super) fn choose_port(
    address: &str,
    welcome: &Welcome,
    wanted: Option<u16>,
) -> Result<Port, ConnectError> {
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

/// A socket that takes datagrams from `server` only.
pub(super) fn open_socket(server: SocketAddr) -> io::Result<Socket> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let options = SocketOptions { recv_buffer_bytes: RECEIVE_BUFFER_BYTES, ..SocketOptions::default() };
    let socket = Socket::bind(any, &options)?;
    socket.connect(server)?;
    Ok(socket)
}

/// Settings of the core for this server, port and socket.
pub(super) fn core_config(
    options: &Options,
    welcome: &Welcome,
    port: &Port,
    granted_bytes: usize,
    ipv6: bool,
) -> ClientConfig {
    let value_bytes_max = welcome.value_bytes_max as usize;
    let partial_bytes = (value_bytes_max + SEAL_BYTES).next_power_of_two();
    let datagram_max = match port.strategy {
        Strategy::Chunked | Strategy::Compressed => datagram_bytes(options.path_mtu_bytes, ipv6),
        // These answer with one datagram whatever is announced, and leave fragmenting to the kernel or the network.
        _ => DATAGRAM_BYTES_MAX,
    };
    ClientConfig {
        in_flight_max: READS_IN_FLIGHT_MAX,
        partial_max: READS_IN_FLIGHT_MAX,
        value_bytes_max,
        // Room for every read under way; what is not used is never touched, so the kernel does not provide it.
        reassembly_bytes: ClientConfig::default().reassembly_bytes.max(READS_IN_FLIGHT_MAX * partial_bytes),
        datagram_max: datagram_max as u16,
        base_datagram: DATAGRAM_BYTES_MIN as u16,
        receive_buffer: ReceiveBuffer::linux(u32::try_from(granted_bytes).unwrap_or(u32::MAX)),
        timeout_ns: nanoseconds(options),
        retries: options.retries,
        // A long value may lose a chunk many times over; its deadline ends the read, not a count.
        rerequests_max: u8::MAX,
        ..ClientConfig::default()
    }
}

/// Time a read may take, in the unit of the core.
pub(super) fn nanoseconds(options: &Options) -> u64 {
    u64::try_from(options.timeout.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shingle_proto::client::Client;
    use shingle_proto::cookie::Cookie;
    use shingle_proto::limits::VALUE_BYTES_LIMIT;

    use super::*;

    #[test]
    fn the_core_accepts_every_server_and_socket() {
        let options = Options { timeout: Duration::MAX, retries: 10, ..Options::default() };
        for value_bytes_max in [0, 1, 1 << 20, VALUE_BYTES_LIMIT as u32] {
            let ports =
                Strategy::ALL.map(|strategy| Port { port: 1, strategy, workers: 1, datagram_max: 1200 });
            let welcome = Welcome {
                nonce: 0,
                value_bytes_max,
                cookie: Cookie([0; 16]),
                receipts: false,
                draining: false,
                may_update: false,
                ports: ports.to_vec(),
            };
            for (port, granted_bytes, ipv6) in
                welcome.ports.iter().zip([0, 2304, 425_984, 8 << 20, 1 << 40, usize::MAX]).flat_map(
                    |(port, granted_bytes)| [(port, granted_bytes, false), (port, granted_bytes, true)],
                )
            {
                let config = core_config(&options, &welcome, port, granted_bytes, ipv6);
                assert_eq!(
                    config.receive_buffer.granted_bytes() as usize,
                    granted_bytes.min(u32::MAX as usize)
                );
                assert!(Client::new(config).is_ok(), "{config:?}");
            }
        }
    }
}
