//! §2.1 Step decay
//!
//! Formula: η γ^k after k of the points have passed; §2.1 has γ = 0.1 and points at epochs 30, 60 and 90.
//!
//! What it does: "The learning rate is initialized to 0.1 and divided by 10 at the 30th, 60th, and 90th epochs."
//!
//! Why: "After the learning rate warmup described in Section 3.1, we typically steadily decrease the value from the
//! initial learning rate. [...] He et al. decreases rate at 0.1 for every 30 epochs, we call it 'step decay'" (§5.1).
//! It belongs to the baseline: a seam the tricks share, not a trick.
//!
//! Seam: schedule, a factor on the rate. Recipe key: `rate.decay.step`.
//!
//! Points count from the start of the run, warm-up included.

/// The share of the initial rate left at `step`, counted from 0: one `gamma` for each of the `points` reached.
pub fn factor(step: u64, points: &[u64], gamma: f64) -> f64 {
    // A product, not a power: `powi` may round differently from one machine to the next.
    points.iter().filter(|&&point| step >= point).fold(1.0, |factor, _| factor * gamma)
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn each_point_acts_from_its_own_step_on() {
        let points = [30, 60, 90];
        let cases = [
            (0, 1.0),
            (29, 1.0),
            (30, 0.1),
            (59, 0.1),
            (60, 0.1 * 0.1),
            (89, 0.1 * 0.1),
            (90, 0.1 * 0.1 * 0.1),
            (u64::MAX, 0.1 * 0.1 * 0.1),
        ];
        for (step, expected) in cases {
            assert_eq!(factor(step, &points, 0.1), expected, "step {step}");
        }
    }

    #[test]
    fn no_points_leave_the_rate_alone() {
        assert_eq!(factor(123, &[], 0.1), 1.0);
    }

    #[test]
    fn a_point_at_zero_acts_from_the_start() {
        assert_eq!(factor(0, &[0], 0.5), 0.5);
    }
}
