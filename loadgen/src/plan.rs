//! How many hosts a fleet's load needs, from what one host carries. Pure.
//!
//! A host is planned to carry its limit less the spare share: the lower end of the interval in which the limit lies, since a fleet must
//! hold on its worse days. With a third to spare two thirds of it are used.

use crate::limits::SPARE_MAX;
use crate::record::{CapacityPlan, KneeInterval};
use crate::report::terminal::{percent, rate};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// Load of the whole fleet, reads/s.
    pub tps: u64,
    /// Share of each host's limit left unused, 0 to 0.9.
    pub spare: f64,
}

/// Reads a share such as `1/3` or `33%`.
///
/// # Errors
/// It is neither, or not between 0 and 90 %.
pub fn parse_spare(text: &str) -> Result<f64, String> {
    let share = match text.split_once('/') {
        Some((part, whole)) => {
            let number = |text: &str| text.trim().parse::<u32>().ok().map(f64::from);
            number(part)
                .zip(number(whole))
                .filter(|(_, whole)| *whole > 0.0)
                .map(|(part, whole)| part / whole)
        }
        None => text.strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok()).map(|n| n / 100.0),
    };
    share.filter(|share| (0.0..=SPARE_MAX).contains(share)).ok_or_else(|| {
        format!(
            "give a fraction such as 1/3 or a percentage such as 33%, from 0% to {:.0}%",
            SPARE_MAX * 100.0
        )
    })
}

/// The plan; `None` where no rate meets the service level.
pub fn plan(fleet: &Fleet, interval: &KneeInterval) -> Option<CapacityPlan> {
    let limit_tps = interval.lower_tps;
    let planned_tps = limit_tps * (1.0 - fleet.spare);
    if planned_tps < 1.0 {
        return None;
    }
    let hosts_needed = (fleet.tps as f64 / planned_tps).ceil().max(1.0) as u64;
    let tps_a_host = fleet.tps as f64 / hosts_needed as f64;
    let tps_after_loss = (hosts_needed > 1).then(|| fleet.tps as f64 / (hosts_needed - 1) as f64);
    Some(CapacityPlan {
        fleet_tps: fleet.tps,
        spare: fleet.spare,
        limit_tps,
        planned_tps,
        hosts_needed,
        tps_a_host,
        tps_after_loss,
        holds_after_loss: tps_after_loss.is_some_and(|tps| tps <= limit_tps),
    })
}

/// The plan with its arithmetic, in words.
pub fn words(plan: &CapacityPlan) -> String {
    let mut words = format!(
        "For {} reads/s you need {} host{}: each is planned to carry {} reads/s (its limit, at least {}, less {} to spare), and {} / {} = {:.2}, rounded up.",
        rate(plan.fleet_tps as f64),
        plan.hosts_needed,
        if plan.hosts_needed == 1 { "" } else { "s" },
        rate(plan.planned_tps),
        rate(plan.limit_tps),
        percent(plan.spare),
        rate(plan.fleet_tps as f64),
        rate(plan.planned_tps),
        plan.fleet_tps as f64 / plan.planned_tps,
    );
    words += &match plan.tps_after_loss {
        None => " With one host there is none to take over when it fails: have two.".to_owned(),
        Some(tps) if plan.holds_after_loss => {
            format!(" When one fails, the others carry {} each, which is still within the limit.", rate(tps))
        }
        Some(tps) => format!(
            " When one fails, the others would have to carry {} each, which is more than the limit: have {} to stay within it.",
            rate(tps),
            (plan.fleet_tps as f64 / plan.limit_tps).ceil() as u64 + 1,
        ),
    };
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(lower_tps: f64) -> KneeInterval {
        KneeInterval { lower_tps, ..KneeInterval::default() }
    }

    #[test]
    fn shares_are_fractions_or_percentages() {
        assert_eq!(parse_spare("1/3"), Ok(1.0 / 3.0));
        assert_eq!(parse_spare("25%"), Ok(0.25));
        assert_eq!(parse_spare("0%"), Ok(0.0));
        for bad in ["", "3", "1/0", "-1/3", "2/2", "91%", "-5%", "a third", "1/3/3", "NaN%", "inf%"] {
            let error = parse_spare(bad).expect_err(bad);
            assert!(error.contains("1/3") && error.contains("90%"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_third_to_spare_uses_two_thirds() {
        let plan = plan(&Fleet { tps: 2_000_000, spare: 1.0 / 3.0 }, &interval(150_000.0)).expect("a plan");
        // 2 M over 100 k.
        assert_eq!((plan.hosts_needed, plan.planned_tps.round()), (20, 100_000.0));
        assert!(plan.holds_after_loss && words(&plan).contains("20 hosts"), "{}", words(&plan));
    }

    #[test]
    fn what_the_loss_of_a_host_does_is_said() {
        let fleet = Fleet { tps: 200_000, spare: 0.1 };
        let two = plan(&fleet, &interval(150_000.0)).expect("a plan");
        assert_eq!((two.hosts_needed, two.tps_after_loss, two.holds_after_loss), (2, Some(200_000.0), false));
        assert!(words(&two).contains("have 3"), "{}", words(&two));
        let one = plan(&Fleet { tps: 10, spare: 0.0 }, &interval(10.0)).expect("a plan");
        assert_eq!((one.hosts_needed, one.tps_after_loss), (1, None));
        assert!(plan(&fleet, &interval(0.0)).is_none());
    }
}
