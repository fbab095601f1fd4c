//! Keys and values that are known on both sides: what is stored under a key is a function of key and version.

use shingle_proto::seal::seal;

/// The key of this number, one byte shared by all.
pub(crate) fn key(number: u8) -> Vec<u8> {
    vec![b'k', number]
}

/// The value under this key in this version, of which no two are alike.
pub(crate) fn value(key: &[u8], version: u64, bytes: usize) -> Vec<u8> {
    let mut state = key.iter().fold(version ^ 0x9E37_79B9_7F4A_7C15, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x2545_F491_4F6C_DD1D)
    }) | 1;
    let mut value = Vec::with_capacity(bytes + 8);
    while value.len() < bytes {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        value.extend_from_slice(&state.to_be_bytes());
    }
    value.truncate(bytes);
    value
}

/// The same behind its seal.
pub(crate) fn sealed(key: &[u8], version: u64, bytes: usize) -> Vec<u8> {
    let value = value(key, version, bytes);
    [&seal(key, &value)[..], &value].concat()
}
