//! How long programs stood still, where reads were lost because one did.
//!
//! A server's worker that stood still answers next the request that had waited longest: from the answer before to that one nothing left. A
//! generator's shows in the longest latency, that of an answer that came when its pause began.

use super::case::Case;
use super::{Cause, Direction, Estimate, ReceiptOutcome, Share};
use crate::statistics::NORMAL_95;

/// Shortest pause told: shorter ones are a scheduler's.
const PAUSE_US_MIN: u64 = 5_000;

/// A thread that may go on does so within a tick of the scheduler (CONFIG_HZ=250): what is seen of a pause begins and ends that much off.
const TICK_MS: f64 = 4.0;

/// One pause, microseconds: at least, and at most.
type Pause = (u64, u64);

/// Writes estimates and how busy the server was beside the causes that pauses and overload have.
pub(super) fn estimate(case: &mut Case<'_>) {
    let books = case.books;
    let server = [
        (Cause::ServerSocketBuffer, Direction::Up),
        (Cause::ServerSocketBuffer, Direction::Host),
        (Cause::ServerOverload, Direction::Host),
    ];
    let busy = books.server.as_ref().filter(|server| server.busiest_worker_ns > 0).map(|server| {
        let share = (server.busiest_worker_ns as f64 / books.stage.duration_ns.max(1) as f64).min(1.0);
        format!("the server's busiest worker used {:.0} % of a CPU", share * 100.0)
    });
    let blamed = server.iter().any(|key| case.shares.contains_key(key));
    let pauses = if blamed { of_server(case) } else { Vec::new() };
    for key in &server {
        let Some(share) = case.shares.get_mut(key) else { continue };
        write(share, &pauses, "the server's worker");
        share.evidence.extend(busy.clone());
    }
    let client = [(Cause::ClientSocketBuffer, Direction::Down), (Cause::ClientSocketBuffer, Direction::Host)];
    let pauses = of_client(case);
    for key in &client {
        let Some(share) = case.shares.get_mut(key) else { continue };
        write(share, &pauses, "the generator");
    }
}

fn write(share: &mut Share, pauses: &[Pause], who: &str) {
    // While a backlog is worked off a host's short stalls look like pauses too: those of half the longest and more are of its kind.
    let longest = pauses.iter().map(|pause| pause.1).max().unwrap_or(0);
    let pauses: Vec<_> = pauses.iter().filter(|pause| 2 * pause.1 >= longest).copied().collect();
    if pauses.is_empty() {
        return;
    }
    let count = pauses.len() as f64;
    let mean = |of: fn(&Pause) -> u64| pauses.iter().map(of).sum::<u64>() as f64 / count / 1000.0;
    let (least, most) = (mean(|pause| pause.0), mean(|pause| pause.1));
    let middle = f64::midpoint(least, most);
    let variance = pauses
        .iter()
        .map(|pause| (f64::midpoint(pause.0 as f64, pause.1 as f64) / 1000.0 - middle).powi(2))
        .sum::<f64>();
    let half = NORMAL_95 * (variance / count.max(2.0) / count).sqrt() + TICK_MS;
    share
        .estimates
        .insert("pause".into(), Estimate::new(middle, "ms", ((least - half).max(0.0), most + half)));
    share.evidence.push(format!("{who} stood still {count} times, for {middle:.1} ms each on average"));
}

/// Stretches in which a worker sent nothing although a request waited: at least as long as the request waited, at most since the answer before.
fn of_server(case: &Case<'_>) -> Vec<Pause> {
    let Some(receipts) = &case.books.receipts else { return Vec::new() };
    let mut pauses = Vec::new();
    let mut before_us: Option<u64> = None;
    for receipt in &receipts.all {
        let ReceiptOutcome::Answered { residence_us } = receipt.outcome else { continue };
        let (waited, left) =
            (u64::from(residence_us), receipt.arrival_unix_us.saturating_add(residence_us.into()));
        // Times that go back: the list of the next worker begins.
        let since = before_us.filter(|before| *before <= left).map(|before| left - before);
        if let Some(since) = since.filter(|since| *since >= PAUSE_US_MIN && waited >= PAUSE_US_MIN) {
            pauses.push((waited.min(since), since));
        }
        before_us = Some(left);
    }
    pauses
}

/// The longest latencies of stretches that stand out: each is at most as long as the pause, and hardly shorter.
fn of_client(case: &Case<'_>) -> Vec<Pause> {
    let windows = &case.books.population.windows;
    let longest = |at: usize| windows.get(at).map_or(0, |window| u64::from(window.latency_max_us));
    let peaks = (0..windows.len()).filter(|at| {
        let here = longest(*at);
        here >= PAUSE_US_MIN && here > at.checked_sub(1).map_or(0, longest) && here >= longest(at + 1)
    });
    peaks.map(|at| (longest(at), longest(at))).collect()
}
