//! The datagrams of one direction in the order in which they went, and which of them were lost: from receipts and the ledger together.

use std::collections::HashMap;

use super::case::{Case, Wire};
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
    /// It was lost; none: nobody knows (a second try).
    pub(super) lost: Option<bool>,
}

/// All answers that left the server; none without the receipts of all.
pub(super) fn answers(case: &Case<'_>) -> Option<Vec<Sent>> {
    let receipts = case.books.receipts.as_ref().filter(|receipts| receipts.overwritten == 0)?;
    let lost: HashMap<_, _> = case
        .open
        .iter()
        .filter(|open| open.direction == Direction::Down)
        .map(|open| ((open.loss.flow, open.loss.sequence), ()))
        .collect();
    let mut sent: Vec<_> = receipts
        .all
        .iter()
        .filter_map(|receipt| {
            let ReceiptOutcome::Answered { residence_us } = receipt.outcome else { return None };
            let first = receipt.attempt == 0;
            Some(Sent {
                at_us: receipt.arrival_unix_us + u64::from(residence_us),
                payload: receipt.bytes,
                datagrams: u32::from(receipt.datagrams.max(1)),
                lost: first.then(|| lost.contains_key(&(receipt.flow, receipt.sequence))),
            })
        })
        .collect();
    sent.sort_by_key(|sent| sent.at_us);
    Some(sent)
}

/// All requests on their way to the server: those that arrived by their receipts, those that did not by their intended time, brought onto
/// the server's clock. Their sizes are all alike.
pub(super) fn requests(case: &Case<'_>) -> Option<Vec<Sent>> {
    let receipts = case.books.receipts.as_ref().filter(|receipts| receipts.overwritten == 0)?;
    let request = |at_us, lost| Sent { at_us, payload: 0, datagrams: 1, lost };
    let mut sent: Vec<_> = receipts
        .all
        .iter()
        .map(|receipt| request(receipt.arrival_unix_us, (receipt.attempt == 0).then_some(false)))
        .collect();
    let mut first: Vec<_> = sent.iter().filter(|sent| sent.lost.is_some()).map(|sent| sent.at_us).collect();
    first.sort_unstable();
    let mut lost: Vec<_> = case
        .open
        .iter()
        .filter(|open| open.direction == Direction::Up)
        .map(|open| (open.loss.intended_ns, (open.loss.flow, open.loss.sequence)))
        .collect();
    lost.sort_unstable();
    lost.dedup_by_key(|(_, name)| *name);
    let lost_ns: Vec<_> = lost.iter().map(|(at_ns, _)| *at_ns).collect();
    let offset = clock_offset_us(case, &first, &lost_ns)?;
    let on_server = |at_ns: u64| u64::try_from((at_ns / 1000) as i64 + offset).ok();
    sent.extend(lost_ns.iter().filter_map(|at_ns| Some(request(on_server(*at_ns)?, Some(true)))));
    sent.sort_by_key(|sent| sent.at_us);
    Some(sent)
}

/// What to add to a time of the stage, in microseconds, to have it on the server's clock: until a window's end as many requests were sent as
/// had arrived by then or were lost; the median over the windows, whose middle half tells how sure it is.
fn clock_offset_us(case: &Case<'_>, arrived_us: &[u64], lost_ns: &[u64]) -> Option<i64> {
    let population = &case.books.population;
    let each = case.books.stage.reads_per_datagram.max(1);
    let (mut reads, mut offsets) = (0, Vec::new());
    for (index, window) in population.windows.iter().enumerate() {
        reads += u64::from(window.reads);
        let end_ns = (index as u64 + 1) * population.window_ns;
        let lost = lost_ns.partition_point(|at| *at < end_ns);
        let arrived = ((reads / each) as usize).saturating_sub(lost);
        if window.reads > 0
            && let Some(at_us) = arrived.checked_sub(1).and_then(|last| arrived_us.get(last))
        {
            offsets.push(*at_us as i64 - (end_ns / 1000) as i64);
        }
    }
    offsets.sort_unstable();
    offsets.get(offsets.len() / 2).copied()
}

impl Sent {
    /// Packets that it was on the wire.
    pub(super) fn packets(&self, wire: &Wire) -> u32 {
        self.datagrams * wire.fragments(self.payload / self.datagrams)
    }
}
