//! The datagrams of one direction in the order in which they went, and which of them were lost: from receipts and the ledger together.

use std::collections::HashMap;

use super::case::{Case, Wire};
use super::read_set::ReadSet;
use super::{Direction, ReceiptOutcome};

/// What one request or answer was on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When it left, microseconds on the server's clock.
    pub(super) at_us: u64,
    /// UDP payload in all of its datagrams.
    pub(super) payload: u32,
    /// Its datagrams.
    pub(super) datagrams: u32,
    /// It was lost; none: nobody knows (a second try, or put down to another cause on the way).
    pub(super) lost: Option<bool>,
    /// It is put down to another cause on the way, and did not arrive.
    pub(super) astray: bool,
}

/// All answers that left the server; none without the receipts of all.
pub(super) fn answers(case: &Case<'_>) -> Option<Vec<Sent>> {
    let receipts = case.books.all_receipts()?;
    let lost = case.open.iter().filter(|open| open.direction == Direction::Down);
    let lost = ReadSet::of(lost.map(|open| open.loss));
    let astray = ReadSet::of(case.astray.iter().copied());
    let mut sent: Vec<(u64, Sent)> = receipts
        .all
        .iter()
        .filter_map(|receipt| {
            let ReceiptOutcome::Answered { residence_us } = receipt.outcome else { return None };
            let read = (receipt.flow, receipt.sequence);
            let astray = astray.contains(read);
            let told = receipt.attempt == 0 && !astray;
            let sent = Sent {
                astray,
                at_us: receipt.arrival_unix_us.saturating_add(residence_us.into()),
                payload: receipt.bytes,
                datagrams: u32::from(receipt.datagrams.max(1)),
                lost: told.then(|| lost.contains(read)),
            };
            Some((receipt.arrival_unix_us, sent))
        })
        .collect();
    // Answers leave as their requests came, and times are whole microseconds: one that seems to have left one before its precursor left with it.
    sent.sort_by_key(|(arrival_us, _)| *arrival_us);
    let mut before_us = 0;
    for (_, sent) in &mut sent {
        sent.at_us += u64::from(sent.at_us + 1 == before_us);
        before_us = sent.at_us;
    }
    let mut sent: Vec<_> = sent.into_iter().map(|(_, sent)| sent).collect();
    sent.sort_by_key(|sent| sent.at_us);
    Some(sent)
}

/// All requests on their way to the server: those that arrived by their receipts, those that did not between the ones before and after them on
/// their flow. Their sizes are all alike, and not known here.
pub(super) fn requests(case: &Case<'_>) -> Option<Vec<Sent>> {
    let receipts = case.books.all_receipts()?;
    let request = |at_us, lost| Sent { at_us, payload: 0, datagrams: 1, lost, astray: false };
    let mut sent: Vec<_> = receipts
        .all
        .iter()
        .map(|receipt| request(receipt.arrival_unix_us, (receipt.attempt == 0).then_some(false)))
        .collect();
    let mut arrived: HashMap<u32, Vec<(u32, u64)>> = HashMap::new();
    for receipt in &receipts.all {
        arrived.entry(receipt.flow).or_default().push((receipt.sequence, receipt.arrival_unix_us));
    }
    arrived.values_mut().for_each(|flow| flow.sort_unstable());
    let mut lost: Vec<_> = case
        .open
        .iter()
        .filter(|open| open.direction == Direction::Up)
        .map(|open| (open.loss.flow, open.loss.sequence))
        .collect();
    lost.sort_unstable();
    lost.dedup();
    sent.extend(lost.iter().filter_map(|(flow, sequence)| {
        let at_us = between(arrived.get(flow)?, *sequence)?;
        Some(request(at_us, Some(true)))
    }));
    sent.sort_by_key(|sent| sent.at_us);
    Some(sent)
}

/// When a datagram of this sequence would have arrived, by those of its flow that did.
fn between(arrived: &[(u32, u64)], sequence: u32) -> Option<u64> {
    let after = arrived.partition_point(|(other, _)| *other < sequence);
    let (before, after) = (after.checked_sub(1).and_then(|at| arrived.get(at)), arrived.get(after));
    match (before, after) {
        (Some((first, from_us)), Some((last, to_us))) => {
            let part = f64::from(sequence - first) / f64::from((last - first).max(1));
            Some(from_us + (to_us.saturating_sub(*from_us) as f64 * part) as u64)
        }
        (Some((_, at_us)), None) | (None, Some((_, at_us))) => Some(*at_us),
        (None, None) => None,
    }
}

impl Sent {
    /// Fragments of it that arrive if nothing more happens to it.
    pub(super) fn may_arrive(&self, wire: &Wire) -> u32 {
        if self.astray { 0 } else { wire.fragments(self.payload) }
    }

    /// Packets that it was on the wire.
    pub(super) fn packets(&self, wire: &Wire) -> u32 {
        self.datagrams * wire.fragments(self.payload / self.datagrams)
    }
}
