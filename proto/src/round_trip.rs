//! The smoothed round trip and its variation (RFC 6298, section 2), in whole nanoseconds.

/// A round trip longer than this counts as this long: no sum of estimates overflows.
const ROUND_TRIP_NS_MAX: u64 = 60_000_000_000;

/// The estimate so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip(Option<Estimate>);

/// SRTT and RTTVAR; ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) smoothed_ns: u64,
    pub(crate) variation_ns: u64,
}

impl RoundTrip {
    /// A round trip was measured.
    pub(crate) fn sample(&mut self, round_trip_ns: u64) {
        let now_ns = round_trip_ns.min(ROUND_TRIP_NS_MAX);
        self.0 = Some(match self.0 {
            None => Estimate { smoothed_ns: now_ns, variation_ns: now_ns / 2 },
            Some(was) => Estimate {
                smoothed_ns: (was.smoothed_ns * 7 + now_ns) / 8,
                variation_ns: (was.variation_ns * 3 + was.smoothed_ns.abs_diff(now_ns)) / 4,
            },
        });
    }

    /// `None` before anything was measured.
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_6298() {
        let mut round_trip = RoundTrip::default();
        assert!(round_trip.estimate().is_none());
        let mut after = |ns| {
            round_trip.sample(ns);
            round_trip.estimate().map(|now| (now.smoothed_ns, now.variation_ns))
        };
        assert_eq!(after(800), Some((800, 400)), "SRTT = R, RTTVAR = R / 2");
        assert_eq!(
            after(1600),
            Some((900, 500)),
            "RTTVAR = 3/4 x 400 + 1/4 x 800, then SRTT = 7/8 x 800 + 1/8 x 1600"
        );
        assert!(after(u64::MAX).is_some(), "no overflow");
    }
}
