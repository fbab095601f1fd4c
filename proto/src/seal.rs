//! The seal: checksum, encoding and length that every stored value carries in front (`PROTOCOL.md`, section 3.2).

use alloc::vec::Vec;

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::checksum::crc32c_of;
use crate::limits::SEAL_BYTES;

/// Bits of the seal's second word that hold the decoded length.
const LENGTH_BITS: u32 = 28;

/// How the bytes behind a seal are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    None,
    /// One LZ4 block, without its length.
    Lz4,
}

/// The 8 bytes before a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// CRC-32C over the key, then the decoded value.
    pub checksum: u32,
    /// How the value is encoded.
    pub encoding: Encoding,
    /// Length of the decoded value, under 2^28.
    pub decoded_bytes: u32,
}

impl Seal {
    /// The seal as stored and sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; SEAL_BYTES] {
        let encoding: u32 = match self.encoding {
            Encoding::None => 0,
            Encoding::Lz4 => 1,
        };
        let word = encoding << LENGTH_BITS | self.decoded_bytes;
        ((self.checksum as u64) << 32 | word as u64).to_be_bytes()
    }

    /// Splits a sealed value into its seal and the value as encoded.
    ///
    /// # Errors
    /// [`SealError::Short`], [`SealError::UnknownEncoding`], and [`SealError::Length`] where an unencoded value is not as long as
    /// its seal says.
    #[inline]
    pub fn parse(sealed: &[u8]) -> Result<(Seal, &[u8]), SealError> {
        let Some((head, encoded)) = sealed.split_first_chunk::<SEAL_BYTES>() else {
            return Err(SealError::Short { found: sealed.len() });
        };
        let [c0, c1, c2, c3, w0, w1, w2, w3] = *head;
        let word = u32::from_be_bytes([w0, w1, w2, w3]);
        let decoded_bytes = word & ((1 << LENGTH_BITS) - 1);
        let encoding = match word >> LENGTH_BITS {
            0 if encoded.len() == decoded_bytes as usize => Encoding::None,
            0 => return Err(SealError::Length { stated: decoded_bytes as usize, found: encoded.len() }),
            1 => Encoding::Lz4,
            other => return Err(SealError::UnknownEncoding { found: other as u8 }),
        };
        Ok((Seal { checksum: u32::from_be_bytes([c0, c1, c2, c3]), encoding, decoded_bytes }, encoded))
    }
}

/// Why a sealed value cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not even a seal.
    #[error("sealed value of {found} bytes: a seal alone has 8")]
    Short {
        /// Bytes there were.
        found: usize,
    },
    /// An encoding of a later version.
    #[error("encoding {found} is unknown: 0 (none) and 1 (LZ4) are known")]
    UnknownEncoding {
        /// The number found.
        found: u8,
    },
    /// The value is not as long as its seal says.
    #[error("value of {found} bytes: its seal says {stated}")]
    Length {
        /// Length in the seal.
        stated: usize,
        /// Length found.
        found: usize,
    },
    /// The seal states a length above the limit.
    #[error("value of {stated} bytes: the limit is {limit}, raise the value limit to read it")]
    TooLong {
        /// Length in the seal.
        stated: usize,
        /// Value limit, or the room given to decode into.
        limit: usize,
    },
    /// The LZ4 block is not one.
    #[error("the LZ4 block does not decode")]
    Encoding,
    /// The checksum over key and value is wrong.
    #[error("checksum over key and value is {found:#010x}: its seal says {stated:#010x}")]
    Checksum {
        /// Checksum in the seal.
        stated: u32,
        /// Checksum computed.
        found: u32,
    },
}

/// The seal of a value stored as it is. The value is under 2^28 bytes (callers check the value limit first).
#[must_use]
pub fn seal(key: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
    seal_with(crc32c_of(&[key, value]), value)
}

