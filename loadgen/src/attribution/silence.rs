//! Silence: from a moment on nothing at all came back, on no flow, to the end or for a time.
//!
//! Predicts that each read of a stretch is lost, whatever its size and flow, with nothing late among them; a server that stands still
//! answers late what its buffer held, and a path that drops by chance lets something through.

use super::case::Case;
use super::limits::{ALL_LOST, SILENT_CHANCE_MIN, SILENT_NS_MIN, SILENT_READS_MIN};
use super::numbers::confidence;
use super::{Cause, Direction, Estimate, Experiment, Window};

/// Windows of one silence: first, and one past the last.
type Stretch = (usize, usize);

/// Takes the reads of every silence.
pub(super) fn settle(case: &mut Case<'_>) {
    let population = &case.books.population;
    let window_ns = population.window_ns.max(1);
    let mut open = vec![0u32; population.windows.len()];
    for loss in case.open.iter().map(|open| open.loss) {
        if let Some(count) = open.get_mut((loss.intended_ns / window_ns) as usize) {
            *count += 1;
        }
    }
    let answered = case.open.iter().filter(|open| open.direction == Direction::Down).count();
    for stretch in stretches(&population.windows, &open, window_ns) {
        // A server whose receipts say that it answered from the first read to the last was not silent: its answers were lost.
        let all_along = stretch == (0, population.windows.len()) && answered > 0;
        if !all_along {
            take(case, stretch, window_ns);
        }
    }
}

/// Where every read was lost and waits for a cause, for long enough that chance cannot have done it.
fn stretches(windows: &[Window], open: &[u32], window_ns: u64) -> Vec<Stretch> {
    let dead = |index: usize| windows[index].reads > 0 && open[index] >= windows[index].reads;
    let mut found = Vec::new();
    let mut begin = None;
    for index in 0..=windows.len() {
        // A window without reads says nothing.
        if index < windows.len() && (dead(index) || (begin.is_some() && windows[index].reads == 0)) {
            begin = begin.or(Some(index));
        } else if let Some(first) = begin.take() {
            found.push((first, index));
        }
    }
    let reads = |(first, end): Stretch| windows[first..end].iter().map(|w| u64::from(w.reads)).sum::<u64>();
    let inside: u64 = found.iter().map(|stretch| reads(*stretch)).sum();
    let (all, lost) = windows
        .iter()
        .zip(open)
        .fold((0, 0), |(all, lost), (window, open)| (all + u64::from(window.reads), lost + u64::from(*open)));
    let outside = lost.saturating_sub(inside) as f64 / all.saturating_sub(inside).max(1) as f64;
    let chance = outside.max(SILENT_CHANCE_MIN);
    found.retain(|stretch| {
        let least = (super::limits::LOG_ODDS_MIN / -chance.min(0.99).ln()).ceil() as u64;
        let length = (stretch.1 - stretch.0) as u64 * window_ns;
        reads(*stretch) >= least.max(SILENT_READS_MIN) && length >= SILENT_NS_MIN
    });
    found
}

fn take(case: &mut Case<'_>, (first, end): Stretch, window_ns: u64) {
    let last_window = end == case.books.population.windows.len();
    let (from, to) = (first as u64 * window_ns, if last_window { u64::MAX } else { end as u64 * window_ns });
    // The reads lost just before, after the last one that came whole, belong to it, as do those after its end before the first whole one.
    let whole = case.books.population.flows.iter().filter_map(|flow| flow.last_whole_ns).max();
    let begin_after = whole.filter(|whole| last_window && *whole < from);
    let from = begin_after.map_or(from, |whole| whole + 1);
    // The windows that it begins and ends in hold whole reads too.
    let (from, to) = (from.saturating_sub(window_ns), to.saturating_add(window_ns));
    let (mut begin, mut until) = (u64::MAX, 0);
    let inside = |at: u64| at >= from && at < to;
    for open in case.open.iter().filter(|open| inside(open.loss.intended_ns)) {
        (begin, until) = (begin.min(open.loss.intended_ns), until.max(open.loss.intended_ns));
    }
    if last_window && only_these_flows(case) {
        case.take((Cause::FlowBlackHole, None), |_, open| inside(open.loss.intended_ns));
        return super::flows::all_of_them(case);
    }
    let reads =
        case.take((Cause::ServerSilent, Some(Direction::Host)), |_, open| inside(open.loss.intended_ns));
    if reads == 0 {
        return;
    }
    let seconds = |ns: u64| ns as f64 / 1e9;
    let slack = seconds(window_ns);
    let length = seconds(until - begin);
    let server_answered = case.books.server.is_some();
    let share = case.share(Cause::ServerSilent, Direction::Host);
    share.confidence = confidence(reads as f64);
    // Until other flows were tried, it may be these that are silent.
    share.rival = (last_window && server_answered).then_some(Cause::FlowBlackHole);
    share.evidence.push(format!(
        "from {:.3} s on all {reads} reads {} were lost, on every flow and of every size{}",
        seconds(begin),
        if last_window { "to the end".to_owned() } else { format!("of {length:.3} s") },
        if server_answered { "; over TCP the server still answered when the stage was over" } else { "" },
    ));
    share.estimates.entry("begin".into()).or_insert_with(|| {
        Estimate::new(seconds(begin), "s", ((seconds(begin) - slack).max(0.0), seconds(begin)))
    });
    share
        .estimates
        .entry("length".into())
        .or_insert_with(|| Estimate::new(length, "s", (length, length + 2.0 * slack)));
}

/// An experiment showed that other flows are answered, while the stage's own still were not.
fn only_these_flows(case: &Case<'_>) -> bool {
    case.books.trials.iter().rev().any(|trial| {
        let (Experiment::OtherFlows { .. }, Some((lost, reads)), Some(own)) =
            (trial.experiment, trial.outcome(), trial.control)
        else {
            return false;
        };
        2 * lost < reads && own.reads > 0 && own.first_try_lost as f64 >= ALL_LOST * own.reads as f64
    })
}
