//! `net/udp` and `net/udp6`: the sockets of the namespace (udp4_format_sock, net/ipv4/udp.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One UDP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpSocket {
    /// Address and port it is bound to.
    pub local: SocketAddr,
    /// Peer it is connected to, unspecified if none.
    pub remote: SocketAddr,
    /// Bytes charged to what was sent and has not left the host.
    pub send_queue_bytes: u32,
    /// Bytes charged to the receive queue.
    pub recv_queue_bytes: u32,
    /// The socket's inode, which no other socket has.
    pub inode: u64,
    /// Datagrams it dropped since it was opened; `None` on kernels without that column.
    pub drops: Option<u32>,
}

/// The UDP sockets of one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UdpSockets(Vec<UdpSocket>);

impl UdpSockets {
    /// Reads the text of `net/udp` or `net/udp6`; lines that are not a socket are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        UdpSockets(super::lines(text).filter_map(socket).collect())
    }

    /// The sockets, in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = &UdpSocket> {
        self.0.iter()
    }

    /// The sockets bound to `port`.
    pub fn on_port(&self, port: u16) -> impl Iterator<Item = &UdpSocket> {
        self.0.iter().filter(move |socket| socket.local.port() == port)
    }
}

/// `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops`
fn socket(line: &str) -> Option<UdpSocket> {
    let mut fields = line.split_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let (tx, rx) = fields.nth(1)?.split_once(':')?;
    let send_queue_bytes = u32::from_str_radix(tx, 16).ok()?;
    let recv_queue_bytes = u32::from_str_radix(rx, 16).ok()?;
    let inode = fields.nth(4)?.parse().ok()?;
    let drops = fields.nth(2).and_then(|drops| drops.parse().ok());
    Some(UdpSocket { local, remote, send_queue_bytes, recv_queue_bytes, inode, drops })
}

/// `0100007F:1F90`: each 32-bit word of the address as the host reads it, then the port.
fn address(field: &str) -> Option<SocketAddr> {
    let (ip, port) = field.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut octets = [0; 16];
            for (index, octets) in octets.chunks_exact_mut(4).enumerate() {
                octets.copy_from_slice(&word(index * 8)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
