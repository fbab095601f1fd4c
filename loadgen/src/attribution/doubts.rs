//! Which experiments would decide between causes that the books leave open.

use super::case::Wire;
use super::{Attribution, Books, Cause, Direction, Experiment};

/// An answer that passes wherever IP does: less than the least MTU that hosts must take whole (RFC 791).
const SMALL_BYTES: u32 = 500;

/// Experiments that can change the answer, the most telling first, each with the reason in words. None where nothing is in doubt, or where
/// each that would help has been made.
pub fn doubts(books: &Books, attribution: &Attribution) -> Vec<(Experiment, String)> {
    let mut wanted = Vec::new();
    let wire = Wire::of(books);
    let main = attribution.iter().max_by_key(|(_, share)| share.reads);
    let Some(((cause, direction), share)) = main else { return wanted };
    let doubtful = share.confidence < super::limits::DOUBT_BELOW;
    match cause {
        Cause::MtuBlackHole => {
            if let Some((low, high)) = share.estimates.get("size").and_then(|size| size.interval)
                && high - low >= 1.0
            {
                let payload = |ip_bytes: f64| (ip_bytes as u32).saturating_sub(wire.headers);
                let experiment = Experiment::LargestAnswer {
                    // Where all answers are large nothing has passed yet.
                    passed_bytes: payload(low).max(SMALL_BYTES),
                    // A reader may have seen no lost answer at all but the largest.
                    lost_bytes: payload(high).saturating_add(1).min(u32::from(u16::MAX) - wire.headers),
                };
                wanted.push((experiment, "which is the largest answer that passes".to_owned()));
            }
        }
        Cause::PathLoss | Cause::PacketRateLimit | Cause::BandwidthLimit | Cause::Unexplained
            if doubtful && *direction != Direction::Host =>
        {
            // Below what passed no limit loses anything.
            let share = (0.7 * super::rates::whole_share(books)).clamp(0.1, 0.5);
            let why = "at a rate that passed anyway a limit loses nothing, and chance the same share";
            wanted.push((Experiment::Rate { share }, why.to_owned()));
        }
        _ => {}
    }
    wanted.retain(|(experiment, _)| {
        books
            .trials
            .iter()
            .all(|trial| std::mem::discriminant(&trial.experiment) != std::mem::discriminant(experiment))
    });
    wanted
}
