//! Reads that counters of either host account for: drops at sockets, failed checksums, refused sends.
//!
//! A counter says how many datagrams it was and not which. Drops at a socket come in bursts, so the most crowded losses are taken for them;
//! the others strike at random, so theirs are taken evenly. None takes more than it counted.

use super::case::{Case, Wire};
use super::fragments::crowded;
use super::limits::{COUNTED_ALONE, COUNTED_SHARED};
use super::numbers::{falling_root, share_interval};
use super::{Books, Cause, Direction, Estimate, ServerBooks};

/// A counter that rose, and the cause it speaks for.
#[derive(Clone, Debug)]
struct Suspect {
    cause: Cause,
    count: u64,
    /// What the counter says, where that is others' as well: `count` is the likely part of it.
    all: Option<u64>,
    counter: &'static str,
    /// It counts reads, not datagrams.
    of_reads: bool,
    /// What it counts comes in bursts.
    in_bursts: bool,
}

impl Suspect {
    fn new(cause: Cause, count: u64, counter: &'static str) -> Self {
        let in_bursts =
            matches!(cause, Cause::ServerSocketBuffer | Cause::ClientSocketBuffer | Cause::GeneratorLimited);
        Self { cause, count, all: None, counter, of_reads: false, in_bursts }
    }

    /// Counted at a server that may serve others too.
    fn at_server(cause: Cause, books: &Books, count: u64, counter: &'static str) -> Self {
        let own = own_part(books, count);
        Self { all: (own < count).then_some(count), ..Self::new(cause, own, counter) }
    }

    /// What it counted, in words.
    fn words(&self) -> String {
        match self.all {
            Some(all) => format!(
                "{all} {}, which serves others too; by the requests it received some {} of these are this generator's",
                self.counter, self.count
            ),
            None => format!("{} {}", self.count, self.counter),
        }
    }

    /// Where it lost reads of this direction: a generator that is the limit is so before it has sent and after it has received.
    fn direction(&self, lost: Direction) -> Direction {
        if self.cause == Cause::GeneratorLimited { Direction::Host } else { lost }
    }
}

/// Takes what counters of bursts account for: drops at sockets.
pub(super) fn settle_bursts(case: &mut Case<'_>) {
    tell_directions(case);
    case.count_unheard();
    settle(case, true);
}

/// Takes what the other counters account for, which struck reads at random: after what depends on flow or size was taken.
pub(super) fn settle_random(case: &mut Case<'_>) {
    settle(case, false);
    corruption(case);
}

fn settle(case: &mut Case<'_>, in_bursts: bool) {
    let of_kind = |suspects: Vec<Suspect>| -> Vec<_> {
        suspects.into_iter().filter(|suspect| suspect.in_bursts == in_bursts).collect()
    };
    let (mut up, mut down) = (of_kind(up_suspects(case)), of_kind(down_suspects(case)));
    take(case, Direction::Up, &mut up);
    take(case, Direction::Down, &mut down);
    let mut either: Vec<_> = up.into_iter().chain(down).collect();
    take(case, Direction::Host, &mut either);
}

/// Without receipts the counts of both ends tell how many requests did not arrive; which of the reads these were they do not.
fn tell_directions(case: &mut Case<'_>) {
    let books = case.books;
    // A server that received more than was sent here serves others too: its count then says nothing of ours.
    let Some(server) = books.server.as_ref().filter(|server| server.requests <= books.client.datagrams_sent)
    else {
        return;
    };
    let missing = (books.client.datagrams_sent - server.requests).saturating_mul(books.reads_each());
    let known = case.open.iter().filter(|open| open.direction == Direction::Up).count() as u64;
    let mut up = missing.saturating_sub(known);
    // Failed ones first: a read saved by a second request is one whose first may well have arrived.
    for failed in [true, false] {
        let untold = |open: &&mut super::case::Open<'_>| {
            open.direction == Direction::Host && open.loss.failed == failed
        };
        for open in case.open.iter_mut().filter(untold) {
            open.direction = if up > 0 { Direction::Up } else { open.direction };
            up = up.saturating_sub(1);
        }
    }
    for open in case.open.iter_mut().filter(|open| open.direction == Direction::Host) {
        open.direction = Direction::Down;
    }
}

