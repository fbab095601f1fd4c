//! Answers that came in several datagrams, put together in memory taken once.

use super::limits::PIECE_BYTES;

/// Where the pieces of one answer are put.
struct Buffer {
    bytes: Box<[u8]>,
    /// Which pieces are there, a bit each.
    there: Box<[u64]>,
    total: u16,
    pieces: u16,
    last_bytes: usize,
}

/// The buffers of one flow.
pub(super) struct Assembly {
    buffers: Vec<Buffer>,
    free: Vec<u16>,
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Kept; others are missing.
    Kept,
    /// It was there already.
    Duplicate,
    /// It does not go with the others.
    Malformed,
    /// All are there.
    Complete,
}

impl Assembly {
    /// Room for answers of up to `message_bytes_max`, as many as go into `budget_bytes` and at least two.
    pub(super) fn new(message_bytes_max: usize, budget_bytes: usize) -> Self {
        let pieces = message_bytes_max.div_ceil(PIECE_BYTES).min(usize::from(u16::MAX));
        // Answers in one datagram need none.
        let count = if pieces < 2 { 0 } else { (budget_bytes / (pieces * PIECE_BYTES)).clamp(2, 1024) };
        let buffer = || Buffer {
            bytes: vec![0; pieces * PIECE_BYTES].into(),
            there: vec![0; pieces.div_ceil(64)].into(),
            total: 0,
            pieces: 0,
            last_bytes: 0,
        };
        Self { buffers: (0..count).map(|_| buffer()).collect(), free: (0..count as u16).rev().collect() }
    }

    /// Whether an answer of so many pieces can be put together at all.
    pub(super) fn takes(&self, total: u16) -> bool {
        self.buffers.first().is_some_and(|buffer| usize::from(total) * PIECE_BYTES <= buffer.bytes.len())
    }

    /// Begins an answer; `None` when all buffers are in use.
    pub(super) fn begin(&mut self, total: u16) -> Option<u16> {
        let index = self.free.pop()?;
        let buffer = &mut self.buffers[usize::from(index)];
        buffer.there.fill(0);
        (buffer.total, buffer.pieces, buffer.last_bytes) = (total, 0, 0);
        Some(index)
    }

    /// Pieces that are there.
    pub(super) fn pieces(&self, index: u16) -> u16 {
        self.buffers[usize::from(index)].pieces
    }

    /// Puts a piece to its place: all are of one length but the last, which is no longer.
    pub(super) fn put(&mut self, index: u16, sequence: u16, total: u16, piece: &[u8]) -> Put {
        let buffer = &mut self.buffers[usize::from(index)];
        let is_last = sequence + 1 == total;
        let right_length =
            if is_last { (1..=PIECE_BYTES).contains(&piece.len()) } else { piece.len() == PIECE_BYTES };
        if total != buffer.total || !right_length {
            return Put::Malformed;
        }
        let (word, bit) = (usize::from(sequence) / 64, 1 << (sequence % 64));
        if buffer.there[word] & bit != 0 {
            return Put::Duplicate;
        }
        buffer.there[word] |= bit;
        buffer.pieces += 1;
        if is_last {
            buffer.last_bytes = piece.len();
        }
        let at = usize::from(sequence) * PIECE_BYTES;
        buffer.bytes[at..at + piece.len()].copy_from_slice(piece);
        if buffer.pieces == total { Put::Complete } else { Put::Kept }
    }

    /// The answer, complete.
    pub(super) fn message(&self, index: u16) -> &[u8] {
        let buffer = &self.buffers[usize::from(index)];
        &buffer.bytes[..(usize::from(buffer.total) - 1) * PIECE_BYTES + buffer.last_bytes]
    }

    /// Gives a buffer back.
    pub(super) fn end(&mut self, index: u16) {
        self.free.push(index);
    }
}
