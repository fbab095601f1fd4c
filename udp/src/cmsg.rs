//! Control messages (cmsg(3)): the one we send, and a reader for those the kernel attaches.

/// `struct cmsghdr` of 64-bit Linux: length with this header, level, type.
const HEADER_BYTES: usize = 16;

const _: () = assert!(cfg!(all(target_os = "linux", target_pointer_width = "64")), "64-bit Linux only");
const _: () = assert!(size_of::<libc::cmsghdr>() == HEADER_BYTES);

/// A UDP_SEGMENT control message: cut the message's bytes into datagrams of `segment_bytes` (udp(7)).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct SegmentControl {
    len: usize,
    level: libc::c_int,
    kind: libc::c_int,
    segment_bytes: u16,
    padding: [u8; 6],
}

impl SegmentControl {
    pub(crate) const BYTES: usize = size_of::<Self>();

    pub(crate) const fn new(segment_bytes: u16) -> Self {
        SegmentControl {
            len: HEADER_BYTES + size_of::<u16>(),
            level: libc::SOL_UDP,
            kind: libc::UDP_SEGMENT,
            segment_bytes,
            padding: [0; 6],
        }
    }
}

/// One control message as received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

impl Control<'_> {
    /// The 32-bit word at byte `at` of the data.
    pub(crate) fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.data.get(at..at + 4)?.try_into().ok()?))
    }

    /// The 64-bit word at byte `at` of the data.
    pub(crate) fn long(&self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(self.data.get(at..at + 8)?.try_into().ok()?))
    }
}

/// The control messages in `bytes`, up to the first that does not fit.
pub(crate) fn controls(mut bytes: &[u8]) -> impl Iterator<Item = Control<'_>> {
    std::iter::from_fn(move || {
        let len = usize::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
        let level = i32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
        let kind = i32::from_ne_bytes(bytes.get(12..HEADER_BYTES)?.try_into().ok()?);
        let data = bytes.get(HEADER_BYTES..len)?;
        bytes = bytes.get(len.checked_next_multiple_of(8)?..).unwrap_or_default();
        Some(Control { level, kind, data })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER_BYTES + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn reads_messages_one_after_the_other() {
        let bytes = [message(1, 2, &[7; 4]), message(3, 4, &[8; 16])].concat();
        let read: Vec<_> = controls(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].level, read[0].kind, read[0].word(0)), (1, 2, Some(0x0707_0707)));
        assert_eq!((read[1].level, read[1].kind, read[1].long(8)), (3, 4, Some(0x0808_0808_0808_0808)));
        assert_eq!(read[0].word(1), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(controls(&bytes).count() <= bytes.len() / HEADER_BYTES + 1);
        }

        #[test]
        fn any_length_field_ends_without_panic(len: usize, tail in 0usize..64) {
            let mut bytes = len.to_ne_bytes().to_vec();
            bytes.resize(16 + tail, 1);
            prop_assert!(controls(&bytes).count() <= bytes.len() / HEADER_BYTES);
        }
    }
}
