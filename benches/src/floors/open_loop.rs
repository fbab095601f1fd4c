//! Requests at a rate, whatever the answers do, and how long each took from the time it was meant to leave.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use shingle_udp::monotonic_ns;

use super::error::{Error, system};
use super::limits::{LOST_AFTER, WARM_UP};
use super::udp::Driver;

/// What one measurement brought.
#[derive(Debug)]
pub struct Latencies {
    /// From intended time to answer, ns.
    pub ns: Histogram<u64>,
    /// Requests without an answer.
    pub lost: u64,
    /// Longest time between two turns of the driver's loop, ns: where the host took the CPU away, answers waited as long.
    pub driver_stall_ns: u64,
}

/// When requests are meant to leave.
struct Plan {
    gap_ns: f64,
    begin_ns: u64,
    /// From here on they count.
    counts_ns: u64,
    end_ns: u64,
}

impl Driver {
    /// Sends `per_s` requests a second at equal distances for the warm-up and `span`; those of `span` count.
    ///
    /// # Errors
    /// Wrong answers, none, or whatever the kernel says.
    ///
    /// # Panics
    /// If the driver sends trains.
    pub fn open_loop(&mut self, per_s: f64, span: Duration) -> Result<Latencies, Error> {
        assert_eq!(self.requests.train(), 1, "open loops send single requests");
        let begin_ns = monotonic_ns();
        let counts_ns = begin_ns + WARM_UP.as_nanos() as u64;
        let plan =
            Plan { gap_ns: 1e9 / per_s, begin_ns, counts_ns, end_ns: counts_ns + span.as_nanos() as u64 };
        let mut latencies = Latencies { ns: empty_histogram(), lost: 0, driver_stall_ns: 0 };
        let lost = self.books.lost;
        self.pace(&plan, &mut latencies).or_else(system(format!("loading {}", self.server)))?;
        latencies.lost = self.books.lost - lost + self.books.under_way as u64;
        self.books.forget();
        self.judged()?;
        Ok(latencies)
    }

    fn pace(&mut self, plan: &Plan, latencies: &mut Latencies) -> io::Result<()> {
        let mut intended_ns = vec![0; self.requests.len()];
        let (mut sent, mut last_ns) = (0, monotonic_ns());
        loop {
            let now_ns = monotonic_ns();
            latencies.driver_stall_ns = latencies.driver_stall_ns.max(now_ns - last_ns);
            last_ns = now_ns;
            self.note_answers(plan, &intended_ns, latencies)?;
            let due = ((now_ns.min(plan.end_ns) - plan.begin_ns) as f64 / plan.gap_ns) as u64;
            if due > sent {
                let first = self.requests.next();
                // Times are noted first: the answer may be here before the call returns.
                for ahead in 0..(due - sent).min(intended_ns.len() as u64) {
                    let meant = plan.begin_ns + ((sent + ahead) as f64 * plan.gap_ns) as u64;
                    intended_ns[(first + ahead as usize) % self.requests.len()] = meant;
                }
                let took = self.requests.send(&self.socket, (due - sent) as usize)?;
                self.books.sent(first, took);
                sent += took as u64;
            } else if now_ns >= plan.end_ns
                && (self.books.under_way == 0 || now_ns > plan.end_ns + LOST_AFTER.as_nanos() as u64)
            {
                return Ok(());
            }
        }
    }

    fn note_answers(
        &mut self,
        plan: &Plan,
        intended_ns: &[u64],
        latencies: &mut Latencies,
    ) -> io::Result<()> {
        if self.incoming.recv(&self.socket)? == 0 {
            return Ok(());
        }
        let (now_ns, books) = (monotonic_ns(), &mut self.books);
        self.incoming.each(|datagram| {
            let Some(request) = books.take(datagram) else { return };
            let meant_ns = intended_ns[request];
            if meant_ns >= plan.counts_ns {
                latencies.ns.saturating_record(now_ns.saturating_sub(meant_ns).max(1));
            }
        });
        Ok(())
    }
}

/// One microsecond to ten seconds, three digits.
#[must_use]
pub fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds in order")
}
