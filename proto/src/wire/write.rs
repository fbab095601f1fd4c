//! Writing a datagram into a buffer of the caller's.

use super::frame::Frame;
use super::header::{AnswerHeader, RequestHeader};
use crate::checksum::crc32c;
use crate::limits::REQUEST_BYTES_MIN;

/// The frame does not fit what is left of the buffer; the datagram is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {needed} bytes does not fit: {room} bytes are left in the datagram")]
pub struct Full {
    /// Bytes the frame takes.
    pub needed: usize,
    /// Bytes that are left.
    pub room: usize,
}

/// Writes one datagram: header, frames, padding, and the checksum at the end.
#[derive(Debug)]
pub struct DatagramWriter<'b> {
    out: &'b mut [u8],
    length: usize,
    bytes_min: usize,
}

impl<'b> DatagramWriter<'b> {
    /// Begins a request in `out`, whose length is the largest the datagram may get.
    ///
    /// # Errors
    /// [`Full`] where `out` is shorter than a request can be (48 bytes).
    #[inline]
    pub fn request(out: &'b mut [u8], header: &RequestHeader) -> Result<Self, Full> {
        if out.len() < REQUEST_BYTES_MIN {
            return Err(Full { needed: REQUEST_BYTES_MIN, room: out.len() });
        }
        let mut writer = DatagramWriter { out, length: 0, bytes_min: REQUEST_BYTES_MIN };
        writer.put(&[&header.to_bytes()])?;
        Ok(writer)
    }

    /// Begins an answer in `out`, whose length is the largest the datagram may get.
    ///
    /// # Errors
    /// [`Full`] where `out` is shorter than the header.
    #[inline]
    pub fn answer(out: &'b mut [u8], header: &AnswerHeader) -> Result<Self, Full> {
        let mut writer = DatagramWriter { out, length: 0, bytes_min: 0 };
        writer.put(&[&header.to_bytes()])?;
        Ok(writer)
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    #[inline]
    pub fn push(&mut self, frame: &Frame<'_>) -> Result<(), Full> {
        self.put(&frame.parts().slices())
    }

    /// Bytes written so far.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: a header is written first.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that are left.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.out.len() - self.length
    }

    /// Pads with zeroes up to `bytes` (as far as there is room), the size that a probe probes.
    #[inline]
    pub fn pad_to(&mut self, bytes: usize) {
        let end = bytes.clamp(self.length, self.out.len());
        self.out[self.length..end].fill(0);
        self.length = end;
    }

    /// Pads a request to its least length, writes the checksum, and gives the length of the datagram.
    #[inline]
    #[must_use]
    pub fn finish(mut self) -> usize {
        self.pad_to(self.bytes_min);
        let (checksum, rest) = self.out[..self.length].split_at_mut(4);
        checksum.copy_from_slice(&crc32c(rest).to_be_bytes());
        self.length
    }

    #[inline]
    fn put(&mut self, slices: &[&[u8]]) -> Result<(), Full> {
        let (needed, room) = (slices.iter().map(|slice| slice.len()).sum(), self.room());
        if needed > room {
            return Err(Full { needed, room });
        }
        for slice in slices {
            self.out[self.length..][..slice.len()].copy_from_slice(slice);
            self.length += slice.len();
        }
        Ok(())
    }
}
