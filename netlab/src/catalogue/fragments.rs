//! Narrow paths on which fragments fare badly: limited, blocked, or lost until the receiver's memory for them is full.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, troubled};
use super::draft::Draft;
use super::layout::CLIENT;
use super::narrow::{CLIENT_MTU, MTU_EXPIRES, SERVER_MTU, narrowed, narrows};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{
    BURST_PACKETS_MAX, FRAGMENT_BURST, FRAGMENTS_PER_SECOND, PACKETS_PER_SECOND_MAX, REASSEMBLY_LARGE_BYTES,
    REASSEMBLY_MEMORY_BYTES_MAX, REASSEMBLY_MEMORY_BYTES_MIN, REASSEMBLY_SHORT_S, REASSEMBLY_SMALL_BYTES,
    REASSEMBLY_TIME_S, REASSEMBLY_TIME_S_MAX, REST_LOST_PPM,
};
use crate::part::Part;
use crate::rules::{Rules, fragments};
use crate::topology::{Charge, Direction, Link, Reassembly, Topology};

pub(super) const FRAGMENT_LIMIT: Entry = Entry {
    name: "fragment-limit",
    sentence: "a narrow path, and a network card at the server that passes so many fragments a second",
    story: "a new instance type fails its qualification: from some rate on the failures creep towards the share of large answers, and no \
            host dropped anything (story a)",
    causes: &["fragment_rate_limit"],
    parameters: &[
        Parameter {
            name: "limit",
            sentence: "charged fragments that pass in a second",
            kind: Kind::PerSecond,
            default: FRAGMENTS_PER_SECOND,
            range: (1, PACKETS_PER_SECOND_MAX),
        },
        Parameter {
            name: "charge",
            sentence: "which fragments of a datagram count and can be dropped: its first, all but it, or all",
            kind: Kind::Choice(&["first", "rest", "all"]),
            default: 1,
            range: (0, 2),
        },
        Parameter {
            name: "burst",
            sentence: "charged fragments that may pass at once after a pause",
            kind: Kind::Count("fragments, such as 5"),
            default: FRAGMENT_BURST,
            range: (1, BURST_PACKETS_MAX),
        },
        MEMORY,
        TIME,
        CLIENT_MTU,
        SERVER_MTU,
        MTU_EXPIRES,
        DELAY,
        FAMILY,
    ],
    check: narrows,
    plan: |part, draft| {
        let (limit, burst) = (part.number("limit"), part.number("burst"));
        lost(part, draft, |rules| fragments::limited(rules, Direction::Down, limit, burst, charge(part)))
    },
    simulated: Some(|part, topology| {
        let (limit, burst) = (part.number("limit"), part.number("burst"));
        reassembled(part, topology.down(Link::FragmentLimit { limit, charge: charge(part), burst }))
    }),
};

pub(super) const FRAGMENTS_BLOCKED: Entry = Entry {
    name: "fragments-blocked",
    sentence: "a narrow path with a firewall that passes no fragment",
    story: "a security group or firewall that drops fragments because they carry no ports",
    causes: &["fragments_blocked"],
    parameters: &[DIRECTION, MEMORY, TIME, CLIENT_MTU, SERVER_MTU, MTU_EXPIRES, DELAY, FAMILY],
    check: narrows,
    plan: |part, draft| {
        lost(part, draft, |rules| part.ways().iter().for_each(|way| fragments::blocked(rules, *way)))
    },
    simulated: Some(|part, topology| {
        let none = Link::FragmentLimit { limit: 0, charge: Charge::All, burst: 0 };
        reassembled(part, troubled(part, topology, &none))
    }),
};

pub(super) const SMALL_REASSEMBLY: Entry = Entry {
    name: "small-reassembly",
    sentence: "a narrow path that loses later fragments, and a client with little memory for the orphaned first ones",
    story: "orphaned fragments fill the receiver's memory for them, and datagrams die whose fragments all arrived (story a, second figure)",
    causes: &["reassembly_overflow"],
    parameters: &[
        Parameter {
            name: "loss",
            sentence: "share of the later fragments that the path loses",
            kind: Kind::Share,
            default: REST_LOST_PPM,
            range: (0, WHOLE_PPM),
        },
        Parameter { default: REASSEMBLY_SMALL_BYTES, ..MEMORY },
        Parameter { default: REASSEMBLY_TIME_S, ..TIME },
        CLIENT_MTU,
        SERVER_MTU,
        MTU_EXPIRES,
        DELAY,
        FAMILY,
    ],
    check: narrows,
    plan: |part, draft| {
        lost(part, draft, |rules| fragments::rest_lost(rules, Direction::Down, part.number("loss")))
    },
    simulated: Some(|part, topology| {
        let link = Link::FragmentLoss { rate: part.share("loss"), charge: Charge::Rest };
        reassembled(part, topology.down(link))
    }),
};

const MEMORY: Parameter = Parameter {
    name: "reassembly-memory",
    sentence: "memory the client has for fragments of unfinished datagrams (the kernel's own default is 4MiB)",
    kind: Kind::Memory,
    default: REASSEMBLY_LARGE_BYTES,
    range: (REASSEMBLY_MEMORY_BYTES_MIN, REASSEMBLY_MEMORY_BYTES_MAX),
};

const TIME: Parameter = Parameter {
    name: "reassembly-time",
    sentence: "how long the client waits for a datagram's last fragment (the kernel's own default is 30s)",
    kind: Kind::Seconds,
    default: REASSEMBLY_SHORT_S,
    range: (1, REASSEMBLY_TIME_S_MAX),
};

/// A narrow path whose router does this to fragments, before it makes any itself: what it does, a card at the sender would do.
fn lost(part: &Part<'_>, draft: &mut Draft, what: impl FnOnce(&mut Rules)) {
    fragments::counters(&mut draft.rules);
    what(&mut draft.rules);
    narrowed(part, draft);
    draft.ends[CLIENT].sysctls.extend(reassembly_sysctls(part));
}

/// Both families' settings. The low mark means nothing any more, yet the kernel refuses a high one below it.
fn reassembly_sysctls(part: &Part<'_>) -> Vec<(String, String)> {
    let (memory, time) = (part.number("reassembly-memory"), part.number("reassembly-time"));
    let family = |prefix: &str| {
        [("low_thresh", 0), ("high_thresh", memory), ("time", time)]
            .map(|(key, value)| (format!("{prefix}frag_{key}"), value.to_string()))
    };
    [family("net.ipv4.ip"), family("net.ipv6.ip6")].concat()
}

fn reassembled(part: &Part<'_>, mut topology: Topology) -> Topology {
    topology.down.reassembly =
        Reassembly { memory: part.number("reassembly-memory"), time: part.seconds("reassembly-time") };
    topology
}

fn charge(part: &Part<'_>) -> Charge {
    match part.word("charge").as_str() {
        "first" => Charge::First,
        "all" => Charge::All,
        _ => Charge::Rest,
    }
}
