//! A read over TCP: the chunks of one answer put together, and the value checked end to end.

use shingle_proto::limits::SEAL_BYTES;
use shingle_proto::seal::{self, Encoding, Seal, SealError};
use shingle_proto::wire::{Chunk, Control, Frame};

use super::error::ControlError;
use super::exchange;
use super::link::{Input, Link};

/// Name of the request in errors.
pub(super) const GET: &str = "GET";

/// Waits for the answer to GET `id`: the value, or `None` where the key is not stored.
pub(super) fn read_value(
    link: &Link,
    input: &mut Input,
    id: u32,
    key: &[u8],
    value_bytes_max: u32,
) -> Result<Option<Vec<u8>>, ControlError> {
    let mut partial = Partial::default();
    loop {
        for frame in exchange::read_answer(link, input, GET)?.frames() {
            match frame {
                Frame::Value(value) if value.id == id => {
                    return open(link, key, value.sealed, value_bytes_max).map(Some);
                }
                Frame::Chunk(chunk) if chunk.id == id => {
                    partial.add(&chunk, value_bytes_max).map_err(|found| link.invalid(GET, found))?;
                    if partial.is_complete() {
                        return open(link, key, &partial.sealed, value_bytes_max).map(Some);
                    }
                }
                Frame::Miss { id: missed } if missed == id => return Ok(None),
                Frame::Refused(refused) if refused.id == id => {
                    return Err(ControlError::ReadRefused {
                        address: link.address.clone(),
                        reason: refused.reason,
                    });
                }
                Frame::Control(Control::Error(error)) if error.id == id || error.id == 0 => {
                    return Err(exchange::server_error(link, GET, &error));
                }
                Frame::Cookie(_) => {}
                _ => return Err(link.unexpected(GET)),
            }
        }
    }
}

/// The chunks of one answer. TCP keeps their order, so each begins where the one before it ended.
#[derive(Default)]
struct Partial {
    version: u64,
    total: usize,
    sealed: Vec<u8>,
}

impl Partial {
    fn add(&mut self, chunk: &Chunk<'_>, value_bytes_max: u32) -> Result<(), String> {
        let (total, offset) = (chunk.total as usize, chunk.offset as usize);
        if self.sealed.is_empty() {
            (self.version, self.total) = (chunk.version, total);
        }
        let max = value_bytes_max as usize + SEAL_BYTES;
        if total > max {
            return Err(format!("a chunk of a value of {total} B (at most {max} B, sealed, were announced)"));
        }
        if (self.version, self.total, self.sealed.len()) != (chunk.version, total, offset) {
            return Err(format!("a chunk that begins at {offset} where {} was due", self.sealed.len()));
        }
        self.sealed.extend_from_slice(chunk.bytes);
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.sealed.len() == self.total
    }
}

fn open(link: &Link, key: &[u8], sealed: &[u8], value_bytes_max: u32) -> Result<Vec<u8>, ControlError> {
    decode(key, sealed, value_bytes_max as usize).map_err(|source| ControlError::Corrupt {
        address: link.address.clone(),
        bytes: sealed.len(),
        source,
    })
}

fn decode(key: &[u8], sealed: &[u8], value_bytes_max: usize) -> Result<Vec<u8>, SealError> {
    let (seal, _) = Seal::parse(sealed)?;
    let scratch_bytes = match seal.encoding {
        Encoding::None => 0,
        // A longer length is refused below, not allocated here.
        Encoding::Lz4 => (seal.decoded_bytes as usize).min(value_bytes_max),
    };
    let mut scratch = vec![0; scratch_bytes];
    seal::open(key, sealed, value_bytes_max, &mut scratch).map(<[u8]>::to_vec)
}
