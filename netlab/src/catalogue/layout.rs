//! Where hosts, wires and addresses are: the client, a router, the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::CANARY_ADDRESSES;
use crate::plan::{HostPlan, Wire, WireEnd};

/// Indices of the hosts in every plan.
pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;
pub(super) const ROUTER: usize = 2;

/// The router's devices: towards the server, towards the client. With two routers, the latter's is the far one's.
pub(super) const ROUTER_SERVER: &str = "rs";
pub(super) const ROUTER_CLIENT: &str = "rc";

/// Names of the hosts' only devices.
pub(super) const SERVER_DEVICE: &str = "s0";
pub(super) const CLIENT_DEVICE: &str = "c0";

/// Third number of the networks' addresses.
pub(super) const SERVER_NET: u8 = 1;
pub(super) const CLIENT_NET: u8 = 2;

/// The two ends alone, each with a default route to the first address of its network.
pub(super) fn ends() -> [HostPlan; 2] {
    let mut client = host("client");
    client.addresses = address(CLIENT_DEVICE, CLIENT_NET, 2);
    for last in CANARY_ADDRESSES {
        client.addresses.extend(address(CLIENT_DEVICE, CLIENT_NET, last));
    }
    client.routes = defaults(CLIENT_NET);
    let mut server = host("server");
    server.addresses = address(SERVER_DEVICE, SERVER_NET, 2);
    server.routes = defaults(SERVER_NET);
    [client, server]
}

/// A host that forwards.
pub(super) fn router(name: &str) -> HostPlan {
    HostPlan { forwards: true, ..host(name) }
}

fn host(name: &str) -> HostPlan {
    HostPlan { name: name.into(), ..HostPlan::default() }
}

/// A device's queue: bits a second, bytes at once, and bytes that wait.
pub(super) fn token_bucket(device: &str, rate: u64, burst: u64, queue: u64) -> String {
    format!("qdisc add dev {device} root tbf rate {rate}bit burst {burst} limit {queue}")
}

/// A wire between two hosts' devices.
pub(super) fn wire(a: (usize, &str), b: (usize, &str), mtu: u32) -> Wire {
    let end = |(host, device): (usize, &str)| WireEnd { host, device: device.into(), mtu };
    Wire { ends: [end(a), end(b)] }
}

/// Addresses of both families: 198.18.NET.LAST/24 and fd00:18:NET::LAST/64, where IPv6 writes the decimal digits.
pub(super) fn address(device: &str, net: u8, last: u8) -> Vec<(String, IpAddr, u8)> {
    vec![(device.into(), ipv4(net, last).into(), 24), (device.into(), ipv6(net, last).into(), 64)]
}

pub(super) fn ipv4(net: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, net, last)
}

pub(super) fn ipv6(net: u8, last: u8) -> Ipv6Addr {
    // The digits of both notations agree: 101 is ::101.
    let digits =
        |number: u8| u16::from(number / 100) << 8 | u16::from(number / 10 % 10) << 4 | u16::from(number % 10);
    Ipv6Addr::new(0xfd00, 0x18, digits(net), 0, 0, 0, 0, digits(last))
}

fn defaults(net: u8) -> Vec<String> {
    vec![format!("default via {}", ipv4(net, 1)), format!("default via {}", ipv6(net, 1))]
}
