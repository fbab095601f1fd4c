//! memcached over TCP, one connection: gets pipelined, answers in the order asked, no socket and no clock.
//!
//! Answers come in order, so the reads are one queue: deadlines run out from its front, and a read that timed out stays until its
//! answer has passed by. Whatever breaks that order breaks the connection.

use std::collections::VecDeque;

use super::limits::KEY_BYTES_MAX;
use super::text::{self, Line};
use super::{End, Ending};

/// Settings of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Reads whose answers are outstanding, those that timed out included.
    pub reads_max: usize,
    /// Keys in one get.
    pub gets_max: usize,
    /// Bytes of answers held: more than the longest.
    pub input_bytes: usize,
    /// A server that is this late beyond a deadline answers no more on this connection.
    pub linger_ns: u64,
}

/// The core of one connection. All memory is taken by [`Stream::new`].
pub struct Stream {
    config: Config,
    reads: VecDeque<Read>,
    /// Reads at the front that have timed out.
    expired: usize,
    /// Reads from the front whose request has left.
    left: usize,
    /// Reads of the get that is being answered, all of them told of: `END` is due.
    end_due: bool,
    input: Box<[u8]>,
    input_start: usize,
    input_end: usize,
    output: Vec<u8>,
    output_start: usize,
    /// Bytes of output made, and bytes that left, since the connection was opened.
    made: u64,
    gone: u64,
    /// Keys of the get that is not closed by `\r\n` yet.
    open_keys: usize,
    sequence: u32,
    counters: Counters,
}

/// What a connection counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keys asked for.
    pub keys_sent: u64,
    /// Values taken.
    pub values: u64,
    /// Bytes taken.
    pub bytes_in: u64,
    /// Answers that came after the deadline.
    pub late: u64,
}

/// The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The server sent what is no answer to what was asked.
    Malformed,
    /// The server has not answered for too long.
    Silent,
}

struct Read {
    item: u32,
    deadline_ns: u64,
    sent_ns: u64,
    sequence: u32,
    /// Where its request ends in the output.
    request_end: u64,
    last_of_request: bool,
    late_told: bool,
    key_bytes: u8,
    key: [u8; KEY_BYTES_MAX],
}

impl Read {
    fn key(&self) -> &[u8] {
        &self.key[..self.key_bytes.into()]
    }

    fn ending<'a>(&self, end: End<'a>) -> Ending<'a> {
        Ending {
            item: self.item,
            deadline_ns: self.deadline_ns,
            sent_ns: self.sent_ns,
            sequence: self.sequence,
            pieces: 0,
            end,
        }
    }
}

impl Stream {
    /// A connection with all its memory.
    pub fn new(config: Config) -> Self {
        // A get of one key: `get `, the key, `\r\n`.
        let output_bytes = config.reads_max * (KEY_BYTES_MAX + 6);
        Self {
            reads: VecDeque::with_capacity(config.reads_max),
            expired: 0,
            left: 0,
            end_due: false,
            input: vec![0; config.input_bytes].into(),
            input_start: 0,
            input_end: 0,
            output: Vec::with_capacity(output_bytes),
            output_start: 0,
            made: 0,
            gone: 0,
            open_keys: 0,
            sequence: 0,
            counters: Counters::default(),
            config,
        }
    }

    /// Reads that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.reads.len() - self.expired
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Asks for a key, in the get of the read before if `join` and that has not been handed out. False if there is no room.
    /// Deadlines must not fall from read to read.
    pub fn get(&mut self, key: &[u8], item: u32, deadline_ns: u64, join: bool) -> bool {
        if self.reads.len() == self.config.reads_max {
            return false;
        }
        if !join || self.open_keys == 0 || self.open_keys == self.config.gets_max {
            self.close_get();
            // 0 names no request.
            self.sequence = self.sequence.wrapping_add(1).max(1);
            self.append(b"get");
        } else if let Some(previous) = self.reads.back_mut() {
            previous.last_of_request = false;
        }
        self.append(b" ");
        self.append(key);
        self.open_keys += 1;
        let mut read = Read {
            item,
            deadline_ns,
            sent_ns: 0,
            sequence: self.sequence,
            request_end: self.made,
            last_of_request: true,
            late_told: false,
            key_bytes: key.len() as u8,
            key: [0; KEY_BYTES_MAX],
        };
        read.key[..key.len()].copy_from_slice(key);
        self.reads.push_back(read);
        true
    }

