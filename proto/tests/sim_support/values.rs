//! Values that prove themselves: every byte follows from key, version and place.

/// Longest value of these tests.
pub const VALUE_BYTES_MAX: usize = 96 << 10;

/// The key with this number.
pub fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key-000000000000";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Keys from this number on have large values, whose chunks come close to any size announced.
pub const LARGE_FROM: u64 = 1000;
/// Keys from this number on have the object metadata this cache was made for: a few hundred bytes, 3.5 % a little above 1472.
pub const METADATA_FROM: u64 = 2000;

/// Keys from this number on have values of 3 to 5 kB: one large datagram or a few of the base.
pub const KILOBYTES_FROM: u64 = 3000;

/// Length of a value: mostly small, some of several datagrams, few large.
pub fn length(number: u64, version: u64) -> usize {
    let draw = mix(number ^ version.rotate_left(17));
    if number >= KILOBYTES_FROM {
        return 3000 + (draw >> 32) as usize % 2000;
    }
    if number >= METADATA_FROM {
        let large = draw % 1000 < 35;
        return (draw >> 32) as usize % 400 + if large { 1472 } else { 200 };
    }
    if number >= LARGE_FROM {
        return VALUE_BYTES_MAX / 2 + (draw >> 32) as usize % (VALUE_BYTES_MAX / 2);
    }
    let small = 8 + (draw >> 32) % 600;
    let length = match draw % 20 {
        0..12 => small,
        12..17 => 600 + (draw >> 32) % 9_000,
        17..19 => 9_000 + (draw >> 32) % 20_000,
        _ => 30_000 + (draw >> 32) % (VALUE_BYTES_MAX as u64 - 30_000),
    };
    length as usize
}

/// The value: its version, then bytes that no other key, version or place has.
pub fn value(number: u64, version: u64) -> Vec<u8> {
    (0..length(number, version)).map(|at| byte(number, version, at)).collect()
}

/// The version of a value, if every byte of it is right. Allocates nothing.
pub fn check(number: u64, bytes: &[u8]) -> Option<u64> {
    let version = u64::from_be_bytes(*bytes.first_chunk::<8>()?);
    let right = bytes.len() == length(number, version)
        && bytes.iter().enumerate().all(|(at, found)| *found == byte(number, version, at));
    right.then_some(version)
}

fn byte(number: u64, version: u64, at: usize) -> u8 {
    match version.to_be_bytes().get(at) {
        Some(byte) => *byte,
        None => mix(number ^ (version << 20) ^ (at as u64 / 8)).to_be_bytes()[at % 8],
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
