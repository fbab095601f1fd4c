//! Networks in which nothing happens, between hosts that are slow themselves.

use std::time::Duration;

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, all_go_together};
use super::layout::{CLIENT, CLIENT_DEVICE, Mtus, SERVER, SERVER_DEVICE, through_router, token_bucket};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{
    BITS_PER_SECOND, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_BYTES_MAX, PAUSE_INTERVAL_NS,
    PAUSE_INTERVAL_NS_MAX, PAUSE_INTERVAL_NS_MIN, PAUSE_NS, PAUSE_NS_MIN, QUEUE_BYTES, QUEUE_BYTES_MIN,
    SHAPER_BURST_BYTES, SLOW_INTERVAL_NS, SLOW_PPM, SLOW_PPM_MAX,
};
use crate::plan::{Pauses, Plan};
use crate::rules::Rules;
use crate::spec::Spec;

pub(super) const SLOW_QUEUE: Entry = Entry {
    name: "slow-queue",
    sentence: "one host's own send queue is short and empties slowly",
    story: "a queueing discipline or a small transmit ring drops what the host itself sends",
    causes: &["client_send_queue", "server_send_queue"],
    parameters: &[
        END,
        Parameter {
            name: "rate",
            sentence: "bits a second that leave the queue",
            kind: Kind::Bits,
            default: BITS_PER_SECOND,
            range: (BITS_PER_SECOND_MIN, BITS_PER_SECOND_MAX),
        },
        Parameter {
            name: "queue",
            sentence: "bytes that may wait in it",
            kind: Kind::Memory,
            default: QUEUE_BYTES,
            range: (QUEUE_BYTES_MIN, BURST_BYTES_MAX),
        },
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan: slow_queue,
    simulated: |_| None,
};

pub(super) const PAUSE: Entry = Entry {
    name: "pause",
    sentence: "one host's program stands still at intervals",
    story: "garbage collection stopped the reader, and its socket buffer overflowed (story f)",
    causes: &["client_socket_buffer", "server_socket_buffer"],
    parameters: &[
        END,
        Parameter {
            name: "duration",
            sentence: "how long it stands still",
            kind: Kind::Duration,
            default: PAUSE_NS,
            range: (PAUSE_NS_MIN, PAUSE_INTERVAL_NS_MAX),
        },
        Parameter { default: PAUSE_INTERVAL_NS, ..INTERVAL },
        MTU,
        DELAY,
        FAMILY,
    ],
    check: |spec| {
        if spec.number("duration") < spec.number("interval") {
            return Ok(());
        }
        let (duration, interval) = (spec.word("duration"), spec.word("interval"));
        Err(format!(
            "duration={duration} is not below interval={interval}, so it would stand still for ever; lower one or raise the other"
        ))
    },
    plan: |spec| {
        let pause = Some((spec.duration("duration"), spec.duration("interval")));
        let pauses = match end(spec) {
            CLIENT => Pauses { client: pause, ..Pauses::default() },
            _ => Pauses { server: pause, ..Pauses::default() },
        };
        Plan { pauses, ..quiet(spec) }
    },
    simulated: |_| None,
};

pub(super) const SLOW_SERVER: Entry = Entry {
    name: "slow-server",
    sentence: "the server has but a share of its time for reads",
    story: "a server without enough processor answers everything, too late",
    causes: &["server_overload"],
    parameters: &[
        Parameter {
            name: "share",
            sentence: "share of the time in which the server stands still",
            kind: Kind::Share,
            default: SLOW_PPM,
            range: (WHOLE_PPM / 100, SLOW_PPM_MAX),
        },
        Parameter { default: SLOW_INTERVAL_NS, ..INTERVAL },
        MTU,
        DELAY,
        FAMILY,
    ],
    check: all_go_together,
    plan: |spec| {
        let interval = spec.number("interval");
        let duration = interval * spec.number("share") / WHOLE_PPM;
        let server = Some((Duration::from_nanos(duration), Duration::from_nanos(interval)));
        Plan { pauses: Pauses { server, client: None }, ..quiet(spec) }
    },
    simulated: |_| None,
};

const END: Parameter = Parameter {
    name: "end",
    sentence: "which host it is",
    kind: Kind::Choice(&["server", "client"]),
    default: 0,
    range: (0, 1),
};

const INTERVAL: Parameter = Parameter {
    name: "interval",
    sentence: "from the end of one pause to the end of the next",
    kind: Kind::Duration,
    default: PAUSE_INTERVAL_NS,
    range: (PAUSE_INTERVAL_NS_MIN, PAUSE_INTERVAL_NS_MAX),
};

fn end(spec: &Spec) -> usize {
    if spec.word("end") == "client" { CLIENT } else { SERVER }
}

fn quiet(spec: &Spec) -> Plan {
    through_router(spec, Mtus::of(spec), &Rules::default())
}

fn slow_queue(spec: &Spec) -> Plan {
    let mut plan = quiet(spec);
    let device = if end(spec) == CLIENT { CLIENT_DEVICE } else { SERVER_DEVICE };
    let (rate, queue) = (spec.number("rate"), spec.number("queue"));
    plan.hosts[end(spec)].shaping = vec![token_bucket(device, rate, SHAPER_BURST_BYTES, queue)];
    plan
}
