//! The way to a server and back: what the kernel holds of it, the sizes that pass each way (the protocol's own search), and whether
//! senders of packets that are too big hear of it (by experiment).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shingle_client::control::Control;
use shingle_proto::limits::{IPV4_OVERHEAD_BYTES, IPV6_OVERHEAD_BYTES, datagram_bytes};
use shingle_proto::wire::Strategy;
use shingle_server::stats::StatsReport;
use shingle_udp::{ErrorOrigin, MtuDiscovery, SendBatch, Socket, SocketError, SocketOptions, route};

use super::{Icmp, Path};
use crate::probe::{self, Proved};

/// Packets too big sent to see whether ICMP comes back: routers limit how much of it they send, and one may be lost.
const TRIES: usize = 3;
/// How long ICMP is waited for after each: far above a round trip round the earth.
const ICMP_WAIT: Duration = Duration::from_millis(400);

/// What the kernel holds of the way to this peer. Nothing is sent.
pub fn held(peer: SocketAddr, unknown: &mut Vec<String>) -> Path {
    let mut path = Path { peer: peer.ip().to_string(), is_ipv6: peer.is_ipv6(), ..Path::default() };
    match route::to(peer.ip()) {
        Ok(route) => {
            path.shares_host = route.device.is_loopback;
            path.interface_mtu = Some(route.device.mtu_bytes);
            path.own = route.source.map(|source| source.to_string());
            path.device = route.device.name;
            path.route_mtu = route.mtu_bytes;
            path.is_mtu_locked = route.is_mtu_locked;
            path.learned_mtu = route.learned_mtu_bytes;
        }
        Err(error) => unknown.push(format!("the route to {}: {error}", peer.ip())),
    }
    path
}

/// Finds out what passes, by probes to a port that serves them.
///
/// # Errors
/// No socket to be had.
pub fn probe(path: &mut Path, control: &mut Control, unknown: &mut Vec<String>) -> io::Result<()> {
    let welcome = control.welcome().clone();
    let serves = |strategy| matches!(strategy, Strategy::Chunked | Strategy::Compressed | Strategy::DfStrict);
    let Some(port) = welcome.ports.iter().find(|port| serves(port.strategy)) else {
        unknown.push(
            "path MTU both ways: no port of the server serves probes (chunked, compressed and df-strict do)"
                .to_owned(),
        );
        return Ok(());
    };
    let Ok(peer) = control.peer() else { return Ok(()) };
    let server = SocketAddr::new(peer.ip(), port.port);
    let packet = |payload: u16| payload as u32 + overhead(server) as u32;
    path.server_mtu = Some(packet(port.datagram_max));
    // The server has no room for longer ones than it sends: on loopback what is above vanishes in its socket, not on the way.
    let own = path.interface_mtu.unwrap_or(u32::MAX).min(packet(port.datagram_max));
    let heard_before = icmp_heard(control);
    // What the server could send and this host's own link does not take is part of the question.
    match probe::datagram_from(server, welcome.cookie, packet(port.datagram_max))? {
        Proved::Size(size) => path.down_mtu = Some(packet(size)),
        Proved::Silence | Proved::Unreachable => {
            path.udp_answers = Some(false);
            return Ok(());
        }
        Proved::NotServed => unknown.push("path MTU both ways: the port does not serve probes".to_owned()),
    }
    path.udp_answers = Some(true);
    path.up_mtu = probe::datagram_to(server, welcome.cookie, own)?.map(packet);
    if path.up_mtu.is_none() {
        unknown.push("what passes from here to the server: no probe from this port was answered".to_owned());
    }
    if path.up_mtu.is_some_and(|up| up < own) {
        path.icmp_up = Some(send_too_big(server, own)?);
    }
    if path.down_mtu < path.server_mtu {
        // The probes that did not pass were the server's: its host counts what it heard of them.
        match (heard_before, icmp_heard(control)) {
            (Some(before), Some(now)) if !path.shares_host => {
                path.icmp_down = Some(if now > before { Icmp::Arrives } else { Icmp::Silent });
            }
            _ => unknown
                .push("whether ICMP reaches the server: it does not tell its host's counters".to_owned()),
        }
    }
    Ok(())
}

fn overhead(server: SocketAddr) -> usize {
    if server.is_ipv6() { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES }
}

/// ICMP messages of either family that the server's host received of packets that could not go on.
fn icmp_heard(control: &mut Control) -> Option<u64> {
    let report: StatsReport = serde_json::from_str(&control.stats().ok()?).ok()?;
    let names = ["Icmp.InDestUnreachs", "Icmp6.InPktTooBigs"];
    let counts: Vec<_> = names.iter().filter_map(|name| report.kernel.get(*name)).collect();
    if counts.is_empty() { None } else { Some(counts.into_iter().sum()) }
}

/// Sends packets of this size with DF, which the way is known not to carry, and listens.
fn send_too_big(server: SocketAddr, packet_bytes: u32) -> io::Result<Icmp> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..SocketOptions::default() };
    let socket = Socket::bind(any.parse().expect("literal"), &options)?;
    socket.connect(server)?;
    let payload = vec![0; datagram_bytes(packet_bytes as usize, server.is_ipv6())];
    let mut batch = SendBatch::new(1, 1, 0);
    let mut heard = false;
    let mut met = |error: SocketError| {
        heard |= error.mtu().is_some() && matches!(error.origin, ErrorOrigin::Icmp | ErrorOrigin::Icmp6);
    };
    for _ in 0..TRIES {
        let mut outgoing = batch.fill();
        let _has_room = outgoing.begin(server);
        outgoing.borrow(&payload);
        outgoing.end(0).map_err(io::Error::other)?;
        outgoing.send_and_see(&socket, &mut |_, _| (), &mut met)?;
        let end = Instant::now() + ICMP_WAIT;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let ready = socket.wait(true, false, left)?;
            if ready.error || ready.readable {
                let _errors = socket.drain_errors(&mut met)?;
                break;
            }
        }
    }
    Ok(if heard { Icmp::Arrives } else { Icmp::Silent })
}
