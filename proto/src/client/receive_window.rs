//! The receive window: how much each request may bring, so that all of them together fit the socket's receive buffer (section 4.3).
//!
//! Counted is what the kernel charges, not payload. An eighth of the buffer is kept free for what no credit covers: doubled datagrams,
//! answers to probes, answers that come after they were given up, and a datagram of the base size for each read under way, which may
//! always come. The rest is halved, so that neither kind of request starves the other:
//!
//! - *First requests* ask for a value whose length is not known. Each takes at most half of what is free of its half (Choudhury and
//!   Hahne's dynamic threshold, 1998), so that n under way settle at one part in n + 1 each, and something is left for the next.
//! - *The rest* of values partly here: each value takes at most an equal part of its half, and what is free.
//!
//! One datagram is always asked for: arrivals never wait for credit (design: open loop), and small values need no more. Where nothing is
//! free it is asked for in the base size, which is charged least.
//!
//! A reservation is given back as datagrams arrive, when all reads of the request have ended, timed out or been cancelled, when they
//! ask again, and when a gap passes in which no answer began.

use super::ReceiveBuffer;
use crate::limits::CREDIT_BYTES_MAX;

/// The two kinds of requests, each with its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Of a value that nothing is known of yet.
    First,
    /// Of a value partly here.
    Rest,
}

/// What one request may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) share: Share,
    /// To be announced; bytes of datagrams.
    pub(super) credit: u32,
    /// To be reserved for it; bytes as charged.
    pub(super) charge: u32,
}

/// The books of the buffer.
pub(super) struct ReceiveWindow {
    buffer: ReceiveBuffer,
    credit_max: u32,
    reserved: [u64; 2],
    /// For the one datagram that each read under way may always be sent.
    set_aside: u64,
}

impl ReceiveWindow {
    pub(super) fn new(buffer: ReceiveBuffer, credit_max: u32) -> Self {
        let credit_max = credit_max.min(CREDIT_BYTES_MAX as u32);
        Self { buffer, credit_max, reserved: [0; 2], set_aside: 0 }
    }

    /// Takes new numbers of the buffer; what is reserved stays so.
    pub(super) fn set_buffer(&mut self, buffer: ReceiveBuffer) {
        self.buffer = buffer;
    }

    /// Sets a datagram of the base size aside for each read under way: what is left can be given away.
    #[inline]
    pub(super) fn set_aside(&mut self, reads: usize, base_datagram: u16) {
        self.set_aside = reads as u64 * u64::from(self.charge_of(base_datagram));
    }

    /// What a datagram of this size is charged.
    #[inline]
    pub(super) fn charge_of(&self, datagram_bytes: u16) -> u32 {
        self.buffer.charge_of(datagram_bytes)
    }

    /// What a first request may bring in datagrams of this size. Answers to several reads in one datagram may come in up to twice as many,
    /// because none is more than half full.
    pub(super) fn first(&self, datagram_bytes: u16, several_reads: bool) -> Grant {
        let part = self.free(Share::First) / 2;
        let charge = self.charge_of(datagram_bytes).saturating_mul(1 + u32::from(several_reads));
        self.grant(Share::First, part, datagram_bytes, charge)
    }

    /// What a request for more of one of `values` values partly here may bring.
    pub(super) fn rest(&self, datagram_bytes: u16, values: usize) -> Grant {
        let part = (self.half() / values.max(1) as u64).min(self.free(Share::Rest));
        let charge = self.charge_of(datagram_bytes);
        self.grant(Share::Rest, part, datagram_bytes, charge)
    }

    fn grant(&self, share: Share, part: u64, datagram_bytes: u16, charge: u32) -> Grant {
        let datagram = u64::from(datagram_bytes);
        let affordable = (part / u64::from(charge)).max(1) * datagram;
        let credit = affordable.min(self.credit_max.into());
        let datagrams = (credit / datagram).max(1);
        Grant { share, credit: credit as u32, charge: (datagrams * u64::from(charge)) as u32 }
    }

