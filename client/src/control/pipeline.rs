//! Many updates on their way at once, on the caller's thread: gathered, written as batches, and answered in order.

use std::cell::RefCell;
use std::collections::VecDeque;

use shingle_proto::wire::{Control as Request, Frame, KeyRequest};

use super::Control;
use super::error::ControlError;
use super::exchange::{self, DELETE, SET};
use crate::limits::{UPDATE_BATCH_BYTES, UPDATES_IN_FLIGHT_MAX};

/// Updates sent without waiting for each answer, by [`Control::updates`].
///
/// Updates are numbered from 0 in the order they are given, and each ends with one call of `outcome`: its number, and the
/// version of the value set, 1 or 0 for a key that was there to be deleted or was not, or the server's refusal.
///
/// They are gathered until 64 KiB are worth a system call; [`send`](Self::send) sends what there is. At most
/// [`UPDATES_IN_FLIGHT_MAX`] are on their way: then calls wait for answers.
///
/// Dropped before [`finish`](Self::finish) it forgets what was gathered and waits for the answers still due, without telling
/// their outcomes, so that the connection can be used on.
pub struct Updates<'c, F: FnMut(u64, Result<u64, ControlError>)> {
    control: &'c mut Control,
    outcome: F,
    /// In `control.output`, not written yet.
    gathered: usize,
    /// The requests written and not answered, and behind them those gathered.
    due: VecDeque<&'static str>,
    /// Updates answered.
    answered: u64,
    /// Id of the oldest that is due.
    oldest_id: u32,
}

impl<'c, F: FnMut(u64, Result<u64, ControlError>)> Updates<'c, F> {
    pub(super) fn new(control: &'c mut Control, outcome: F) -> Self {
        control.output.clear();
        let oldest_id = control.next_id;
        Updates { control, outcome, gathered: 0, due: VecDeque::new(), answered: 0, oldest_id }
    }

    /// Stores a value for `ttl_s` seconds (0: until it is evicted).
    ///
    /// # Errors
    /// Key or value out of range: this update is left out and has no number, the others go on. Or the connection failed.
    pub fn set(&mut self, key: &[u8], value: &[u8], ttl_s: u32) -> Result<(), ControlError> {
        exchange::check_key(key)?;
        exchange::check_value(value, self.control.welcome.value_bytes_max)?;
        let id = self.control.take_id();
        exchange::append_set(&mut self.control.output, id, key, value, ttl_s);
        self.gather(SET)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&mut self, key: &[u8]) -> Result<(), ControlError> {
        exchange::check_key(key)?;
        let id = self.control.take_id();
        let delete = Request::Delete(KeyRequest { id, key });
        exchange::append(&mut self.control.output, id, &Frame::Control(delete));
        self.gather(DELETE)
    }

    /// Updates whose outcome is known.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Sends what was gathered, and tells the outcomes that are known by now.
    ///
    /// # Errors
    /// The connection failed: what was not answered may have been stored, or not.
    pub fn send(&mut self) -> Result<(), ControlError> {
        while self.gathered > 0 && self.gathered < self.due.len() && self.due.len() > UPDATES_IN_FLIGHT_MAX {
            self.answer()?;
        }
        if self.gathered > 0 {
            let mut output = std::mem::take(&mut self.control.output);
            let written = self.write(&output);
            output.clear();
            self.control.output = output;
            self.gathered = 0;
            written?;
        }
        if let Some(&request) = self.due.front() {
            self.control.input.receive_now(&self.control.link, request)?;
        }
        self.answer_what_came()
    }

    /// Sends what was gathered and waits until every outcome is known.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn finish(mut self) -> Result<(), ControlError> {
        self.send()?;
        while !self.due.is_empty() {
            self.answer()?;
        }
        Ok(())
    }

    fn gather(&mut self, request: &'static str) -> Result<(), ControlError> {
        self.due.push_back(request);
        self.gathered += 1;
        let full = self.control.output.len() >= UPDATE_BATCH_BYTES || self.gathered >= UPDATES_IN_FLIGHT_MAX;
        if full { self.send() } else { Ok(()) }
    }

    /// Writes a batch. Where more answers come meanwhile than are taken in, their outcomes are told before it goes on: a peer that
    /// waits for us to read does not read itself.
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), ControlError> {
        while !bytes.is_empty() {
            let Control { link, input, .. } = &mut *self.control;
            let (request, answered) = (self.due.front().copied().unwrap_or(SET), self.answered);
            let written = link.write_some(bytes, input, request)?;
            bytes = &bytes[written..];
            self.answer_what_came()?;
            if written == 0 && self.answered == answered {
                return Err(self.control.link.invalid(request, "more than updates are answered with"));
            }
        }
        Ok(())
    }

    fn answer_what_came(&mut self) -> Result<(), ControlError> {
        while !self.due.is_empty() && exchange::has_message(&self.control.input) {
            self.answer()?;
        }
        Ok(())
    }

    /// Waits for the answer to the oldest update that is due.
    fn answer(&mut self) -> Result<(), ControlError> {
        let result = self.read_oldest();
        match result {
            Err(error) if error.connection_lost() => Err(error),
            outcome => {
                (self.outcome)(self.answered, outcome);
                self.answered += 1;
                Ok(())
            }
        }
    }

    fn read_oldest(&mut self) -> Result<u64, ControlError> {
        let request = self.due.pop_front().unwrap_or(SET);
        let id = self.oldest_id;
        self.oldest_id = id.wrapping_add(1);
        exchange::read_done(&self.control.link, &mut self.control.input, request, id)
    }
}

impl<F: FnMut(u64, Result<u64, ControlError>)> Drop for Updates<'_, F> {
    fn drop(&mut self) {
        self.control.output.clear();
        self.due.truncate(self.due.len() - self.gathered);
        while !self.due.is_empty() {
            if self.read_oldest().is_err_and(|error| error.connection_lost()) {
                return;
            }
        }
    }
}

/// Sends a SET for each item and waits for all answers; returns the number stored.
pub(super) fn set_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    control: &mut Control,
    items: impl Iterator<Item = (K, V, u32)>,
    mut progress: impl FnMut(u64),
) -> Result<u64, ControlError> {
    let refused = RefCell::new(None);
    let mut updates = Updates::new(control, |_, outcome| {
        if let Err(refusal) = outcome {
            refused.borrow_mut().get_or_insert(refusal);
        }
    });
    let (mut told, mut given, mut wrong) = (0, 0, None);
    for (key, value, ttl_s) in items {
        match updates.set(key.as_ref(), value.as_ref(), ttl_s) {
            Ok(()) => given += 1,
            Err(error) if error.connection_lost() => return Err(error),
            Err(error) => {
                wrong = Some(error);
                break;
            }
        }
        if updates.answered() > told {
            told = updates.answered();
            progress(told);
            if refused.borrow().is_some() {
                break;
            }
        }
    }
    updates.finish()?;
    match refused.into_inner().or(wrong) {
        Some(error) => Err(error),
        None => {
            progress(given);
            Ok(given)
        }
    }
}
