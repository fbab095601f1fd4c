//! The way to a peer as the kernel sees it now: device, source address, the path MTU it learned, and whether the route locks one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::device::{self, Device};
use crate::netlink::{self, attribute, word};
use crate::options::SocketOptions;
use crate::socket::Socket;

/// The way packets to a peer take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The device they leave through.
    pub device: Device,
    /// The address they leave from.
    pub source: Option<IpAddr>,
    /// The next router; `None` where the peer is on the device's link.
    pub gateway: Option<IpAddr>,
    /// MTU in bytes that somebody gave the route (`ip route ... mtu N`).
    pub mtu_bytes: Option<u32>,
    /// Whether that MTU is locked (`mtu lock N`): no path MTU is learned here, and DF stays clear except where a socket asks for it.
    pub is_mtu_locked: bool,
    /// Path MTU in bytes that the kernel learned for this peer, by ICMP; it forgets it after net.ipv4.route.mtu_expires or
    /// net.ipv6.route.mtu_expires.
    pub learned_mtu_bytes: Option<u32>,
}

/// Path MTU in bytes that the kernel holds now for datagrams to `peer` (IP_MTU and IPV6_MTU of a connected socket): the interface's or
/// the route's, or what it learned since. Nothing is sent.
///
/// # Errors
/// Whatever the kernel says, such as no route.
pub fn path_mtu(peer: SocketAddr) -> io::Result<u32> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = Socket::bind(SocketAddr::new(any, 0), &SocketOptions::default())?;
    socket.connect(peer)?;
    socket.path_mtu()
}

/// The way to `peer`.
///
/// # Errors
/// Whatever the kernel says, such as ENETUNREACH without a route.
pub fn to(peer: IpAddr) -> io::Result<Route> {
    let peer = peer.to_canonical();
    let used = ask(peer, 0)?;
    // The route itself, without what was learned about this peer (RTM_F_FIB_MATCH, since 4.13).
    let table = ask(peer, FIB_MATCH)?;
    let learned = used.mtu_bytes.filter(|_| used.mtu_bytes != table.mtu_bytes);
    Ok(Route {
        device: device::by_index(used.device_index)?,
        source: used.source,
        gateway: used.gateway,
        mtu_bytes: table.mtu_bytes,
        is_mtu_locked: table.is_mtu_locked,
        learned_mtu_bytes: learned,
    })
}

/// What one RTM_NEWROUTE says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Answer {
    device_index: u32,
    source: Option<IpAddr>,
    gateway: Option<IpAddr>,
    mtu_bytes: Option<u32>,
    is_mtu_locked: bool,
}

/// RTM_F_FIB_MATCH (linux/rtnetlink.h).
const FIB_MATCH: u32 = 0x2000;
/// `struct rtmsg`: family, lengths of destination and source, tos, table, protocol, scope, type, then flags.
const RTMSG_BYTES: usize = 12;

fn ask(peer: IpAddr, flags: u32) -> io::Result<Answer> {
    let (family, octets) = match peer {
        IpAddr::V4(peer) => (libc::AF_INET, peer.octets().to_vec()),
        IpAddr::V6(peer) => (libc::AF_INET6, peer.octets().to_vec()),
    };
    let mut payload = vec![0; RTMSG_BYTES];
    payload[0] = family as u8;
    payload[1] = 8 * octets.len() as u8;
    payload[8..].copy_from_slice(&flags.to_ne_bytes());
    netlink::put_attribute(&mut payload, libc::RTA_DST, &octets);
    let answers = netlink::ask(libc::RTM_GETROUTE, 0, &payload)?;
    let route = answers
        .iter()
        .flat_map(|answer| netlink::messages(answer))
        .filter(|message| message.kind == libc::RTM_NEWROUTE)
        .find_map(|message| Answer::parse(message.payload()));
    route.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the kernel did not tell the route to {peer}"))
    })
}

impl Answer {
    /// Reads `struct rtmsg` and attributes. `None` where the device is not told: the message is cut.
    fn parse(payload: &[u8]) -> Option<Self> {
        /// RTAX_LOCK and RTAX_MTU within RTA_METRICS (linux/rtnetlink.h).
        const LOCK: u16 = 1;
        const MTU: u16 = 2;
        let options = payload.get(RTMSG_BYTES..)?;
        let metrics = attribute(options, libc::RTA_METRICS).unwrap_or_default();
        let metric = |kind| attribute(metrics, kind).and_then(|value| word(value, 0));
        Some(Answer {
            device_index: attribute(options, libc::RTA_OIF)
                // Of several next hops the first: `struct rtnexthop` is length, flags, weight, device.
                .or_else(|| attribute(options, libc::RTA_MULTIPATH)?.get(4..8))
                .and_then(|value| word(value, 0))?,
            source: attribute(options, libc::RTA_PREFSRC).and_then(address),
            gateway: attribute(options, libc::RTA_GATEWAY).and_then(address),
            mtu_bytes: metric(MTU).filter(|mtu| *mtu != 0),
            is_mtu_locked: metric(LOCK).is_some_and(|locked| locked & 1 << MTU != 0),
        })
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(*value.first_chunk()?).into()),
        16 => Some(Ipv6Addr::from(*value.first_chunk()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::put_attribute;
    use proptest::prelude::*;

    fn route(lock: u32) -> Vec<u8> {
        let mut payload = vec![0; RTMSG_BYTES];
        put_attribute(&mut payload, libc::RTA_OIF, &5u32.to_ne_bytes());
        put_attribute(&mut payload, libc::RTA_PREFSRC, &[10, 0, 0, 2]);
        put_attribute(&mut payload, libc::RTA_GATEWAY, &[10, 0, 0, 1]);
        let mut metrics = Vec::new();
        put_attribute(&mut metrics, 1, &lock.to_ne_bytes());
        put_attribute(&mut metrics, 2, &1400u32.to_ne_bytes());
        put_attribute(&mut payload, libc::RTA_METRICS, &metrics);
        payload
    }

    #[test]
    fn metrics_and_their_lock_are_read() {
        let answer = Answer::parse(&route(1 << 2)).unwrap();
        assert_eq!((answer.device_index, answer.mtu_bytes, answer.is_mtu_locked), (5, Some(1400), true));
        assert_eq!(answer.source, Some("10.0.0.2".parse().unwrap()));
        assert_eq!(answer.gateway, Some("10.0.0.1".parse().unwrap()));
        assert!(!Answer::parse(&route(1 << 3)).unwrap().is_mtu_locked, "another metric's lock");
    }

    #[test]
    fn the_way_to_oneself_is_the_loopback() {
        for peer in ["127.0.0.1:9", "[::1]:9"].map(|peer| peer.parse::<SocketAddr>().unwrap()) {
            let Ok(route) = to(peer.ip()) else {
                // A host without IPv6.
                assert!(peer.is_ipv6(), "no route to {peer}");
                continue;
            };
            assert!(route.device.is_loopback && route.learned_mtu_bytes.is_none(), "{route:?}");
            assert_eq!(path_mtu(peer).unwrap().min(65_535), route.device.mtu_bytes.min(65_535));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Answer::parse(&bytes);
        }

        #[test]
        fn a_cut_message_never_invents_a_lock(length in 0usize..60) {
            let whole = route(0);
            let answer = Answer::parse(&whole[..length.min(whole.len())]);
            prop_assert!(answer.is_none_or(|answer| !answer.is_mtu_locked));
        }
    }
}
