//! One command of ethtool(8) as SIOCETHTOOL takes it: a structure in memory that the kernel reads and writes, here as plain bytes.

use std::io;
use std::ptr::NonNull;

use crate::device::{self, Asker};

/// Numbers of commands (linux/ethtool.h).
pub(super) const GDRVINFO: u32 = 0x03;
pub(super) const GRINGPARAM: u32 = 0x10;
pub(super) const GSTRINGS: u32 = 0x1b;
pub(super) const GSTATS: u32 = 0x1d;
pub(super) const GRXFH: u32 = 0x29;
pub(super) const GSSET_INFO: u32 = 0x37;
pub(super) const GFEATURES: u32 = 0x3a;
pub(super) const GCHANNELS: u32 = 0x3c;

/// ETH_GSTRING_LEN: room of each name, its NUL included.
const STRING_BYTES: usize = 32;
/// Most strings of one set: beyond what any driver has, and an answer that says more is not believed.
const STRINGS_MAX: u32 = 1 << 20;

/// A set of names (`enum ethtool_stringset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Statistics = 1,
    Features = 4,
}

/// What commands are sent through, to one device.
pub(super) struct Card {
    asker: Asker,
    request: libc::ifreq,
}

impl Card {
    pub(super) fn open(device: &str) -> io::Result<Self> {
        Ok(Card { request: device::named(device.as_bytes())?, asker: Asker::open()? })
    }

    /// Sends a command that begins with these words and has this length in all; returns what the kernel made of it.
    pub(super) fn ask(&self, words: &[u32], bytes: usize) -> io::Result<Vec<u8>> {
        let mut room = Room::new(bytes.max(size_of_val(words)))?;
        for (to, from) in room.bytes().chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        let mut request = self.request;
        request.ifr_ifru.ifru_data = room.bytes().as_mut_ptr().cast();
        // SAFETY: SIOCETHTOOL reads the name and the pointer, and reads and writes the command there: within the room, or it meets
        // the inaccessible page behind it and fails, also where a driver got longer counters since it told their number.
        unsafe { self.asker.ask(SIOCETHTOOL, &mut request) }?;
        Ok(room.bytes().to_vec())
    }

    /// How many names a set has.
    pub(super) fn count(&self, set: Set) -> io::Result<u32> {
        // `struct ethtool_sset_info`: command, reserved, mask of sets (64 bits), then the length of each set of the mask.
        let answer = self.ask(&[GSSET_INFO, 0, 1 << set as u32, 0], 20)?;
        sset_length(&answer, set).ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    /// The names of a set, in the order of its values.
    pub(super) fn names(&self, set: Set) -> io::Result<Vec<String>> {
        let count = self.count(set)?;
        let bytes = 12 + count as usize * STRING_BYTES;
        let answer = self.ask(&[GSTRINGS, set as u32, count], bytes)?;
        Ok(strings(&answer))
    }
}

/// SIOCETHTOOL (linux/sockios.h).
const SIOCETHTOOL: libc::Ioctl = 0x8946;

fn sset_length(answer: &[u8], set: Set) -> Option<u32> {
    let has = word(answer, 8)? & 1 << set as u32 != 0;
    word(answer, 16).filter(|count| has && (1..=STRINGS_MAX).contains(count))
}

/// `struct ethtool_gstrings`: command, set, count, names.
fn strings(answer: &[u8]) -> Vec<String> {
    let count = word(answer, 8).unwrap_or(0) as usize;
    let names = answer.get(12..).unwrap_or_default().chunks_exact(STRING_BYTES);
    names.take(count).map(text).collect()
}

/// A text that ends with a NUL, or with its room.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

/// The 32-bit word at this byte.
pub(super) use crate::netlink::{long, word};

/// Memory that ends at an inaccessible page, zeroed: a kernel that writes more than its buffer holds gets EFAULT instead of the
/// process's memory. The lengths of some commands are the driver's, not the caller's (`ethtool_get_stats`, net/ethtool/ioctl.c).
struct Room {
    mapping: NonNull<libc::c_void>,
    mapped: usize,
    start: usize,
    len: usize,
}

impl Room {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: takes no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(|_| io::Error::last_os_error())?;
        let len = len.next_multiple_of(8);
        let usable = len.next_multiple_of(page);
        let mapped = usable + page;
        // SAFETY: a new private mapping, at no address in particular.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(mapping).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let room = Room { mapping, mapped, start: usable - len, len };
        // SAFETY: the last page of the mapping, which nothing points to.
        if unsafe { libc::mprotect(mapping.as_ptr().byte_add(usable), page, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(room)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: start and len lie within the accessible pages of the mapping, which are initialised, and self is borrowed for as long.
        unsafe {
            std::slice::from_raw_parts_mut(self.mapping.as_ptr().cast::<u8>().byte_add(self.start), self.len)
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping is this room's, and is unmapped once. It fails for no mapping there is.
        let _ = unsafe { libc::munmap(self.mapping.as_ptr(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_writes_behind_the_room_is_stopped() {
        for len in [8, 16, 4096, 5000] {
            let mut room = Room::new(len).unwrap();
            room.bytes().fill(1);
            assert_eq!(room.bytes().len() % 8, 0);
            let (mut zeroes, behind) = (std::fs::File::open("/dev/zero").unwrap(), room.bytes().len());
            zeroes.read_exact(room.bytes()).unwrap();
            // A system call that writes one byte behind it fails, rather than this process.
            let address = room.bytes().as_mut_ptr_range().end;
            // SAFETY: the kernel checks the address, which is that of the inaccessible page.
            let read = unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&zeroes), address.cast(), 1) };
            assert_eq!(
                (read, io::Error::last_os_error().raw_os_error()),
                (-1, Some(libc::EFAULT)),
                "{behind}"
            );
        }
    }

    #[test]
    fn names_end_at_their_nul_or_room() {
        let mut answer = [GSTRINGS, 1, 2].map(u32::to_ne_bytes).concat();
        answer.extend(b"pps_allowance_exceeded\0\0\0\0\0\0\0\0\0\0");
        answer.extend([b'x'; STRING_BYTES]);
        assert_eq!(strings(&answer), ["pps_allowance_exceeded".to_owned(), "x".repeat(STRING_BYTES)]);
        assert_eq!(strings(&answer[..answer.len() - 1]).len(), 1, "a cut name is none");
    }

    #[test]
    fn a_set_the_driver_lacks_has_no_length() {
        let answer = |mask: u32, count: u32| [GSSET_INFO, 0, mask, 0, count].map(u32::to_ne_bytes).concat();
        assert_eq!(sset_length(&answer(1 << 1, 7), Set::Statistics), Some(7));
        assert_eq!(sset_length(&answer(0, 7), Set::Statistics), None);
        assert_eq!(sset_length(&answer(1 << 4, u32::MAX), Set::Features), None);
        assert_eq!(sset_length(&answer(1 << 4, 9)[..18], Set::Features), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (strings(&bytes), sset_length(&bytes, Set::Features), text(&bytes));
        }
    }
}
