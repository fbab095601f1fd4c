//! Which datagram size the path from the server carries: one round of probes over the sizes real paths have.
//!
//! Smaller than the search of RFC 8899 that the protocol allows: it takes the largest of a few sizes that comes back, before any read
//! is sent. Loss of a probe costs size, never a read.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, datagram_bytes};
use shingle_proto::wire::{Answer, Carrier, DatagramWriter, Frame, Probe, RequestHeader};
use shingle_udp::{MtuDiscovery, RecvBatch, SendBatch, Socket, SocketOptions};

/// Path MTUs that links, tunnels and clouds have; the cap itself comes first.
const PATH_MTUS: [u32; 11] = [9001, 9000, 8900, 8500, 4352, 1500, 1492, 1460, 1420, 1400, 1280];
/// Rounds of probes: more than one, since a probe may be lost for other reasons than its size.
const ROUNDS: usize = 3;
/// Wait for the answers of a round.
const ROUND: Duration = Duration::from_millis(250);

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// Datagrams of this size come back.
    Size(u16),
    /// The port does not set DF, so a probe would prove nothing: the size asked for stands.
    NotServed,
    /// Nothing came back at all.
    Silence,
}

/// Finds the largest datagram, of path MTUs up to `cap`, that the server's port brings here.
///
/// # Errors
/// No socket to be had.
pub fn datagram_from(server: SocketAddr, cookie: Cookie, cap: u32) -> io::Result<Proved> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    // Requests are small; DF matters on the answers, which the server sets.
    let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..SocketOptions::default() };
    let socket = Socket::bind(any.parse().expect("literal"), &options)?;
    let sizes = sizes_up_to(cap, server.is_ipv6());
    let mut send = SendBatch::new(sizes.len(), sizes.len(), sizes.len() * REQUEST_BYTES_MAX);
    let mut recv = RecvBatch::new(sizes.len(), DATAGRAM_BYTES_MAX);
    let mut best = Proved::Silence;
    for round in 0..ROUNDS {
        let mut outgoing = send.fill();
        for (id, size) in (0..).zip(&sizes) {
            let mut bytes = [0; REQUEST_BYTES_MAX];
            let length = request(&mut bytes, (round * sizes.len()) as u32 + id, *size, cookie);
            if outgoing.begin(server) {
                outgoing.copy(&bytes[..length]);
                outgoing.end(0).expect("one small datagram");
            }
        }
        outgoing.send(&socket, &mut |_, _| ())?;
        let end = Instant::now() + ROUND;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            socket.wait(true, false, left)?;
            recv.recv(&socket)?;
            for datagram in recv.iter().filter(|datagram| datagram.source.port() == server.port()) {
                best = better(best, datagram.bytes);
            }
            if best == Proved::Size(sizes[0]) || best == Proved::NotServed {
                return Ok(best);
            }
        }
    }
    Ok(best)
}

/// A probe request: header, cookie, probe, padding.
const REQUEST_BYTES_MAX: usize = 64;

fn request(out: &mut [u8], id: u32, size: u16, cookie: Cookie) -> usize {
    let header = RequestHeader {
        attempt: 0,
        flow: u32::MAX,
        sequence: id,
        telemetry: false,
        datagram_max: size,
        credit: size.into(),
    };
    let mut writer = DatagramWriter::request(out, &header).expect("room for the header");
    writer.push(&Frame::Cookie(cookie)).expect("room for a cookie");
    writer.push(&Frame::Probe(Probe { up: false, down: true, size, id })).expect("room for a probe");
    writer.finish()
}

fn better(best: Proved, datagram: &[u8]) -> Proved {
    let Ok(answer) = Answer::parse(datagram, Carrier::Udp) else { return best };
    for frame in answer.frames() {
        match frame {
            Frame::ProbeAck(_) => {
                let size = datagram.len() as u16;
                return if matches!(best, Proved::Size(known) if known >= size) {
                    best
                } else {
                    Proved::Size(size)
                };
            }
            Frame::Refused(_) => return Proved::NotServed,
            _ => {}
        }
    }
    best
}

fn sizes_up_to(cap: u32, ipv6: bool) -> Vec<u16> {
    let mtus = [cap].into_iter().chain(PATH_MTUS).filter(|mtu| *mtu <= cap);
    let mut sizes: Vec<_> =
        mtus.map(|mtu| datagram_bytes(mtu as usize, ipv6).min(DATAGRAM_BYTES_MAX) as u16).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_unique_falling_and_never_above_the_cap() {
        assert_eq!(sizes_up_to(1500, false), [1472, 1464, 1432, 1392, 1372, 1252]);
        assert_eq!(sizes_up_to(9001, true)[..2], [8953, 8952]);
        assert_eq!(sizes_up_to(1228, false), [1200]);
    }
}