/// Shares the open reads of a direction out over the suspects, and takes from each what it has explained.
fn take(case: &mut Case<'_>, direction: Direction, suspects: &mut Vec<Suspect>) {
    suspects.retain(|suspect| suspect.count > 0);
    let each = case.books.reads_each();
    let explains = |suspect: &Suspect| suspect.count.saturating_mul(if suspect.of_reads { 1 } else { each });
    let counted = suspects.iter().map(&explains).fold(0, u64::saturating_add);
    let reads = case.open.iter().filter(|open| open.direction == direction).count() as u64;
    let confidence = if suspects.len() == 1 { COUNTED_ALONE } else { COUNTED_SHARED };
    let mut quotas: Vec<_> = suspects
        .iter()
        .map(|suspect| match explains(suspect) {
            quota if counted <= reads => quota,
            quota => (u128::from(reads) * u128::from(quota) / u128::from(counted)) as u64,
        })
        .collect();
    // What rounding left is the last one's.
    if let Some(last) = quotas.last_mut().filter(|_| counted > reads) {
        *last = u64::MAX;
    }
    // The most crowded first, so that what strikes at random gets what is left.
    let mut order: Vec<_> = (0..suspects.len()).collect();
    order.sort_by_key(|index| !suspects[*index].in_bursts);
    for index in order {
        let suspect = &mut suspects[index];
        let taken = take_one(case, direction, suspect, quotas[index]);
        let used = if suspect.of_reads { taken } else { taken.div_ceil(each) };
        if taken > 0 {
            let share = case.share(suspect.cause, suspect.direction(direction));
            share.confidence =
                share.confidence.max(if suspect.cause == Cause::Unexplained { 0.0 } else { confidence });
            share.evidence.push(suspect.words());
        }
        suspect.count = suspect.count.saturating_sub(used);
    }
}

fn take_one(case: &mut Case<'_>, direction: Direction, suspect: &Suspect, quota: u64) -> u64 {
    let places: Vec<_> = case
        .open
        .iter()
        .enumerate()
        .filter(|(_, open)| open.direction == direction)
        .map(|(index, open)| (open.loss.intended_ns, index))
        .collect();
    let quota = quota.min(places.len() as u64);
    let chosen = if suspect.in_bursts {
        crowded(places, quota as usize)
    } else {
        // Every so-manieth: by Bresenham's line.
        let all = places.len() as u64;
        let mut due = 0;
        let evenly = places.into_iter().filter(|_| {
            due += quota;
            let picked = due >= all;
            due -= if picked { all } else { 0 };
            picked
        });
        evenly.map(|(_, index)| index).collect()
    };
    let to = (suspect.cause, Some(suspect.direction(direction)));
    case.take(to, |index, _| chosen.binary_search(&index).is_ok())
}

fn up_suspects(case: &Case<'_>) -> Vec<Suspect> {
    let server = case.books.server.clone().unwrap_or_default();
    vec![
        Suspect::at_server(
            Cause::ServerSocketBuffer,
            case.books,
            server.socket_drops,
            "datagrams dropped at the sockets of the server's workers",
        ),
        Suspect::at_server(
            Cause::PathCorruption,
            case.books,
            server.checksum_drops + server.kernel_checksum_drops,
            "requests that failed a checksum at the server",
        ),
    ]
}

/// Of what a server counted of all requests, the part that is likely to be this generator's: all, unless it serves others too.
fn own_part(books: &Books, count: u64) -> u64 {
    let requests = books.server.as_ref().map_or(0, |server| server.requests);
    let sent = books.client.datagrams_sent;
    if requests <= sent || requests == u64::MAX {
        return count;
    }
    (count as f64 * sent as f64 / requests as f64).round() as u64
}

fn down_suspects(case: &Case<'_>) -> Vec<Suspect> {
    let books = case.books;
    let server = books.server.clone().unwrap_or_default();
    // Where receipts told which reads these were, they are settled already; other pieces of long answers are not among those.
    let told = books.receipts.as_ref().map_or(0, |receipts| {
        let refused = |receipt: &&super::Receipt| receipt.outcome == super::ReceiptOutcome::SendRefused;
        receipts.all.iter().filter(refused).count() as u64
    });
    let sends_refused = server.sends_refused.saturating_sub(told);
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
        Suspect::at_server(
            Cause::ServerSendQueue,
            books,
            sends_refused,
            "answers that the kernel of the server refused to send (ENOBUFS)",
        ),
        Suspect {
            of_reads: true,
            ..Suspect::new(
                Cause::Unexplained,
                server.keys_not_told_of,
                "keys that are not stored, by the server's count, which a get of several keys over UDP does not tell from lost answers: see its evictions and memory",
            )
        },
    ]
}

