//! What an interval is too little to accuse anybody by.

use crate::attribution::{self, Attribution, Books, Cause, Direction, Share};
use crate::limits::WATCH_CONFIDENCE_MIN;

/// Who lost the reads of these books, as far as a watch says so.
pub(super) fn judged(books: &Books) -> Attribution {
    let causes = attribution::attribute(books);
    if books.stage.generator_late { the_watchs_own(causes) } else { without_thin_accusations(causes) }
}

/// The same with every cause of little confidence among the unexplained; the sum stays.
pub(super) fn without_thin_accusations(attribution: Attribution) -> Attribution {
    let mut sure = Attribution::new();
    let (thin, rest): (Vec<_>, Vec<_>) = attribution.into_iter().partition(|((cause, _), share)| {
        *cause != Cause::Unexplained && share.confidence < WATCH_CONFIDENCE_MIN
    });
    sure.extend(rest);
    for ((cause, direction), share) in thin {
        let unexplained = sure.entry((Cause::Unexplained, direction)).or_default();
        unexplained.reads += share.reads;
        unexplained.failed += share.failed;
        unexplained.evidence.push(format!(
            "{} reads look like {cause} (confidence {:.2}), too little to say so yet",
            share.reads, share.confidence
        ));
    }
    sure
}

/// All of it is the watch's own: what it lost while its host stood still says nothing of anybody else.
fn the_watchs_own(attribution: Attribution) -> Attribution {
    let why = "reads of intervals in which this host stood still, or the watch itself was late".to_owned();
    let mut share = Share { confidence: WATCH_CONFIDENCE_MIN, evidence: vec![why], ..Share::default() };
    for other in attribution.into_values() {
        share.reads += other.reads;
        share.failed += other.failed;
    }
    Attribution::from([((Cause::GeneratorLimited, Direction::Host), share)])
}
