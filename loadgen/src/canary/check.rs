//! Whether addresses given for canaries can be that: addresses of this host, of the server's family, and not the one the load uses.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::error::Error;
use crate::limits::CANARIES_MAX;

/// Checks the addresses before anything is begun; `server` is where the load goes, `None` where that is not known yet.
///
/// # Errors
/// The first that will not do, and why.
pub fn check(addresses: &[IpAddr], server: Option<IpAddr>) -> Result<(), Error> {
    let refuse = |address: &IpAddr, reason: String| Err(Error::CanaryAddress { address: *address, reason });
    if addresses.len() > CANARIES_MAX {
        return Err(Error::OutOfRange {
            flag: "--canary-addr".to_owned(),
            value: format!("given {} times", addresses.len()),
            range: format!("up to {CANARIES_MAX} addresses"),
        });
    }
    let own = server.and_then(load_address);
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            return refuse(address, "it is given twice; name each address once".to_owned());
        }
        if address.is_unspecified() || address.is_multicast() {
            return refuse(address, "it is no address of one host; give one that this host has".to_owned());
        }
        if let Some(server) = server.filter(|server| server.is_ipv4() != address.is_ipv4()) {
            let family = if server.is_ipv4() { "IPv4" } else { "IPv6" };
            return refuse(
                address,
                format!("the server is reached at {server}; give an address of {family}"),
            );
        }
        if own == Some(*address) {
            return refuse(
                address,
                "the load uses it, and path MTUs are kept per address; add another one to the interface (ip address add) and give that".to_owned(),
            );
        }
        if let Err(error) = can_reach(*address, server) {
            return refuse(
                address,
                format!(
                    "this host cannot send from it to the server ({error}); give an address of this host (ip address show), or add it (ip address add)"
                ),
            );
        }
    }
    Ok(())
}

/// Whether packets from this address have a way to the server. Connecting a datagram socket sends nothing (udp(7)).
fn can_reach(address: IpAddr, server: Option<IpAddr>) -> std::io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
    server.map_or(Ok(()), |server| socket.connect(SocketAddr::new(server, 9)))
}

/// The address that this host reaches the server from.
fn load_address(server: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    // Connecting a datagram socket sends nothing (udp(7)); the port plays no part.
    socket.connect(SocketAddr::new(server, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(addresses: &[&str], server: &str) -> String {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let server = Some(server.parse().expect("an address"));
        check(&addresses, server).expect_err("an address that will not do").to_string()
    }

    #[test]
    fn each_address_that_will_not_do_is_told_why() {
        for (addresses, words) in [
            (&["127.0.0.1"][..], "the load uses it"),
            (&["127.0.0.2", "127.0.0.2"], "twice"),
            (&["::1"], "IPv4"),
            (&["203.0.113.7"], "cannot send from it"),
            (&["0.0.0.0"], "no address of one host"),
            (&["224.0.0.1"], "no address of one host"),
        ] {
            let error = refused(addresses, "127.0.0.1");
            assert!(error.contains(words) && error.contains(addresses[0]), "{error}");
        }
    }

    #[test]
    fn other_addresses_of_this_host_will_do() {
        let others = ["127.0.0.2".parse().expect("literal"), "127.0.0.3".parse().expect("literal")];
        check(&others, Some([127, 0, 0, 1].into())).expect("all of 127/8 is this host's");
    }
}
