//! From the ends of reads to the ledger: what the protocol's core says, checked against what was stored and when it was to happen.

use shingle_proto::client::{Ended, Event};

use super::tally::{End, Tally};
use super::timing::Sample;
use super::{Stage, StageSpec};
use crate::attribution::{Loss, Symptom};

/// A flow by its index within the worker and its number.
pub(crate) type FlowName = (usize, u32);

/// Books one event of a flow's core.
pub(crate) fn event(tally: &mut Tally, stage: &Stage<'_>, flow: FlowName, now: u64, event: &Event<'_>) {
    let Stage { spec, space, stalls } = *stage;
    let (flow_index, number) = flow;
    let item = event.token as u32;
    let residence_us = event.telemetry.map(|telemetry| telemetry.residence_us);
    let residence_ns = residence_us.map(|us| u64::from(us) * 1000);
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
    let intended_ns = event.deadline_ns - spec.timeout_ns;
    // Saved by a second try: a part arrived, unless the whole request had to be repeated. What was asked for again in vain was not lost.
    tally.asked_needlessly += u64::from(event.spurious && answered);
    let saved =
        (event.attempts > 0 && !event.spurious).then_some(Symptom::Silent { part_arrived: event.chunks > 0 });
    let loss = symptom.or(saved).map(|shown| Loss {
        flow: number,
        sequence: event.first_sequence,
        intended_ns: intended_ns.saturating_sub(spec.start_ns),
        value_bytes: space.value_bytes(item) as u32,
        failed: symptom.is_some(),
        symptom: shown,
    });
    let sample = Sample {
        intended_ns,
        ended_ns: now,
        latency_ns: if answered { now.saturating_sub(intended_ns) } else { spec.timeout_ns },
        sent_ns: event.first_sent_ns,
        residence_us,
        answered,
    };
    tally.end(&End { flow_index, value_bytes: space.value_bytes(item), sample, loss }, stalls);
}

/// A read that failed for a reason no event of the protocol's core has a name for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// The item asked for.
    pub(crate) item: u32,
    /// When it was to be sent.
    pub(crate) intended_ns: u64,
    /// Sequence of its request; 0 if there was none.
    pub(crate) sequence: u32,
    /// How it showed.
    pub(crate) symptom: Symptom,
}

