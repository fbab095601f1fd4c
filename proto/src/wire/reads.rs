//! The frames of reads: GET, REREQUEST, and VALUE, CHUNK and REFUSED that answer them (`PROTOCOL.md`, section 3).

use super::bytes::{put, take, u16_at, u32_at, u64_at};
use super::frame::frame_type;
use crate::chunk::Range;
use crate::limits::{
    CHUNK_BYTES, GET_BYTES, KEY_BYTES_MAX, MISS_BYTES, RANGE_BYTES, RANGES_MAX, REFUSED_BYTES,
    REREQUEST_BYTES, VALUE_BYTES,
};

/// GET: the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// Chosen by the client, echoed in every frame of the answer.
    pub id: u32,
    /// 1 to 250 bytes.
    pub key: &'a [u8],
}

impl<'a> Get<'a> {
    #[inline]
    pub(super) fn head(&self) -> [u8; GET_BYTES] {
        let mut head = [0; GET_BYTES];
        head[0] = frame_type::GET;
        head[1] = self.key.len() as u8;
        put::<4, 4, _>(&mut head, self.id.to_be_bytes());
        head
    }

    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<GET_BYTES>()?;
        let (key, rest) = take_key(rest, head[1])?;
        Some((Get { id: u32_at::<4, _>(head), key }, rest))
    }
}

/// REREQUEST: the parts of a value that are still missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rerequest<'a> {
    /// The read's id.
    pub id: u32,
    /// Version of the chunks the client holds.
    pub version: u64,
    /// What is missing.
    pub ranges: Ranges<'a>,
    /// 1 to 250 bytes.
    pub key: &'a [u8],
}

impl<'a> Rerequest<'a> {
    #[inline]
    pub(super) fn head(&self) -> [u8; REREQUEST_BYTES] {
        let mut head = [0; REREQUEST_BYTES];
        head[0] = frame_type::REREQUEST;
        head[1] = self.key.len() as u8;
        head[2] = self.ranges.len() as u8;
        put::<4, 4, _>(&mut head, self.id.to_be_bytes());
        put::<8, 8, _>(&mut head, self.version.to_be_bytes());
        head
    }

    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<REREQUEST_BYTES>()?;
        let (ranges, rest) = take(rest, usize::from(head[2]) * RANGE_BYTES)?;
        let ranges = Ranges::check(ranges)?;
        let (key, rest) = take_key(rest, head[1])?;
        Some((Rerequest { id: u32_at::<4, _>(head), version: u64_at::<8, _>(head), ranges, key }, rest))
    }
}

/// The ranges of a REREQUEST as they travel: 1 to 32, in rising order, none empty, none overlapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges<'a>(&'a [[u8; RANGE_BYTES]]);

impl<'a> Ranges<'a> {
    /// Writes ranges into `out` and wraps them. `None` where they are none, more than 32, empty, out of order or overlapping.
    pub fn encode(
        ranges: impl IntoIterator<Item = Range>,
        out: &'a mut [[u8; RANGE_BYTES]; RANGES_MAX],
    ) -> Option<Self> {
        let mut count = 0;
        for range in ranges {
            let slot = out.get_mut(count)?;
            put::<0, 4, _>(slot, range.offset.to_be_bytes());
            put::<4, 4, _>(slot, range.length.to_be_bytes());
            count += 1;
        }
        Self::check(out[..count].as_flattened())
    }

    #[inline]
    fn check(bytes: &'a [u8]) -> Option<Self> {
        let ranges = Ranges(bytes.as_chunks::<RANGE_BYTES>().0);
        let mut end = 0;
        for range in ranges.iter() {
            if range.length == 0 || range.offset < end {
                return None;
            }
            end = range.offset.checked_add(range.length)?;
        }
        (1..=RANGES_MAX).contains(&ranges.len()).then_some(ranges)
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }

    /// How many there are, 1 to 32.
    #[inline]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// The first range, and those behind it if there are any.
    #[inline]
    pub(crate) fn split_first(self) -> (Range, Option<Self>) {
        let (first, rest) = self.0.split_first().expect("never empty");
        (range(first), (!rest.is_empty()).then_some(Ranges(rest)))
    }

    /// The ranges in rising order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Range> + Clone + 'a {
        self.0.iter().map(range)
    }
}

#[inline]
fn range(bytes: &[u8; RANGE_BYTES]) -> Range {
    Range { offset: u32_at::<0, _>(bytes), length: u32_at::<4, _>(bytes) }
}

/// VALUE: a whole sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// Id of the GET.
    pub id: u32,
    /// The sealed value ([`crate::seal`]), at most 65,535 bytes.
    pub sealed: &'a [u8],
}

