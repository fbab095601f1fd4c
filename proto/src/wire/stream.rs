//! Messages on a TCP stream: each is preceded by its length (`PROTOCOL.md`, section 2).

use alloc::vec::Vec;

use super::frame::Frame;
use super::header::{AnswerHeader, RequestHeader};
use crate::checksum::crc32c;
use crate::limits::{TCP_LENGTH_BYTES, TCP_MESSAGE_BYTES_MAX};

/// The peer announced a message longer than any can be; the stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "message of {bytes} bytes announced: at most {TCP_MESSAGE_BYTES_MAX} are allowed; is the peer a Shingle server or client?"
)]
pub struct TooLong {
    /// The length announced.
    pub bytes: usize,
}

/// Finds the first message in what was received so far: how many bytes it takes from the buffer, prefix included, and the
/// message itself. `None` where more has to be received.
///
/// # Errors
/// [`TooLong`] as soon as the prefix is there: close the connection.
#[inline]
pub fn next_message(buffer: &[u8]) -> Result<Option<(usize, &[u8])>, TooLong> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<TCP_LENGTH_BYTES>() else {
        return Ok(None);
    };
    let bytes = u32::from_be_bytes(*prefix) as usize;
    if bytes > TCP_MESSAGE_BYTES_MAX {
        return Err(TooLong { bytes });
    }
    Ok(rest.get(..bytes).map(|message| (TCP_LENGTH_BYTES + bytes, message)))
}

/// Appends one message to a buffer: length, header, frames. [`MessageWriter::finish`] writes length and checksum; a message that
/// is dropped without it is taken off the buffer again.
#[derive(Debug)]
pub struct MessageWriter<'v> {
    out: &'v mut Vec<u8>,
    start: usize,
    finished: bool,
}

impl<'v> MessageWriter<'v> {
    /// Begins a request.
    pub fn request(out: &'v mut Vec<u8>, header: &RequestHeader) -> Self {
        Self::begin(out, &header.to_bytes())
    }

    /// Begins an answer.
    pub fn answer(out: &'v mut Vec<u8>, header: &AnswerHeader) -> Self {
        Self::begin(out, &header.to_bytes())
    }

    fn begin(out: &'v mut Vec<u8>, header: &[u8]) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; TCP_LENGTH_BYTES]);
        out.extend_from_slice(header);
        MessageWriter { out, start, finished: false }
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame<'_>) -> &mut Self {
        for slice in frame.parts().slices() {
            self.out.extend_from_slice(slice);
        }
        self
    }

    /// Writes length and checksum. A message longer than [`TCP_MESSAGE_BYTES_MAX`] is refused by the receiver; values within the
    /// value limit never make one.
    pub fn finish(mut self) {
        self.finished = true;
        let (prefix, message) = self.out[self.start..].split_at_mut(TCP_LENGTH_BYTES);
        prefix.copy_from_slice(&(message.len() as u32).to_be_bytes());
        let (checksum, rest) = message.split_at_mut(4);
        checksum.copy_from_slice(&crc32c(rest).to_be_bytes());
    }
}

impl Drop for MessageWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}
