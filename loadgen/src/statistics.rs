//! Distributions that tests and intervals are made from. Pure.

/// Standard deviations to either side that hold 95 % of the normal distribution.
pub const NORMAL_95: f64 = 1.959_964;
/// Beyond so many standard deviations the normal distribution has nothing left that matters (1e-9).
const SIGMAS_MAX: f64 = 6.0;
/// Steps of the integral over Student's distribution: six digits, for a probability that is compared with a hundredth.
const STEPS: usize = 1000;

/// The standard normal distribution.
pub fn normal_cdf(z: f64) -> f64 {
    if z > SIGMAS_MAX {
        1.0
    } else if z < -SIGMAS_MAX {
        0.0
    } else {
        0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
    }
}

/// The interval that holds a share in 95 % of cases where so much of so many was counted (E. B. Wilson, "Probable Inference, the Law of
/// Succession, and Statistical Inference", 1927): it keeps its word for few and for shares near 0 and 1. Of none it is 0 to 1.
pub fn share_interval(share: f64, count: f64) -> (f64, f64) {
    if count <= 0.0 {
        return (0.0, 1.0);
    }
    let z2 = NORMAL_95 * NORMAL_95;
    let centre = share + z2 / (2.0 * count);
    let spread = NORMAL_95 * (share * (1.0 - share) / count + z2 / (4.0 * count * count)).sqrt();
    let whole = 1.0 + z2 / count;
    (((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0))
}

/// The probability of a value as far from 0 as `z`, or farther, under the standard normal distribution.
pub fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// The same under Student's distribution with this many degrees of freedom.
pub fn student_two_sided(t: f64, freedom: usize) -> f64 {
    let (t, freedom) = (t.abs(), freedom as f64);
    // Substituting t = sqrt(freedom) tan(angle) makes the range finite: the density is then a power of the cosine.
    let whole = cosine_integral(std::f64::consts::FRAC_PI_2, freedom);
    let within = cosine_integral((t / freedom.sqrt()).atan(), freedom);
    (1.0 - within / whole).clamp(0.0, 1.0)
}

/// The integral of cos^(freedom - 1) from 0 to this angle, by Simpson's rule.
fn cosine_integral(to: f64, freedom: f64) -> f64 {
    let width = to / STEPS as f64;
    let at = |step: usize| (width * step as f64).cos().max(0.0).powf(freedom - 1.0);
    let inner = (1..STEPS).map(|step| if step % 2 == 1 { 4.0 * at(step) } else { 2.0 * at(step) });
    (at(0) + at(STEPS) + inner.sum::<f64>()) * width / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_shares_match_published_ones() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        for (hits, count, low, high) in [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ] {
            let (from, to) = share_interval(hits / count, count);
            assert!((from - low).abs() < 1e-4 && (to - high).abs() < 1e-4, "{hits}/{count}: {from} to {to}");
        }
        assert_eq!(share_interval(0.0, 0.0), (0.0, 1.0));
    }

    #[test]
    fn known_quantiles() {
        assert!((normal_cdf(1.959_964) - 0.975).abs() < 1e-6);
        assert!((normal_two_sided(1.959_964) - 0.05).abs() < 1e-6);
        assert_eq!((normal_cdf(9.0), normal_cdf(-9.0)), (1.0, 0.0));
        // Critical values of the usual tables.
        for (t, freedom, p) in [(12.706, 1, 0.05), (3.182, 3, 0.05), (4.604, 4, 0.01), (2.228, 10, 0.05)] {
            assert!((student_two_sided(t, freedom) - p).abs() < 1e-4, "{t} {freedom}");
        }
    }
}
