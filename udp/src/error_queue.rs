//! The error queue (IP_RECVERR in ip(7), IPV6_RECVERR in ipv6(7)): ICMP and local errors with their cause.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use crate::address::RawAddress;
use crate::cmsg::{Control, controls};
use crate::limits::{ERROR_CONTROL_BYTES, ERRORS_PER_DRAIN_MAX};

/// Who found the error (`SO_EE_ORIGIN_*`, include/uapi/linux/errqueue.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorOrigin {
    /// This host, such as EMSGSIZE for a datagram longer than the path MTU.
    Local,
    /// A router or the peer, by ICMP.
    Icmp,
    /// A router or the peer, by ICMPv6.
    Icmp6,
    /// Another origin, by its number.
    Other(u8),
}

/// One entry of a socket's error queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketError {
    /// Who found it.
    pub origin: ErrorOrigin,
    /// The errno it amounts to, such as ECONNREFUSED.
    pub errno: i32,
    /// ICMP type, 0 for local errors.
    pub icmp_type: u8,
    /// ICMP code, 0 for local errors.
    pub icmp_code: u8,
    /// For EMSGSIZE the path MTU learned; otherwise what the ICMP message carried there.
    pub info: u32,
    /// Where the datagram that caused it was going.
    pub destination: Option<SocketAddr>,
    /// The node that sent the ICMP message; its port is 0.
    pub offender: Option<SocketAddr>,
}

impl SocketError {
    /// Path MTU in bytes, if this error is about a datagram that was too long.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        (self.errno == libc::EMSGSIZE).then_some(self.info)
    }

    /// Whether the peer's host says that nothing listens on the port.
    #[must_use]
    pub fn is_port_unreachable(&self) -> bool {
        self.errno == libc::ECONNREFUSED
    }
}

/// Takes up to [`ERRORS_PER_DRAIN_MAX`] entries and returns how many there were.
pub(crate) fn drain(socket: &socket2::Socket, sink: &mut impl FnMut(SocketError)) -> io::Result<usize> {
    for drained in 0..ERRORS_PER_DRAIN_MAX {
        match take(socket) {
            Ok(error) => error.into_iter().for_each(&mut *sink),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(drained),
            Err(error) => return Err(error),
        }
    }
    // Taking an entry makes the next one the socket's pending error; left there it would fail the next send.
    socket.take_error()?;
    Ok(ERRORS_PER_DRAIN_MAX)
}

/// The first entry; `None` for one without an error in it (a transmit timestamp, say).
fn take(socket: &socket2::Socket) -> io::Result<Option<SocketError>> {
    #[repr(C, align(8))]
    struct ControlBuffer([u8; ERROR_CONTROL_BYTES]);

    let mut name = RawAddress::EMPTY;
    let mut control = ControlBuffer([0; ERROR_CONTROL_BYTES]);
    // SAFETY: all zeroes is a valid msghdr: no name, no slices, no control.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = RawAddress::BYTES as libc::socklen_t;
    header.msg_control = (&raw mut control.0).cast();
    header.msg_controllen = ERROR_CONTROL_BYTES as _;
    loop {
        // SAFETY: header describes name and control, which outlive the call. The payload is not asked for.
        let result = unsafe {
            libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
        };
        if result >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let control_bytes: usize = header.msg_controllen as _;
    let control = &control.0[..control_bytes.min(ERROR_CONTROL_BYTES)];
    let destination = if header.msg_namelen == 0 { None } else { name.get() };
    Ok(controls(control).find_map(|control| parse(&control, destination)))
}

/// `struct sock_extended_err` followed by the offender's address (SO_EE_OFFENDER).
fn parse(control: &Control<'_>, destination: Option<SocketAddr>) -> Option<SocketError> {
    const OFFENDER_AT: usize = size_of::<libc::sock_extended_err>();
    if !matches!(
        (control.level, control.kind),
        (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
    ) {
        return None;
    }
    let [origin, icmp_type, icmp_code, _] = control.word(4)?.to_ne_bytes();
    Some(SocketError {
        origin: match origin {
            libc::SO_EE_ORIGIN_LOCAL => ErrorOrigin::Local,
            libc::SO_EE_ORIGIN_ICMP => ErrorOrigin::Icmp,
            libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Icmp6,
            other => ErrorOrigin::Other(other),
        },
        errno: control.word(0)? as i32,
        icmp_type,
        icmp_code,
        info: control.word(8)?,
        destination,
        offender: control.data.get(OFFENDER_AT..).and_then(RawAddress::from_bytes),
    })
}
