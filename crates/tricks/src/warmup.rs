//! §3.1 Learning rate warmup
//!
//! Formula: "assume we will use the first m batches (e.g. 5 data epochs) to warm up, and the initial learning rate
//! is η, then at batch i, 1 ≤ i ≤ m, we will set the learning rate to be iη/m".
//!
//! What it does: "increases the learning rate from 0 to the initial learning rate linearly".
//!
//! Why: "At the beginning of the training, all parameters are typically random values and therefore far away from
//! the final solution. Using a too large learning rate may result in numerical instability."
//!
//! Seam: schedule, a factor on the rate. Recipe key: `rate.warmup`.
//!
//! The paper counts batches from 1 and this program counts steps from 0, so the first step trains at η/m and step
//! m − 1 is the first at η. The authors' code starts at 0: that is [`factor_from_zero`], and `first = "zero"` in a recipe.
//!
//! Table 4.

/// The share of the initial rate at `step`, counted from 0, when the warm-up lasts `warmup_steps`.
pub fn factor(step: u64, warmup_steps: u64) -> f64 {
    if step < warmup_steps { (step + 1) as f64 / warmup_steps as f64 } else { 1.0 }
}

/// The same, rising from 0 as in the authors' code: step m is the first at η.
pub fn factor_from_zero(step: u64, warmup_steps: u64) -> f64 {
    if step < warmup_steps { step as f64 / warmup_steps as f64 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::{factor, factor_from_zero};

    #[test]
    fn batch_i_of_m_trains_at_i_over_m() {
        let cases = [
            (0, 4, 0.25),
            (1, 4, 0.5),
            (2, 4, 0.75),
            (3, 4, 1.0),
            (4, 4, 1.0),
            (1_000_000, 4, 1.0),
            (0, 1, 1.0),
            (0, 0, 1.0),
            (u64::MAX, 4, 1.0),
        ];
        for (step, warmup_steps, expected) in cases {
            assert_eq!(factor(step, warmup_steps), expected, "step {step} of {warmup_steps}");
        }
    }

    /// Iteration 49 of the authors' log: 0.4 · 49/6255, printed as 0.003133.
    #[test]
    fn the_authors_start_at_zero() {
        let cases = [
            (0, 4, 0.0),
            (1, 4, 0.25),
            (3, 4, 0.75),
            (4, 4, 1.0),
            (0, 0, 1.0),
            (49, 6255, 0.007_833_733),
        ];
        for (step, warmup_steps, expected) in cases {
            let found = factor_from_zero(step, warmup_steps);
            assert!((found - expected).abs() < 1e-9, "step {step} of {warmup_steps}: {found}");
        }
        assert_eq!(format!("{:.6}", 0.4 * factor_from_zero(49, 6255)), "0.003133");
    }

    #[test]
    fn it_rises_by_the_same_amount_at_every_step() {
        let warmup_steps = 25_020;
        for step in 1..warmup_steps {
            let rise = factor(step, warmup_steps) - factor(step - 1, warmup_steps);
            assert!((rise - 1.0 / warmup_steps as f64).abs() < 1e-12, "step {step}: {rise}");
        }
    }
}
