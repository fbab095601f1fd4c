//! Request datagrams, built before anything is measured.

use shingle_proto::cookie::Cookie;
use shingle_proto::limits::CREDIT_BYTES_MAX;
use shingle_proto::wire::{DatagramWriter, Frame, Get, RequestHeader};

use super::case::Case;
use super::items::key;

/// Requests of equal length one behind the other, and the items each of them asks for.
pub struct Built {
    /// The datagrams.
    pub bytes: Vec<u8>,
    /// Length of each.
    pub request_bytes: usize,
    /// Gets in each.
    pub gets: usize,
    /// Items, that many for each request; empty where values are not known here.
    pub items: Vec<u32>,
}

/// Ours: each request's sequence is its index.
///
/// # Panics
/// If the gets do not fit a datagram.
#[must_use]
pub fn shingle(case: &Case, items: Vec<u32>, cookie: Cookie, flow: u32) -> Built {
    let keys: Vec<_> = items.iter().map(|item| key(*item)).collect();
    Built { items, ..shingle_keys(case, &keys, cookie, flow) }
}

/// The same for keys of any kind, all of one length; what is stored under them is not known.
///
/// # Panics
/// If the gets do not fit a datagram.
#[must_use]
pub fn shingle_keys<K: AsRef<[u8]>>(case: &Case, keys: &[K], cookie: Cookie, flow: u32) -> Built {
    build(case, keys, |index, keys| {
        let header = RequestHeader {
            attempt: 0,
            flow,
            sequence: index as u32,
            telemetry: case.telemetry,
            datagram_max: case.datagram_max() as u16,
            credit: CREDIT_BYTES_MAX as u32,
        };
        let mut bytes = vec![0; case.datagram_max()];
        let mut writer = DatagramWriter::request(&mut bytes, &header).expect("room for a header");
        writer.push(&Frame::Cookie(cookie)).expect("room for a cookie");
        for (id, key) in keys.iter().enumerate() {
            let get = Get { id: (index * case.gets + id) as u32, key: key.as_ref() };
            writer.push(&Frame::Get(get)).expect("the gets fit a datagram");
        }
        let length = writer.finish();
        bytes.truncate(length);
        bytes
    })
}

/// memcached's: 8 B of frame (doc/protocol.txt, "UDP protocol"), in which each request's id is its index, then the text.
///
/// # Panics
/// If there are more requests than ids.
#[must_use]
pub fn memcached_udp(case: &Case, items: Vec<u32>) -> Built {
    let built = build(case, &items, |index, items| {
        let id = u16::try_from(index).expect("no more requests than ids").to_be_bytes();
        let mut bytes = vec![id[0], id[1], 0, 0, 0, 1, 0, 0];
        bytes.extend(memcached_text(items));
        bytes
    });
    Built { items, ..built }
}

/// The text of a get of these items.
#[must_use]
pub fn memcached_text(items: &[u32]) -> Vec<u8> {
    let mut text = b"get".to_vec();
    for item in items {
        text.push(b' ');
        text.extend(key(*item));
    }
    text.extend(b"\r\n");
    text
}

fn build<T>(case: &Case, wanted: &[T], one: impl Fn(usize, &[T]) -> Vec<u8>) -> Built {
    let (mut bytes, mut request_bytes) = (Vec::new(), 0);
    for (index, wanted) in wanted.chunks_exact(case.gets).enumerate() {
        let request = one(index, wanted);
        debug_assert!(index == 0 || request.len() == request_bytes);
        request_bytes = request.len();
        bytes.extend(request);
    }
    Built { bytes, request_bytes, gets: case.gets, items: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floors::items::draw;
    use crate::floors::limits::GETS;
    use crate::small::cookie;

    #[test]
    fn requests_have_the_length_their_floor_takes_them_to_have() {
        for gets in [1, GETS] {
            let case = Case { gets, requests: 3, ..Case::PLAIN };
            let built = shingle(&case, draw(case.items, 3 * gets), cookie(), 1);
            assert_eq!(built.request_bytes, case.shape().request_bytes);
            assert_eq!(built.bytes.len(), 3 * built.request_bytes);
        }
    }

    #[test]
    fn memcached_is_asked_in_its_own_words() {
        let case = Case { gets: 2, ..Case::PLAIN };
        let built = memcached_udp(&case, vec![1, 2]);
        assert_eq!(built.bytes, b"\0\0\0\0\0\x01\0\0get item:000000000000001 item:000000000000002\r\n");
    }
}
