//! Is it the size, or ordinary loss? The arithmetic of the lowering test and of confirmed bounds (section 6.3).
//!
//! If a fraction p of all datagrams is lost, n probes of one size in a row are lost with the chance p^n (the likelihood ratio of Wald's
//! sequential test against a size that never passes). p is not known; it is estimated from the probes of sizes that do pass, m lost of c,
//! as (m + 1) / (c + 2). The size is to blame once n x log2(1 / p) reaches the bits asked for. Where all the others are lost as well
//! n x log2((c + 2) / (c + 1)) stays below 2 bits for n = c: silence proves nothing.

/// Outcomes of probes of sizes that are known to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    pub(super) passed: u32,
    pub(super) lost: u32,
}

impl Controls {
    /// Whether ordinary loss explains `lost` losses in a row of one size with a chance below 2^-`bits`.
    pub(super) fn rule_out_chance(self, lost: u32, bits: u32) -> bool {
        let arrived_of = log2(u64::from(self.passed) + u64::from(self.lost) + 2);
        let lost_of = log2(u64::from(self.lost) + 1) + LOG_ERROR_MAX;
        let bits_each = arrived_of.saturating_sub(lost_of);
        u64::from(lost) * bits_each >= u64::from(bits) << FRACTION_BITS
    }
}

const FRACTION_BITS: u32 = 16;
/// A logarithm is too small by less than this; in doubt chance is not ruled out.
const LOG_ERROR_MAX: u64 = 2;

/// log2 in 65,536ths, rounded down, by squaring: no floats, which `core` has no logarithm for. `value` is not 0.
fn log2(value: u64) -> u64 {
    let whole = value.ilog2();
    // 1 <= mantissa < 2, 31 bits after the point.
    let mut mantissa = if whole <= 31 { value << (31 - whole) } else { value >> (whole - 31) };
    let mut log = u64::from(whole);
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = mantissa >> 32;
        mantissa >>= bit;
        log = (log << 1) | bit;
    }
    log
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{println, vec};

    use super::*;
    use crate::limits::LOWERING_BITS;

    #[test]
    fn logarithms_are_those_of_the_floats() {
        for value in (1..5_000).chain([u64::from(u32::MAX), u64::from(u32::MAX) * 2 + 2]) {
            let exact = (value as f64).log2() * 65_536.0;
            let got = log2(value) as f64;
            assert!((exact - 2.0..=exact + 0.001).contains(&got), "log2({value}): {got}, expected {exact}");
        }
    }

    #[test]
    fn clean_controls_take_nine_losses() {
        let fires = |n| Controls { passed: n, lost: 0 }.rule_out_chance(n, LOWERING_BITS);
        assert!(!fires(8) && fires(9));
    }

    #[test]
    fn lost_controls_never_decide() {
        for n in (1..100_000).chain([u32::MAX]) {
            assert!(!Controls { passed: 0, lost: n }.rule_out_chance(n, 2), "{n} lost of {n}");
        }
    }

    /// Chance that a lowering test of a size that passes lowers it, all told, with this ordinary loss: over all ways its rounds can go.
    fn false_lowering(loss: f64) -> f64 {
        let mut chance = 0.0;
        // Chance of being in the test after n rounds, by controls lost.
        let mut under_way = vec![1.0];
        for n in 1..=200 {
            let mut next = vec![0.0; n + 1];
            for (lost, here) in under_way.iter().enumerate() {
                next[lost] += here * loss * (1.0 - loss);
                next[lost + 1] += here * loss * loss;
            }
            for (lost, here) in next.iter_mut().enumerate() {
                let controls = Controls { passed: (n - lost) as u32, lost: lost as u32 };
                if controls.rule_out_chance(n as u32, LOWERING_BITS) {
                    chance += *here;
                    *here = 0.0;
                }
            }
            under_way = next;
        }
        chance
    }

    #[test]
    fn ordinary_loss_hardly_ever_lowers() {
        for (percent, chance_max) in
            [(1.0, 1e-17), (5.0, 2e-12), (10.0, 1e-9), (20.0, 1e-6), (30.0, 1e-5), (60.0, 1e-4)]
        {
            let chance = false_lowering(percent / 100.0);
            println!("{percent} % loss: a test lowers wrongly with a chance of {chance:.1e}");
            assert!(chance < chance_max && chance > 0.0, "{percent} %: {chance:e}");
        }
    }
}
