//! Which datagram size the path from the server carries: the protocol's own search, run to its end before any read is sent
//! (`PROTOCOL.md`, section 6.2).

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use shingle_proto::client::{Client, ClientConfig, ServerState};
use shingle_proto::cookie::Cookie;
use shingle_proto::limits::{DATAGRAM_BYTES_MAX, IPV4_OVERHEAD_BYTES, IPV6_OVERHEAD_BYTES, datagram_bytes};
use shingle_proto::search::{SearchConfig, SearchState};
use shingle_udp::{MtuDiscovery, RecvBatch, SendBatch, Socket, SocketError, SocketOptions, monotonic_ns};

use crate::limits;

/// Datagrams sent or received at a time: a probe, a heartbeat and their answers.
const BATCH: usize = 4;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proved {
    /// Datagrams of this size come back, and one byte more does not or was not asked for.
    Size(u16),
    /// The port does not set DF, so a probe would prove nothing: the size asked for stands.
    NotServed,
    /// Nothing listens on the port (ICMP port unreachable).
    Unreachable,
    /// Nothing came back at all.
    Silence,
}

/// Finds the largest datagram, of path MTUs up to `cap`, that the server's port brings here. On a path that loses much it gives what was
/// proved within [`limits::SEARCH_TIME_MAX`].
///
/// Where nothing comes back, other source ports are tried: of several equal-cost paths one may be bad, and ports decide which is taken.
///
/// # Errors
/// No socket to be had.
pub fn datagram_from(server: SocketAddr, cookie: Cookie, cap: u32) -> io::Result<Proved> {
    let search = |server, cookie, cap| search(server, cookie, cap, false).map(|(proved, _)| proved);
    let first = search(server, cookie, cap)?;
    if first != Proved::Silence {
        return Ok(first);
    }
    let others: Vec<_> = thread::scope(|scope| {
        let searches: Vec<_> =
            (0..limits::OTHER_PORTS).map(|_| scope.spawn(|| search(server, cookie, cap))).collect();
        searches.into_iter().map(|search| search.join().expect("a search does not panic")).collect()
    });
    let others = others.into_iter().collect::<io::Result<Vec<_>>>()?;
    let size = |proved: &Proved| if let Proved::Size(bytes) = proved { *bytes } else { 0 };
    // Of paths that differ the load will take all, so what each carries counts.
    let heard = others.into_iter().filter(|proved| *proved != Proved::Silence).min_by_key(size);
    Ok(heard.unwrap_or(Proved::Silence))
}

/// The largest datagram, of path MTUs up to `cap`, that passes from here to the server's port; `None` where it does not tell: nothing
/// came back, or the port serves no probes.
///
/// # Errors
/// No socket to be had.
pub fn datagram_to(server: SocketAddr, cookie: Cookie, cap: u32) -> io::Result<Option<u16>> {
    let (proved, up) = search(server, cookie, cap, true)?;
    Ok(Some(up).filter(|_| matches!(proved, Proved::Size(_))))
}

