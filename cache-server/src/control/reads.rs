//! Reads over TCP, for whom UDP does not work (PROTOCOL.md, section 8).

use shingle_proto::seal::{Seal, without_encoding};
use shingle_proto::server::{Found, answer_over_tcp};
use shingle_proto::wire::{Carrier, Frame, MessageWriter, Request};

use crate::shared::Shared;

/// Answers one read of a request, so that what waits to be written is never more than one value.
pub(super) fn answer_one(shared: &Shared, request: &Request<'_>, read: &Frame<'_>, out: &mut Vec<u8>) {
    let mut single = Vec::new();
    let mut message = MessageWriter::request(&mut single, &request.header);
    message.push(read);
    message.finish();
    let (_, message) = single.split_at(shingle_proto::limits::TCP_LENGTH_BYTES);
    let request =
        Request::parse(message, Carrier::Tcp).expect("a frame of a checked request in a message of its own");

    let (reader, now) = (shared.store.pin(), shared.now());
    let mut scratch = Vec::new();
    let found = match request.frames().next() {
        Some(Frame::Get(get)) => reader.get(get.key, now),
        Some(Frame::Rerequest(again)) => reader.get(again.key, now),
        _ => return,
    };
    let found = match found {
        None => Found::Nothing,
        Some(item) => match decoded(item.value, &mut scratch) {
            Some(sealed) => Found::Value { sealed, version: item.version.0 },
            None => Found::Unreadable,
        },
    };
    answer_over_tcp(&request, shared.is_draining(), |_, _| found, out);
}

/// A sealed value without encoding, as over every port but `compressed`.
fn decoded<'a>(sealed: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let (seal, encoded) = Seal::parse(sealed).ok()?;
    if encoded.len() != seal.decoded_bytes as usize {
        scratch.resize(shingle_proto::limits::SEAL_BYTES + seal.decoded_bytes as usize, 0);
    }
    without_encoding(sealed, scratch).ok()
}
