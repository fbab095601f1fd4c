//! Who lost each read: a pure function of the ledger of losses and both hosts' books.
//!
//! Each read that lost something on its first try gets one cause, so the sum over causes equals the reads lost, and the same holds
//! for the reads that failed for good. What is known read by read is settled first; what only counters tell is drawn from
//! the pool of reads lost in that direction, never more than the counter says; the rest is unexplained.

mod cause;
mod findings;
mod pools;

use std::collections::{BTreeMap, HashMap};

pub use cause::{Cause, Direction};

use findings::{Finding, Told};
use pools::{Pool, Suspect};

/// One read that lost something on its first try.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Flow its request went on.
    pub flow: u32,
    /// Sequence of its first request datagram.
    pub sequence: u32,
    /// It has no right answer in time.
    pub failed: bool,
    /// How it showed.
    pub symptom: Symptom,
}

/// How a loss showed at the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// The kernel refused the request for want of buffers.
    NotSent,
    /// The kernel refused the request for another reason.
    NoRoute,
    /// The generator had no room for the read, or for the pieces of its answer.
    NoRoom,
    /// The request left when more than half of its timeout was gone, or never.
    LeftLate,
    /// Nothing came, or not all of it.
    Silent {
        /// Some of the answer arrived in time.
        part_arrived: bool,
    },
    /// The answer, or the rest of it, came after the deadline.
    Late {
        /// Time it spent in the server, if the answer told.
        residence_ns: Option<u64>,
    },
    /// An answer came whole, but its bytes failed the check.
    Corrupt,
    /// An answer came whole and sound, but it is not the value stored for this workload.
    OtherValue,
    /// The server said it would not answer.
    Refused,
    /// The server answered with an error, and did not say whose fault it was.
    ServerError,
    /// The connection the read went on broke, or there was none.
    ConnectionLost,
}

/// What the server's receipts say of a request datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// Answered; microseconds from arrival to send.
    Answered {
        /// Residence, microseconds.
        residence_us: u32,
    },
    /// The kernel refused (a part of) the answer.
    SendRefused,
    /// A challenge was sent instead.
    Challenged,
}

/// The server's receipts of a stage, by flow and sequence.
#[derive(Clone, Debug, Default)]
pub struct Receipts {
    /// What became of each request datagram that arrived.
    pub by_request: HashMap<(u32, u32), ReceiptOutcome>,
    /// Receipts overwritten before they could be read: absence then proves nothing.
    pub overwritten: u64,
}

/// Books of the client's side: what rose during the stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientBooks {
    /// Request datagrams the kernel took.
    pub datagrams_sent: u64,
    /// Datagrams dropped at the flows' sockets for want of buffer.
    pub socket_drops: u64,
    /// Datagrams that failed the protocol's checksum.
    pub checksum_drops: u64,
    /// Datagrams the kernel dropped for a wrong UDP checksum.
    pub kernel_checksum_drops: u64,
    /// Pieces of answers for which the generator had no memory.
    pub reassembly_full: u64,
}

/// Books of the server's side: what rose during the stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerBooks {
    /// Request datagrams its workers received and understood.
    pub requests: u64,
    /// Datagrams dropped at its workers' sockets for want of buffer.
    pub socket_drops: u64,
    /// Datagrams that failed the protocol's checksum.
    pub checksum_drops: u64,
    /// Datagrams the kernel dropped for a wrong UDP checksum.
    pub kernel_checksum_drops: u64,
    /// Answers the kernel refused.
    pub sends_refused: u64,
    /// Keys it did not find, but had no way to say so of: their reads look lost.
    pub keys_not_told_of: u64,
    /// CPU time of its busiest worker; 0 where it is not known.
    pub busiest_worker_ns: u64,
}

/// Everything attribution may use.
#[derive(Clone, Copy, Debug)]
pub struct Books<'a> {
    /// Each read that lost something on its first try.
    pub losses: &'a [Loss],
    /// Reads lost beyond those listed (the ledger is bounded): lost on the first try, and of them failed.
    pub unlisted: (u64, u64),
    /// Receipts, where the server keeps them.
    pub receipts: Option<&'a Receipts>,
    /// The client's side.
    pub client: ClientBooks,
    /// The server's side, where it could be asked.
    pub server: Option<ServerBooks>,
    /// The generator was too late to say anything of what nothing else explains.
    pub generator_late: bool,
    /// Reads that go with one datagram.
    pub reads_per_datagram: u64,
    /// Timeout of a read.
    pub timeout_ns: u64,
    /// Length of the stage.
    pub duration_ns: u64,
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
pub fn attribute(books: &Books<'_>) -> Attribution {
    let mut shares = Attribution::new();
    let (mut up, mut down, mut untold) = (Pool::default(), Pool::default(), Pool::default());
    for loss in books.losses {
        match findings::told_by(loss, books) {
            Told::Proven(finding) => prove(&mut shares, finding, loss),
            Told::Lost(Direction::Up) => up.add(loss),
            Told::Lost(Direction::Down) => down.add(loss),
            Told::Lost(Direction::Host) => untold.add(loss),
        }
    }
    untold.add_counted(books.unlisted);
    // A server that received more than was sent here serves others too: its count then says nothing of ours.
    if let Some(server) = books.server.filter(|server| server.requests <= books.client.datagrams_sent) {
        let missing = books.client.datagrams_sent.saturating_sub(server.requests) * books.reads_per_datagram;
        untold.split_off(missing.saturating_sub(up.reads()), &mut up);
        untold.split_off(u64::MAX, &mut down);
    }
    let each = books.reads_per_datagram;
    up.settle(Direction::Up, &up_suspects(books), each, &mut shares);
    down.settle(Direction::Down, &down_suspects(books), each, &mut shares);
    let either: Vec<_> = up_suspects(books).into_iter().chain(down_suspects(books)).collect();
    untold.settle(Direction::Host, &either, each, &mut shares);
    if books.generator_late {
        blame_generator(&mut shares);
    }
    shares.retain(|_, share| share.reads > 0);
    if let Some(server) = books.server.filter(|server| server.busiest_worker_ns > 0) {
        let share = (server.busiest_worker_ns as f64 / books.duration_ns.max(1) as f64).min(1.0);
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

fn up_suspects(books: &Books<'_>) -> Vec<Suspect> {
    let server = books.server.unwrap_or_default();
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

fn down_suspects(books: &Books<'_>) -> Vec<Suspect> {
    let server = books.server.unwrap_or_default();
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
