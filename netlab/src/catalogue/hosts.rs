//! Networks in which nothing happens, between hosts that are slow themselves.

use std::time::Duration;

use super::Entry;
use super::common::{DELAY, FAMILY, MTU, all_go_together};
use super::draft::Draft;
use super::layout::{CLIENT, CLIENT_DEVICE, SERVER, SERVER_DEVICE, token_bucket};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{
    BITS_PER_SECOND, BITS_PER_SECOND_MAX, BITS_PER_SECOND_MIN, BURST_BYTES_MAX, PAUSE_INTERVAL_NS,
    PAUSE_INTERVAL_NS_MAX, PAUSE_INTERVAL_NS_MIN, PAUSE_NS, PAUSE_NS_MIN, QUEUE_BYTES, QUEUE_BYTES_MIN,
    SHAPER_BURST_BYTES, SLOW_INTERVAL_NS, SLOW_PPM, SLOW_PPM_MAX,
};
use crate::part::Part;

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
    simulated: None,
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
    check: |part| {
        if part.number("duration") < part.number("interval") {
            return Ok(());
        }
        let (duration, interval) = (part.word("duration"), part.word("interval"));
        Err(format!(
            "duration={duration} is not below interval={interval}, so it would stand still for ever; lower one or raise the other"
        ))
    },
    plan: |part, draft| {
        let paused = if end(part) == CLIENT { &mut draft.pauses.client } else { &mut draft.pauses.server };
        *paused = Some((part.duration("duration"), part.duration("interval")));
    },
    simulated: None,
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
    plan: |part, draft| {
        let interval = part.number("interval");
        let duration = interval * part.number("share") / WHOLE_PPM;
        draft.pauses.server = Some((Duration::from_nanos(duration), Duration::from_nanos(interval)));
    },
    simulated: None,
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

fn end(part: &Part<'_>) -> usize {
    if part.word("end") == "client" { CLIENT } else { SERVER }
}

fn slow_queue(part: &Part<'_>, draft: &mut Draft) {
    let device = if end(part) == CLIENT { CLIENT_DEVICE } else { SERVER_DEVICE };
    let (rate, queue) = (part.number("rate"), part.number("queue"));
    draft.ends[end(part)].shaping.push(token_bucket(device, rate, SHAPER_BURST_BYTES, queue));
}