    /// Whether a datagram of this size still fits.
    #[inline]
    pub(super) fn has_room(&self, share: Share, datagram_bytes: u16) -> bool {
        u64::from(self.charge_of(datagram_bytes)) <= self.free(share)
    }

    /// Books what a request may bring.
    pub(super) fn reserve(&mut self, grant: Grant) {
        self.reserved[grant.share as usize] += u64::from(grant.charge);
    }

    /// Takes `charge` off what a request had reserved.
    pub(super) fn give_back(&mut self, grant: &mut Grant, charge: u32) {
        let charge = charge.min(grant.charge);
        grant.charge -= charge;
        self.reserved[grant.share as usize] -= u64::from(charge);
    }

    fn half(&self) -> u64 {
        (u64::from(self.buffer.granted_bytes()) * 7 / 8).saturating_sub(self.set_aside) / 2
    }

    fn free(&self, share: Share) -> u64 {
        self.half().saturating_sub(self.reserved[share as usize])
    }

    #[cfg(test)]
    fn reserved(&self) -> u64 {
        self.reserved.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn window() -> ReceiveWindow {
        ReceiveWindow::new(ReceiveBuffer::linux_default(), 256 << 10)
    }

    #[test]
    fn first_requests_settle_at_equal_parts_and_leave_something_for_the_next() {
        let mut window = window();
        let mut under_way: Vec<Grant> = Vec::new();
        for nth in 0..200 {
            if under_way.len() == 4 {
                let mut oldest = under_way.remove(0);
                window.give_back(&mut oldest, u32::MAX);
            }
            let grant = window.first(1200, false);
            window.reserve(grant);
            under_way.push(grant);
            assert!(window.reserved() <= window.half(), "request {nth}");
        }
        let datagrams: Vec<_> = under_way.iter().map(|grant| grant.credit / 1200).collect();
        assert!(datagrams.iter().all(|count| (7..=9).contains(count)), "a fifth of 40 each: {datagrams:?}");
    }

    #[test]
    fn large_datagrams_have_room_until_their_half_is_used_up() {
        let mut window = window();
        assert!(window.has_room(Share::First, 8973));
        while window.has_room(Share::First, 8973) {
            let grant = window.first(8973, false);
            window.reserve(grant);
        }
        assert!(window.reserved() <= window.half(), "what has room fits");
        assert!(window.has_room(Share::Rest, 8973));
        assert!(!window.has_room(Share::First, 8973));
    }

    #[test]
    fn the_rest_is_shared_by_the_values_partly_here_beside_the_first_requests() {
        for values in [1, 2, 8, 40] {
            let mut window = window();
            while window.free(Share::First) >= 2 * 2304 {
                let grant = window.first(1200, false);
                window.reserve(grant);
            }
            let grants: Vec<_> = (0..values)
                .map(|_| {
                    let grant = window.rest(1200, values);
                    window.reserve(grant);
                    grant.credit / 1200
                })
                .collect();
            assert!(grants.iter().all(|credit| *credit == grants[0]), "{values}: {grants:?}");
            assert_eq!(grants[0], 40 / values as u32);
            assert!(window.reserved() <= 212_992 * 7 / 8, "{values}");
        }
    }

    #[test]
    fn a_full_window_still_asks_for_one_datagram_and_a_large_one_for_the_cap() {
        let window = ReceiveWindow::new(ReceiveBuffer::linux(0), 256 << 10);
        for grant in [window.first(8_973, false), window.rest(8_973, 3)] {
            assert_eq!((grant.credit, grant.charge), (8_973, 16_640));
        }
        let mut window = ReceiveWindow::new(ReceiveBuffer::linux(u32::MAX), 100_000);
        let grant = window.first(8_973, true);
        assert_eq!((grant.credit, grant.charge), (100_000, 11 * 2 * 16_640));
        let mut held = window.rest(1_200, 7);
        window.reserve(held);
        window.give_back(&mut held, 2304);
        window.give_back(&mut held, u32::MAX);
        assert_eq!((held.charge, window.reserved()), (0, 0));
    }
}
