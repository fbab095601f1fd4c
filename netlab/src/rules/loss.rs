//! Loss by chance, alone or in bursts, and copies and limits: what needs a rule or two.

use super::{Rules, chance};
use crate::topology::Direction;

/// Loses so many millionths of the packets, each alone.
pub(crate) fn independent(rules: &mut Rules, direction: Direction, ppm: u64) {
    rules.counter(&format!("lost_{direction}"));
    if let Some(chance) = chance(ppm) {
        rules.way(direction, &format!("{chance}counter name lost_{direction} drop"));
    }
}

/// Loses packets in bursts, after Gilbert and Elliott: a burst begins and ends with these chances, and spares nobody. Whether one is going
/// on is told by the only possible element of a set.
pub(crate) fn bursts(rules: &mut Rules, direction: Direction, enter_ppm: u64, leave_ppm: u64) {
    let (set, lost) = (format!("burst_{direction}"), format!("lost_{direction}"));
    rules.counter(&lost);
    let (Some(enter), Some(leave)) = (chance(enter_ppm), chance(leave_ppm)) else { return };
    rules.object(&format!("set {set} {{ type inet_proto; size 16; flags dynamic; }}"));
    let inside =
        [format!("{leave}delete @{set} {{ meta l4proto }} return"), format!("counter name {lost} drop")];
    rules.chain(&format!("within_{set}"), &inside);
    let outside = [
        format!("meta l4proto @{set} goto within_{set}"),
        format!("{enter}add @{set} {{ meta l4proto }} counter name {lost} drop"),
    ];
    rules.chain(&format!("around_{set}"), &outside);
    rules.way(direction, &format!("jump around_{set}"));
}

/// Drops what exceeds a rate; words of nft's limit such as `1000/second burst 5 packets`.
pub(crate) fn policed(rules: &mut Rules, direction: Direction, limit: &str) {
    let counter = format!("limited_{direction}");
    rules.counter(&counter);
    rules.way(direction, &format!("limit rate over {limit} counter name {counter} drop"));
}

/// Drops what is larger than so many bytes of an IP packet, without a word.
pub(crate) fn oversize(rules: &mut Rules, direction: Direction, bytes: u32) {
    let counter = format!("oversize_{direction}");
    rules.counter(&counter);
    rules.way(direction, &format!("meta length > {bytes} counter name {counter} drop"));
}
