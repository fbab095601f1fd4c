//! A path that loses packets by chance.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, troubled};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{LOSS_BURST_PACKETS_MAX, LOSS_PPM};
use crate::part::Part;
use crate::rules::{bursts, loss};
use crate::topology::Link;

pub(super) const LOSSY: Entry = Entry {
    name: "lossy",
    sentence: "packets are lost by chance, each alone or in bursts",
    story: "the loss that remains when nothing is wrong with either host",
    causes: &["path_loss"],
    parameters: &[
        Parameter { sentence: "share of packets lost", default: LOSS_PPM, ..RATE },
        Parameter {
            name: "burst",
            sentence: "how many packets are lost in a row, on average; 1: each is lost alone",
            kind: Kind::Count("packets, such as 4"),
            default: 1,
            range: (1, LOSS_BURST_PACKETS_MAX),
        },
        DIRECTION,
        MTU,
        DELAY,
        FAMILY,
    ],
    check,
    plan: |part, draft| {
        let rules = &mut draft.rules;
        for way in part.ways() {
            match (part.number("rate"), part.number("burst")) {
                (rate @ 1.., burst @ 2..) => bursts::lossy(rules, *way, rate, burst),
                (rate, _) => loss::independent(rules, *way, rate),
            }
        }
    },
    simulated: Some(|part, topology| {
        let (rate, leave) = (part.share("rate"), 1.0 / part.number("burst") as f64);
        // A burst of b on average ends with 1/b; of those that begin with e, b / (b + 1/e) of all packets are lost.
        let enter = rate * leave / (1.0 - rate);
        let link = match part.number("burst") {
            1 => Link::Loss { rate },
            _ => Link::BurstLoss { enter: enter.min(1.0), leave, rate: 1.0 },
        };
        troubled(part, topology, &link)
    }),
};

fn check(part: &Part<'_>) -> Result<(), String> {
    let (lost, burst) = (part.number("rate"), part.number("burst"));
    // Between two bursts at least one packet passes.
    if burst == 1 || lost * (burst + 1) <= burst * WHOLE_PPM {
        return Ok(());
    }
    let (rate, most) = (part.word("rate"), 100 * burst / (burst + 1));
    Err(format!(
        "rate={rate} cannot be lost in bursts of burst={burst}; lower rate to {most}%, or set burst=1"
    ))
}
