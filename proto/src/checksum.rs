//! CRC-32C (Castagnoli), the checksum of messages and of values.

/// State before the first byte, and what the last state is xored with.
const ONES: u32 = u32::MAX;

/// CRC-32C of one slice.
#[inline]
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    return crc_fast::crc32_iscsi(bytes);
    #[cfg(not(feature = "std"))]
    return table::update(ONES, bytes) ^ ONES;
}

/// CRC-32C of several slices as if they were one.
#[inline]
#[must_use]
pub fn crc32c_of(parts: &[&[u8]]) -> u32 {
    let Some((first, rest)) = parts.split_first() else { return 0 };
    let mut crc = Crc32c::of(first);
    for part in rest {
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

    /// The checksum of these bytes so far: quicker than to begin with nothing.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Crc32c { state: crc32c(bytes) ^ ONES }
    }

    /// Takes the next bytes in.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.state = update(self.state, bytes);
        }
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

/// The state after `bytes`, with the CPU's instructions for it.
#[cfg(feature = "std")]
#[inline]
fn update(state: u32, bytes: &[u8]) -> u32 {
    let mut digest =
        crc_fast::Digest::new_with_init_state(crc_fast::CrcAlgorithm::Crc32Iscsi, u64::from(state));
    digest.update(bytes);
    digest.get_state() as u32
}

#[cfg(not(feature = "std"))]
use table::update;

/// A byte at a time, where there is no std to ask the CPU what it can do.
#[cfg(any(test, not(feature = "std")))]
mod table {
    /// The polynomial of CRC-32C, bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;

    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };

    pub(super) fn update(state: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(state, |crc, &byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
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
        assert_eq!(crc32c_of(&[]), 0);
        assert_eq!(Crc32c::new().finish(), 0);
    }

    #[test]
    fn any_split_gives_the_same_sum() {
        let bytes: [u8; 700] = core::array::from_fn(|i| (i * 7) as u8);
        for at in 0..bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(crc32c_of(&[a, b]), crc32c(&bytes), "split at {at}");
            assert_eq!(table::update(ONES, a) ^ ONES, crc32c(a), "table, {at} bytes");
        }
    }
}
