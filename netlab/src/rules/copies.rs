//! Copies. They are made where packets leave a router: only there is the header of the next link in place already.

use super::{Rules, chance};
use crate::topology::Direction;

/// On packets that were copied and on their copies, for these pass the same rule: no copy is copied.
const COPIED_MARK: u32 = 77;

/// Sends so many millionths of the packets that go this way twice, leaving by this device.
pub(crate) fn made(rules: &mut Rules, direction: Direction, device: &'static str, ppm: u64) {
    let counter = format!("duplicated_{direction}");
    rules.counter(&counter);
    let Some(chance) = chance(ppm) else { return };
    let copy = format!("meta mark set {COPIED_MARK} counter name {counter} dup to \"{device}\"");
    let chain = [format!("meta mark {COPIED_MARK} accept"), format!("meta l4proto udp {chance}{copy}")];
    rules.egress(&format!("copies_{direction}"), device, &chain);
}
