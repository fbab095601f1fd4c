//! Reads answered over TCP: the same frames, in messages of at most 65,507 bytes, without credit (`PROTOCOL.md`, section 8).

use alloc::vec::Vec;

use super::{Answer, AnswerSummary, Found, Workspace};
use crate::limits::TCP_LENGTH_BYTES;
use crate::wire::Request;

/// Answers the reads of a request that came over TCP: appends complete messages, each with its length, to `out`.
///
/// `lookup` is called once for every read, in the order of the request, with its number and its key. A request without reads appends nothing.
pub fn answer_over_tcp<'d>(
    request: &Request<'_>,
    draining: bool,
    lookup: impl FnMut(usize, &[u8]) -> Found<'d>,
    out: &mut Vec<u8>,
) -> AnswerSummary {
    let mut workspace = Workspace::new();
    let answer = Answer::over_tcp(request, draining, &mut workspace, lookup);
    let summary = answer.summary();
    for message in answer {
        out.extend_from_slice(&(message.len() as u32).to_be_bytes());
        let start = out.len();
        out.resize(start + message.len(), 0);
        message.write(&mut out[start..]);
    }
    summary
}

const _: () = assert!(TCP_LENGTH_BYTES == size_of::<u32>(), "the length before a message");
