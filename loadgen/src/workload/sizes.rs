//! How large values and keys are: one quantile function per kind of workload.
//!
//! Sizes are *stratified*: the n items take the n evenly spaced quantiles of the distribution, in shuffled
//! order. So already 1,000 items have the shares and nearly the mean that the spec promises, whatever the
//! seed.

use super::distributions::{generalised_extreme_value, generalised_pareto, lognormal};
use super::histogram::Histogram;

/// Largest UDP payload that a path MTU of 1500 carries over IPv4 unfragmented, bytes.
const ORDINARY_DATAGRAM_BYTES: f64 = 1472.0;

/// `object-metadata`: share of answers above 1472 bytes.
const LARGE_SHARE: f64 = 0.035;

/// `object-metadata`: the largest answer, bytes of UDP payload.
pub(super) const LARGE_DATAGRAM_BYTES_MAX: u32 = 2400;

/// `object-metadata`: median and spread of the ordinary values, and where they end. The median of 420 bytes
/// and the spread put one ordinary value in a thousand at the upper end.
const BODY_BYTES_MEDIAN: f64 = 420.0;
const BODY_SIGMA: f64 = 0.4;
const BODY_BYTES: (f64, f64) = (64.0, 1400.0);

/// Spread of the Twitter presets: an assumption, since only means are public.
const TWITTER_SIGMA: f64 = 1.0;

/// `etc`: share of values of 0 to 14 bytes, which the paper lists one by one; its generalised Pareto starts
/// at 15.
const ETC_SMALL: [f64; 15] = [
    0.00536, 0.00047, 0.17820, 0.09239, 0.00018, 0.02740, 0.00065, 0.00606, 0.00023, 0.00837, 0.00837,
    0.08989, 0.00092, 0.00326, 0.01980,
];

/// Sizes of values.
pub(super) enum ValueSizes {
    ObjectMetadata { answer_overhead_bytes: u32 },
    Etc,
    Fixed(u32),
    Bimodal { small_bytes: u32, large_bytes: u32, large_share: f64 },
    Histogram(Histogram),
    Twitter { mean_bytes: u32 },
}

impl ValueSizes {
    /// The size, in bytes and not yet rounded, below which a share `u` of all values lies (`object-metadata`
    /// and `bimodal` put the large values first instead).
    pub(super) fn quantile(&self, u: f64) -> f64 {
        match self {
            Self::ObjectMetadata { answer_overhead_bytes } => {
                object_metadata(u, f64::from(*answer_overhead_bytes))
            }
            Self::Etc => etc_value(u),
            Self::Fixed(bytes) => f64::from(*bytes),
            Self::Bimodal { small_bytes, large_bytes, large_share } => {
                f64::from(if u < *large_share { *large_bytes } else { *small_bytes })
            }
            Self::Histogram(histogram) => histogram.quantile(u),
            Self::Twitter { mean_bytes } => {
                let mean = f64::from(mean_bytes.saturating_sub(1));
                1.0 + lognormal(u, mean * (-TWITTER_SIGMA * TWITTER_SIGMA / 2.0).exp(), TWITTER_SIGMA)
            }
        }
    }
}

/// Sizes of keys.
pub(super) enum KeySizes {
    Fixed(u32),
    Etc,
    Usr,
}

impl KeySizes {
    /// As [`ValueSizes::quantile`].
    pub(super) fn quantile(&self, u: f64) -> f64 {
        match self {
            Self::Fixed(bytes) => f64::from(*bytes),
            Self::Etc => generalised_extreme_value(u, 30.7984, 8.20449, 0.078688),
            // The paper gives the two sizes but not their shares: half each is assumed.
            Self::Usr => {
                if u < 0.5 {
                    16.0
                } else {
                    21.0
                }
            }
        }
    }
}

fn object_metadata(u: f64, overhead: f64) -> f64 {
    if u < LARGE_SHARE {
        let smallest = ORDINARY_DATAGRAM_BYTES + 1.0;
        return smallest + (u / LARGE_SHARE * (f64::from(LARGE_DATAGRAM_BYTES_MAX) - smallest)).round()
            - overhead;
    }
    let body = lognormal((u - LARGE_SHARE) / (1.0 - LARGE_SHARE), BODY_BYTES_MEDIAN, BODY_SIGMA);
    body.clamp(BODY_BYTES.0, BODY_BYTES.1.min(ORDINARY_DATAGRAM_BYTES - overhead))
}

fn etc_value(u: f64) -> f64 {
    let mut below = 0.0;
    for (bytes, share) in ETC_SMALL.iter().enumerate() {
        below += share;
        if u < below {
            return bytes as f64;
        }
    }
    15.0 + generalised_pareto((u - below) / (1.0 - below), 214.476, 0.348238)
}
