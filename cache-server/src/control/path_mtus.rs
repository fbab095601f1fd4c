//! Makes the kernel forget the path MTUs it learned, so that the next comparison starts cold.

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Writing to it makes every learned exception of IPv4 stale (ip(8), `ip route flush cache`). The switch of the same name
/// for IPv6 only removes what has expired already (`fib6_run_gc`, net/ipv6/route.c; measured on Linux 6.18): there each one
/// is removed by itself, over rtnetlink(7).
const SWITCH: &str = "/proc/sys/net/ipv4/route/flush";

/// Forgets the path MTUs of the calling thread's namespace in the family of `peer`. The result is 1, for the one table: the
/// kernel does not tell how many entries that of IPv4 held.
///
/// # Errors
/// A text for people: the right to is wanting.
pub(super) fn flush(peer: IpAddr) -> Result<u64, String> {
    let (flushed, way) = match peer.to_canonical() {
        IpAddr::V4(_) => (std::fs::write(SWITCH, "1"), SWITCH),
        IpAddr::V6(_) => (flush_ipv6(), "rtnetlink"),
    };
    flushed.map(|()| 1).map_err(|error| {
        format!(
            "learned path MTUs cannot be flushed ({way}: {error}): run the server as root of its network namespace"
        )
    })
}

/// How long the kernel, which answers at once, may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// A dump comes in pieces of at most this (NLMSG_GOODSIZE and what `recvmsg` may raise it to).
const PIECE_BYTES: usize = 32 << 10;
/// Bytes of `struct nlmsghdr`: length, type, flags, sequence, port.
const HEADER_BYTES: usize = 16;
/// Bytes of `struct rtmsg`; its flags are the last four.
const ROUTE_BYTES: usize = 12;

/// Dumps the routes of IPv6 and deletes those that the kernel made itself when it learned a path MTU (RTM_F_CLONED), as
/// `ip -6 route flush cache` does.
fn flush_ipv6() -> io::Result<()> {
    let socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    for mut exception in exceptions(&socket)? {
        // The kernel takes back the message in which it told of the route.
        exception[4..6].copy_from_slice(&libc::RTM_DELROUTE.to_ne_bytes());
        exception[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
        (&socket).write_all(&exception)?;
        let mut answer = [0; 4096];
        let length = (&socket).read(&mut answer)?;
        match error_in(&answer[..length]) {
            // It has expired meanwhile.
            Some(libc::ESRCH | libc::ENOENT) | None => {}
            Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    Ok(())
}

/// The messages that tell of learned routes.
fn exceptions(socket: &Socket) -> io::Result<Vec<Vec<u8>>> {
    let mut request = [0; HEADER_BYTES + ROUTE_BYTES];
    request[..4].copy_from_slice(&((HEADER_BYTES + ROUTE_BYTES) as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&libc::RTM_GETROUTE.to_ne_bytes());
    request[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request[HEADER_BYTES] = libc::AF_INET6 as u8;
    request[HEADER_BYTES + 8..].copy_from_slice(&libc::RTM_F_CLONED.to_ne_bytes());
    let mut socket = socket;
    socket.write_all(&request)?;
    let (mut found, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        let length = socket.read(&mut piece)?;
        if let Some(errno) = error_in(&piece[..length]) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        for (kind, message) in messages(&piece[..length]) {
            match kind {
                libc::RTM_NEWROUTE if is_learned(message) => found.push(message.to_vec()),
                kind if kind == libc::NLMSG_DONE as u16 => return Ok(found),
                _ => {}
            }
        }
    }
}

fn is_learned(message: &[u8]) -> bool {
    let flags = message.get(HEADER_BYTES + 8..HEADER_BYTES + ROUTE_BYTES);
    flags.is_some_and(|flags| {
        u32::from_ne_bytes(flags.try_into().expect("four bytes")) & libc::RTM_F_CLONED != 0
    })
}

/// The errno of the first NLMSG_ERROR that is one; 0 in it is an acknowledgement.
fn error_in(piece: &[u8]) -> Option<i32> {
    messages(piece).find_map(|(kind, message)| {
        let error =
            message.get(HEADER_BYTES..HEADER_BYTES + 4).filter(|_| kind == libc::NLMSG_ERROR as u16)?;
        Some(-i32::from_ne_bytes(error.try_into().expect("four bytes"))).filter(|errno| *errno != 0)
    })
}

/// Type and bytes of each message of a piece; ends at what is no message.
fn messages(piece: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(rest.get(..4)?.try_into().expect("four bytes")) as usize;
        let message = rest.get(..length).filter(|_| length >= HEADER_BYTES)?;
        // Messages begin at multiples of four bytes (NLMSG_ALIGN).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([message[4], message[5]]), message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; HEADER_BYTES];
        message[..4].copy_from_slice(&((HEADER_BYTES + payload.len()) as u32).to_ne_bytes());
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.extend(payload);
        message
    }

    #[test]
    fn messages_are_told_apart_and_garbage_ends_them() {
        let mut piece = message(7, &[1, 2, 3, 4]);
        piece.extend(message(8, &[]));
        piece.extend([200, 0, 0, 0, 1]);
        let found: Vec<_> = messages(&piece).map(|(kind, message)| (kind, message.len())).collect();
        assert_eq!(found, [(7, HEADER_BYTES + 4), (8, HEADER_BYTES)]);
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of 0 leads nowhere");
    }

    #[test]
    fn an_acknowledgement_is_no_error() {
        let told = |errno: i32| error_in(&message(libc::NLMSG_ERROR as u16, &errno.to_ne_bytes()));
        assert_eq!((told(0), told(-libc::EPERM)), (None, Some(libc::EPERM)));
    }

    #[test]
    fn only_routes_the_kernel_learned_are_taken() {
        let route = |flags: u32| {
            let mut route = [0; ROUTE_BYTES];
            route[8..].copy_from_slice(&flags.to_ne_bytes());
            is_learned(&message(libc::RTM_NEWROUTE, &route))
        };
        assert!(route(libc::RTM_F_CLONED) && !route(0));
        assert!(!is_learned(&message(libc::RTM_NEWROUTE, &[])));
    }

    /// Everybody may list; where nothing was learned there is nothing to delete.
    #[test]
    fn the_kernel_understands_the_dump() {
        let socket =
            Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))
                .unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(exceptions(&socket).unwrap().iter().all(|route| is_learned(route)));
    }
}
