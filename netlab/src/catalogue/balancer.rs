//! A balancer that goes on sending known flows to a server that is gone.

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, all_go_together};
use super::draft::Draft;
use super::parameter::{Kind, Parameter};
use crate::limits::{
    BALANCED_SERVERS, BALANCED_SERVERS_MAX, FLOW_TIMEOUT_S, FLOW_TIMEOUT_S_MAX, SILENT_AFTER_NS,
    TRIGGER_NS_MAX,
};
use crate::part::Part;
use crate::plan::Later;
use crate::rules::flows;
use crate::topology::Link;

pub(super) const BALANCER: Entry = Entry {
    name: "balancer",
    sentence: "a balancer spreads flows over servers, and sends the known flows of one that is gone nowhere, while new flows work",
    story: "a load balancer swallowed the traffic of a deregistered server for as long as its clients kept sending (story i)",
    causes: &["server_silent", "flow_black_hole"],
    parameters: &[
        Parameter {
            name: "servers",
            sentence: "how many servers the balancer believes to have; each stands for one in so many flows (one host plays them all)",
            kind: Kind::Count("servers, such as 2"),
            default: BALANCED_SERVERS,
            range: (1, BALANCED_SERVERS_MAX),
        },
        Parameter {
            name: "after",
            sentence: "when the first server is gone, since the start of the load",
            kind: Kind::Duration,
            default: SILENT_AFTER_NS,
            range: (0, TRIGGER_NS_MAX),
        },
        Parameter {
            name: "timeout",
            sentence: "how long a flow must be silent to be forgotten",
            kind: Kind::Seconds,
            default: FLOW_TIMEOUT_S,
            range: (1, FLOW_TIMEOUT_S_MAX),
        },
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan,
    simulated: Some(|part, topology| {
        let (servers, from, timeout) =
            (part.number("servers"), part.duration("after"), part.seconds("timeout"));
        topology.up(Link::Balancer { servers, from, timeout })
    }),
};

fn plan(part: &Part<'_>, draft: &mut Draft) {
    flows::balanced(&mut draft.rules, part.number("servers"), part.seconds("timeout"));
    draft.later.push(Later { after: part.duration("after"), rules: flows::first_gone() });
}