impl<'a> Value<'a> {
    #[inline]
    pub(crate) fn head(&self) -> [u8; VALUE_BYTES] {
        let mut head = [0; VALUE_BYTES];
        head[0] = frame_type::VALUE;
        put::<2, 2, _>(&mut head, (self.sealed.len() as u16).to_be_bytes());
        put::<4, 4, _>(&mut head, self.id.to_be_bytes());
        head
    }

    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<VALUE_BYTES>()?;
        let (sealed, rest) = take(rest, usize::from(u16_at::<2, _>(head)))?;
        Some((Value { id: u32_at::<4, _>(head), sealed }, rest))
    }
}

/// CHUNK: a piece of a sealed value. Stands alone: chunks may come in any order, twice, or from two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Id of the GET or REREQUEST.
    pub id: u32,
    /// Version of the value.
    pub version: u64,
    /// Length of the whole sealed value.
    pub total: u32,
    /// Where the piece lies in it; `offset + bytes.len() <= total`.
    pub offset: u32,
    /// The piece, 1 to 65,535 bytes.
    pub bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    #[inline]
    pub(crate) fn head(&self) -> [u8; CHUNK_BYTES] {
        let mut head = [0; CHUNK_BYTES];
        head[0] = frame_type::CHUNK;
        put::<2, 2, _>(&mut head, (self.bytes.len() as u16).to_be_bytes());
        put::<4, 4, _>(&mut head, self.id.to_be_bytes());
        put::<8, 8, _>(&mut head, self.version.to_be_bytes());
        put::<16, 4, _>(&mut head, self.total.to_be_bytes());
        put::<20, 4, _>(&mut head, self.offset.to_be_bytes());
        head
    }

    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<CHUNK_BYTES>()?;
        let length = u16_at::<2, _>(head);
        let (bytes, rest) = take(rest, usize::from(length))?;
        let (total, offset) = (u32_at::<16, _>(head), u32_at::<20, _>(head));
        if length == 0 || offset.checked_add(u32::from(length))? > total {
            return None;
        }
        Some((Chunk { id: u32_at::<4, _>(head), version: u64_at::<8, _>(head), total, offset, bytes }, rest))
    }
}

/// Why a read or probe was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The version asked for again is not stored any more: start over, after three times read over TCP.
    VersionGone,
    /// The answer does not fit what this port can send; detail: the largest datagram it sends. Read over TCP.
    TooBig,
    /// The stored value does not decode.
    Unreadable,
    /// A probe on a port that does not set DF.
    NotServed,
}

/// REFUSED: the read or probe has no other answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Id of the GET, REREQUEST or PROBE.
    pub id: u32,
    /// Why.
    pub reason: Refusal,
    /// With [`Refusal::TooBig`] the largest datagram this port sends, else 0.
    pub detail: u32,
}

impl Refused {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; REFUSED_BYTES] {
        let mut bytes = [0; REFUSED_BYTES];
        bytes[0] = frame_type::REFUSED;
        bytes[1] = match self.reason {
            Refusal::VersionGone => 1,
            Refusal::TooBig => 2,
            Refusal::Unreadable => 3,
            Refusal::NotServed => 4,
        };
        put::<4, 4, _>(&mut bytes, self.id.to_be_bytes());
        put::<8, 4, _>(&mut bytes, self.detail.to_be_bytes());
        bytes
    }

    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<REFUSED_BYTES>()?;
        let reason = match head[1] {
            1 => Refusal::VersionGone,
            2 => Refusal::TooBig,
            3 => Refusal::Unreadable,
            4 => Refusal::NotServed,
            _ => return None,
        };
        Some((Refused { id: u32_at::<4, _>(head), reason, detail: u32_at::<8, _>(head) }, rest))
    }
}

/// The MISS frame of this id.
#[inline]
pub(crate) fn miss_bytes(id: u32) -> [u8; MISS_BYTES] {
    let mut bytes = [0; MISS_BYTES];
    bytes[0] = frame_type::MISS;
    put::<4, 4, _>(&mut bytes, id.to_be_bytes());
    bytes
}

/// Id of a MISS frame.
#[inline]
pub(super) fn parse_miss(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<MISS_BYTES>()?;
    Some((u32_at::<4, _>(head), rest))
}

/// Takes a key of the stated length, which is in its range.
#[inline]
fn take_key(bytes: &[u8], length: u8) -> Option<(&[u8], &[u8])> {
    let length = usize::from(length);
    if length == 0 || length > KEY_BYTES_MAX { None } else { take(bytes, length) }
}
