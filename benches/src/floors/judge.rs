//! Which request an answer datagram belongs to, how much of it it brings, and whether it is right: as cheaply as can be, since
//! the driver does it for every datagram.

use shingle_proto::limits::{ANSWER_HEADER_BYTES, CHUNK_BYTES, TELEMETRY_BYTES};
use shingle_proto::seal;
use shingle_proto::wire::{Answer, Carrier, Frame};

use super::case::Case;
use super::items::{key, value};

/// What a datagram brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// Index of the request.
    pub request: usize,
    /// Units of it, of [`Judge::units`] in all.
    pub units: u32,
}

/// Knows what answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The floor's: each datagram begins with that of its request. Units are datagrams.
    Echo {
        /// Most bytes of a datagram.
        segment_bytes: usize,
        /// Datagrams of an answer.
        segments: u32,
    },
    /// Ours. Units are bytes of sealed values.
    Shingle {
        /// Length of each sealed value.
        sealed_bytes: usize,
        /// Gets of a request.
        gets: u32,
    },
    /// memcached's over UDP. Units are datagrams: each key is a message of its own, each message as many datagrams as it takes.
    Memcached {
        /// Length of each value.
        value_bytes: usize,
        /// Gets of a request.
        gets: u32,
    },
}

const FRAME_VALUE: u8 = 0x11;
const FRAME_CHUNK: u8 = 0x12;
const FRAME_TELEMETRY: u8 = 0x17;
const FRAME_PAD: u8 = 0;
/// memcached's own frame, and the most it puts behind it (UDP_HEADER_SIZE and UDP_MAX_PAYLOAD_SIZE, memcached.h).
const MEMCACHED_HEADER_BYTES: usize = 8;
const MEMCACHED_PAYLOAD_BYTES: usize = 1392;

impl Judge {
    /// Of the floor of this workload.
    #[must_use]
    pub fn echo(case: &Case) -> Judge {
        let shape = case.shape();
        Judge::Echo { segment_bytes: shape.segment_bytes, segments: shape.segments() as u32 }
    }

    /// Of our server.
    #[must_use]
    pub fn shingle(case: &Case) -> Judge {
        Judge::Shingle { sealed_bytes: case.sealed_bytes(), gets: case.gets as u32 }
    }

    /// Of memcached.
    #[must_use]
    pub fn memcached(case: &Case) -> Judge {
        Judge::Memcached { value_bytes: case.value_bytes, gets: case.gets as u32 }
    }

    /// Units of a whole answer.
    #[must_use]
    pub fn units(&self) -> u32 {
        match *self {
            Judge::Echo { segments, .. } => segments,
            Judge::Shingle { sealed_bytes, gets } => sealed_bytes as u32 * gets,
            Judge::Memcached { value_bytes, gets } => {
                let text = memcached_head(0, value_bytes).len() + value_bytes + b"\r\n".len();
                // Only the last key's message carries END, and it is asked for alone where it matters.
                let end = if gets == 1 { b"END\r\n".len() } else { 0 };
                gets * (text + end).div_ceil(MEMCACHED_PAYLOAD_BYTES) as u32
            }
        }
    }

    /// Looks at a datagram; `None`: it is not the answer expected, a miss for instance.
    #[inline]
    #[must_use]
    pub fn look(&self, datagram: &[u8]) -> Option<Brought> {
        match *self {
            Judge::Echo { segment_bytes, .. } => {
                let fits = datagram.len() <= segment_bytes;
                fits.then_some(Brought { request: sequence(datagram)?, units: 1 })
            }
            Judge::Shingle { sealed_bytes, .. } => {
                Some(Brought { request: sequence(datagram)?, units: sealed_units(datagram, sealed_bytes)? })
            }
            Judge::Memcached { .. } => {
                let (header, text) = datagram.split_first_chunk::<MEMCACHED_HEADER_BYTES>()?;
                let first = header[2..4] == [0, 0];
                let right = if first { text.starts_with(b"VALUE ") } else { !text.is_empty() };
                let request = usize::from(u16::from_be_bytes([header[0], header[1]]));
                right.then_some(Brought { request, units: 1 })
            }
        }
    }

