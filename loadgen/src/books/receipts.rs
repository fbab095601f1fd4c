//! Receipts of the server, fetched after a stage from where they stood before it.

use shingle_client::control::Control;
use shingle_proto::limits::RECEIPTS_PER_LIST_MAX;
use shingle_proto::wire::Outcome;
use shingle_server::stats::StatsReport;

use crate::attribution::{Receipt, ReceiptOutcome, Receipts};
use crate::workload::VALUE_BYTES_CEILING;

/// Where each worker's receipts will go on: taken before a stage, used after it.
#[derive(Clone, Debug)]
pub struct ReceiptCursor {
    next: Vec<(u8, u64)>,
}

impl ReceiptCursor {
    /// Skips all receipts there are so far.
    pub fn at_end(report: Option<&StatsReport>) -> Option<Self> {
        let next: Vec<_> = report?.workers().map(|worker| (worker.worker, worker.receipts)).collect();
        Some(Self { next })
    }

    /// Fetches what came since on these flows, in rising order; others are other generators'. A failing fetch is a gap.
    pub fn fetch(&self, control: &mut Control, flows: &[u32], gaps: &mut Vec<String>) -> Option<Receipts> {
        let mut receipts = Receipts::default();
        for (worker, from) in &self.next {
            let mut from = *from;
            loop {
                // List by list: all of them twice in memory, by the hundred thousand, would take longer than what is done with them.
                let list = control
                    .receipts(*worker, from)
                    .map_err(|error| gaps.push(format!("receipts of the server: {error}")))
                    .ok()?;
                receipts.overwritten += list.overwritten;
                let own = list.receipts.iter().filter(|receipt| flows.binary_search(&receipt.flow).is_ok());
                receipts.all.extend(own.map(receipt));
                // A list that is not full is the last one: nothing newer was there when it was made.
                if list.next - from < RECEIPTS_PER_LIST_MAX as u64 {
                    break;
                }
                from = list.next;
            }
        }
        Some(receipts)
    }
}

/// A receipt as attribution reads it.
fn receipt(receipt: &shingle_proto::wire::Receipt) -> Receipt {
    Receipt {
        flow: receipt.flow,
        sequence: receipt.sequence,
        attempt: receipt.attempt,
        outcome: match receipt.outcome {
            Outcome::Answered => ReceiptOutcome::Answered { residence_us: receipt.residence_us },
            Outcome::SendRefused => ReceiptOutcome::SendRefused,
            Outcome::Challenged => ReceiptOutcome::Challenged,
        },
        datagrams: receipt.answer_datagrams,
        // What no server sends: a broken one's word would be replayed fragment by fragment.
        bytes: receipt.answer_bytes.min(2 * VALUE_BYTES_CEILING),
        arrival_unix_us: receipt.arrival_unix_us,
    }
}
