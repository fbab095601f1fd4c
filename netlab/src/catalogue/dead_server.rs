//! A server that is there, and then is not.

use super::Entry;
use super::common::{DELAY, FAMILY, MTU};
use super::draft::Draft;
use super::parameter::{Kind, Parameter};
use crate::limits::{SILENT_AFTER_NS, TRIGGER_NS_MAX};
use crate::part::Part;
use crate::plan::Later;
use crate::rules::TABLE;
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
    check: |part| {
        let (after, back) = (part.number("after"), part.number("back"));
        if back == 0 || back > after {
            return Ok(());
        }
        let (after, back) = (part.word("after"), part.word("back"));
        Err(format!(
            "back={back} is not later than after={after}; raise back, or set back=0 for a server that never returns"
        ))
    },
    plan,
    simulated: Some(|part, topology| {
        let until = if part.number("back") == 0 { std::time::Duration::MAX } else { part.duration("back") };
        topology.both(Link::Silence { from: part.duration("after"), until })
    }),
};

fn plan(part: &Part<'_>, draft: &mut Draft) {
    let rules = &mut draft.rules;
    rules.counter("silenced");
    rules.chain("grave", &[]);
    let protocols = if part.word("tcp") == "silent" { "{ tcp, udp }" } else { "udp" };
    rules.before(&format!("meta l4proto {protocols} jump grave"));
    let flush = format!("flush chain {TABLE} grave\n");
    let silence = format!("{flush}add rule {TABLE} grave counter name silenced drop\n");
    let later = &mut draft.later;
    later.push(Later { after: part.duration("after"), rules: silence });
    if part.number("back") > 0 {
        later.push(Later { after: part.duration("back"), rules: flush });
    }
}
