//! Big-endian integers at fixed places of fixed arrays: every length is known to the compiler, so nothing here can panic.

/// The two bytes at `AT`.
#[inline]
pub(super) const fn u16_at<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u16 {
    const { assert!(AT + 2 <= N) };
    u16::from_be_bytes([bytes[AT], bytes[AT + 1]])
}

/// The four bytes at `AT`.
#[inline]
pub(super) const fn u32_at<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u32 {
    const { assert!(AT + 4 <= N) };
    u32::from_be_bytes([bytes[AT], bytes[AT + 1], bytes[AT + 2], bytes[AT + 3]])
}

/// The eight bytes at `AT`.
#[inline]
pub(super) const fn u64_at<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u64 {
    const { assert!(AT + 8 <= N) };
    (u32_at::<AT, N>(bytes) as u64) << 32
        | u32::from_be_bytes([bytes[AT + 4], bytes[AT + 5], bytes[AT + 6], bytes[AT + 7]]) as u64
}

/// Writes `field` at `AT`.
#[inline]
pub(super) fn put<const AT: usize, const W: usize, const N: usize>(bytes: &mut [u8; N], field: [u8; W]) {
    const { assert!(AT + W <= N) };
    bytes[AT..AT + W].copy_from_slice(&field);
}

/// Takes `length` bytes off the front.
#[inline]
pub(super) fn take(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(length)
}
