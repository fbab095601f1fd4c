//! What a single lost read proves by itself, or by the server's receipt of its request.

use std::collections::HashMap;

use super::case::Wire;
use super::{Books, Cause, Direction, Loss, Receipt, ReceiptOutcome, Symptom};

/// A cause that a read proves.
pub(super) struct Finding {
    pub(super) cause: Cause,
    pub(super) direction: Direction,
    pub(super) evidence: &'static str,
    /// What to do, where it is another thing than for the cause in general.
    pub(super) remedy: Option<&'static str>,
}

/// What one lost read tells.
pub(super) enum Told {
    /// Its cause.
    Proven(&'static Finding),
    /// Which way its datagram was lost; `Host`: not even that.
    Lost(Direction),
}

const fn finding(cause: Cause, direction: Direction, evidence: &'static str) -> Finding {
    Finding { cause, direction, evidence, remedy: None }
}

static NOT_SENT: Finding = finding(
    Cause::ClientSendQueue,
    Direction::Host,
    "the kernel had no buffer or queue for these requests (ENOBUFS, EAGAIN)",
);
static NO_ROUTE: Finding = Finding {
    cause: Cause::Unexplained,
    direction: Direction::Host,
    evidence: "this host's kernel refused to send these requests, and not for want of buffers: interface down, no route, or a firewall rule",
    remedy: Some(
        "Look at this host's interface, routes and firewall towards the server (ip link, ip route get ADDRESS, nft list ruleset).",
    ),
};
static NO_ROOM: Finding = finding(
    Cause::GeneratorLimited,
    Direction::Host,
    "the generator had no room for more reads in flight, or for the pieces of their answers",
);
static LEFT_LATE: Finding = finding(
    Cause::GeneratorLimited,
    Direction::Host,
    "these requests left when more than half of their timeout was gone, or never",
);
static CORRUPT: Finding = finding(
    Cause::PathCorruption,
    Direction::Down,
    "whole answers arrived whose bytes fail the value's checksum",
);
static OTHER_VALUE: Finding = Finding {
    cause: Cause::Unexplained,
    direction: Direction::Host,
    evidence: "the server answered with values that are sound but not this workload's",
    remedy: Some(
        "Somebody else writes the same keys on this server: stop them, or seed it again and give both the same --items, --values and --seed.",
    ),
};
static REFUSED: Finding = Finding {
    cause: Cause::Unexplained,
    direction: Direction::Host,
    evidence: "the server refused these reads: their answers are larger than its port may send on this path",
    remedy: Some("Use a chunked port (--strategy chunked), smaller values, or read such values over TCP."),
};
static TOO_LONG: Finding = finding(
    Cause::PmtuDiscovery,
    Direction::Down,
    "the server refused answers that are longer than its kernel, by the path MTU it learned, believes the path carries; this port sends none in fragments",
);
static SERVER_ERROR: Finding = Finding {
    cause: Cause::Unexplained,
    direction: Direction::Host,
    evidence: "the server answered with error lines (ERROR, CLIENT_ERROR, SERVER_ERROR)",
    remedy: Some(
        "See what it says of them: start it with -vv, and look at its statistics (response_obj_oom, read_buf_oom, malloc_fails).",
    ),
};
static CONNECTION_LOST: Finding = Finding {
    cause: Cause::Unexplained,
    direction: Direction::Host,
    evidence: "the TCP connections these reads went on broke, were silent for too long, or could not be opened again",
    remedy: Some(
        "See whether the server was stopped or closes connections (its limit -c, its statistic rejected_connections), and what stands between the hosts.",
    ),
};
static SEND_REFUSED: Finding = finding(
    Cause::ServerSendQueue,
    Direction::Host,
    "the server's receipts say that its kernel refused the send",
);
static LATE_BY_RECEIPT: Finding = finding(
    Cause::ServerOverload,
    Direction::Host,
    "the server's receipts say that the answers left after the deadline",
);
static LATE_BY_ANSWER: Finding = finding(
    Cause::ServerOverload,
    Direction::Host,
    "late answers spent more than half of the timeout in the server",
);
static STALLED: Finding = finding(
    Cause::GeneratorLimited,
    Direction::Host,
    "this host stood still for more than half of the timeout while they were on their way, as an idle thread saw",
);
static LATE: Finding = finding(
    Cause::TimeoutTooShort,
    Direction::Down,
    "the answers, or the rest of them, arrived after the deadline",
);

/// What this read tells; `receipts` are those of lost reads, where there are any.
pub(super) fn told_by(loss: &Loss, books: &Books, receipts: Option<&HashMap<(u32, u32), Receipt>>) -> Told {
    use Told::{Lost, Proven};
    let missing = books.receipts_missing();
    let receipt = receipts
        .map(|receipts| (receipts.get(&(loss.flow, loss.sequence)).map(|receipt| receipt.outcome), missing));
    let eats_deadline = |residence_ns: u64| residence_ns > books.stage.timeout_ns / 2;
    // Late answers are waited for: one that left in time and never came was lost on its way.
    let too_late = |symptom, residence_ns: u64| match symptom {
        Symptom::Silent { .. } => residence_ns >= books.stage.timeout_ns,
        _ => eats_deadline(residence_ns),
    };
    match (loss.symptom, receipt) {
        (Symptom::NotSent, _) => Proven(&NOT_SENT),
        (Symptom::NoRoute, _) => Proven(&NO_ROUTE),
        (Symptom::NoRoom, _) => Proven(&NO_ROOM),
        (Symptom::LeftLate, _) => Proven(&LEFT_LATE),
        (Symptom::Corrupt, _) => Proven(&CORRUPT),
        (Symptom::OtherValue, _) => Proven(&OTHER_VALUE),
        (Symptom::Refused, _) if too_long(loss, books) => Proven(&TOO_LONG),
        (Symptom::Refused, _) => Proven(&REFUSED),
        (Symptom::ServerError, _) => Proven(&SERVER_ERROR),
        (Symptom::ConnectionLost, _) => Proven(&CONNECTION_LOST),
        (_, Some((Some(ReceiptOutcome::SendRefused), _))) => Proven(&SEND_REFUSED),
        (_, Some((Some(ReceiptOutcome::Answered { residence_us }), _)))
            if too_late(loss.symptom, u64::from(residence_us) * 1000) =>
        {
            Proven(&LATE_BY_RECEIPT)
        }
        (Symptom::Late { residence_ns: Some(residence) }, _) if eats_deadline(residence) => {
            Proven(&LATE_BY_ANSWER)
        }
        (Symptom::Late { .. } | Symptom::Silent { .. }, _) if stalled(loss, books) => Proven(&STALLED),
        (Symptom::Late { .. }, _) => Proven(&LATE),
        (Symptom::Silent { .. }, Some((Some(_), _))) => Lost(Direction::Down),
        // What arrived of an answer then answers a retry: it was the first request that was lost.
        (Symptom::Silent { .. }, Some((None, 0))) => Lost(Direction::Up),
        // A part of the answer proves that a request arrived, whatever receipts are missing.
        (Symptom::Silent { part_arrived: true }, _) => Lost(Direction::Down),
        (Symptom::Silent { .. }, _) => Lost(Direction::Host),
    }
}

/// The generator's host stood still for half of the time that the read had.
fn stalled(loss: &Loss, books: &Books) -> bool {
    let timeout_ns = books.stage.timeout_ns;
    let (from, to) = (loss.intended_ns, loss.intended_ns + timeout_ns);
    let within = |(start, length): &(u64, u64)| (start + length).min(to).saturating_sub((*start).max(from));
    // Threads of several CPUs see the same stall: the longest counts.
    books.population.stalls_ns.iter().map(within).max().is_some_and(|longest| longest > timeout_ns / 2)
}

/// The answer does not fit what the server's kernel learned the path to carry, and would fit the server's interface.
fn too_long(loss: &Loss, books: &Books) -> bool {
    let wire = Wire::of(books);
    wire.ip_bytes(loss.value_bytes) > wire.mtu && books.stage.server_mtu.is_none_or(|mtu| wire.mtu < mtu)
}
