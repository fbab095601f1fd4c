//! Which topologies cannot stand in one network, and why.

/// Why these two do not go together, and what to do; none: they do.
pub(crate) fn clash(first: &str, second: &str) -> Option<&'static str> {
    if first == second {
        return Some("it is there already; name each once");
    }
    let is = |a: &str, b: &str| (first, second) == (a, b) || (first, second) == (b, a);
    let pair = |(both, _): &&(&[&str], &str)| {
        both.iter().enumerate().any(|(index, a)| both[index + 1..].iter().any(|b| is(a, b)))
    };
    if [first, second].contains(&"direct") {
        return Some("direct changes nothing; name the other alone");
    }
    CLASHES.iter().find(pair).map(|(_, reason)| *reason)
}

/// Groups of which any two clash.
const CLASHES: &[(&[&str], &str)] = &[
    (
        &["fragment-limit", "fragments-blocked", "small-reassembly"],
        "both decide what becomes of the same fragments, and what one dropped the other never sees; take one of them",
    ),
    (
        &["black-hole", "asymmetric"],
        "both drop by size, and the smaller size would hide the other; take black-hole and set its direction",
    ),
    (
        &["dead-server", "balancer"],
        "both take the server away, and who lost a read could not be told; take one of them",
    ),
    (
        &["bad-path", "balancer"],
        "both choose by its flow who loses everything, and which of them did could not be told; take one of them",
    ),
    (
        &["pause", "slow-server"],
        "both stop and continue a host's program; take pause, and set its duration and interval",
    ),
];
