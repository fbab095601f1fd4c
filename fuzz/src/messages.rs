//! Messages with right checksums, and taken apart.

use shingle_proto::checksum::crc32c;

/// Writes the checksum anew, so that what is behind it is reached at all.
pub(crate) fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((checksum, rest)) = bytes.split_first_chunk_mut::<4>() {
        *checksum = crc32c(rest).to_be_bytes();
    }
    bytes
}