/// [`seal`] where the checksum over key and value is known already, as in a SET that carried it.
#[must_use]
pub fn seal_with(checksum: u32, value: &[u8]) -> [u8; SEAL_BYTES] {
    debug_assert!(value.len() < 1 << LENGTH_BITS);
    Seal { checksum, encoding: Encoding::None, decoded_bytes: value.len() as u32 }.to_bytes()
}

/// The whole sealed value with the value as an LZ4 block; `None` where that is no shorter than the value itself.
#[must_use]
pub fn compress(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let seal = Seal {
        checksum: crc32c_of(&[key, value]),
        encoding: Encoding::Lz4,
        decoded_bytes: value.len() as u32,
    };
    let mut sealed = alloc::vec![0; SEAL_BYTES + get_maximum_output_size(value.len())];
    let (head, block) = sealed.split_at_mut(SEAL_BYTES);
    head.copy_from_slice(&seal.to_bytes());
    let encoded_bytes = compress_into(value, block).ok()?;
    if encoded_bytes >= value.len() {
        return None;
    }
    sealed.truncate(SEAL_BYTES + encoded_bytes);
    sealed.shrink_to_fit();
    Some(sealed)
}

/// The value of a sealed value, decoded and checked against the key it was asked for with. A value without encoding is
/// given back where it lies; an encoded one is decoded into `scratch`. Allocates nothing.
///
/// # Errors
/// Any [`SealError`]; [`SealError::TooLong`] also where `scratch` is shorter than the value to be decoded.
#[inline]
pub fn open<'a>(
    key: &[u8],
    sealed: &'a [u8],
    value_bytes_max: usize,
    scratch: &'a mut [u8],
) -> Result<&'a [u8], SealError> {
    let (seal, encoded) = Seal::parse(sealed)?;
    if seal.decoded_bytes as usize > value_bytes_max {
        return Err(SealError::TooLong { stated: seal.decoded_bytes as usize, limit: value_bytes_max });
    }
    let value = match seal.encoding {
        Encoding::None => encoded,
        Encoding::Lz4 => decode_block(&seal, encoded, scratch)?,
    };
    let found = crc32c_of(&[key, value]);
    if found != seal.checksum {
        return Err(SealError::Checksum { stated: seal.checksum, found });
    }
    Ok(value)
}

/// The same value sealed without encoding: what ports other than `compressed` send. A value without encoding is given back
/// where it lies; an encoded one is decoded behind a new seal into `scratch`, which has 8 bytes more than the value.
/// The checksum stays the one made when the value was stored; it is the client that verifies it.
///
/// # Errors
/// Any [`SealError`] but the checksum's; [`SealError::TooLong`] where `scratch` is too short.
pub fn without_encoding<'a>(sealed: &'a [u8], scratch: &'a mut [u8]) -> Result<&'a [u8], SealError> {
    let (seal, encoded) = Seal::parse(sealed)?;
    if seal.encoding == Encoding::None {
        return Ok(sealed);
    }
    let room = scratch.len();
    let Some((head, rest)) = scratch.split_first_chunk_mut::<SEAL_BYTES>() else {
        return Err(SealError::TooLong { stated: seal.decoded_bytes as usize, limit: room });
    };
    let value_bytes = decode_block(&seal, encoded, rest)?.len();
    *head = Seal { encoding: Encoding::None, ..seal }.to_bytes();
    Ok(&scratch[..SEAL_BYTES + value_bytes])
}

