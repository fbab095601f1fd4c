//! Books of several stages put together, as if they had been one: pure.
//!
//! Times go on counting from the begin of the first. What one of them does not know, all of them do not: a counter that is absent somewhere
//! is absent in the sum, for what is missing is not 0. Memory is bounded, whatever is added: times get coarser, and lists say what they
//! left out.

use std::collections::BTreeMap;

use crate::attribution::{
    Books, ClientBooks, FlowCounts, HostCounters, Loss, Population, Receipts, ServerBooks, StageFacts, Window,
};
use crate::limits;

/// Books with the time of their begin on the monotonic clock.
#[derive(Clone, Debug)]
pub struct Timed {
    /// When the (first) stage began, ns.
    pub begin_ns: u64,
    /// Its books.
    pub books: Books,
}

/// Where times and windows of a later stage go in the books that it is added to.
///
/// Reads are known by window only, and losses by their time: if they moved differently, a window in which all was lost would hold a read
/// that was not, and silence would look like chance.
#[derive(Clone, Copy, Debug)]
struct Shift {
    offset_ns: u64,
    /// Length of the later stage's windows, and of those they are added to.
    window_ns: u64,
    into_ns: u64,
}

/// What stages must have in common to be judged as one: else what one of them knows would be taken for what all know.
#[derive(Clone, Debug, PartialEq)]
struct Kind {
    stage: StageFacts,
    server_told: bool,
}

impl Timed {
    /// Whether both can be judged as one. Receipts are only fetched where losses ask for them: without such they are of any kind.
    pub fn goes_with(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.receipts_told(), other.receipts_told());
        self.kind() == other.kind() && (mine.is_none() || theirs.is_none() || mine == theirs)
    }

    /// Adds a later one that [goes with](Self::goes_with) it.
    pub fn add(&mut self, later: &Self) {
        let Books { stage, losses, unlisted, population, receipts, client, server, trials, gaps } =
            &mut self.books;
        let theirs = &later.books;
        // By whole windows: each then lies in one of the sum, whose windows are these, doubled some times. Up, so that stages never overlap.
        let window_ns = theirs.population.window_ns.max(1);
        let offset_ns = later.begin_ns.saturating_sub(self.begin_ns).next_multiple_of(window_ns);
        stage.duration_ns = stage.duration_ns.max(offset_ns + theirs.stage.duration_ns);
        stage.server_mtu = theirs.stage.server_mtu.or(stage.server_mtu);
        stage.path_mtu_down = theirs.stage.path_mtu_down.or(stage.path_mtu_down);
        make_room(population, stage.duration_ns, window_ns);
        let shift = Shift { offset_ns, window_ns, into_ns: population.window_ns };
        add_population(population, &theirs.population, shift);
        let room = limits::WATCH_LOSSES_MAX.saturating_sub(losses.len()).min(theirs.losses.len());
        let moved = |loss: &Loss| Loss { intended_ns: shift.time(loss.intended_ns), ..*loss };
        losses.extend(theirs.losses[..room].iter().map(moved));
        let left_out = &theirs.losses[room..];
        unlisted.0 += theirs.unlisted.0 + left_out.len() as u64;
        unlisted.1 += theirs.unlisted.1 + left_out.iter().filter(|loss| loss.failed).count() as u64;
        if let Some(more) = &theirs.receipts {
            add_receipts(receipts.get_or_insert_default(), more);
        }
        add_client(client, &theirs.client, offset_ns);
        if let (Some(mine), Some(more)) = (server.as_mut(), &theirs.server) {
            add_server(mine, more, offset_ns);
        }
        trials.extend(theirs.trials.iter().cloned());
        trials.drain(..trials.len().saturating_sub(limits::WATCH_TRIALS_MAX));
        let new = theirs.gaps.iter().filter(|gap| !gaps.contains(gap)).cloned().collect::<Vec<_>>();
        gaps.extend(new);
        gaps.truncate(limits::WATCH_GAPS_MAX);
    }

    fn kind(&self) -> Kind {
        let same =
            StageFacts { duration_ns: 0, server_mtu: None, path_mtu_down: None, ..self.books.stage.clone() };
        Kind { stage: same, server_told: self.books.server.is_some() }
    }

    fn receipts_told(&self) -> Option<bool> {
        let needed = self.books.losses.iter().any(|loss| loss.symptom.receipt_tells_more());
        needed.then(|| self.books.receipts.is_some())
    }
}

impl Shift {
    /// The window that one of the later stage goes into.
    fn place(&self, index: u64) -> u64 {
        (self.offset_ns + index * self.window_ns) / self.into_ns
    }

    /// A time of the later stage. Where window lengths have no common measure (after a stage of another length), it goes no further than the
    /// window that its read is counted in.
    fn time(&self, at_ns: u64) -> u64 {
        let begin_ns = self.place(at_ns / self.window_ns) * self.into_ns;
        (self.offset_ns + at_ns).clamp(begin_ns, begin_ns + self.into_ns - 1)
    }
}

/// Makes windows for so long, each at least as long as those to be added: a longer one would go into several.
fn make_room(population: &mut Population, duration_ns: u64, window_ns: u64) {
    population.window_ns = population.window_ns.max(1);
    while population.window_ns < window_ns || duration_ns.div_ceil(population.window_ns) > limits::WINDOWS_MAX
    {
        halve(population);
    }
    let needed = duration_ns.div_ceil(population.window_ns) as usize;
    population.windows.resize(needed.max(population.windows.len()), Window::default());
}

