//! What the tests of the laboratory share: plans written by hand, and when to skip.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use shingle_netlab::lab::{Lab, LabError, LabOptions};
use shingle_netlab::{Family, HostPlan, Plan, Wire, WireEnd, skip};

/// Client, router, server; MTUs of the client's and of the server's wire.
pub(crate) fn plan(client_mtu: u32, server_mtu: u32) -> Plan {
    let end = |host: usize, device: &str, mtu: u32| WireEnd { host, device: device.to_owned(), mtu };
    let client = host(
        "client",
        &[("c0", "198.18.2.2/24"), ("c0", "fd00:18:2::2/64")],
        &["198.18.2.1", "fd00:18:2::1"],
    );
    let server = host(
        "server",
        &[("s0", "198.18.1.2/24"), ("s0", "fd00:18:1::2/64")],
        &["198.18.1.1", "fd00:18:1::1"],
    );
    let mut router = host(
        "router",
        &[
            ("rc", "198.18.2.1/24"),
            ("rc", "fd00:18:2::1/64"),
            ("rs", "198.18.1.1/24"),
            ("rs", "fd00:18:1::1/64"),
        ],
        &[],
    );
    router.forwards = true;
    Plan {
        topology: "test".to_owned(),
        hosts: vec![client, server, router],
        wires: vec![
            Wire { ends: [end(0, "c0", client_mtu), end(2, "rc", client_mtu)] },
            Wire { ends: [end(1, "s0", server_mtu), end(2, "rs", server_mtu)] },
        ],
        ..Plan::default()
    }
}

fn host(name: &str, addresses: &[(&str, &str)], gateways: &[&str]) -> HostPlan {
    let address = |&(device, text): &(&str, &str)| {
        let (address, prefix) = text.split_once('/').unwrap();
        (device.to_owned(), address.parse::<IpAddr>().unwrap(), prefix.parse().unwrap())
    };
    HostPlan {
        name: name.to_owned(),
        addresses: addresses.iter().map(address).collect(),
        routes: gateways.iter().map(|gateway| format!("default via {gateway}")).collect(),
        ..HostPlan::default()
    }
}

/// A laboratory, or nothing, said aloud, where this machine cannot have one; with SHINGLE_REQUIRE_LAB=1 that is a failure.
pub(crate) fn lab(plan: &Plan, options: &LabOptions) -> Option<Lab> {
    match Lab::up(plan, options) {
        Err(error @ (LabError::Tools { .. } | LabError::Rights { .. } | LabError::NoIpv6)) => {
            skip::unless_required(skip::REQUIRE_LAB, error);
            None
        }
        other => Some(other.unwrap()),
    }
}

/// A name of this test run: another may be on this machine.
pub(crate) fn own(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Sockets at the client's own address and at the server's port 7400, with the server's address.
pub(crate) fn sockets(lab: &Lab, family: Family) -> (UdpSocket, UdpSocket, SocketAddr) {
    let address = SocketAddr::new(lab.server().address(family), 7400);
    let server = lab.server().run(|| UdpSocket::bind(address).unwrap()).unwrap();
    let own = SocketAddr::new(lab.client().address(family), 0);
    let client = lab.client().run(|| UdpSocket::bind(own).unwrap()).unwrap();
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    (client, server, address)
}

/// The next datagram and who sent it.
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 10_000];
    loop {
        match socket.recv_from(&mut buffer) {
            // A process that is stopped and let go on meanwhile.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => {
                let (length, peer) = received.unwrap();
                buffer.truncate(length);
                return (buffer, peer);
            }
        }
    }
}

/// Waits for what comes soon as a rule.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
