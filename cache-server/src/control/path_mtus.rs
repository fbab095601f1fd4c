//! Makes the kernel forget the path MTUs it learned, so that the next comparison starts cold.

use std::fs;

/// One switch for each family: writing to it makes every learned exception stale (ip(8), `ip route flush cache`).
const SWITCHES: [&str; 2] = ["/proc/sys/net/ipv4/route/flush", "/proc/sys/net/ipv6/route/flush"];

/// Forgets the path MTUs of the server's namespace; returns the address families done. The kernel does not tell how
/// many entries there were.
///
/// # Errors
/// A text for people when not one family could be flushed, most often for want of rights.
pub(super) fn flush() -> Result<u64, String> {
    let results = SWITCHES.map(|path| fs::write(path, "1").map_err(|error| format!("{path}: {error}")));
    let done = results.iter().filter(|result| result.is_ok()).count() as u64;
    match results.into_iter().find_map(Result::err) {
        Some(error) if done == 0 => Err(format!(
            "learned path MTUs cannot be flushed ({error}): run the server as root of its namespace"
        )),
        _ => Ok(done),
    }
}
