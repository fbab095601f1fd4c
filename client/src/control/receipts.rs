//! Receipts read over TCP: what the server did with each request datagram.

use shingle_proto::limits::RECEIPTS_PER_LIST_MAX;
use shingle_proto::wire::{Control as Request, Receipt, ReceiptsRequest};

use super::Control;
use super::error::ControlError;

/// Receipts of one worker, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptList {
    /// Whose they are.
    pub worker: u8,
    /// Number of the receipt after the last one given: where to go on.
    pub next: u64,
    /// Receipts asked for that are not among these, because newer ones took their place in the ring.
    pub overwritten: u64,
    /// The receipts.
    pub receipts: Vec<Receipt>,
}

impl Control {
    /// The receipts of `worker` from number `from` on, at most 1024 of them.
    ///
    /// # Errors
    /// No such worker, the server keeps no receipts, or the connection failed.
    pub fn receipts(&mut self, worker: u8, from: u64) -> Result<ReceiptList, ControlError> {
        let mut list = ReceiptList { worker, next: from, overwritten: 0, receipts: Vec::new() };
        self.append_receipts(&mut list)?;
        Ok(list)
    }

    /// All receipts of `worker` from number `from` on.
    ///
    /// # Errors
    /// As [`receipts`](Self::receipts).
    pub fn all_receipts(&mut self, worker: u8, from: u64) -> Result<ReceiptList, ControlError> {
        let mut list = ReceiptList { worker, next: from, overwritten: 0, receipts: Vec::new() };
        // A list that is not full is the last one: nothing newer was there when it was made.
        while self.append_receipts(&mut list)? == RECEIPTS_PER_LIST_MAX {}
        Ok(list)
    }

    /// Asks for the receipts from `list.next` on and returns how many came.
    fn append_receipts(&mut self, list: &mut ReceiptList) -> Result<usize, ControlError> {
        let (worker, first) = (list.worker, list.next);
        match self.call("RECEIPTS", |id| Request::Receipts(ReceiptsRequest { id, worker, first }))? {
            Request::ReceiptList(found) if found.worker == worker => {
                let count = found.receipts.len();
                // Receipts given twice, from before what was asked for, are skipped.
                let skip = usize::try_from(first.saturating_sub(found.first)).unwrap_or(count).min(count);
                list.overwritten += found.first.saturating_sub(first);
                list.next = first.max(found.first.saturating_add(count as u64));
                list.receipts.extend(found.receipts.iter().skip(skip));
                Ok(count)
            }
            _ => Err(self.link.unexpected("RECEIPTS")),
        }
    }
}
