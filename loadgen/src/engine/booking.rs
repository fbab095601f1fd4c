//! From the ends of reads to the ledger: what the protocol's core says, checked against what was stored and when it was to happen.

use shingle_proto::client::{Ended, Event};

use super::tally::{End, Tally};
use super::timing::Sample;
use super::{Stage, StageSpec};
use crate::attribution::{Loss, Symptom};

/// A flow by its index within the worker and its number.
pub(super) type FlowName = (usize, u32);

/// Books one event of a flow's core.
pub(super) fn event(tally: &mut Tally, stage: &Stage<'_>, flow: FlowName, now: u64, event: &Event<'_>) {
    let Stage { spec, space, stalls } = *stage;
    let (flow_index, number) = flow;
    let item = event.token as u32;
    let residence_ns = event.telemetry.map(|telemetry| u64::from(telemetry.residence_us) * 1000);
    let wrong = match event.end {
        Ended::Late { .. } => return tally.late(number, event.first_sequence, residence_ns),
        Ended::Value(value) => {
            tally.value_bytes += value.len() as u64;
            space.check_value(item, value).is_err()
        }
        _ => false,
    };
    tally.wrong += u64::from(wrong);
    let late = now > event.deadline_ns;
    let symptom = match symptom(event, spec) {
        None if wrong => Some(Symptom::OtherValue),
        // The answer waited at this end, or came, until the deadline was over: no answer in time.
        None if late && left_late(event, spec) => Some(Symptom::LeftLate),
        None if late => Some(Symptom::Late { residence_ns }),
        other => other,
    };
    let answered = symptom.is_none();
    tally.misses += u64::from(answered && matches!(event.end, Ended::Miss));
    // Saved by a second try: a part arrived, unless the whole request had to be repeated.
    let saved = (event.attempts > 0).then_some(Symptom::Silent { part_arrived: event.chunks > 0 });
    let loss = symptom.or(saved).map(|shown| Loss {
        flow: number,
        sequence: event.first_sequence,
        failed: symptom.is_some(),
        symptom: shown,
    });
    let intended_ns = event.deadline_ns - spec.timeout_ns;
    let sample = Sample {
        intended_ns,
        ended_ns: now,
        latency_ns: if answered { now.saturating_sub(intended_ns) } else { spec.timeout_ns },
        service_ns: answered.then(|| now.saturating_sub(event.first_sent_ns)),
        slip_ns: (event.first_sent_ns > 0).then(|| event.first_sent_ns.saturating_sub(intended_ns)),
        residence_ns,
    };
    tally.end(&End { flow_index, value_bytes: space.value_bytes(item), sample, loss }, stalls);
}

/// Books a read that the core had no room for.
pub(super) fn no_room(
    tally: &mut Tally,
    stage: &Stage<'_>,
    flow: FlowName,
    item: u32,
    intended_ns: u64,
    now: u64,
) {
    let loss = Loss { flow: flow.1, sequence: 0, failed: true, symptom: Symptom::NoRoom };
    let sample = Sample {
        intended_ns,
        ended_ns: now,
        latency_ns: stage.spec.timeout_ns,
        service_ns: None,
        slip_ns: None,
        residence_ns: None,
    };
    let end =
        End { flow_index: flow.0, value_bytes: stage.space.value_bytes(item), sample, loss: Some(loss) };
    tally.end(&end, stage.stalls);
}

/// How a read failed, if it did.
fn symptom(event: &Event<'_>, spec: &StageSpec) -> Option<Symptom> {
    match event.end {
        Ended::Value(_) | Ended::Miss | Ended::Late { .. } => None,
        Ended::Refused { .. } | Ended::OverTcp => Some(Symptom::Refused),
        Ended::NotSent => Some(Symptom::NotSent),
        Ended::TimedOut { corrupt: 1.., .. } => Some(Symptom::Corrupt),
        // Whatever became of the answer: the server and the path never had the time they were to have.
        Ended::TimedOut { .. } if left_late(event, spec) => Some(Symptom::LeftLate),
        // Chunks came and none was kept.
        Ended::TimedOut { total_bytes: 0, .. } if event.chunks > 0 => Some(Symptom::NoRoom),
        Ended::TimedOut { .. } => Some(Symptom::Silent { part_arrived: event.chunks > 0 }),
    }
}

/// Whether the request left when more than half of its timeout was gone, or has not left at all.
fn left_late(event: &Event<'_>, spec: &StageSpec) -> bool {
    event.first_sent_ns == 0 || event.first_sent_ns + spec.timeout_ns / 2 > event.deadline_ns
}
