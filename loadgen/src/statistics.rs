//! Distributions that tests and intervals are made from. Pure.

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
