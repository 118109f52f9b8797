//! §5.1 Cosine learning rate decay
//!
//! Formula (eq. 1 of the section): "assume the total number of batches is T (the warmup stage is ignored), then at batch
//! t, the learning rate η_t is computed as η_t = ½ (1 + cos(tπ/T)) η".
//!
//! What it does: "decreasing the learning rate from the initial value to 0 by following the cosine function".
//!
//! Why: "the cosine decay decreases the learning rate slowly at the beginning, and then becomes almost linear
//! decreasing in the middle, and slows down again at the end. [...] potentially improves the training progress."
//!
//! Seam: schedule, a factor on the rate. Recipe key: `rate.decay.cosine`.
//!
//! Batches count from 0, so the last, T − 1, is one step short of 0. The authors' later code has T − 1 instead of T, which
//! makes its last rate exactly 0: that is [`factor_to_zero`], and `last = "zero"` in a recipe. Table 6.

/// The share of the initial rate at batch `t` of `total` after the warm-up.
pub fn factor(t: u64, total: u64) -> f64 {
    half_cosine(t, total)
}

/// The same, falling to 0 exactly at the last batch, as the authors' code does.
pub fn factor_to_zero(t: u64, total: u64) -> f64 {
    half_cosine(t, total.saturating_sub(1))
}

fn half_cosine(t: u64, period: u64) -> f64 {
    // Nothing to fall over: a single batch keeps its rate.
    if period == 0 {
        return 1.0;
    }
    0.5 * (1.0 + (std::f64::consts::PI * (t.min(period) as f64 / period as f64)).cos())
}

#[cfg(test)]
mod tests {
    use super::{factor, factor_to_zero};

    #[test]
    fn the_formula_at_its_known_points() {
        let cases = [
            (0, 1.0),
            (1, 0.933_012_701_892_219_3),
            (2, 0.75),
            (3, 0.5),
            (4, 0.25),
            (5, 0.066_987_298_107_780_68),
        ];
        for (t, expected) in cases {
            assert!((factor(t, 6) - expected).abs() < 1e-15, "batch {t}: {}", factor(t, 6));
        }
        // At the first and the last of 115 epochs of 1251 batches.
        assert_eq!(factor(0, 143_865), 1.0);
        assert!((factor(143_864, 143_865) - 1.192_145_8e-10).abs() < 1e-15);
    }

    #[test]
    fn the_authors_end_at_zero() {
        let cases = [(0, 1.0), (1, 0.75), (2, 0.25), (3, 0.0)];
        for (t, expected) in cases {
            assert!((factor_to_zero(t, 4) - expected).abs() < 1e-15, "batch {t}");
        }
        for total in [2, 3, 100, 143_865] {
            assert_eq!(factor_to_zero(total - 1, total), 0.0, "{total} batches");
        }
    }

    #[test]
    fn it_never_rises_and_a_single_batch_keeps_its_rate() {
        for t in 1..1000 {
            assert!(factor(t, 1000) < factor(t - 1, 1000), "batch {t}");
        }
        assert_eq!((factor(0, 1), factor_to_zero(0, 1), factor(0, 0)), (1.0, 1.0, 1.0));
    }
}
