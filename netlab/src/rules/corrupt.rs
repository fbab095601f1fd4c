//! Flipped bits. nft cannot negate a bit, so each position has a rule for a bit that is clear and one for a bit that is set; and it writes to the
//! payload without mending the checksum.

use super::{Rules, chance};
use crate::topology::Direction;

/// Bytes of the IP packet at which a bit may flip, the first that the packet has: beyond the headers of both families, the IPv6
/// fragment header included.
const PLACES_BYTES: [u32; 3] = [200, 61, 49];

/// Pairs of bytes whose bits count alike in the checksum, as they are an even number of bytes apart.
const PAIRS_BYTES: [(u32, u32); 2] = [(200, 202), (60, 62)];

/// Flips a bit in so many millionths of the packets: the UDP checksum is wrong then.
pub(crate) fn one_bit(rules: &mut Rules, direction: Direction, ppm: u64) {
    let flips = PLACES_BYTES.iter().flat_map(|byte| {
        let bit = byte * 8 + 3;
        [0, 1].map(|found| format!("@nh,{bit},1 {found} @nh,{bit},1 set {}", 1 - found))
    });
    corrupted(rules, direction, ppm, flips);
}

/// Flips a set bit and a clear one of equal weight: the UDP checksum stays right, of IPv6 too, which always has one.
pub(crate) fn two_bits(rules: &mut Rules, direction: Direction, ppm: u64) {
    let bits = PAIRS_BYTES.iter().flat_map(|(a, b)| (0..8).map(move |bit| (a * 8 + bit, b * 8 + bit)));
    let flips = bits.flat_map(|(a, b)| {
        [(0, 1), (1, 0)].map(|(at_a, at_b)| {
            format!("@nh,{a},1 {at_a} @nh,{b},1 {at_b} @nh,{a},1 set {at_b} @nh,{b},1 set {at_a}")
        })
    });
    corrupted(rules, direction, ppm, flips);
}

/// Tries these on a share of the packets until one fits; packets too short or too even for all of them are counted apart.
fn corrupted(rules: &mut Rules, direction: Direction, ppm: u64, flips: impl Iterator<Item = String>) {
    let (counter, spared) = (format!("corrupted_{direction}"), format!("spared_{direction}"));
    rules.counter(&counter);
    rules.counter(&spared);
    let Some(chance) = chance(ppm) else { return };
    let flips = flips.map(|flip| format!("{flip} counter name {counter} return"));
    rules.chain(
        &format!("corrupt_{direction}"),
        &flips.chain([format!("counter name {spared}")]).collect::<Vec<_>>(),
    );
    rules.way(direction, &format!("{chance}jump corrupt_{direction}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bits_are_of_equal_weight_and_change_places() {
        let mut rules = Rules::default();
        two_bits(&mut rules, Direction::Down, WHOLE);
        let script = rules.text(None, Some("rs"));
        let flips: Vec<Vec<u32>> =
            script.lines().filter(|line| line.contains(" set ")).map(numbers).collect();
        assert_eq!(flips.len(), 2 * 2 * 8, "both ways round for each bit of two pairs of bytes");
        for (index, flip) in flips.iter().enumerate() {
            let [a, 1, found_a, b, 1, found_b, again_a, 1, set_a, again_b, 1, set_b] = flip[..] else {
                panic!("{flip:?}")
            };
            assert_eq!((a, b), (again_a, again_b));
            assert_eq!((found_a, found_b), (set_b, set_a));
            assert_ne!(found_a, found_b);
            // A checksum adds words of 16 bits.
            assert_eq!((b - a) % 16, 0);
            assert_eq!(a / 8, if index < 16 { 200 } else { 60 });
            assert!(
                flips[..index].iter().all(|other| (other[0], other[2]) != (a, found_a)),
                "{flip:?} twice"
            );
        }
    }

    const WHOLE: u64 = crate::catalogue::WHOLE_PPM;

    /// All numbers of a line.
    fn numbers(line: &str) -> Vec<u32> {
        line.split(|it: char| !it.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    }
}
