//! Who lost each read: a pure function of the ledger of losses and both hosts' books.
//!
//! Each read that lost something on its first try gets one cause, so the sum over causes equals the reads lost, and the same holds
//! for the reads that failed for good. What is known read by read is settled first; what only counters tell is drawn from
//! the pool of reads lost in that direction, never more than the counter says; the rest is unexplained.

mod books;
mod cause;
mod experiment;
mod findings;
mod pools;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use books::{
    Books, ClientBooks, Counts, FlowCounts, HostCounters, Loss, Population, Receipt, ReceiptOutcome,
    Receipts, Series, ServerBooks, StageFacts, Symptom, Window,
};
pub use cause::{Cause, Direction};
pub use experiment::{Experiment, Trial};

use findings::{Finding, Told};
use pools::{Pool, Suspect};

/// A number estimated for a cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best value.
    pub value: f64,
    /// What it counts: `packets/s`, `bits/s`, `bytes`, `probability`, `ms`, `flows`.
    pub unit: String,
    /// The interval that holds the true value with 95 % confidence; none where there is no such thing.
    pub interval: Option<(f64, f64)>,
}

/// Reads put down to one cause and direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Reads lost on the first try.
    pub reads: u64,
    /// Of them, those that failed for good.
    pub failed: u64,
    /// How sure this is, 0 to 1.
    pub confidence: f64,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// Numbers estimated for it, by name: `limit`, `size`, `probability`, `pause`, `relearn`, `path_mtu`, `begin`, `length`, `flows`.
    pub estimates: BTreeMap<String, Estimate>,
    /// The flows it struck, by number, where it strikes some and not others.
    pub flows: Vec<u32>,
    /// What to do, where the evidence tells more than the cause's name.
    pub remedy: Option<&'static str>,
}

/// All causes of a stage.
pub type Attribution = BTreeMap<(Cause, Direction), Share>;

/// Confidence in a cause that each read itself proves.
const PROVEN: f64 = 0.99;

/// Confidence that a generator which was late lost what nothing else explains.
const BLAMED: f64 = 0.8;

/// Puts each lost read down to one cause.
pub fn attribute(books: &Books) -> Attribution {
    let mut shares = Attribution::new();
    let (mut up, mut down, mut untold) = (Pool::default(), Pool::default(), Pool::default());
    let receipts = books.receipts.as_ref().map(|receipts| receipts.of(&books.losses));
    for loss in &books.losses {
        match findings::told_by(loss, books, receipts.as_ref()) {
            Told::Proven(finding) => prove(&mut shares, finding, loss),
            Told::Lost(Direction::Up) => up.add(loss),
            Told::Lost(Direction::Down) => down.add(loss),
            Told::Lost(Direction::Host) => untold.add(loss),
        }
    }
    untold.add_counted(books.unlisted);
    // A server that received more than was sent here serves others too: its count then says nothing of ours.
    if let Some(server) =
        books.server.as_ref().filter(|server| server.requests <= books.client.datagrams_sent)
    {
        let missing =
            books.client.datagrams_sent.saturating_sub(server.requests) * books.stage.reads_per_datagram;
        untold.split_off(missing.saturating_sub(up.reads()), &mut up);
        untold.split_off(u64::MAX, &mut down);
    }
    let each = books.stage.reads_per_datagram;
    up.settle(Direction::Up, &up_suspects(books), each, &mut shares);
    down.settle(Direction::Down, &down_suspects(books), each, &mut shares);
    let either: Vec<_> = up_suspects(books).into_iter().chain(down_suspects(books)).collect();
    untold.settle(Direction::Host, &either, each, &mut shares);
    if books.stage.generator_late {
        blame_generator(&mut shares);
    }
    shares.retain(|_, share| share.reads > 0);
    if let Some(server) = books.server.as_ref().filter(|server| server.busiest_worker_ns > 0) {
        let share = (server.busiest_worker_ns as f64 / books.stage.duration_ns.max(1) as f64).min(1.0);
        let busy = format!("the server's busiest worker used {:.0} % of a CPU", share * 100.0);
        for ((cause, _), share) in &mut shares {
            if matches!(cause, Cause::ServerSocketBuffer | Cause::ServerOverload) {
                share.evidence.push(busy.clone());
            }
        }
    }
    shares
}

/// Puts what nothing else explains down to a generator that sent and received too late: answers that wait at its sockets until their
/// reads are forgotten look like answers that never came.
fn blame_generator(shares: &mut Attribution) {
    let (mut reads, mut failed) = (0, 0);
    for direction in [Direction::Up, Direction::Down, Direction::Host] {
        if let Some(share) = shares.remove(&(Cause::Unexplained, direction)) {
            (reads, failed) = (reads + share.reads, failed + share.failed);
        }
    }
    let share = shares.entry((Cause::GeneratorLimited, Direction::Host)).or_default();
    share.confidence = if share.reads > reads { share.confidence } else { BLAMED };
    (share.reads, share.failed) = (share.reads + reads, share.failed + failed);
    share.evidence.push(format!(
        "{reads} reads of a stage in which the generator itself was late by half of the timeout and more"
    ));
}

fn prove(shares: &mut Attribution, finding: &Finding, loss: &Loss) {
    let share = shares.entry((finding.cause, finding.direction)).or_default();
    share.reads += 1;
    share.failed += u64::from(loss.failed);
    share.confidence = if finding.cause == Cause::Unexplained { 0.0 } else { PROVEN };
    share.remedy = share.remedy.or(finding.remedy);
    if !share.evidence.iter().any(|known| known == finding.evidence) {
        share.evidence.push(finding.evidence.to_owned());
    }
}

fn up_suspects(books: &Books) -> Vec<Suspect> {
    let server = books.server.clone().unwrap_or_default();
    vec![
        Suspect::new(
            Cause::ServerSocketBuffer,
            server.socket_drops,
            "datagrams dropped at the sockets of the server's workers",
        ),
        Suspect::new(
            Cause::PathCorruption,
            server.checksum_drops + server.kernel_checksum_drops,
            "requests that failed a checksum at the server",
        ),
    ]
}

fn down_suspects(books: &Books) -> Vec<Suspect> {
    let server = books.server.clone().unwrap_or_default();
    vec![
        Suspect::new(
            Cause::ClientSocketBuffer,
            books.client.socket_drops,
            "datagrams dropped at the generator's sockets (SO_MEMINFO)",
        ),
        Suspect::new(
            Cause::GeneratorLimited,
            books.client.reassembly_full,
            "pieces of answers for which the generator had no memory",
        ),
        Suspect::new(
            Cause::PathCorruption,
            books.client.checksum_drops + books.client.kernel_checksum_drops,
            "answers that failed a checksum at the client",
        ),
        Suspect::new(
            Cause::ServerSendQueue,
            // Where receipts told which reads these were, they are settled already.
            if books.receipts.is_some() { 0 } else { server.sends_refused },
            "answers the server's kernel refused to send (ENOBUFS)",
        ),
        Suspect::reads(
            Cause::Unexplained,
            server.keys_not_told_of,
            "keys that are not stored, by the server's count, which a get of several keys over UDP does not tell from lost answers: see its evictions and memory",
        ),
    ]
}

#[cfg(test)]
mod tests;
