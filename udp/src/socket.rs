//! The socket: bound, non-blocking, with what the kernel says about it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Type};

use crate::error_queue::{self, SocketError};
use crate::limits::SEGMENTS_PER_SEND_MAX;
use crate::meminfo::MemInfo;
use crate::mtu::{self, MtuDiscovery};
use crate::options::SocketOptions;
use crate::sockopt;

/// A non-blocking UDP socket. Datagrams pass through [`RecvBatch`](crate::RecvBatch) and
/// [`SendBatch`](crate::SendBatch); several threads may use one socket at once.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    v6: bool,
    /// An IPv6 socket that IPv4 peers reach as well: options of both families apply.
    dual: bool,
    gro: bool,
    /// Segments one send may carry: 1 where UDP_SEGMENT does not work.
    segments_max: AtomicUsize,
}

/// What [`Socket::wait`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// A receive would find a datagram, or an error.
    pub readable: bool,
    /// A send would find room, or an error.
    pub writable: bool,
    /// An error is pending or the error queue is not empty. The wait returns at once until
    /// [`Socket::drain_errors`] has emptied it.
    pub error: bool,
}

impl Socket {
    /// Opens a socket, applies `options` and binds it to `addr` (port 0: one the kernel picks).
    ///
    /// Where the system's limit cut the buffers asked for, the privileged options that pass it are tried
    /// (SO_RCVBUFFORCE, SO_SNDBUFFORCE); without the right to them the cut buffer stands.
    ///
    /// # Errors
    /// Whatever the kernel says: address in use or not of this host, family not available.
    pub fn bind(addr: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
        let v6 = addr.is_ipv6();
        let inner =
            socket2::Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if v6 {
            inner.set_only_v6(options.only_v6)?;
        }
        let socket = Socket {
            v6,
            dual: v6 && !options.only_v6,
            gro: options.gro && sockopt::set_int(&inner, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok(),
            segments_max: AtomicUsize::new(
                match sockopt::get_int(&inner, libc::SOL_UDP, libc::UDP_SEGMENT) {
                    Ok(_) => SEGMENTS_PER_SEND_MAX,
                    Err(_) => 1,
                },
            ),
            inner,
        };
        socket.apply(options)?;
        socket.inner.bind(&SockAddr::from(addr))?;
        Ok(socket)
    }

    /// The address and port bound to.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.inner.local_addr()?;
        addr.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Chooses how datagrams longer than the path MTU are treated.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn set_mtu_discovery(&self, mode: MtuDiscovery) -> io::Result<()> {
        self.set_ip(libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER, mode.raw())
    }

    /// How datagrams longer than the path MTU are treated.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn mtu_discovery(&self) -> io::Result<MtuDiscovery> {
        let (level, name) = match self.v6 {
            true => (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER),
            false => (libc::SOL_IP, libc::IP_MTU_DISCOVER),
        };
        sockopt::get_int(&self.inner, level, name).and_then(MtuDiscovery::from_raw)
    }

    /// Takes datagrams from `addr` only from now on, and lets [`Socket::path_mtu`] answer.
    ///
    /// # Errors
    /// Whatever the kernel says, such as no route.
    pub fn connect(&self, addr: SocketAddr) -> io::Result<()> {
        self.inner.connect(&SockAddr::from(addr))
    }

    /// Path MTU in bytes the kernel believes in towards the connected peer (IP_MTU, IPV6_MTU).
    ///
    /// # Errors
    /// ENOTCONN when the socket is not connected.
    pub fn path_mtu(&self) -> io::Result<u32> {
        mtu::path_mtu(&self.inner, self.v6)
    }