    /// What is to be sent.
    pub fn output(&mut self) -> &[u8] {
        self.close_get();
        &self.output[self.output_start..]
    }

    /// Something is to be sent.
    pub fn has_output(&self) -> bool {
        self.output_start < self.output.len()
    }

    /// The kernel took so many bytes of it.
    pub fn sent(&mut self, bytes: usize, now_ns: u64) {
        self.output_start += bytes;
        self.gone += bytes as u64;
        if self.output_start == self.output.len() {
            self.output.clear();
            self.output_start = 0;
        }
        while let Some(read) = self.reads.get_mut(self.left)
            && read.request_end <= self.gone
        {
            read.sent_ns = now_ns;
            self.left += 1;
            self.counters.keys_sent += 1;
        }
    }

    /// Where received bytes go; tell how many with [`received`](Self::received). Never empty.
    pub fn input(&mut self) -> &mut [u8] {
        if self.input_start > 0 {
            self.input.copy_within(self.input_start..self.input_end, 0);
            self.input_end -= self.input_start;
            self.input_start = 0;
        }
        &mut self.input[self.input_end..]
    }

    /// Takes so many bytes written to [`input`](Self::input).
    ///
    /// # Errors
    /// They are no answer to what was asked: the connection has to be opened anew.
    pub fn received(&mut self, bytes: usize, sink: &mut impl FnMut(&Ending<'_>)) -> Result<(), Broken> {
        self.input_end += bytes;
        self.counters.bytes_in += bytes as u64;
        while self.input_start < self.input_end {
            let used = self.line(sink)?;
            if used == 0 {
                // An answer longer than the whole buffer can never be taken.
                let full = self.input_end - self.input_start == self.input.len();
                return if full { Err(Broken::Malformed) } else { Ok(()) };
            }
            self.input_start += used;
        }
        Ok(())
    }

    /// Ends reads whose deadline has passed. `connected` says whether there is a connection at all.
    ///
    /// # Errors
    /// The oldest answer is so late that the connection has to be opened anew.
    pub fn handle_timeout(
        &mut self,
        now_ns: u64,
        connected: bool,
        sink: &mut impl FnMut(&Ending<'_>),
    ) -> Result<(), Broken> {
        while let Some(read) = self.reads.get(self.expired)
            && read.deadline_ns <= now_ns
        {
            let timed_out = End::TimedOut { part_arrived: false, no_memory: false };
            sink(&read.ending(if connected { timed_out } else { End::ConnectionLost }));
            self.expired += 1;
        }
        let oldest = self.reads.front().filter(|_| self.expired > 0 && connected);
        if oldest.is_some_and(|read| read.deadline_ns + self.config.linger_ns <= now_ns) {
            return Err(Broken::Silent);
        }
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `u64::MAX` if nothing is under way.
    pub fn next_timeout_ns(&self) -> u64 {
        let waiting = self.reads.get(self.expired).map_or(u64::MAX, |read| read.deadline_ns);
        let oldest = self.reads.front().filter(|_| self.expired > 0);
        waiting.min(oldest.map_or(u64::MAX, |read| read.deadline_ns + self.config.linger_ns))
    }

    /// The connection broke: all reads fail, nothing of it is left.
    pub fn reset(&mut self, sink: &mut impl FnMut(&Ending<'_>)) {
        for read in self.reads.iter().skip(self.expired) {
            sink(&read.ending(End::ConnectionLost));
        }
        self.reads.clear();
        self.output.clear();
        (self.expired, self.left, self.open_keys, self.end_due) = (0, 0, 0, false);
        (self.input_start, self.input_end, self.output_start, self.made, self.gone) = (0, 0, 0, 0, 0);
    }

    fn append(&mut self, bytes: &[u8]) {
        // Sent bytes before what is not sent make way rather than let the memory grow.
        if self.output.len() + bytes.len() > self.output.capacity() && self.output_start > 0 {
            self.output.drain(..self.output_start);
            self.output_start = 0;
        }
        self.output.extend_from_slice(bytes);
        self.made += bytes.len() as u64;
    }

    fn close_get(&mut self) {
        if self.open_keys > 0 {
            self.append(b"\r\n");
            self.open_keys = 0;
            let made = self.made;
            let reads = self.reads.iter_mut().rev();
            // All of one get leave when its last byte does.
            let sequence = self.sequence;
            reads.take_while(|read| read.sequence == sequence).for_each(|read| read.request_end = made);
        }
    }

    /// Takes one line with what belongs to it and returns its length; 0 when it is not all there.
    fn line(&mut self, sink: &mut impl FnMut(&Ending<'_>)) -> Result<usize, Broken> {
        let bytes = &self.input[self.input_start..self.input_end];
        let Some((line, used)) = text::line(bytes).map_err(|_| Broken::Malformed)? else { return Ok(0) };
        match line {
            Line::Value { key, bytes: length } => {
                let Some(rest) = bytes.get(used..used + length + 2) else {
                    let too_long = used + length + 2 > self.input.len();
                    return if too_long { Err(Broken::Malformed) } else { Ok(0) };
                };
                let (value, line_end) = rest.split_at(length);
                if line_end != b"\r\n" || self.end_due {
                    return Err(Broken::Malformed);
                }
                let mut queue = Queue {
                    reads: &mut self.reads,
                    expired: &mut self.expired,
                    left: &mut self.left,
                    counters: &mut self.counters,
                };
                self.end_due = queue.value(key, value, sink)?;
                Ok(used + length + 2)
            }
            Line::End | Line::Error => {
                let end = if line == Line::End { End::Miss } else { End::ServerError };
                self.rest_of_get(end, sink)?;
                Ok(used)
            }
        }
    }

    /// The get being answered is over: its reads that were not told of end so.
    fn rest_of_get(&mut self, end: End<'_>, sink: &mut impl FnMut(&Ending<'_>)) -> Result<(), Broken> {
        if std::mem::take(&mut self.end_due) {
            // All were told of; an error now would be one too many.
            return if end == End::Miss { Ok(()) } else { Err(Broken::Malformed) };
        }
        let mut queue = Queue {
            reads: &mut self.reads,
            expired: &mut self.expired,
            left: &mut self.left,
            counters: &mut self.counters,
        };
        while !queue.pop(end, sink)? {}
        Ok(())
    }
}

/// The reads, oldest first, apart from the input that answers them.
struct Queue<'a> {
    reads: &'a mut VecDeque<Read>,
    expired: &'a mut usize,
    left: &'a mut usize,
    counters: &'a mut Counters,
}

impl Queue<'_> {
    /// Takes a value: the reads of its get before the one that asked for it are misses. True when it was the last of its get.
    fn value(
        &mut self,
        key: &[u8],
        value: &[u8],
        sink: &mut impl FnMut(&Ending<'_>),
    ) -> Result<bool, Broken> {
        let asked_for = |read: &Read| read.key() == key;
        let before = self.reads.iter().position(|read| asked_for(read) || read.last_of_request);
        let before = before.filter(|at| asked_for(&self.reads[*at])).ok_or(Broken::Malformed)?;
        for _ in 0..before {
            self.pop(End::Miss, sink)?;
        }
        self.counters.values += 1;
        self.pop(End::Value { bytes: value, ambiguous: false }, sink)
    }

    /// Ends the oldest read. True when it was the last of its get.
    fn pop(&mut self, end: End<'_>, sink: &mut impl FnMut(&Ending<'_>)) -> Result<bool, Broken> {
        // What has not been asked cannot be answered.
        if *self.left == 0 {
            return Err(Broken::Malformed);
        }
        let read = self.reads.pop_front().ok_or(Broken::Malformed)?;
        *self.left -= 1;
        if *self.expired == 0 {
            sink(&read.ending(end));
        } else {
            *self.expired -= 1;
            if !read.late_told {
                self.counters.late += 1;
                sink(&read.ending(End::Late));
            }
            if let Some(next) = self.reads.front_mut().filter(|next| next.sequence == read.sequence) {
                next.late_told = true;
            }
        }
        Ok(read.last_of_request)
    }
}
