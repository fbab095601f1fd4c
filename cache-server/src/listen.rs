//! Binds every port before any thread runs, so that a server starts whole or not at all.

use std::net::{IpAddr, SocketAddr, TcpListener};

use shingle_udp::{Socket, SocketOptions};
use socket2::{Domain, SockRef, Type};

use crate::config::{Config, PortConfig, Steer};
use crate::error::StartError;
use crate::limits::{RECV_BUFFER_BYTES, SEND_BUFFER_BYTES};
use crate::strategy;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// The sockets of a UDP port, one for each worker, all on the number the first one got.
///
/// The first one is bound alone: only so does the kernel say that somebody else has the port, or pick one that nobody
/// has. It lets the others join it afterwards (SO_REUSEPORT). `worker_cpus`: where their workers will be pinned.
///
/// # Errors
/// The port is in use, or whatever else the kernel says.
pub(crate) fn udp(
    config: &Config,
    port: &PortConfig,
    worker_cpus: &[usize],
) -> Result<Vec<Socket>, StartError> {
    let addr = SocketAddr::new(config.listen, port.port);
    let alone = SocketOptions {
        recv_buffer_bytes: RECV_BUFFER_BYTES,
        send_buffer_bytes: SEND_BUFFER_BYTES,
        mtu_discovery: strategy::mtu_discovery(port.strategy),
        reuse_port: false,
        recv_error_queue: true,
        // Without receipts workers switch them on while telemetry is wanted.
        timestamps: config.receipts,
        drop_counter: true,
        gro: true,
        busy_poll: config.busy_poll,
        only_v6: false,
    };
    let failed = |addr| move |error| StartError::bind("UDP", addr, error);
    let first = Socket::bind(addr, &alone).map_err(failed(addr))?;
    let bound = first.local_addr().map_err(failed(addr))?;
    let mut sockets = vec![first];
    if config.workers_per_port > 1 {
        SockRef::from(&sockets[0]).set_reuse_port(true).map_err(failed(bound))?;
        let sharing = SocketOptions { reuse_port: true, ..alone };
        for _ in 1..config.workers_per_port {
            sockets.push(Socket::bind(bound, &sharing).map_err(failed(bound))?);
        }
        if config.steer == Steer::Cpu {
            steer_by_cpu(&sockets[0], worker_cpus)?;
        }
    }
    Ok(sockets)
}

fn steer_by_cpu(socket: &Socket, worker_cpus: &[usize]) -> Result<(), StartError> {
    let cpus: Vec<u32> = worker_cpus.iter().map(|&cpu| cpu as u32).collect();
    if cpus.iter().enumerate().any(|(index, cpu)| cpus[..index].contains(cpu)) {
        tracing::warn!(
            "steer cpu: of workers that share a CPU only the first gets what the CPU handles; use fewer"
        );
    }
    socket.steer_by_cpu(&cpus).map_err(StartError::system("steering datagrams by CPU"))
}

/// A TCP listener; on `::` it takes IPv4 as well.
///
/// # Errors
/// The port is in use, or whatever else the kernel says.
pub(crate) fn tcp(addr: SocketAddr) -> Result<TcpListener, StartError> {
    let bind = || {
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Connections of a server that just left must not keep the next one from starting.
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    bind().map_err(|error| StartError::bind("TCP", addr, error))
}

/// Path MTU a port goes up to: what was asked for, or else the interface's MTU, at most 9001 (design section 4).
pub(crate) fn path_mtu_bytes(config: &Config, port: &PortConfig, interface_mtu: Option<u32>) -> usize {
    let cap = port.path_mtu_bytes.into_iter().chain(config.path_mtu_bytes).min();
    let known = interface_mtu.map_or(usize::MAX, |mtu| mtu as usize);
    cap.unwrap_or(crate::limits::PATH_MTU_BYTES).min(known).max(shingle_proto::limits::PATH_MTU_BYTES_MIN)
}

/// MTU of the interface that holds the address listened on; `None` where the kernel does not tell.
pub(crate) fn interface_mtu(listen: IpAddr) -> Option<u32> {
    shingle_udp::interface_mtu(listen)
        .inspect_err(|error| tracing::warn!("MTU of the interface with {listen} is unknown: {error}"))
        .ok()
}

#[cfg(test)]
mod tests {
    use shingle_proto::wire::Strategy;

    use super::*;

    #[test]
    fn the_smallest_of_caps_and_interface_counts() {
        let path_mtu = |server, port, interface| {
            let config = Config { path_mtu_bytes: server, ..Config::default() };
            let port = PortConfig { path_mtu_bytes: port, ..PortConfig::new(0, Strategy::Chunked) };
            path_mtu_bytes(&config, &port, interface)
        };
        assert_eq!(path_mtu(None, None, Some(65_536)), 9001);
        assert_eq!(path_mtu(None, None, Some(1500)), 1500);
        assert_eq!(path_mtu(None, None, None), 9001);
        assert_eq!(path_mtu(Some(8500), None, Some(65_536)), 8500);
        assert_eq!(path_mtu(Some(8500), Some(1400), Some(65_536)), 1400);
        assert_eq!(path_mtu(Some(1400), Some(8500), Some(65_536)), 1400);
        assert_eq!(path_mtu(Some(65_535), None, Some(1500)), 1500);
    }
}
