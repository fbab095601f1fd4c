//! A path that loses packets by chance.

use super::Entry;
use super::common::{DELAY, DIRECTION, FAMILY, MTU, RATE, troubled, wide};
use super::layout::{Mtus, through_router};
use super::parameter::{Kind, Parameter, WHOLE_PPM};
use crate::limits::{LOSS_BURST_PACKETS_MAX, LOSS_PPM};
use crate::rules::{Rules, loss};
use crate::spec::Spec;
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
    plan: |spec| {
        let mut rules = Rules::default();
        for way in spec.ways() {
            match bursts(spec) {
                None => loss::independent(&mut rules, *way, spec.number("rate")),
                Some((enter, leave)) => loss::bursts(&mut rules, *way, enter, leave),
            }
        }
        through_router(spec, Mtus::of(spec), &rules)
    },
    simulated: |spec| {
        let share = |ppm| ppm as f64 / WHOLE_PPM as f64;
        let link = match bursts(spec) {
            None => Link::Loss { rate: spec.share("rate") },
            Some((enter, leave)) => Link::BurstLoss { enter: share(enter), leave: share(leave), rate: 1.0 },
        };
        Some(troubled(spec, wide(spec.bytes("mtu")), &link))
    },
};

/// Chances per million that a burst begins, and ends, with a packet. A burst of mean length b ends with 1/b; of r lost by bursts that
/// begin with e, r = b / (b + 1/e).
fn bursts(spec: &Spec) -> Option<(u64, u64)> {
    let (lost, burst) = (spec.number("rate"), spec.number("burst"));
    let kept = WHOLE_PPM - lost;
    (burst > 1)
        .then(|| ((lost * WHOLE_PPM).checked_div(burst * kept).unwrap_or(WHOLE_PPM), WHOLE_PPM / burst))
}

fn check(spec: &Spec) -> Result<(), String> {
    let (lost, burst) = (spec.number("rate"), spec.number("burst"));
    // Between two bursts at least one packet passes.
    if burst == 1 || lost * (burst + 1) <= burst * WHOLE_PPM {
        return Ok(());
    }
    let (rate, most) = (spec.word("rate"), 100 * burst / (burst + 1));
    Err(format!(
        "rate={rate} cannot be lost in bursts of burst={burst}; lower rate to {most}%, or set burst=1"
    ))
}
