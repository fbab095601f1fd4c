//! What is stored: keys of one length, values that follow from the item's number, and which items are asked for.

use super::limits::KEY_BYTES;

/// The key of an item.
#[must_use]
pub fn key(item: u32) -> [u8; KEY_BYTES] {
    let mut key = *b"item:000000000000000";
    let mut rest = item;
    for digit in key.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// The value of an item: neither zeroes nor the same for two items, and no line break, which memcached would mind.
#[must_use]
pub fn value(item: u32, bytes: usize) -> Vec<u8> {
    let pattern = random(u64::from(item) + 1).to_ne_bytes();
    pattern.iter().cycle().map(|byte| b'A' + byte % 26).take(bytes).collect()
}

/// Items drawn uniformly, the same ones in every run.
#[must_use]
pub fn draw(items: u32, count: usize) -> Vec<u32> {
    (0..count as u64).map(|index| (random(index) % u64::from(items)) as u32).collect()
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn random(index: u64) -> u64 {
    let mut z = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_items_numbers() {
        assert_eq!(&key(0), b"item:000000000000000");
        assert_eq!(&key(10_000_203), b"item:000000010000203");
    }

    #[test]
    fn values_have_their_length_and_differ() {
        assert_eq!(value(1, 100).len(), 100);
        assert_ne!(value(1, 100), value(2, 100));
    }

    #[test]
    fn draws_keep_to_the_items_and_repeat() {
        let drawn = draw(100, 10_000);
        assert!(drawn.iter().all(|item| *item < 100));
        assert_eq!(drawn, draw(100, 10_000));
        assert!((0..100).all(|item| drawn.contains(&item)));
    }
}
