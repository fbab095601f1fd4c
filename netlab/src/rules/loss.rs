//! Loss by chance, by rate and by size: what needs but a rule.

use super::{Rules, chance};
use crate::topology::Direction;

/// Loses so many millionths of the packets, each alone.
pub(crate) fn independent(rules: &mut Rules, direction: Direction, ppm: u64) {
    rules.counter(&format!("lost_{direction}"));
    if let Some(chance) = chance(ppm) {
        rules.way(direction, &format!("{chance}counter name lost_{direction} drop"));
    }
}

/// Drops packets above so many a second.
pub(crate) fn policed(rules: &mut Rules, direction: Direction, per_second: u64, burst: u64) {
    let counter = format!("limited_{direction}");
    rules.counter(&counter);
    let limit = format!("limit rate over {per_second}/second burst {burst} packets");
    rules.way(direction, &format!("{limit} counter name {counter} drop"));
}

/// Drops what is larger than so many bytes of an IP packet, without a word.
pub(crate) fn oversize(rules: &mut Rules, direction: Direction, bytes: u32) {
    let counter = format!("oversize_{direction}");
    rules.counter(&counter);
    rules.way(direction, &format!("meta length > {bytes} counter name {counter} drop"));
}
