//! Nobody is accused on thin data: what is not sure enough stays unexplained, and says what it looks like.

use crate::attribution::{Attribution, Cause};
use crate::limits::WATCH_CONFIDENCE_MIN;

/// The same with every cause of little confidence among the unexplained; the sum stays.
pub fn without_thin_accusations(attribution: Attribution) -> Attribution {
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
