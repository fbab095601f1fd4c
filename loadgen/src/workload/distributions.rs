//! Quantile functions: the value below which a share `u` of a distribution lies, 0 < u < 1.

/// Log-normal with the given median and the standard deviation `sigma` of its logarithm.
pub(super) fn lognormal(u: f64, median: f64, sigma: f64) -> f64 {
    median * (sigma * normal(u)).exp()
}

/// Generalised extreme value (location, scale, shape not 0).
pub(super) fn generalised_extreme_value(u: f64, location: f64, scale: f64, shape: f64) -> f64 {
    location + scale * ((-u.ln()).powf(-shape) - 1.0) / shape
}

/// Generalised Pareto from 0 (scale, shape not 0).
pub(super) fn generalised_pareto(u: f64, scale: f64, shape: f64) -> f64 {
    scale * ((1.0 - u).powf(-shape) - 1.0) / shape
}

/// Standard normal: P. J. Acklam's rational approximation, relative error below 1.2e-9.
fn normal(u: f64) -> f64 {
    const TAIL: f64 = 0.02425;
    if u < TAIL {
        normal_tail((-2.0 * u.ln()).sqrt())
    } else if u > 1.0 - TAIL {
        -normal_tail((-2.0 * (1.0 - u).ln()).sqrt())
    } else {
        let q = u - 0.5;
        let r = q * q;
        q * polynomial(
            r,
            &[
                -3.969683028665376e1,
                2.209460984245205e2,
                -2.759285104469687e2,
                1.38357751867269e2,
                -3.066479806614716e1,
                2.506628277459239,
            ],
        ) / polynomial(
            r,
            &[
                -5.447609879822406e1,
                1.615858368580409e2,
                -1.556989798598866e2,
                6.680131188771972e1,
                -1.328068155288572e1,
                1.0,
            ],
        )
    }
}

fn normal_tail(q: f64) -> f64 {
    polynomial(
        q,
        &[
            -7.784894002430293e-3,
            -3.223964580411365e-1,
            -2.400758277161838,
            -2.549732539343734,
            4.374664141464968,
            2.938163982698783,
        ],
    ) / polynomial(
        q,
        &[7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0],
    )
}

fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_match_tables() {
        for (u, z) in [
            (0.5, 0.0),
            (0.975, 1.959_963_985),
            (0.001, -3.090_232_306),
            (0.99, 2.326_347_874),
            (0.3, -0.524_400_513),
        ] {
            assert!((normal(u) - z).abs() < 1e-7, "{u}: {} not {z}", normal(u));
        }
    }

    #[test]
    fn quantiles_invert_the_textbook_distribution_functions() {
        for u in [0.001, 0.2, 0.5, 0.9, 0.9999] {
            let x = generalised_extreme_value(u, 30.0, 8.0, 0.08);
            assert!(((-(1.0 + 0.08 * (x - 30.0) / 8.0).powf(-1.0 / 0.08)).exp() - u).abs() < 1e-12);
            let y = generalised_pareto(u, 214.0, 0.35);
            assert!((1.0 - (1.0 + 0.35 * y / 214.0).powf(-1.0 / 0.35) - u).abs() < 1e-12);
        }
    }
}