/// Datagrams of this direction that failed a checksum.
pub(super) fn corrupted(case: &Case<'_>, direction: Direction) -> u64 {
    let (client, server) = (&case.books.client, case.books.server.as_ref());
    match direction {
        Direction::Down => client.checksum_drops + client.kernel_checksum_drops,
        _ => own_part(
            case.books,
            server.map_or(0, |server| server.checksum_drops + server.kernel_checksum_drops),
        ),
    }
}

/// How likely a packet is to be changed, from the counts.
fn corruption(case: &mut Case<'_>) {
    let books = case.books;
    let wire = Wire::of(books);
    let told = |server: &ServerBooks| (server.checksum_drops + server.kernel_checksum_drops, server.answers);
    let (at_server, answers) = books.server.as_ref().map_or((0, 0), told);
    let at_server = own_part(books, at_server);
    let at_client = books.client.checksum_drops + books.client.kernel_checksum_drops;
    let bins = books.population.by_size.iter().enumerate().filter(|(_, counts)| counts.reads > 0);
    let bins: Vec<_> = bins
        .map(|(index, counts)| (counts, wire.packets(index as u32 * books.population.size_bin_bytes)))
        .collect();
    let each = |packets: u32| u64::from(if wire.whole() { 1 } else { packets });
    let datagrams = bins.iter().map(|(counts, packets)| counts.reads * each(*packets)).sum();
    // Packets of the datagrams that came whole.
    let whole = |(counts, packets): &(&super::Counts, u32)| {
        ((counts.reads - counts.first_try_lost) as f64, if wire.whole() { *packets } else { 1 })
    };
    let ways = [
        (Direction::Up, at_server, books.client.datagrams_sent, vec![(1.0, 1)]),
        (
            Direction::Down,
            at_client,
            if answers > 0 { answers } else { datagrams },
            bins.iter().map(whole).collect(),
        ),
    ];
    let reads: u64 = books.population.by_size.iter().map(|counts| counts.reads).sum();
    for (direction, corrupted, datagrams, whole) in ways {
        // What was lost otherwise did not come as far as a checksum.
        let elsewhere = case
            .shares
            .iter()
            .filter(|((cause, way), _)| *way == direction && *cause != Cause::PathCorruption);
        let elsewhere: u64 = elsewhere.map(|(_, share)| share.reads).sum();
        let arrived = datagrams as f64 * (1.0 - elsewhere.min(reads) as f64 / reads.max(1) as f64);
        let Some(share) = case.shares.get_mut(&(Cause::PathCorruption, direction)) else { continue };
        if corrupted == 0 || arrived <= 0.0 {
            continue;
        }
        let of_packet = |share: f64| changed_packets(share, &whole);
        let (low, high) = share_interval(corrupted as f64, arrived, 1.0);
        let value = of_packet(corrupted as f64 / arrived);
        let estimate = Estimate::new(value, "probability", (of_packet(low), of_packet(high)));
        share.estimates.insert("probability".into(), estimate);
    }
}

/// How likely a packet is to be changed, if this share of the datagrams is, and so many of so many packets each came whole: a datagram is
/// changed if one of its packets is.
fn changed_packets(share: f64, whole: &[(f64, u32)]) -> f64 {
    let all: f64 = whole.iter().map(|(count, _)| count).sum();
    if all <= 0.0 {
        return share.min(1.0);
    }
    let arrived = |probability: f64| -> f64 {
        whole.iter().map(|(count, packets)| count * (1.0 - probability).powi(-(*packets as i32))).sum()
    };
    falling_root(0.0, 1.0, 40, |probability| share - (1.0 - all / arrived(probability)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_whole_tells_how_many_packets_each_changed_datagram_had() {
        // Of 1,000 datagrams of one packet and 1,000 of four a packet in ten is changed.
        let whole = [(900.0, 1), (1000.0 * 0.9f64.powi(4), 4)];
        let changed = 1.0 - (whole[0].0 + whole[1].0) / 2000.0;
        assert!((changed_packets(changed, &whole) - 0.1).abs() < 1e-9);
        // None of several packets came at all: they say nothing.
        assert!((changed_packets(0.1, &[(900.0, 1), (0.0, 4)]) - 0.1).abs() < 1e-9);
        assert_eq!(changed_packets(0.5, &[]), 0.5);
    }
}
