//! Who may update: a pure rule over where the peer is and what it presented.

use std::net::IpAddr;

use crate::config::Token;

/// What a HELLO allows. Reads, statistics, receipts and pings are open to all; updates (SET, DELETE) and administration
/// (FLUSH, DRAIN) are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything.
    Update,
    /// What changes nothing.
    Read,
    /// A wrong token: nothing.
    Denied,
}

/// Peers on this host need no token; others need the server's. Whoever presents one must present the right one, so that a
/// mistake shows at once and not at the first update.
pub(super) fn access(peer: IpAddr, token: Option<&Token>, presented: &[u8]) -> Access {
    let local = peer.to_canonical().is_loopback();
    match token {
        _ if presented.is_empty() => {
            if local {
                Access::Update
            } else {
                Access::Read
            }
        }
        Some(token) if token.matches(presented) => Access::Update,
        None if local => Access::Update,
        _ => Access::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule() {
        let token = Token::new(b"right").unwrap();
        let local = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"];
        let remote = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "10.0.0.1"];
        for (peers, without, with_none_set) in
            [(local, Access::Update, Access::Update), (remote, Access::Read, Access::Denied)]
        {
            for peer in peers.map(|peer| peer.parse().unwrap()) {
                assert_eq!(access(peer, Some(&token), b""), without, "{peer}");
                assert_eq!(access(peer, None, b""), without, "{peer}");
                assert_eq!(access(peer, Some(&token), b"right"), Access::Update, "{peer}");
                assert_eq!(access(peer, Some(&token), b"wrong"), Access::Denied, "{peer}");
                assert_eq!(access(peer, None, b"any"), with_none_set, "{peer}");
            }
        }
    }
}
