//! Answers lost or refused while a kernel learns the path MTU.
//!
//! Predicts that only answers above the path MTU are lost, all of them from when the kernel knows nothing (at first, or when what it knew
//! expired) until ICMP tells it, and none after; where DF is asked for, that the kernel then refuses them. Without ICMP it is a black hole.

use super::case::{Case, Wire};
use super::limits::LOG_ODDS_MIN;
use super::numbers::confidence;
use super::sizes::SizeCounters;
use super::traffic;
use super::{Cause, Direction, Estimate};

/// The path MTU that refused answers did not fit.
pub(super) fn refused(case: &mut Case<'_>, wire: &Wire) {
    if let Some(share) = case.shares.get_mut(&(Cause::PmtuDiscovery, Direction::Down)) {
        told(share, wire.mtu);
    }
}

fn told(share: &mut super::Share, path_mtu: u32) {
    let value = f64::from(path_mtu);
    share.estimates.insert("path_mtu".into(), Estimate::new(value, "bytes", (value, value)));
}

/// Takes the large answers that were lost while ICMP was on its way.
pub(super) fn learned(case: &mut Case<'_>, wire: &Wire, counters: &SizeCounters) {
    let Some(told_times) = counters.too_big.filter(|messages| *messages > 0) else { return };
    if !may_have_learned(case, wire, counters) {
        return;
    }
    // What the kernel had learned may have expired when the stage was over.
    let path_mtu = wire.mtu;
    let large = |value_bytes: u32| wire.ip_bytes(value_bytes) > path_mtu;
    let answers = traffic::answers(case);
    let sent_large = answers.as_ref().map(|answers| {
        answers.iter().filter(|sent| sent.datagrams == 1 && sent.payload + wire.headers > path_mtu).count()
            as u64
    });
    // Each datagram that was cut was not one that ICMP came back for; without receipts each message answers one.
    let uncut = match (sent_large, counters.fragmented) {
        (Some(sent), Some(cut)) => sent.saturating_sub(cut),
        _ => told_times,
    };
    let open: Vec<_> = case
        .open
        .iter()
        .enumerate()
        .filter(|(_, open)| open.direction != Direction::Up && large(open.loss.value_bytes))
        .map(|(index, open)| (open.loss.intended_ns, index))
        .collect();
    let chosen = densest(open, uncut as usize);
    let direction = case.told(Direction::Down);
    let reads = case.take((Cause::PmtuDiscovery, None), |index, _| chosen.binary_search(&index).is_ok());
    if reads == 0 {
        return;
    }
    let times = answers.map(|answers| unknown_times(&answers, wire, path_mtu));
    let share = case.share(Cause::PmtuDiscovery, direction);
    share.confidence = share.confidence.max(confidence(LOG_ODDS_MIN.min(reads as f64 + 2.0)));
    share.evidence.push(format!(
        "{reads} answers above {path_mtu} B (IP packet) left whole and were lost, and the server received {told_times} ICMP messages that say \"too big\""
    ));
    if let Some(cut) = counters.fragmented {
        share.evidence.push(format!("{cut} answers that came after them left in fragments"));
    }
    told(share, path_mtu);
    if let Some((mean_ms, interval, count)) = times.flatten() {
        share.estimates.insert("relearn".into(), Estimate::new(mean_ms, "ms", interval));
        share.evidence.push(format!("it happened {count} times, for {mean_ms:.1} ms each on average"));
    }
}

/// In IPv4 hosts count one number for all that is unreachable, ports that are closed among it: a kernel that was told of a path MTU holds it,
/// has cut by it, or has refused what it was asked not to cut.
fn may_have_learned(case: &Case<'_>, wire: &Wire, counters: &SizeCounters) -> bool {
    let stage = &case.books.stage;
    let refused = case.shares.contains_key(&(Cause::PmtuDiscovery, Direction::Down));
    let holds = match (stage.path_mtu_down, stage.server_mtu) {
        (Some(held), Some(own)) => held < own,
        _ => true,
    };
    wire.ipv6 || refused || holds || counters.fragmented != Some(0)
}

/// Of losses by time, the places of so many that stand closest together: what is lost while something is learned is lost in a row.
fn densest(mut open: Vec<(u64, usize)>, count: usize) -> Vec<usize> {
    open.sort_unstable();
    if count < open.len() {
        let gap = |at: usize| {
            let before = at.checked_sub(1).map_or(u64::MAX, |before| open[at].0 - open[before].0);
            let after = open.get(at + 1).map_or(u64::MAX, |after| after.0 - open[at].0);
            (before.min(after), open[at].0)
        };
        let mut by_gap: Vec<_> = (0..open.len()).map(|at| (gap(at), open[at].1)).collect();
        by_gap.sort_unstable();
        open = by_gap.into_iter().map(|((_, at), index)| (at, index)).collect();
        open.truncate(count);
    }
    let mut places: Vec<_> = open.into_iter().map(|(_, index)| index).collect();
    places.sort_unstable();
    places
}

/// How long large answers were lost in a row, in the mean over the times it happened: at least from the first lost to the last, at most to the
/// next that came.
fn unknown_times(answers: &[traffic::Sent], wire: &Wire, path_mtu: u32) -> Option<(f64, (f64, f64), u64)> {
    let mut large = answers.iter().filter(|sent| sent.payload + wire.headers > path_mtu).peekable();
    let (mut least, mut most, mut count) = (0u64, 0u64, 0u64);
    let mut run: Option<(u64, u64)> = None;
    while let Some(sent) = large.next() {
        let lost = sent.lost == Some(true);
        if lost {
            run = Some((run.map_or(sent.at_us, |(first, _)| first), sent.at_us));
        }
        let ends = !lost || large.peek().is_none();
        if let Some((first, last)) = run.filter(|_| ends) {
            (least, most, count) = (least + last - first, most + sent.at_us - first, count + 1);
            run = None;
        }
    }
    let mean_ms = |sum: u64| sum as f64 / count as f64 / 1000.0;
    let (least, most) = (mean_ms(least), mean_ms(most));
    (count > 0).then(|| (f64::midpoint(least, most), (least, most), count))
}