/// Decodes an LZ4 block to exactly the length its seal states.
fn decode_block<'s>(seal: &Seal, block: &[u8], scratch: &'s mut [u8]) -> Result<&'s [u8], SealError> {
    let stated = seal.decoded_bytes as usize;
    let limit = scratch.len();
    let Some(room) = scratch.get_mut(..stated) else {
        return Err(SealError::TooLong { stated, limit });
    };
    let found = decompress_into(block, room).map_err(|_| SealError::Encoding)?;
    if found != stated {
        return Err(SealError::Length { stated, found });
    }
    Ok(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"bucket/object";

    fn sealed(value: &[u8]) -> Vec<u8> {
        [&seal(KEY, value), value].concat()
    }

    #[test]
    fn values_open_where_they_lie_or_decoded() {
        let value: Vec<u8> = (0..5000_u32).flat_map(|number| (number / 9).to_be_bytes()).collect();
        let (plain, packed) = (sealed(&value), compress(KEY, &value).expect("it repeats itself"));
        assert!(packed.len() < plain.len());
        let mut scratch = alloc::vec![0; value.len()];
        assert_eq!(open(KEY, &plain, value.len(), &mut []), Ok(value.as_slice()));
        assert_eq!(open(KEY, &packed, value.len(), &mut scratch), Ok(value.as_slice()));
        assert_eq!(open(KEY, &sealed(&[]), 0, &mut []), Ok([].as_slice()));
    }

    #[test]
    fn what_does_not_get_smaller_is_not_compressed() {
        assert_eq!(compress(KEY, b"short"), None);
        assert_eq!(compress(KEY, b""), None);
    }

    #[test]
    fn an_encoded_value_is_sealed_again_without_encoding() {
        let value = [3; 4000];
        let packed = compress(KEY, &value).expect("it is all the same");
        let mut scratch = [0; 4008];
        assert_eq!(without_encoding(&packed, &mut scratch), Ok(sealed(&value).as_slice()));
        let plain = sealed(&value);
        assert_eq!(without_encoding(&plain, &mut []), Ok(plain.as_slice()));
        let short = without_encoding(&packed, &mut scratch[..4007]);
        assert_eq!(short, Err(SealError::TooLong { stated: 4000, limit: 3999 }));
        assert!(without_encoding(&packed, &mut [0; 3]).is_err());
    }

    #[test]
    fn a_value_under_another_key_is_not_delivered() {
        let stored = sealed(b"value");
        assert!(matches!(open(b"bucket/objecT", &stored, 100, &mut []), Err(SealError::Checksum { .. })));
    }

    #[test]
    fn any_changed_bit_is_found() {
        let value = [5; 300];
        for stored in [sealed(&value), compress(KEY, &value).expect("it is all the same")] {
            let mut scratch = [0; 300];
            for bit in 0..stored.len() * 8 {
                let mut changed = stored.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                // An LZ4 block may be changed and still decode to the same bytes; a wrong value must not come out.
                if let Ok(found) = open(KEY, &changed, 300, &mut scratch) {
                    assert_eq!(found, value, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn errors_say_what_was_wrong() {
        let short = open(KEY, &[0; 7], 100, &mut []).unwrap_err();
        assert_eq!(short, SealError::Short { found: 7 });
        let stated = Seal { checksum: 0, encoding: Encoding::None, decoded_bytes: 9 }.to_bytes();
        assert_eq!(open(KEY, &stated, 100, &mut []), Err(SealError::Length { stated: 9, found: 0 }));
        let long = sealed(&[0; 101]);
        assert_eq!(open(KEY, &long, 100, &mut []), Err(SealError::TooLong { stated: 101, limit: 100 }));
        let unknown = [0, 0, 0, 0, 0xF0, 0, 0, 0];
        assert_eq!(open(KEY, &unknown, 100, &mut []), Err(SealError::UnknownEncoding { found: 15 }));
    }

    #[test]
    fn a_block_that_decodes_to_more_than_stated_is_stopped() {
        let mut bomb = compress(KEY, &[0; 100_000]).expect("it is all the same");
        bomb[4..8].copy_from_slice(&(1_u32 << LENGTH_BITS | 50).to_be_bytes());
        assert_eq!(open(KEY, &bomb, 100, &mut [0; 100]), Err(SealError::Encoding));
        bomb[4..8].copy_from_slice(&(1_u32 << LENGTH_BITS | 100_001).to_be_bytes());
        let mut scratch = alloc::vec![0; 100_001];
        let stated = open(KEY, &bomb, 200_000, &mut scratch);
        assert_eq!(stated, Err(SealError::Length { stated: 100_001, found: 100_000 }));
    }
}
