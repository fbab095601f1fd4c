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

#[cfg(test)]
mod tests {
    use shingle_proto::wire::{AnswerHeader, Chunk, DatagramWriter, Value};

    use super::*;

    const TWO: Case = Case { gets: 2, requests: 4, ..Case::PLAIN };
    /// Items of request 1 of [`TWO`].
    const ITEMS: [u32; 2] = [5, 9];

    fn sealed(item: u32) -> Vec<u8> {
        let value = value(item, 100);
        [&seal::seal(&key(item), &value)[..], &value].concat()
    }

    /// An answer to request 1.
    fn answer(frames: &[Frame<'_>]) -> Vec<u8> {
        let header = AnswerHeader { attempt: 0, flow: 1, sequence: 1, draining: false };
        let mut bytes = vec![0; 1472];
        let mut writer = DatagramWriter::answer(&mut bytes, &header).expect("room for a header");
        frames.iter().for_each(|frame| writer.push(frame).expect("room for a frame"));
        let length = writer.finish();
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn an_answer_of_ours_is_known_by_its_values_and_nothing_else() {
        let (judge, [first, second]) = (Judge::shingle(&TWO), ITEMS.map(sealed));
        let [first, second] =
            [(2, &first), (3, &second)].map(|(id, sealed)| Frame::Value(Value { id, sealed }));
        let whole = answer(&[first, second]);
        assert_eq!(judge.look(&whole), Some(Brought { request: 1, units: judge.units() }));
        assert!(judge.is_right(&whole, &ITEMS) && !judge.is_right(&whole, &[5, 8]));
        assert_eq!(judge.look(&answer(&[first])).map(|brought| brought.units), Some(judge.units() / 2));
        // A miss, also beside a value, a value of another length, one cut short, and nothing.
        let short = Frame::Value(Value { id: 2, sealed: &sealed(5)[..107] });
        for other in [answer(&[first, Frame::Miss { id: 3 }]), answer(&[short]), answer(&[])] {
            assert_eq!(judge.look(&other), None);
        }
        assert_eq!(judge.look(&whole[..whole.len() - 1]), None);
        for at in 16 + 8..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(!judge.is_right(&flipped, &ITEMS), "byte {at}");
        }
    }

    #[test]
    fn chunks_count_by_their_bytes_and_are_compared_where_they_lie() {
        let (judge, sealed) = (Judge::shingle(&TWO), sealed(9));
        let chunk = |offset: usize, bytes| {
            let chunk = Chunk { id: 3, version: 1, total: 108, offset: offset as u32, bytes };
            answer(&[Frame::Chunk(chunk)])
        };
        for (from, to) in [(0, 50), (50, 108)] {
            let datagram = chunk(from, &sealed[from..to]);
            let brought = Brought { request: 1, units: (to - from) as u32 };
            assert_eq!(judge.look(&datagram), Some(brought));
            assert!(judge.is_right(&datagram, &ITEMS));
        }
        assert!(!judge.is_right(&chunk(49, &sealed[50..100]), &ITEMS), "bytes of another place");
    }

    #[test]
    fn what_memcached_answers_is_known_by_its_first_line() {
        let judge = Judge::memcached(&TWO);
        let text = |item| [&memcached_head(item, 100)[..], &value(item, 100), b"\r\n"].concat();
        let datagram = |text: &[u8]| [&[0, 1, 0, 0, 0, 1, 0, 0], text].concat();
        assert_eq!(judge.units(), 2);
        assert_eq!(judge.look(&datagram(&text(9))), Some(Brought { request: 1, units: 1 }));
        assert!(judge.is_right(&datagram(&text(9)), &ITEMS) && !judge.is_right(&datagram(&text(8)), &ITEMS));
        for other in [&b"END\r\n"[..], b"ERROR\r\n", b""] {
            assert_eq!(judge.look(&datagram(other)), None);
        }
        let long = Case { value_bytes: 4000, ..Case::PLAIN };
        assert_eq!(Judge::memcached(&long).units(), 3);
    }
}
