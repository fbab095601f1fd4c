//! CRC-32C (Castagnoli), the checksum of messages and of values.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

/// State before the first byte, and what the last state is xored with.
const ONES: u32 = u32::MAX;

/// CRC-32C of one slice.
#[inline]
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// CRC-32C of several slices as if they were one.
#[inline]
#[must_use]
pub fn crc32c_of(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc32c::new();
    for part in parts {
        crc.update(part);
    }
    crc.finish()
}

/// CRC-32C of bytes that come piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c {
    state: u32,
}

impl Crc32c {
    /// The checksum of nothing yet.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Crc32c { state: ONES }
    }

    /// Takes the next bytes in.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(self.state));
        digest.update(bytes);
        self.state = digest.get_state() as u32;
    }

    /// The checksum of all bytes so far.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u32 {
        self.state ^ ONES
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_check_value() {
        // "check" of CRC-32/ISCSI in the reveng catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn any_split_gives_the_same_sum() {
        let bytes: [u8; 700] = core::array::from_fn(|i| (i * 7) as u8);
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(crc32c_of(&[a, b]), crc32c(&bytes), "split at {at}");
        }
    }
}