/// The searches of [`datagram_from`] from one source port, and of [`datagram_to`] if that is asked for.
fn search(server: SocketAddr, cookie: Cookie, cap: u32, search_up: bool) -> io::Result<(Proved, u16)> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let options = SocketOptions { mtu_discovery: Some(MtuDiscovery::Probe), ..SocketOptions::default() };
    let socket = Socket::bind(any.parse().expect("literal"), &options)?;
    socket.connect(server)?;
    let mut core =
        Client::new(ClientConfig { search_up, ..config(server, cap) }).map_err(io::Error::other)?;
    core.set_cookie(cookie);
    let mut request = vec![0; core.transmit_bytes_max()];
    let mut send = SendBatch::new(BATCH, BATCH, BATCH * request.len());
    let mut recv = RecvBatch::new(BATCH, DATAGRAM_BYTES_MAX);
    let mut refused = false;
    let end_ns = monotonic_ns() + limits::SEARCH_TIME_MAX.as_nanos() as u64;
    // A server kept from its CPU answers late, which undoes a bound that seemed to be one.
    let mut settled_ns = None;
    loop {
        let now_ns = monotonic_ns();
        core.handle_timeout(now_ns, &mut |_| ());
        settled_ns = settled_ns.filter(|_| is_complete(&core));
        if is_complete(&core) && settled_ns.is_none() {
            settled_ns = Some(now_ns + limits::SEARCH_LINGER.as_nanos() as u64);
        }
        let waits =
            settled_ns.is_some_and(|settled_ns| now_ns < settled_ns && is_below_cap(&core, server, cap));
        match verdict(&core, now_ns >= end_ns).filter(|_| !waits || now_ns >= end_ns) {
            Some(Proved::Silence) if refused => return Ok((Proved::Unreachable, 0)),
            Some(proved) => return Ok((proved, core.path().up.proved_bytes)),
            None => {}
        }
        let mut outgoing = send.fill();
        while outgoing.len() < BATCH
            && let Some(transmit) = core.poll_transmit(now_ns, &mut request)
            && outgoing.begin(server)
        {
            outgoing.copy(&request[..transmit.bytes]);
            outgoing.end(0).expect("one small datagram");
        }
        // What the kernel refuses is lost to the search as well, which tries again.
        let mut met = |error: SocketError| refused |= error.is_port_unreachable();
        outgoing.send_and_see(&socket, &mut |_, _| (), &mut met)?;
        let until_ns = core
            .poll_timeout()
            .unwrap_or(end_ns)
            .min(end_ns)
            .min(settled_ns.filter(|at_ns| *at_ns > now_ns).unwrap_or(end_ns));
        socket.wait(true, false, Duration::from_nanos(until_ns.saturating_sub(now_ns)))?;
        let _errors = socket.drain_errors(&mut met)?;
        recv.recv(&socket)?;
        for datagram in recv.iter() {
            core.handle_datagram(monotonic_ns(), datagram.bytes, &mut |_| ());
        }
    }
}

/// A flow that searches and reads nothing; its memory is the least there can be.
fn config(server: SocketAddr, cap: u32) -> ClientConfig {
    let ipv6 = server.is_ipv6();
    let overhead = if ipv6 { IPV6_OVERHEAD_BYTES } else { IPV4_OVERHEAD_BYTES };
    let search = SearchConfig {
        datagram_max: datagram_bytes(cap as usize, ipv6) as u16,
        overhead_bytes: overhead as u16,
        ..SearchConfig::default()
    };
    ClientConfig {
        flow: u32::MAX,
        in_flight_max: 1,
        partial_max: 1,
        value_bytes_max: 0,
        heartbeat_ns: limits::SEARCH_HEARTBEAT.as_nanos() as u64,
        search: Some(search),
        ..ClientConfig::default()
    }
}

fn is_complete(core: &Client) -> bool {
    let path = core.path();
    let is_done = |state: Option<SearchState>| state.is_none_or(|state| state == SearchState::Complete);
    path.down.state == Some(SearchState::Complete) && is_done(path.up.state)
}

fn is_below_cap(core: &Client, server: SocketAddr, cap: u32) -> bool {
    usize::from(core.path().down.proved_bytes) < datagram_bytes(cap as usize, server.is_ipv6())
}

fn verdict(core: &Client, time_is_up: bool) -> Option<Proved> {
    let down = core.path().down;
    let state = core.server_state();
    match down.state {
        Some(SearchState::Disabled) => Some(Proved::NotServed),
        _ if matches!(state, ServerState::Silent { .. }) => Some(Proved::Silence),
        // Where the base is the cap there is nothing to search, but the server has to be there.
        _ if is_complete(core) && state != ServerState::Unheard => Some(Proved::Size(down.proved_bytes)),
        _ if time_is_up => Some(Proved::Size(down.proved_bytes)),
        _ => None,
    }
}
