//! Makes the kernel forget the path MTUs it learned, so that the next comparison starts cold.

use std::fs;
use std::net::IpAddr;

/// Writing to it makes every learned exception of IPv4 stale (ip(8), `ip route flush cache`). The switch of the same name
/// for IPv6 only removes what has expired already (`fib6_run_gc`, net/ipv6/route.c; measured on Linux 6.18).
const SWITCH: &str = "/proc/sys/net/ipv4/route/flush";

/// Forgets the path MTUs of the server's namespace in the family of `peer`. The result is 1, for the one table: the kernel
/// does not tell how many entries it held.
///
/// # Errors
/// A text for people: the family cannot be flushed, or the right to is wanting.
pub(super) fn flush(peer: IpAddr) -> Result<u64, String> {
    if peer.to_canonical().is_ipv6() {
        return Err(
            "the kernel does not flush learned path MTUs of IPv6: start the server in a fresh namespace"
                .into(),
        );
    }
    fs::write(SWITCH, "1").map(|()| 1).map_err(|error| {
        format!(
            "learned path MTUs cannot be flushed ({SWITCH}: {error}): run the server as root of its namespace"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_not_promised() {
        let error = flush("2001:db8::1".parse().unwrap()).unwrap_err();
        assert!(error.contains("fresh namespace"), "{error}");
    }
}
