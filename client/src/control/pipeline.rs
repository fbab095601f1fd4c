//! Many updates on their way at once: this thread writes, a second one reads the answers, so that neither side ever
//! waits for the other to read first.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::error::ControlError;
use super::exchange::{self, SET};
use super::link::{Input, Link};
use crate::limits::{UPDATE_BATCH_BYTES, UPDATES_IN_FLIGHT_MAX};

/// What one run of [`set_all`] works on: the parts of a connection, borrowed apart.
pub(super) struct Pipeline<'c> {
    pub(super) link: &'c Link,
    pub(super) input: &'c mut Input,
    pub(super) output: &'c mut Vec<u8>,
    pub(super) next_id: &'c mut u32,
    pub(super) value_bytes_max: u32,
}

/// Sends a SET for each item and waits for all answers; returns the number stored.
pub(super) fn set_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    pipeline: Pipeline<'_>,
    items: impl Iterator<Item = (K, V, u32)>,
    mut progress: impl FnMut(u64),
) -> Result<u64, ControlError> {
    let Pipeline { link, input, output, next_id, value_bytes_max } = pipeline;
    let books = Books::default();
    let first_id = *next_id;
    let (written, read) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_answers(link, input, first_id, &books));
        let end = EndOfUpdates(&books);
        let written = write_updates(link, output, next_id, value_bytes_max, items, &books, &mut progress);
        drop(end);
        (written, reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    match (written, read) {
        // A thread that fails closes the connection, and the other one then finds it closed: the first one knows why.
        (Err(why), Ok(_) | Err(ControlError::Closed { .. })) | (_, Err(why)) => Err(why),
        (Ok(()), Ok(stored)) => {
            progress(stored);
            Ok(stored)
        }
    }
}

fn write_updates<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    link: &Link,
    output: &mut Vec<u8>,
    next_id: &mut u32,
    value_bytes_max: u32,
    items: impl Iterator<Item = (K, V, u32)>,
    books: &Books,
    progress: &mut impl FnMut(u64),
) -> Result<(), ControlError> {
    output.clear();
    let mut gathered = 0;
    let mut outcome = Ok(());
    for (key, value, ttl_s) in items {
        let (key, value) = (key.as_ref(), value.as_ref());
        outcome = exchange::check_key(key).and_then(|()| exchange::check_value(value, value_bytes_max));
        if outcome.is_err() {
            break;
        }
        exchange::append_set(output, *next_id, key, value, ttl_s);
        *next_id = next_id.wrapping_add(1);
        gathered += 1;
        if output.len() >= UPDATE_BATCH_BYTES {
            let Some(answered) = books.wait_for_window() else { return Ok(()) };
            progress(answered);
            write_batch(link, output, &mut gathered, books)?;
        }
    }
    if gathered > 0 && books.wait_for_window().is_some() {
        write_batch(link, output, &mut gathered, books)?;
    }
    outcome
}

fn write_batch(
    link: &Link,
    output: &mut Vec<u8>,
    gathered: &mut u64,
    books: &Books,
) -> Result<(), ControlError> {
    // Booked before it is written, as the answers may be here before the write returns.
    books.sent(std::mem::take(gathered));
    let written = link.write(output, SET);
    output.clear();
    written
}

/// Reads one answer for each update sent, and goes on to the last even after a refusal, so that the connection can
/// be used again. The first refusal is the error.
fn read_answers(link: &Link, input: &mut Input, first_id: u32, books: &Books) -> Result<u64, ControlError> {
    let mut refused = None;
    let mut answered = 0;
    while let Some(sent) = books.wait_for_answers_due(answered) {
        while answered < sent {
            let id = first_id.wrapping_add(answered as u32);
            match exchange::read_done(link, input, SET, id) {
                Ok(_version) => {}
                Err(error) => {
                    books.stop();
                    let lost = error.connection_lost();
                    let first = refused.take().unwrap_or(error);
                    if lost {
                        return Err(first);
                    }
                    refused = Some(first);
                }
            }
            answered += 1;
            if !exchange::has_message(input) {
                break;
            }
        }
    }
    refused.map_or(Ok(answered), Err)
}

/// What both threads know of each other.
#[derive(Default)]
struct Books {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sent: u64,
    answered: u64,
    /// Nothing more will be sent.
    ended: bool,
    /// Nothing more shall be sent.
    stopped: bool,
}

impl Books {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, wait: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| wait(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self, updates: u64) {
        self.state().sent += updates;
        self.changed.notify_one();
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_one();
    }

    /// Waits until another batch may be sent, and returns the number answered; `None` when there shall be no more.
    fn wait_for_window(&self) -> Option<u64> {
        let state =
            self.wait_while(|state| !state.stopped && state.sent - state.answered >= UPDATES_IN_FLIGHT_MAX);
        (!state.stopped).then_some(state.answered)
    }

    /// Books the number answered and waits until more answers are due: the number sent, or `None` when it was all.
    fn wait_for_answers_due(&self, answered: u64) -> Option<u64> {
        self.state().answered = answered;
        self.changed.notify_one();
        let state = self.wait_while(|state| !state.ended && state.sent == answered);
        (state.sent > answered).then_some(state.sent)
    }
}

/// Tells the reader that no more updates follow, also when the caller's iterator panics.
struct EndOfUpdates<'b>(&'b Books);

impl Drop for EndOfUpdates<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_one();
    }
}
