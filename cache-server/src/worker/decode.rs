//! Values as a port sends them: as stored, or decoded into memory taken at the start.

use shingle_proto::limits::{GETS_PER_DATAGRAM_MAX, SEAL_BYTES};
use shingle_proto::seal::{Encoding, Seal, without_encoding};
use shingle_proto::server::Found;
use shingle_store::Item;

/// Room for the decoded values of one request: 64 of the largest. The kernel backs it with memory as it is first used, so
/// ports that never decode anything take nothing.
pub(super) fn scratch(value_bytes_max: usize) -> Vec<u8> {
    vec![0; GETS_PER_DATAGRAM_MAX * (value_bytes_max + SEAL_BYTES)]
}

/// Decodes values for one batch of answers; they live until the batch is sent.
pub(super) struct Decoder<'d> {
    free: &'d mut [u8],
    value_bytes_max: usize,
}

impl<'d> Decoder<'d> {
    /// An empty `scratch` stands for a port that sends values as stored.
    pub(super) fn new(scratch: &'d mut [u8], value_bytes_max: usize) -> Self {
        Decoder { free: scratch, value_bytes_max }
    }

    /// Whether a request with this many reads finds room, or the batch has to be sent first.
    pub(super) fn has_room(&self, as_stored: bool, reads: u8) -> bool {
        as_stored || self.free.len() >= usize::from(reads) * (self.value_bytes_max + SEAL_BYTES)
    }

    /// The item as it is sent without encoding. For a client that did not prove its address nothing is decoded: 64 values of 1 MiB
    /// cost 14 ms, and a datagram with a forged source can ask for them.
    pub(super) fn decode(&mut self, item: Item<'d>, proven: bool) -> Found<'d> {
        let version = item.version.0;
        let needed = match Seal::parse(item.value) {
            Ok((seal, _)) if !proven && seal.encoding != Encoding::None => return Found::Withheld,
            Ok((seal, _)) => SEAL_BYTES + seal.decoded_bytes as usize,
            Err(_) => return Found::Unreadable,
        };
        if needed > self.free.len() {
            return Found::Unreadable;
        }
        let (room, rest) = std::mem::take(&mut self.free).split_at_mut(needed);
        self.free = rest;
        match without_encoding(item.value, room) {
            Ok(sealed) => Found::Value { sealed, version },
            Err(_) => Found::Unreadable,
        }
    }
}