    /// Switches [`SocketOptions::timestamps`] on or off; those of datagrams that wait already tell when they are received.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn set_timestamps(&self, on: bool) -> io::Result<()> {
        sockopt::set_int(&self.inner, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, on.into())
    }

    /// Receive buffer as granted, in the kernel's accounting: twice what was asked for or allowed, charged with the
    /// true size of each buffer rather than its payload.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn recv_buffer_granted_bytes(&self) -> io::Result<usize> {
        self.inner.recv_buffer_size()
    }

    /// What the socket's queues hold, and how many datagrams it dropped.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn mem_info(&self) -> io::Result<MemInfo> {
        MemInfo::read(&self.inner)
    }

    /// Whether one send may carry several datagrams (UDP_SEGMENT). It turns false for good once the kernel answers
    /// EIO, as it does where a device on the way cannot compute checksums; sends are then split here.
    #[must_use]
    pub fn has_segmentation(&self) -> bool {
        self.segments_max() > 1
    }

    /// Lowers the segments one send may carry; 1 switches UDP_SEGMENT off. Longer trains are sent in several
    /// messages, the receiver sees the same datagrams.
    pub fn limit_segments(&self, segments: usize) {
        self.segments_max.fetch_min(segments.max(1), Ordering::Relaxed);
    }

    /// Whether the kernel may hand over several datagrams in one slot (UDP_GRO was asked for and accepted).
    #[must_use]
    pub fn has_gro(&self) -> bool {
        self.gro
    }

    /// Takes entries off the error queue, at most [`ERRORS_PER_DRAIN_MAX`](crate::limits::ERRORS_PER_DRAIN_MAX), and
    /// returns how many. No error is pending on the socket afterwards, so the next send starts clean.
    ///
    /// # Errors
    /// Whatever the kernel says; an empty queue is no error.
    pub fn drain_errors(&self, sink: &mut impl FnMut(SocketError)) -> io::Result<usize> {
        error_queue::drain(&self.inner, sink)
    }

    /// Waits until the socket can be read or written, as asked, or `timeout` has passed (ppoll(2), so nanoseconds
    /// count). A signal ends the wait early with nothing ready.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn wait(&self, read: bool, write: bool, timeout: Duration) -> io::Result<Readiness> {
        crate::wait::wait(self, read, write, timeout)
    }

    pub(crate) fn segments_max(&self) -> usize {
        self.segments_max.load(Ordering::Relaxed)
    }

    fn apply(&self, options: &SocketOptions) -> io::Result<()> {
        let switch = |on: bool, name| {
            if on { sockopt::set_int(&self.inner, libc::SOL_SOCKET, name, 1) } else { Ok(()) }
        };
        switch(options.reuse_port, libc::SO_REUSEPORT)?;
        switch(options.timestamps, libc::SO_TIMESTAMPNS)?;
        switch(options.drop_counter, libc::SO_RXQ_OVFL)?;
        if !options.busy_poll.is_zero() {
            let us = libc::c_int::try_from(options.busy_poll.as_micros()).unwrap_or(libc::c_int::MAX);
            // A matter of speed alone, and mostly of rights.
            let _ = sockopt::set_int(&self.inner, libc::SOL_SOCKET, libc::SO_BUSY_POLL, us);
        }
        if options.recv_error_queue {
            self.set_ip(libc::IP_RECVERR, libc::IPV6_RECVERR, 1)?;
        }
        if let Some(mode) = options.mtu_discovery {
            self.set_mtu_discovery(mode)?;
        }
        self.set_buffer(options.recv_buffer_bytes, libc::SO_RCVBUF, libc::SO_RCVBUFFORCE)?;
        self.set_buffer(options.send_buffer_bytes, libc::SO_SNDBUF, libc::SO_SNDBUFFORCE)
    }

    /// Sets an option that exists once for each family, for those this socket speaks.
    fn set_ip(&self, name: libc::c_int, name6: libc::c_int, value: libc::c_int) -> io::Result<()> {
        if self.v6 {
            sockopt::set_int(&self.inner, libc::SOL_IPV6, name6, value)?;
        }
        if !self.v6 || self.dual {
            sockopt::set_int(&self.inner, libc::SOL_IP, name, value)?;
        }
        Ok(())
    }

    fn set_buffer(&self, bytes: usize, name: libc::c_int, force: libc::c_int) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // The kernel doubles the value in an int, so half its range is the most it can grant.
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX).min(libc::c_int::MAX / 2);
        sockopt::set_int(&self.inner, libc::SOL_SOCKET, name, bytes)?;
        if sockopt::get_int(&self.inner, libc::SOL_SOCKET, name)? < bytes * 2 {
            // Needs CAP_NET_ADMIN; without it the cut buffer stands and the caller reads what was granted.
            let _ = sockopt::set_int(&self.inner, libc::SOL_SOCKET, force, bytes);
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
