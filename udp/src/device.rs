//! Network devices of the calling thread's namespace by name: netdevice(7). Not /sys/class/net, which shows the namespace it was mounted in.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Type};

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its index, which no other device of the namespace has.
    pub index: u32,
    /// Its MTU in bytes.
    pub mtu_bytes: u32,
    /// It is up (IFF_UP).
    pub is_up: bool,
    /// It leads back to this host alone (IFF_LOOPBACK).
    pub is_loopback: bool,
}

/// The devices of the calling thread's namespace, in the kernel's order. One that goes away meanwhile is left out.
///
/// # Errors
/// Whatever the kernel says.
pub fn devices() -> io::Result<Vec<Device>> {
    let names = Names::list()?;
    let socket = Asker::open()?;
    Ok(names.iter().filter_map(|(index, name)| socket.device(index, name)).collect())
}

/// The device of this index.
///
/// # Errors
/// NotFound when there is none.
pub(crate) fn by_index(index: u32) -> io::Result<Device> {
    let found = devices()?.into_iter().find(|device| device.index == index);
    found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("there is no network device of index {index}"))
    })
}

/// A socket to ask about devices through; it sees those of the namespace it was opened in.
pub(crate) struct Asker(socket2::Socket);

impl Asker {
    pub(crate) fn open() -> io::Result<Self> {
        socket2::Socket::new(Domain::IPV4, Type::DGRAM, None).map(Asker)
    }

    /// The MTU of a device in bytes; the kernel ignores the `:label` part a secondary IPv4 address has in its name.
    pub(crate) fn mtu(&self, name: &[u8]) -> io::Result<u32> {
        let mut request = named(name)?;
        // SAFETY: SIOCGIFMTU reads the name from the request and writes the MTU into it.
        unsafe { self.ask(libc::SIOCGIFMTU as _, &mut request) }?;
        // SAFETY: a successful SIOCGIFMTU has set this member.
        Ok(unsafe { request.ifr_ifru.ifru_mtu }.unsigned_abs())
    }

    /// An ioctl of netdevice(7).
    ///
    /// # Safety
    /// `request` holds what `number` reads, valid pointers included.
    pub(crate) unsafe fn ask(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the caller's promise covers what the pointers in the request lead to; the request itself is borrowed.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), number, std::ptr::from_mut(request)) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn device(&self, index: u32, name: &CStr) -> Option<Device> {
        let mut request = named(name.to_bytes()).ok()?;
        // SAFETY: SIOCGIFFLAGS reads the name from the request and writes the flags into it.
        unsafe { self.ask(libc::SIOCGIFFLAGS as _, &mut request) }.ok()?;
        // SAFETY: a successful SIOCGIFFLAGS has set this member.
        let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        Some(Device {
            name: name.to_str().ok()?.to_owned(),
            index,
            mtu_bytes: self.mtu(name.to_bytes()).ok()?,
            is_up: flags & libc::IFF_UP != 0,
            is_loopback: flags & libc::IFF_LOOPBACK != 0,
        })
    }
}

/// A request about the device of this name.
///
/// # Errors
/// InvalidInput for what cannot be the name of a device.
pub(crate) fn named(name: &[u8]) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.is_empty() || name.len() > room || name.contains(&0) {
        let text = format!(
            "`{}` is no name of a network device; those have 1 to {room} bytes",
            String::from_utf8_lossy(name)
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    Ok(request)
}

/// The list `if_nameindex` hands out, freed on drop.
struct Names(*mut libc::if_nameindex);

impl Names {
    fn list() -> io::Result<Self> {
        // SAFETY: takes nothing.
        let head = unsafe { libc::if_nameindex() };
        if head.is_null() { Err(io::Error::last_os_error()) } else { Ok(Names(head)) }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &CStr)> {
        let mut next = self.0;
        std::iter::from_fn(move || {
            // SAFETY: next is an entry of the list, which lives until drop and ends with an entry of index 0.
            let entry = unsafe { &*next };
            if entry.if_index == 0 || entry.if_name.is_null() {
                return None;
            }
            // SAFETY: the entry is not the last, so another follows.
            next = unsafe { next.add(1) };
            // SAFETY: if_name is a C string that lives as long as the list.
            Some((entry.if_index, unsafe { CStr::from_ptr(entry.if_name) }))
        })
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: the pointer came from if_nameindex and is freed once.
        unsafe { libc::if_freenameindex(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_a_device() {
        let loopback = devices().unwrap().into_iter().find(|device| device.is_loopback).unwrap();
        assert_eq!(by_index(loopback.index).unwrap(), loopback);
        assert_eq!(Asker::open().unwrap().mtu(loopback.name.as_bytes()).unwrap(), loopback.mtu_bytes);
        assert_eq!(by_index(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "a-name-of-sixteen", "nul\0"] {
            assert_eq!(named(name.as_bytes()).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        assert!(Asker::open().unwrap().mtu(b"no-such").is_err());
    }
}
