//! §6.2 Poly decay
//!
//! Formula: η (1 − t/T)^p, with p = 0.9 in the authors' code.
//!
//! What it does: the rate falls almost in a straight line, and reaches zero one step behind the last.
//!
//! Why: it is the usual schedule of segmentation networks; the paper trains its FCN with it.
//!
//! Seam: schedule, a factor on the rate. Recipe key: `rate.decay.poly`.
//!
//! As in cosine decay, t and T leave the warm-up out.

/// The share of the initial rate left at step `t` of `total`, counted from 0 behind the warm-up.
pub fn factor(t: u64, total: u64, power: f64) -> f64 {
    assert!(t < total, "poly decay: step {t} of {total}");
    (1.0 - t as f64 / total as f64).powf(power)
}

#[cfg(test)]
mod tests {
    use super::factor;

    /// The authors' `(1 - T/N) ** 0.9`, by Python.
    #[test]
    fn falls_as_the_authors_does() {
        for (t, expected) in [
            (0, 1.0),
            (1, 0.990_995_483_412_834_2),
            (50, 0.535_886_731_268_146_6),
            (99, 0.015_848_931_924_611_124),
        ] {
            let found = factor(t, 100, 0.9);
            assert!((found - expected).abs() < 1e-12, "step {t}: {found}");
        }
        assert_eq!(factor(25, 100, 1.0), 0.75);
    }

    #[test]
    #[should_panic(expected = "step 5 of 5")]
    fn a_step_behind_the_end_is_a_mistake_of_the_program() {
        factor(5, 5, 0.9);
    }
}
