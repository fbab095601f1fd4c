//! Reads that counters of either host account for: drops at sockets, failed checksums, refused sends.
//!
//! A counter says how many datagrams it was and not which. Drops at a socket come in bursts, so the most crowded losses are taken for them;
//! the others strike at random, so theirs are taken evenly. None takes more than it counted.

use super::case::{Case, Wire};
use super::fragments::crowded;
use super::limits::{COUNTED_ALONE, COUNTED_SHARED};
use super::numbers::{falling_root, share_interval};
use super::{Books, Cause, Direction, Estimate};

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

/// Share of the datagrams of this direction that failed a checksum, of those that arrived; answers of several datagrams count as one.
pub(super) fn changed_of_arrived(case: &Case<'_>, direction: Direction) -> f64 {
    let whole: f64 = if direction == Direction::Up {
        requests(case)
    } else {
        whole(case).iter().map(|(whole, _)| whole).sum()
    };
    let changed = corrupted(case, direction) as f64;
    changed / (changed + whole).max(1.0)
}

/// Requests of this generator that the server understood.
fn requests(case: &Case<'_>) -> f64 {
    case.books.server.as_ref().map_or(0.0, |server| own_part(case.books, server.requests) as f64)
}

/// Answers that came whole, in time or not, and packets of each.
fn whole(case: &Case<'_>) -> Vec<(f64, u32)> {
    let (books, wire) = (case.books, Wire::of(case.books));
    let population = &books.population;
    let sum = |count: fn(&super::Counts) -> u64| population.by_size.iter().map(count).sum::<u64>() as f64;
    let (reads, in_time) = (sum(|counts| counts.reads), sum(|counts| counts.reads - counts.first_try_lost));
    let late = case.shares.iter().filter(|((cause, _), _)| *cause == Cause::TimeoutTooShort);
    let late = late.map(|(_, share)| share.reads).sum::<u64>() as f64;
    // Second requests have answers of their own.
    let tries =
        (books.client.datagrams_sent.saturating_mul(books.reads_each()) as f64 / reads.max(1.0)).max(1.0);
    let times = tries * (1.0 + late / in_time.max(1.0));
    let bins =
        population.by_size.iter().enumerate().filter(|(_, counts)| counts.reads > counts.first_try_lost);
    bins.map(|(index, counts)| {
        let packets = wire.packets(index as u32 * population.size_bin_bytes);
        (times * (counts.reads - counts.first_try_lost) as f64, packets)
    })
    .collect()
}

/// How likely a packet is to be changed, from the counts.
fn corruption(case: &mut Case<'_>) {
    let in_one = Wire::of(case.books).whole();
    for direction in [Direction::Up, Direction::Down] {
        let changed = corrupted(case, direction) as f64;
        let whole = if direction == Direction::Up { vec![(requests(case), 1)] } else { whole(case) };
        let Some(share) = case.shares.get_mut(&(Cause::PathCorruption, direction)) else { continue };
        if changed <= 0.0 {
            continue;
        }
        let datagrams = |packets: u32| if in_one { 1.0 } else { f64::from(packets) };
        let arrived = changed + whole.iter().map(|(count, packets)| count * datagrams(*packets)).sum::<f64>();
        let of_packet = |changed: f64| changed_packets(changed, &whole, in_one);
        let (low, high) = share_interval(changed, arrived, 1.0);
        let interval = (of_packet(low * arrived), of_packet(high * arrived));
        share
            .estimates
            .insert("probability".into(), Estimate::new(of_packet(changed), "probability", interval));
    }
}

/// How likely a packet is to be changed if so many datagrams were, beside so many answers of so many packets each that came whole: either each
/// answer is one datagram, or each packet.
fn changed_packets(changed: f64, whole: &[(f64, u32)], in_one: bool) -> f64 {
    let expected = |probability: f64| -> f64 {
        let of = |(count, packets): &(f64, u32)| {
            let sent = count * (1.0 - probability).powi(-(*packets as i32));
            if in_one { sent - count } else { sent * f64::from(*packets) * probability }
        };
        whole.iter().map(of).sum()
    };
    falling_root(0.0, 1.0, 40, |probability| changed - expected(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_whole_tells_how_likely_a_packet_is_to_be_changed() {
        // Of 1,000 answers of one packet and 1,000 of four a packet in ten is changed.
        let whole = [(900.0, 1), (1000.0 * 0.9f64.powi(4), 4)];
        let answers_changed = 2000.0 - (whole[0].0 + whole[1].0);
        let near = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
        assert!(near(changed_packets(answers_changed, &whole, true), 0.1));
        assert!(near(changed_packets(500.0, &whole, false), 0.1));
        // None of several packets came at all: they say nothing. None at all came.
        assert!(near(changed_packets(100.0, &[(900.0, 1), (0.0, 4)], true), 0.1));
        assert!(near(changed_packets(100.0, &[], true), 1.0));
    }
}