/// Books such a read.
pub(crate) fn failed(tally: &mut Tally, stage: &Stage<'_>, flow: FlowName, now: u64, failure: &Failure) {
    let Failure { item, intended_ns, sequence, symptom } = *failure;
    let sample = Sample {
        intended_ns,
        ended_ns: now,
        latency_ns: stage.spec.timeout_ns,
        sent_ns: 0,
        residence_us: None,
        answered: false,
    };
    let value_bytes = stage.space.value_bytes(item);
    let since_start = intended_ns.saturating_sub(stage.spec.start_ns);
    let loss = Some(Loss {
        flow: flow.1,
        sequence,
        intended_ns: since_start,
        value_bytes: value_bytes as u32,
        failed: true,
        symptom,
    });
    let end = End { flow_index: flow.0, value_bytes, sample, loss };
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

#[cfg(test)]
mod tests {
    use shingle_proto::wire::Refusal;

    use super::*;
    use crate::engine::{PLAIN_STAGE, StallLog};
    use crate::workload::{ItemSpace, Sizing, ValueSpec};

    const MS: u64 = 1_000_000;
    const SPEC: StageSpec = StageSpec { start_ns: 1000 * MS, ..PLAIN_STAGE };

    fn space(seed: u64) -> ItemSpace {
        let sizing = Sizing { answer_overhead_bytes: 56, value_bytes_max: 1 << 20 };
        ItemSpace::new(&ValueSpec::Fixed(300), 10, seed, sizing).expect("a plain workload")
    }

    /// A read meant for 1,010 ms, sent at 1,015 ms, of item 3.
    fn event_of(end: Ended<'_>) -> Event<'_> {
        Event {
            token: 3,
            attempts: 0,
            continuations: 0,
            spurious: false,
            challenged: false,
            chunks: 0,
            first_sequence: 7,
            first_sent_ns: 1015 * MS,
            deadline_ns: 1110 * MS,
            telemetry: None,
            end,
        }
    }

    /// Books one event that comes at `now_ms` and returns the ledger, settled.
    fn booked(now_ms: u64, booked: &Event<'_>, wanted: &ItemSpace) -> Tally {
        let stalls = StallLog::new(MS);
        let mut tally = Tally::new(&SPEC, 1);
        event(
            &mut tally,
            &Stage { spec: &SPEC, space: wanted, stalls: &stalls },
            (0, 42),
            now_ms * MS,
            booked,
        );
        tally.timing.settle(u64::MAX, &stalls);
        tally
    }

    fn about(histogram: &hdrhistogram::Histogram<u64>, ms: u64) -> bool {
        histogram.len() == 1 && histogram.max().abs_diff(ms * MS) < MS / 10
    }

    fn value(space: &ItemSpace) -> Vec<u8> {
        let mut value = vec![0; 300];
        space.fill_value(3, &mut value);
        value
    }

    #[test]
    fn latency_counts_from_the_intended_time_and_service_from_the_send() {
        let (space, value) = (space(1), value(&space(1)));
        let tally = booked(1020, &event_of(Ended::Value(&value)), &space);
        assert_eq!((tally.answered, tally.failed, tally.wrong, tally.value_bytes), (1, 0, 0, 300));
        assert!(about(&tally.timing.latency(), 10), "{:?}", tally.timing.latency().max());
        assert!(about(&tally.timing.service, 5) && about(&tally.timing.slip, 5));
        assert!(tally.losses.is_empty());
    }

    #[test]
    fn a_failed_read_counts_as_its_timeout() {
        let end = Ended::TimedOut { received_bytes: 0, total_bytes: 0, corrupt: 0 };
        let tally = booked(1111, &event_of(end), &space(1));
        assert_eq!((tally.answered, tally.failed, tally.first_try_lost), (0, 1, 1));
        assert!(about(&tally.timing.latency(), 100) && tally.timing.service.is_empty());
        assert_eq!(tally.losses[0].symptom, Symptom::Silent { part_arrived: false });
        assert_eq!((tally.losses[0].flow, tally.losses[0].sequence), (42, 7));
    }

    #[test]
    fn a_value_of_another_run_or_item_is_wrong_and_failed() {
        let other = value(&space(2));
        let tally = booked(1020, &event_of(Ended::Value(&other)), &space(1));
        assert_eq!((tally.wrong, tally.failed, tally.answered), (1, 1, 0));
        assert_eq!(tally.losses[0].symptom, Symptom::OtherValue);
        let mut flipped = value(&space(1));
        flipped[299] ^= 1;
        assert_eq!(booked(1020, &event_of(Ended::Value(&flipped)), &space(1)).wrong, 1);
    }

    #[test]
    fn a_read_saved_by_a_second_try_is_lost_first_and_answered() {
        let value = value(&space(1));
        let again = Event { attempts: 1, chunks: 4, ..event_of(Ended::Value(&value)) };
        let tally = booked(1020, &again, &space(1));
        assert_eq!((tally.answered, tally.failed, tally.first_try_lost), (1, 0, 1));
        assert!(!tally.losses[0].failed);
        let needless = Event { spurious: true, ..again };
        let tally = booked(1020, &needless, &space(1));
        assert_eq!((tally.first_try_lost, tally.asked_needlessly), (0, 1));
        let rest = Event { continuations: 3, chunks: 9, ..event_of(Ended::Value(&value)) };
        assert_eq!(booked(1020, &rest, &space(1)).first_try_lost, 0, "the rest of a long answer is no loss");
    }

    #[test]
    fn misses_are_counted_and_refusals_failed() {
        let tally = booked(1020, &event_of(Ended::Miss), &space(1));
        assert_eq!((tally.misses, tally.answered, tally.failed), (1, 1, 0));
        let refused = Ended::Refused { reason: Refusal::TooBig, detail: 0 };
        let tally = booked(1020, &event_of(refused), &space(1));
        assert_eq!((tally.failed, tally.losses[0].symptom), (1, Symptom::Refused));
    }

    #[test]
    fn an_answer_looked_at_after_the_deadline_is_none_in_time() {
        let value = value(&space(1));
        let tally = booked(1200, &event_of(Ended::Value(&value)), &space(1));
        assert_eq!((tally.answered, tally.failed), (0, 1));
        assert_eq!(tally.losses[0].symptom, Symptom::Late { residence_ns: None });
        let left_late = Event { first_sent_ns: 1080 * MS, ..event_of(Ended::Value(&value)) };
        assert_eq!(booked(1200, &left_late, &space(1)).losses[0].symptom, Symptom::LeftLate);
    }

    #[test]
    fn reads_that_a_stall_fell_into_are_in_the_counts_but_in_no_distribution() {
        let (space, value) = (space(1), value(&space(1)));
        let stalls = StallLog::new(MS);
        stalls.push(crate::engine::Stall { start_ns: 1009 * MS, length_ns: 2 * MS });
        let mut tally = Tally::new(&SPEC, 1);
        let stage = Stage { spec: &SPEC, space: &space, stalls: &stalls };
        event(&mut tally, &stage, (0, 42), 1020 * MS, &event_of(Ended::Value(&value)));
        tally.timing.settle(u64::MAX, &stalls);
        assert_eq!((tally.answered, tally.timing.disturbed()), (1, 1));
        assert!(tally.timing.latency().is_empty() && about(&tally.timing.with_stalls, 10));
    }
}
