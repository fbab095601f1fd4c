//! Socket addresses in the kernel's layout.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an IPv4 or IPv6 address as the kernel reads and writes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    bytes: [u8; Self::BYTES],
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    pub(crate) const BYTES: usize = size_of::<libc::sockaddr_in6>();

    pub(crate) const EMPTY: RawAddress = RawAddress { bytes: [0; Self::BYTES] };

    /// Stores `addr` and returns its length in bytes.
    pub(crate) fn set(&mut self, addr: SocketAddr) -> libc::socklen_t {
        match addr {
            SocketAddr::V4(addr) => {
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(addr) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                    sin6_scope_id: addr.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    /// The address, with IPv4 inside IPv6 (`::ffff:a.b.c.d`) shown as IPv4; `None` if it is of another family.
    pub(crate) fn get(&self) -> Option<SocketAddr> {
        // SAFETY: every member is plain bytes, all of which are initialised, and all begin with the family.
        match i32::from(unsafe { self.v4.sin_family }) {
            libc::AF_INET => {
                // SAFETY: as above.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(match ip.to_ipv4_mapped() {
                    Some(ip) => SocketAddrV4::new(ip, port).into(),
                    None => SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into(),
                })
            }
            _ => None,
        }
    }

    /// The address at the start of `bytes`, as control messages carry it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<SocketAddr> {
        let mut raw = RawAddress::EMPTY;
        let len = bytes.len().min(Self::BYTES);
        if len < size_of::<libc::sockaddr_in>() {
            return None;
        }
        // SAFETY: writing initialised bytes into the byte member keeps the union initialised.
        unsafe { raw.bytes[..len].copy_from_slice(&bytes[..len]) };
        raw.get()
    }

    /// The address behind a pointer the C library handed out.
    ///
    /// # Safety
    /// `address` points to a readable address that is as long as its family says.
    pub(crate) unsafe fn read(address: *const libc::sockaddr) -> Option<SocketAddr> {
        let mut raw = RawAddress::EMPTY;
        // SAFETY: the caller's promise covers the family, and the member the family names.
        unsafe {
            match i32::from((*address).sa_family) {
                libc::AF_INET => raw.v4 = address.cast::<libc::sockaddr_in>().read_unaligned(),
                libc::AF_INET6 => raw.v6 = address.cast::<libc::sockaddr_in6>().read_unaligned(),
                _ => return None,
            }
        }
        raw.get()
    }
}