    /// Looks at every byte of a datagram that answers a request for these items.
    #[must_use]
    pub fn is_right(&self, datagram: &[u8], items: &[u32]) -> bool {
        match *self {
            // Nothing but the request's own header is in it.
            Judge::Echo { .. } => true,
            Judge::Shingle { sealed_bytes, .. } => shingle_is_right(datagram, items, sealed_bytes),
            Judge::Memcached { value_bytes, .. } => {
                let (header, text) = datagram.split_at(MEMCACHED_HEADER_BYTES);
                // Which key a later datagram of a long message belongs to only the first one tells.
                header[2..4] != [0, 0]
                    || items.iter().any(|item| {
                        let head = memcached_head(*item, value_bytes);
                        let rest = text.strip_prefix(&head[..]);
                        rest.is_some_and(|rest| starts_alike(rest, &value(*item, value_bytes)))
                    })
            }
        }
    }
}

/// Byte 12 of both headers of our protocol, and so of what the floor sends back.
#[inline]
fn sequence(datagram: &[u8]) -> Option<usize> {
    let bytes = datagram.get(12..16)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes) as usize)
}

/// Bytes of sealed values in an answer of ours, where it has nothing but such.
#[inline]
fn sealed_units(datagram: &[u8], sealed_bytes: usize) -> Option<u32> {
    let mut rest = datagram.get(ANSWER_HEADER_BYTES..)?;
    let mut units = 0;
    while let [kind, _, length @ ..] = rest {
        let length = length.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)));
        let frame_bytes = match (*kind, length) {
            (FRAME_VALUE, Some(length)) if length == sealed_bytes => 8 + length,
            (FRAME_CHUNK, Some(length)) if length <= sealed_bytes => CHUNK_BYTES + length,
            (FRAME_TELEMETRY, _) => TELEMETRY_BYTES,
            (FRAME_PAD, _) => break,
            _ => return None,
        };
        units += match *kind {
            FRAME_VALUE => sealed_bytes,
            FRAME_CHUNK => frame_bytes - CHUNK_BYTES,
            _ => 0,
        };
        rest = rest.get(frame_bytes..)?;
    }
    (units > 0).then_some(units as u32)
}

fn shingle_is_right(datagram: &[u8], items: &[u32], sealed_bytes: usize) -> bool {
    let Ok(answer) = Answer::parse(datagram, Carrier::Udp) else { return false };
    let gets = items.len();
    let item = |id: u32| items[id as usize % gets];
    answer.frames().all(|frame| match frame {
        Frame::Value(found) => {
            let item = item(found.id);
            let mut scratch = vec![0; sealed_bytes];
            seal::open(&key(item), found.sealed, sealed_bytes, &mut scratch)
                .is_ok_and(|found| found == value(item, sealed_bytes - seal_bytes()))
        }
        Frame::Chunk(found) => {
            let value = value(item(found.id), sealed_bytes - seal_bytes());
            let skip = seal_bytes().saturating_sub(found.offset as usize).min(found.bytes.len());
            let at = (found.offset as usize + skip).saturating_sub(seal_bytes());
            found.total as usize == sealed_bytes && starts_alike(&value[at..], &found.bytes[skip..])
        }
        _ => true,
    })
}

const fn seal_bytes() -> usize {
    shingle_proto::limits::SEAL_BYTES
}

fn memcached_head(item: u32, value_bytes: usize) -> Vec<u8> {
    [b"VALUE ", &key(item)[..], format!(" 0 {value_bytes}\r\n").as_bytes()].concat()
}

/// Whether the shorter begins the longer.
fn starts_alike(a: &[u8], b: &[u8]) -> bool {
    let both = a.len().min(b.len());
    a[..both] == b[..both]
}
