//! Makes the kernel forget the path MTUs it learned, so that the next comparison starts cold.

use std::io;
use std::net::IpAddr;

use shingle_udp::netlink;

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

/// Bytes of `struct rtmsg`; its flags are the last four.
const ROUTE_BYTES: usize = 12;

/// Dumps the routes of IPv6 and deletes those that the kernel made itself when it learned a path MTU (RTM_F_CLONED), as
/// `ip -6 route flush cache` does.
fn flush_ipv6() -> io::Result<()> {
    for exception in exceptions()? {
        // The kernel takes back what it told of the route.
        match netlink::ask(libc::RTM_DELROUTE, libc::NLM_F_ACK as u16, &exception) {
            Ok(_) => {}
            // It has expired meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the kernel tells of each learned route.
fn exceptions() -> io::Result<Vec<Vec<u8>>> {
    let mut request = [0; ROUTE_BYTES];
    request[0] = libc::AF_INET6 as u8;
    request[8..].copy_from_slice(&libc::RTM_F_CLONED.to_ne_bytes());
    let answers = netlink::ask(libc::RTM_GETROUTE, libc::NLM_F_DUMP as u16, &request)?;
    let routes = answers
        .iter()
        .flat_map(|answer| netlink::messages(answer))
        .filter(|message| message.kind == libc::RTM_NEWROUTE && is_learned(message.payload()));
    Ok(routes.map(|message| message.payload().to_vec()).collect())
}

fn is_learned(route: &[u8]) -> bool {
    let flags = route.get(8..).and_then(|flags| flags.first_chunk());
    flags.is_some_and(|flags| u32::from_ne_bytes(*flags) & libc::RTM_F_CLONED != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_the_kernel_learned_are_taken() {
        let route = |flags: u32| {
            let mut route = [0; ROUTE_BYTES];
            route[8..].copy_from_slice(&flags.to_ne_bytes());
            is_learned(&route)
        };
        assert!(route(libc::RTM_F_CLONED) && !route(0));
        assert!(!is_learned(&[]));
    }

    /// Everybody may list; where nothing was learned there is nothing to delete.
    #[test]
    fn the_kernel_understands_the_dump() {
        assert!(exceptions().unwrap().iter().all(|route| is_learned(route)));
    }
}