fn add_population(mine: &mut Population, theirs: &Population, shift: Shift) {
    for (mine, theirs) in mine.by_size.iter_mut().zip(&theirs.by_size) {
        mine.merge(theirs);
    }
    for (index, window) in (0..).zip(&theirs.windows) {
        let last = mine.windows.len() - 1;
        add_window(&mut mine.windows[last.min(shift.place(index) as usize)], window);
    }
    let offset_ns = shift.offset_ns;
    mine.stalls_ns.extend(theirs.stalls_ns.iter().map(|(from_ns, length)| (from_ns + offset_ns, *length)));
    let known: BTreeMap<_, _> =
        mine.flows.iter().enumerate().map(|(place, flow)| (name(flow), place)).collect();
    for flow in &theirs.flows {
        let moved = FlowCounts { last_whole_ns: flow.last_whole_ns.map(|at_ns| shift.time(at_ns)), ..*flow };
        match known.get(&name(flow)) {
            Some(&place) => {
                let mine = &mut mine.flows[place];
                mine.counts.merge(&moved.counts);
                mine.last_whole_ns = mine.last_whole_ns.max(moved.last_whole_ns);
            }
            None if mine.flows.len() < limits::WATCH_FLOWS_MAX => mine.flows.push(moved),
            None => {}
        }
    }
}

fn name(flow: &FlowCounts) -> (u32, u16, u16) {
    (flow.flow, flow.source_port, flow.server_port)
}

/// Makes windows twice as long.
fn halve(population: &mut Population) {
    population.window_ns *= 2;
    let pair = |pair: &[Window]| {
        let mut sum = pair[0];
        pair[1..].iter().for_each(|window| add_window(&mut sum, window));
        sum
    };
    population.windows = population.windows.chunks(2).map(pair).collect();
}

fn add_window(mine: &mut Window, theirs: &Window) {
    let Window { reads, first_try_lost, bytes, bytes_lost, latency_us, latency_max_us, latency_min_us } =
        theirs;
    mine.reads += reads;
    mine.first_try_lost += first_try_lost;
    mine.bytes += bytes;
    mine.bytes_lost += bytes_lost;
    mine.latency_us += latency_us;
    mine.latency_max_us = mine.latency_max_us.max(*latency_max_us);
    mine.latency_min_us = match (mine.latency_min_us, *latency_min_us) {
        (0, one) | (one, 0) => one,
        (mine, theirs) => mine.min(theirs),
    };
}

fn add_receipts(mine: &mut Receipts, theirs: &Receipts) {
    let room = limits::WATCH_RECEIPTS_MAX.saturating_sub(mine.all.len()).min(theirs.all.len());
    mine.all.extend(&theirs.all[..room]);
    // Absence proves nothing then.
    mine.overwritten += theirs.overwritten + (theirs.all.len() - room) as u64;
}

fn add_client(mine: &mut ClientBooks, theirs: &ClientBooks, offset_ns: u64) {
    let ClientBooks {
        datagrams_sent,
        socket_drops,
        checksum_drops,
        kernel_checksum_drops,
        reassembly_full,
        host,
    } = theirs;
    mine.datagrams_sent += datagrams_sent;
    mine.socket_drops += socket_drops;
    mine.checksum_drops += checksum_drops;
    mine.kernel_checksum_drops += kernel_checksum_drops;
    mine.reassembly_full += reassembly_full;
    add_host(&mut mine.host, host, offset_ns);
}

fn add_server(mine: &mut ServerBooks, theirs: &ServerBooks, offset_ns: u64) {
    let ServerBooks {
        requests,
        answers,
        socket_drops,
        checksum_drops,
        kernel_checksum_drops,
        sends_refused,
        keys_not_told_of,
        busiest_worker_ns,
        host,
    } = theirs;
    mine.requests += requests;
    mine.answers += answers;
    mine.socket_drops += socket_drops;
    mine.checksum_drops += checksum_drops;
    mine.kernel_checksum_drops += kernel_checksum_drops;
    mine.sends_refused += sends_refused;
    mine.keys_not_told_of += keys_not_told_of;
    mine.busiest_worker_ns += busiest_worker_ns;
    add_host(&mut mine.host, host, offset_ns);
}

/// One row of the series is kept for each of them: how counters rose within a stage is for the judgement of that stage alone.
fn add_host(mine: &mut HostCounters, theirs: &HostCounters, offset_ns: u64) {
    let before = mine.risen.clone();
    mine.risen.retain(|name, _| theirs.risen.contains_key(name));
    for (name, risen) in &mut mine.risen {
        *risen += theirs.risen[name];
    }
    if mine.series.names != theirs.series.names {
        mine.series = Default::default();
        return;
    }
    let Some((at_ns, last)) = theirs.series.rows.last() else { return };
    let base = mine.series.names.iter().map(|name| before.get(name).copied().unwrap_or(0));
    let row = base.zip(last).map(|(base, risen)| base + risen).collect();
    mine.series.rows.push((at_ns + offset_ns, row));
    if mine.series.rows.len() > limits::WATCH_ROWS_MAX {
        let mut place = 0;
        mine.series.rows.retain(|_| {
            place += 1;
            place % 2 == 0
        });
    }
}

#[cfg(test)]
mod tests;
