//! What memcached's own statistics, and on its host the kernel's, say of a stage.

use std::collections::BTreeMap;

use shingle_udp::counters::Snapshot;

use super::target::{Server, number};
use crate::attribution::ServerBooks;
use crate::error::Error;
use crate::protocol::Protocol;

/// Statistics worth keeping in a record: rises of these say what the server did, or why it did not.
const COUNTERS: [&str; 15] = [
    "cmd_get",
    "get_hits",
    "get_misses",
    "get_expired",
    "get_flushed",
    "cmd_set",
    "evictions",
    "reclaimed",
    "bytes_read",
    "bytes_written",
    "conn_yields",
    "rejected_connections",
    "response_obj_oom",
    "read_buf_oom",
    "malloc_fails",
];

/// memcached at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pid: Option<u64>,
    uptime_s: u64,
    counters: BTreeMap<&'static str, u64>,
    /// Drops at its UDP sockets, where this host's kernel has them.
    socket_drops: Option<u64>,
    is_udp: bool,
}

/// What rose between two.
pub(crate) struct Rise {
    /// By name, without `server.`.
    pub(crate) counters: BTreeMap<String, u64>,
    /// For attribution; there is none to be had over TCP, where no datagram is lost.
    pub(crate) books: Option<ServerBooks>,
    /// What could not be had.
    pub(crate) gaps: Vec<String>,
}

impl Reading {
    /// Asks the server, and the kernel where both are on one host.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) fn take(server: &mut Server, kernel: Option<&Snapshot>) -> Result<Self, Error> {
        let words = server.admin.stats("")?;
        let port = server.reads_to.port();
        let is_udp = server.protocol == Protocol::MemcachedUdp;
        let here = kernel.filter(|_| is_udp && server.placement.shares_counters());
        let socket_drops = here.map(|kernel| {
            let sockets = kernel.udp.on_port(port).chain(kernel.udp6.on_port(port));
            // Connected sockets are somebody else's.
            let own = sockets.filter(|socket| socket.remote.port() == 0);
            own.map(|socket| u64::from(socket.drops.unwrap_or(0))).sum()
        });
        Ok(Self {
            pid: number(&words, "pid"),
            uptime_s: number(&words, "uptime").unwrap_or(0),
            counters: COUNTERS.iter().filter_map(|name| Some((*name, number(&words, name)?))).collect(),
            socket_drops,
            is_udp,
        })
    }

    /// What rose since `earlier`, while `datagrams` requests with `keys` keys were sent.
    pub(crate) fn since(&self, earlier: &Self, datagrams: u64, keys: u64) -> Rise {
        let mut rise = Rise { counters: BTreeMap::new(), books: None, gaps: Vec::new() };
        if self.pid != earlier.pid || self.uptime_s < earlier.uptime_s {
            let text = "memcached was restarted during the stage: its counters prove nothing";
            rise.gaps.push(text.to_owned());
            return rise;
        }
        let of = |reading: &Self, name: &str| reading.counters.get(name).copied().unwrap_or(0);
        if self.counters.keys().any(|name| of(self, name) < of(earlier, name)) {
            let text = "what memcached counted (it went back: `stats reset` during the stage)";
            rise.gaps.push(text.to_owned());
            return rise;
        }
        let risen = |name: &str| of(self, name).saturating_sub(of(earlier, name));
        rise.counters = self.counters.keys().map(|name| ((*name).to_owned(), risen(name))).collect();
        let drops = self.socket_drops.zip(earlier.socket_drops);
        let drops = drops.map(|(now, before)| now.saturating_sub(before));
        rise.counters.extend(drops.map(|drops| ("socket_drops".to_owned(), drops)));
        if !self.is_udp {
            return rise;
        }
        rise.gaps.push("receipts and time in the server (memcached tells neither)".to_owned());
        if drops.is_none() {
            rise.gaps.push(
                "drops at the server's sockets (memcached does not count them, and its host is another)"
                    .to_owned(),
            );
        }
        let gets = risen("cmd_get");
        if gets > keys {
            rise.gaps.push("requests that reached the server (others read from it too)".to_owned());
        }
        // Gets are counted key by key: as many requests arrived as that share of the keys. Where others read too the count says nothing,
        // and more than were sent is how that is said.
        let requests = if gets > keys { u64::MAX } else { share(datagrams, gets, keys) };
        let says_something = gets <= keys || drops.is_some();
        rise.books = says_something.then(|| ServerBooks {
            requests,
            socket_drops: drops.unwrap_or(0),
            // Those told of are taken off where they are known.
            keys_not_told_of: if gets > keys { 0 } else { risen("get_misses") },
            ..ServerBooks::default()
        });
        rise
    }
}

/// `part` of `whole` in `of`, rounded.
fn share(of: u64, part: u64, whole: u64) -> u64 {
    let (of, part, whole) = (u128::from(of), u128::from(part), u128::from(whole.max(1)));
    ((of * part + whole / 2) / whole) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(pid: u64, cmd_get: u64, socket_drops: Option<u64>) -> Reading {
        let counters = [("cmd_get", cmd_get), ("evictions", 0)].into();
        Reading { pid: Some(pid), uptime_s: 1, counters, socket_drops, is_udp: true }
    }

    #[test]
    fn keys_that_were_counted_tell_how_many_requests_arrived() {
        let rise = reading(1, 1000, Some(7)).since(&reading(1, 500, Some(2)), 20, 1000);
        let books = rise.books.expect("nobody else reads");
        assert_eq!((books.requests, books.socket_drops), (10, 5));
        assert_eq!((rise.counters["cmd_get"], rise.counters["socket_drops"]), (500, 5));
        assert_eq!(rise.gaps.len(), 1, "{:?}", rise.gaps);
    }

    #[test]
    fn what_others_read_is_not_put_down_to_us() {
        let rise = reading(1, 5000, None).since(&reading(1, 0, None), 1000, 1000);
        assert!(rise.books.is_none() && rise.gaps.len() == 3, "{:?}", rise.gaps);
        let rise = reading(1, 5000, Some(3)).since(&reading(1, 0, Some(0)), 1000, 1000);
        assert_eq!(rise.books.expect("drops are known").socket_drops, 3);
    }

    #[test]
    fn a_restart_proves_nothing() {
        let rise = reading(2, 10, None).since(&reading(1, 0, None), 10, 10);
        assert!(rise.books.is_none() && rise.gaps[0].contains("restarted") && rise.counters.is_empty());
        let rise = reading(1, 300, Some(9)).since(&reading(1, 500, Some(2)), 1000, 1000);
        assert!(rise.books.is_none() && rise.gaps[0].contains("stats reset") && rise.counters.is_empty());
    }
}
