//! What becomes of fragments: limited as by a network card, blocked as by a firewall, or lost.

use super::{Rules, chance};
use crate::topology::{Charge, Direction};

/// A first fragment with more to come, IPv4 and IPv6.
const FIRST: [&str; 2] = ["ip frag-off & 0x3fff == 0x2000", "frag frag-off 0"];
/// A later fragment, IPv4 and IPv6.
const REST: [&str; 2] = ["ip frag-off & 0x1fff != 0", "frag frag-off != 0"];

/// Lets so many a second of the charged fragments pass, of both families together, and all others.
pub(crate) fn limited(rules: &mut Rules, direction: Direction, per_second: u64, burst: u64, charge: Charge) {
    // A named limit: rules that share it share its tokens.
    rules.object(&format!("limit fragments {{ rate over {per_second}/second burst {burst} packets }}"));
    let drop = "limit name fragments counter name fragments_dropped drop";
    let first = (charge != Charge::Rest).then_some(drop);
    let rest = (charge != Charge::First).then_some(drop);
    told_apart(rules, direction, first, rest);
}

/// Lets no fragment pass.
pub(crate) fn blocked(rules: &mut Rules, direction: Direction) {
    let drop = "counter name fragments_dropped drop";
    told_apart(rules, direction, Some(drop), Some(drop));
}

/// Loses a share of the later fragments: their firsts are orphaned.
pub(crate) fn rest_lost(rules: &mut Rules, direction: Direction, ppm: u64) {
    let drop = chance(ppm).map(|chance| format!("{chance}counter name fragments_dropped drop"));
    told_apart(rules, direction, None, drop.as_deref());
}

/// Counts first and later fragments and sends each kind through its rule.
fn told_apart(rules: &mut Rules, direction: Direction, first: Option<&str>, rest: Option<&str>) {
    for (kind, packets, rule) in [("first", FIRST, first), ("rest", REST, rest)] {
        let chain = format!("fragment_{kind}_{direction}");
        for packet in packets {
            rules.way(direction, &format!("{packet} counter name fragments_{kind} jump {chain}"));
        }
        let passes = "counter name fragments_passed";
        rules.chain(&chain, &rule.into_iter().chain([passes]).map(String::from).collect::<Vec<_>>());
    }
}

/// Declares the counters of this file's rules, once a router.
pub(crate) fn counters(rules: &mut Rules) {
    ["fragments_first", "fragments_rest", "fragments_passed", "fragments_dropped"]
        .iter()
        .for_each(|name| rules.counter(name));
}
