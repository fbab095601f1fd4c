//! Path-MTU discovery modes, and the MTU of the interface an address is reached through.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Type};

use crate::address::RawAddress;
use crate::device::Asker;
use crate::sockopt;

/// What the kernel does with a datagram longer than the path MTU: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER (ip(7),
/// ipv6(7)). The behaviour given here is that of a path of 9001 bytes with a link of 1500 behind it, for a datagram
/// of 4000 bytes before and after the kernel learned the path MTU, and for one of 20 kB, longer than the interface
/// takes. A learned path MTU holds for the whole network namespace and destination, normally 600 s.
///
/// IPv6 routers never fragment; the host does or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MtuDiscovery {
    /// The default. DF is set where the datagram fits: the first 4000 bytes are lost and ICMP comes back, later ones
    /// are fragmented by this host without DF, and so are 20 kB. A segmented send above the path MTU gets EMSGSIZE
    /// and DF is clear on its segments.
    Want,
    /// DF is never set: routers fragment, 20 kB is fragmented by this host. On IPv6 the same as [`Self::Want`].
    Dont,
    /// DF always, never a fragment: the first 4000 bytes are lost, later ones get EMSGSIZE, as do 20 kB.
    Do,
    /// DF always, the learned path MTU ignored: 4000 bytes are sent whole and lost, every time; only 20 kB get
    /// EMSGSIZE. For those who search the path MTU themselves (RFC 8899).
    Probe,
    /// DF never, the learned path MTU ignored: routers fragment 4000 bytes; 20 kB get EMSGSIZE. On IPv6 a permanent
    /// black hole above the path MTU.
    Interface,
    /// As [`Self::Interface`], but this host fragments what exceeds the interface MTU. On IPv6 as bad.
    Omit,
}

impl MtuDiscovery {
    /// Every mode, in the kernel's numbering apart from the first two.
    pub const ALL: [MtuDiscovery; 6] = [
        MtuDiscovery::Want,
        MtuDiscovery::Dont,
        MtuDiscovery::Do,
        MtuDiscovery::Probe,
        MtuDiscovery::Interface,
        MtuDiscovery::Omit,
    ];

    /// The option's value, the same in both families (include/uapi/linux/in.h and in6.h).
    pub(crate) fn raw(self) -> libc::c_int {
        match self {
            MtuDiscovery::Want => libc::IP_PMTUDISC_WANT,
            MtuDiscovery::Dont => libc::IP_PMTUDISC_DONT,
            MtuDiscovery::Do => libc::IP_PMTUDISC_DO,
            MtuDiscovery::Probe => libc::IP_PMTUDISC_PROBE,
            MtuDiscovery::Interface => libc::IP_PMTUDISC_INTERFACE,
            MtuDiscovery::Omit => libc::IP_PMTUDISC_OMIT,
        }
    }

    pub(crate) fn from_raw(raw: libc::c_int) -> io::Result<Self> {
        Self::ALL.into_iter().find(|mode| mode.raw() == raw).ok_or_else(|| {
            let text = format!("MTU-discovery mode {raw} is unknown; known are 0 to 5");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }
}

/// MTU in bytes of the interface that holds `addr` or through which packets to it leave. For an unspecified
/// address (`0.0.0.0`, `::`), the largest MTU of the interfaces that are up and hold an address of that family.
///
/// This is the interface's own MTU: what was learned about the path behind it does not count.
///
/// # Errors
/// Whatever the kernel says when there is no route to `addr`, and NotFound when no interface has an address of the
/// family.
pub fn interface_mtu(addr: IpAddr) -> io::Result<u32> {
    let socket = socket2::Socket::new(
        Domain::for_address(SocketAddr::new(addr, 0)),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    let (interfaces, asker) = (Interfaces::list()?, Asker::open()?);
    if addr.is_unspecified() {
        let mut largest = None;
        interfaces.for_each_up(|name, held| {
            if held.is_ipv4() == addr.is_ipv4() {
                largest = largest.max(asker.mtu(name.to_bytes()).ok());
            }
        });
        return largest.ok_or_else(|| {
            let family = if addr.is_ipv4() { "IPv4" } else { "IPv6" };
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no interface that is up has an {family} address"),
            )
        });
    }
    if let Some(mtu) = interfaces.mtu_of_holder(&asker, addr) {
        return Ok(mtu);
    }
    // Connecting picks the route and its source address without sending anything; the port plays no part in it.
    socket.connect(&SockAddr::from(SocketAddr::new(addr, 9)))?;
    let source = socket.local_addr()?.as_socket().map(|source| source.ip());
    match source.and_then(|source| interfaces.mtu_of_holder(&asker, source)) {
        Some(mtu) => Ok(mtu),
        None => path_mtu(&socket, addr.is_ipv6()),
    }
}

/// Path MTU of a connected socket (IP_MTU, IPV6_MTU).
pub(crate) fn path_mtu(socket: &socket2::Socket, v6: bool) -> io::Result<u32> {
    let (level, name) = if v6 { (libc::SOL_IPV6, libc::IPV6_MTU) } else { (libc::SOL_IP, libc::IP_MTU) };
    sockopt::get_int(socket, level, name).map(|mtu| mtu.unsigned_abs())
}

/// The list `getifaddrs` hands out, freed on drop.
struct Interfaces(*mut libc::ifaddrs);

impl Interfaces {
    fn list() -> io::Result<Self> {
        let mut head = std::ptr::null_mut();
        // SAFETY: head is a valid place for the list's pointer.
        if unsafe { libc::getifaddrs(&mut head) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Interfaces(head))
    }

    fn for_each_up(&self, mut visit: impl FnMut(&CStr, IpAddr)) {
        let mut next = self.0;
        // SAFETY: next is null or an entry of the list, which lives until drop.
        while let Some(entry) = unsafe { next.as_ref() } {
            next = entry.ifa_next;
            if entry.ifa_addr.is_null() || entry.ifa_flags & libc::IFF_UP as libc::c_uint == 0 {
                continue;
            }
            // SAFETY: ifa_addr is not null and holds an address of the size its family says.
            let Some(held) = (unsafe { RawAddress::read(entry.ifa_addr) }) else { continue };
            // SAFETY: ifa_name is a C string that lives as long as the list.
            visit(unsafe { CStr::from_ptr(entry.ifa_name) }, held.ip());
        }
    }

    fn mtu_of_holder(&self, asker: &Asker, addr: IpAddr) -> Option<u32> {
        let mut mtu = None;
        self.for_each_up(|name, held| {
            if held == addr && mtu.is_none() {
                mtu = asker.mtu(name.to_bytes()).ok();
            }
        });
        mtu
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        // SAFETY: the pointer came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) }
    }
}
