//! The driver's books: which requests are under way, which of them are answered, lost or answered wrongly.

use super::judge::Judge;
use super::limits::SAMPLE;

/// What one driver sent and received. Nothing here allocates.
pub(super) struct Books {
    judge: Judge,
    /// Items of each request; empty where they are not known, and no byte is looked at.
    items: Vec<u32>,
    gets: usize,
    /// One answer in this many is looked at byte by byte.
    pub(super) sample: u64,
    /// Units each request still waits for; 0: it is not under way.
    left: Box<[u32]>,
    /// In which period it was sent.
    period: Box<[u8]>,
    now: u8,
    /// Requests under way.
    pub(super) under_way: usize,
    /// Requests answered by whole.
    pub(super) answered: u64,
    /// Answer datagrams.
    pub(super) datagrams: u64,
    /// Requests given up.
    pub(super) lost: u64,
    /// Answers that are not what they should be.
    pub(super) wrong: u64,
}

impl Books {
    /// Empty books for so many requests of `gets` gets.
    pub(super) fn new(judge: Judge, items: Vec<u32>, requests: usize, gets: usize) -> Books {
        Books {
            judge,
            items,
            gets,
            sample: SAMPLE,
            left: vec![0; requests].into(),
            period: vec![0; requests].into(),
            now: 0,
            under_way: 0,
            answered: 0,
            datagrams: 0,
            lost: 0,
            wrong: 0,
        }
    }

    /// Gets in a request.
    pub(super) fn gets(&self) -> usize {
        self.gets
    }

    /// Requests were sent, `count` from `first` on.
    #[inline]
    pub(super) fn sent(&mut self, first: usize, count: usize) {
        for request in first..first + count {
            // Still under way after a whole round of all requests: it is lost.
            if self.left[request] > 0 {
                self.lost += 1;
                self.under_way -= 1;
            }
            self.left[request] = self.judge.units();
            self.period[request] = self.now;
        }
        self.under_way += count;
    }

    /// Takes an answer datagram; the request, if it is the last of its answer.
    #[inline]
    pub(super) fn take(&mut self, datagram: &[u8]) -> Option<usize> {
        self.datagrams += 1;
        let Some(brought) = self.judge.look(datagram).filter(|found| found.request < self.left.len()) else {
            self.wrong += 1;
            return None;
        };
        if !self.items.is_empty() && self.datagrams.is_multiple_of(self.sample) {
            let items = &self.items[brought.request * self.gets..][..self.gets];
            self.wrong += u64::from(!self.judge.is_right(datagram, items));
        }
        let left = &mut self.left[brought.request];
        // Later than lost, or more than was asked for: either way it answers nothing that is under way.
        if *left == 0 {
            return None;
        }
        *left = left.saturating_sub(brought.units);
        if *left > 0 {
            return None;
        }
        self.under_way -= 1;
        self.answered += 1;
        Some(brought.request)
    }

    /// A period is over: what was sent before the one that ends now is lost.
    pub(super) fn next_period(&mut self) {
        for (left, period) in self.left.iter_mut().zip(&self.period) {
            if *left > 0 && *period != self.now {
                *left = 0;
                self.lost += 1;
                self.under_way -= 1;
            }
        }
        self.now = self.now.wrapping_add(1);
    }

    /// Nothing is under way any more; what was is not lost, only not waited for.
    pub(super) fn forget(&mut self) {
        self.left.fill(0);
        self.under_way = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floors::case::Case;

    fn books() -> Books {
        Books::new(Judge::echo(&Case::PLAIN), vec![0; 8], 8, 1)
    }

    fn echo(request: u8) -> [u8; 132] {
        let mut datagram = [0; 132];
        datagram[15] = request;
        datagram
    }

    #[test]
    fn each_answer_ends_its_request_once() {
        let mut books = books();
        books.sent(0, 3);
        for request in [1, 1, 2, 7] {
            books.take(&echo(request));
        }
        assert_eq!((books.under_way, books.answered, books.wrong), (1, 2, 0));
    }

    #[test]
    fn what_does_not_come_is_lost_and_frees_its_place() {
        let mut books = books();
        books.sent(0, 2);
        books.next_period();
        assert_eq!((books.under_way, books.lost), (2, 0));
        books.sent(2, 1);
        books.next_period();
        assert_eq!((books.under_way, books.lost), (1, 2));
        books.take(&echo(0));
        assert_eq!((books.under_way, books.answered), (1, 0), "an answer later than lost counts for nothing");
    }

    #[test]
    fn a_request_still_under_way_when_its_turn_comes_again_is_lost() {
        let mut books = books();
        books.sent(0, 8);
        books.sent(0, 1);
        assert_eq!((books.under_way, books.lost), (8, 1));
    }

    #[test]
    fn of_some_answers_every_byte_is_looked_at() {
        let mut books = Books::new(Judge::memcached(&Case::PLAIN), vec![5; 8], 8, 1);
        let of_another_item = b"\0\0\0\0\0\x01\0\0VALUE item:000000000000006 0 100\r\n";
        for _ in 0..SAMPLE {
            books.take(of_another_item);
        }
        assert_eq!(books.wrong, 1);
        books.sample = 1;
        books.take(of_another_item);
        assert_eq!(books.wrong, 2);
    }

    #[test]
    fn answers_to_nobody_are_wrong() {
        let mut books = books();
        books.sent(0, 1);
        books.take(&echo(8));
        books.take(&[0; 133]);
        books.take(&[0; 3]);
        assert_eq!(books.wrong, 3);
    }
}
