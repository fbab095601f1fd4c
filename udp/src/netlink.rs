//! Questions to the kernel over rtnetlink(7): one request, its answers, and their attributes. Malformed or truncated messages end the
//! reading, they never panic.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// How long the kernel, which answers at once, may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// An answer comes in pieces of at most this (NLMSG_GOODSIZE and what `recvmsg` may raise it to, net/netlink/af_netlink.c).
const PIECE_BYTES: usize = 32 << 10;
/// Bytes of `struct nlmsghdr`: length, type, flags, sequence, port.
pub const HEADER_BYTES: usize = 16;

/// Sends one request of this type with these flags beside NLM_F_REQUEST, and returns the whole messages that answer it, in order. A
/// dump (NLM_F_DUMP) ends with NLMSG_DONE, which is not among them; any other request with its first answer.
///
/// # Errors
/// Whatever the kernel says, within NLMSG_ERROR or by itself.
pub fn ask(kind: u16, flags: u16, payload: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let is_dump = flags & libc::NLM_F_DUMP as u16 != 0;
    (&socket).write_all(&request(kind, flags | libc::NLM_F_REQUEST as u16, payload))?;
    let (mut answers, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        let length = (&socket).read(&mut piece)?;
        let before = answers.len();
        let mut was_done = false;
        for message in messages(&piece[..length]) {
            match i32::from(message.kind) {
                libc::NLMSG_ERROR => match message.error() {
                    Some(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    None => was_done = true,
                },
                libc::NLMSG_DONE => was_done = true,
                _ => answers.push(message.bytes.to_vec()),
            }
        }
        if was_done || !is_dump && answers.len() > before {
            return Ok(answers);
        }
        if answers.len() == before {
            let text = "the kernel's answer over rtnetlink is no message";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
}

/// A message as sent: header and payload.
fn request(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
    message.extend(((HEADER_BYTES + payload.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// One message of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type, such as RTM_NEWROUTE.
    pub kind: u16,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The errno an NLMSG_ERROR tells of; `None` for an acknowledgement, EBADMSG for one that was cut.
    fn error(&self) -> Option<i32> {
        let errno = word(self.payload(), 0).map_or(libc::EBADMSG, |word| (word as i32).wrapping_neg());
        Some(errno).filter(|errno| *errno != 0)
    }
}

/// The messages of a piece; they end at what is no message.
pub fn messages(piece: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let length = word(rest, 0)? as usize;
        let bytes = rest.get(..length).filter(|_| length >= HEADER_BYTES)?;
        // Messages begin at multiples of four bytes (NLMSG_ALIGN).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind: u16::from_ne_bytes([bytes[4], bytes[5]]), bytes })
    })
}

/// The attributes (`struct rtattr`) of a message or of another attribute, as type and value; they end at what is none.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// NLA_F_NESTED and NLA_F_NET_BYTEORDER (linux/netlink.h).
    const FLAGS: u16 = 0xc000;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !FLAGS, value))
    })
}

/// The value of the first attribute of this type.
#[must_use]
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(of, _)| *of == kind).map(|(_, value)| value)
}

/// An attribute as sent.
pub(crate) fn put_attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend((4 + value.len() as u16).to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The 32-bit word at this byte.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 64-bit word at this byte.
pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_told_apart_and_garbage_ends_them() {
        let mut piece = request(7, 0, &[1, 2, 3, 4]);
        piece.extend(request(8, 0, &[]));
        piece.extend([200, 0, 0, 0, 1]);
        let found: Vec<_> = messages(&piece).map(|message| (message.kind, message.payload().len())).collect();
        assert_eq!(found, [(7, 4), (8, 0)]);
        assert_eq!(messages(&[0; 64]).count(), 0, "a length of 0 leads nowhere");
    }

    #[test]
    fn an_acknowledgement_is_no_error_and_a_cut_one_is() {
        let told =
            |payload: &[u8]| messages(&request(libc::NLMSG_ERROR as u16, 0, payload)).next().unwrap().error();
        assert_eq!(told(&0i32.to_ne_bytes()), None);
        assert_eq!(told(&(-libc::EPERM).to_ne_bytes()), Some(libc::EPERM));
        assert_eq!(told(&[1]), Some(libc::EBADMSG));
        assert_eq!(told(&i32::MIN.to_ne_bytes()), Some(i32::MIN), "no overflow");
    }

    #[test]
    fn attributes_are_told_apart_whatever_their_flags() {
        let mut bytes = Vec::new();
        put_attribute(&mut bytes, 3, b"abc");
        put_attribute(&mut bytes, 4 | 0x8000, &9u32.to_ne_bytes());
        assert_eq!(attributes(&bytes).map(|(kind, _)| kind).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(attribute(&bytes, 3), Some(&b"abc"[..]));
        assert_eq!(attribute(&bytes, 4).and_then(|value| word(value, 0)), Some(9));
        assert_eq!(attribute(&bytes[..bytes.len() - 1], 4), None, "a cut value is none");
    }

    #[test]
    fn the_kernel_answers_a_dump_and_refuses_nonsense() {
        // RTM_GETLINK of any family: at least the loopback device.
        let links = ask(libc::RTM_GETLINK, libc::NLM_F_DUMP as u16, &[0; 16]).unwrap();
        assert!(links.iter().flat_map(|link| messages(link)).any(|link| link.kind == libc::RTM_NEWLINK));
        assert!(ask(libc::RTM_GETLINK, 0, &[0; 16]).is_err(), "no device of index 0");
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(messages(&bytes).count() <= bytes.len() / HEADER_BYTES);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4);
            for message in messages(&bytes) {
                let _ = message.error();
            }
        }
    }
}
