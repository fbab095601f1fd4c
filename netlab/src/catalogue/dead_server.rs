//! A server that is there, and then is not.

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, wide};
use super::layout::{Mtus, ROUTER, through_router};
use super::parameter::{Kind, Parameter};
use crate::limits::{SILENT_AFTER_NS, TRIGGER_NS_MAX};
use crate::plan::{Later, Plan};
use crate::rules::{Rules, TABLE};
use crate::spec::Spec;
use crate::topology::Link;

pub(super) const DEAD_SERVER: Entry = Entry {
    name: "dead-server",
    sentence: "some time after the start the server is cut off, without a word of ICMP",
    story: "a host that fails or is taken away says nothing: silence must be noticed quickly",
    causes: &["server_silent"],
    parameters: &[
        Parameter {
            name: "after",
            sentence: "when the silence begins, since the start of the load",
            kind: Kind::Duration,
            default: SILENT_AFTER_NS,
            range: (0, TRIGGER_NS_MAX),
        },
        Parameter {
            name: "back",
            sentence: "when it ends, since the start of the load; 0: never",
            kind: Kind::Duration,
            default: 0,
            range: (0, TRIGGER_NS_MAX),
        },
        Parameter {
            name: "tcp",
            sentence: "whether TCP falls silent as well, as of a dead host, or stays alive, as of a server whose workers hang",
            kind: Kind::Choice(&["silent", "alive"]),
            default: 0,
            range: (0, 1),
        },
        MTU,
        DELAY,
        FAMILY,
    ],
    check: |spec| {
        let (after, back) = (spec.number("after"), spec.number("back"));
        if back == 0 || back > after {
            return Ok(());
        }
        let (after, back) = (spec.word("after"), spec.word("back"));
        Err(format!(
            "back={back} is not later than after={after}; raise back, or set back=0 for a server that never returns"
        ))
    },
    plan,
    simulated: |spec| {
        let until = if spec.number("back") == 0 { std::time::Duration::MAX } else { spec.duration("back") };
        Some(wide(spec.bytes("mtu")).both(Link::Silence { from: spec.duration("after"), until }))
    },
};

fn plan(spec: &Spec) -> Plan {
    let mut rules = Rules::default();
    rules.counter("silenced");
    rules.chain("grave", &[]);
    let protocols = if spec.word("tcp") == "silent" { "{ tcp, udp }" } else { "udp" };
    rules.before(&format!("meta l4proto {protocols} jump grave"));
    let mut plan = through_router(spec, Mtus::of(spec), &rules);
    let flush = format!("flush chain {TABLE} grave\n");
    let silence = format!("{flush}add rule {TABLE} grave counter name silenced drop\n");
    let later = &mut plan.hosts[ROUTER].later;
    later.push(Later { after: spec.duration("after"), rules: silence });
    if spec.number("back") > 0 {
        later.push(Later { after: spec.duration("back"), rules: flush });
    }
    plan
}
