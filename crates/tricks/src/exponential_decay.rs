//! §5.1 Exponential decay, in stairs
//!
//! Formula: η γ^⌊t/n⌋, with γ = 0.94 and n two epochs in Szegedy et al. 2016.
//!
//! What it does: "Szegedy et al. decreases rate at 0.94 for every two epochs."
//!
//! Why: it is the schedule of Inception-V3, which the paper compares with step and cosine decay.
//!
//! Seam: schedule, a factor on the rate. Recipe key: `rate.decay.exponential`.
//!
//! The periods count from the start of the run, warm-up included, as the points of step decay do.

/// The share of the initial rate left at `step`, counted from 0, when it falls to `gamma` of itself every `period` steps.
pub fn factor(step: u64, period: f64, gamma: f64) -> f64 {
    assert!(period >= 1.0, "exponential decay falls at most once a step, not every {period}");
    let falls = (step as f64 / period).floor() as u64;
    // A product, not a power: `powi` may round differently from one machine to the next.
    (0..falls).fold(1.0, |factor, _| factor * gamma)
}

#[cfg(test)]
mod tests {
    use super::factor;

    #[test]
    fn ninety_four_hundredths_every_two_epochs() {
        // Epochs of 100 steps.
        let cases = [
            (0, 1.0),
            (199, 1.0),
            (200, 0.94),
            (399, 0.94),
            (400, 0.8836),
            (600, 0.830_584),
            // The 59th fall of 120 epochs.
            (11_999, 0.025_974_27),
        ];
        for (step, expected) in cases {
            let found = factor(step, 200.0, 0.94);
            assert!((found - expected).abs() < 1e-6, "step {step}: {found}");
        }
    }

    #[test]
    fn half_a_step_is_kept_from_fall_to_fall() {
        let falls: Vec<u64> =
            (1..9).filter(|&step| factor(step, 2.5, 0.5) < factor(step - 1, 2.5, 0.5)).collect();
        assert_eq!(falls, [3, 5, 8]);
    }

    #[test]
    #[should_panic(expected = "at most once a step")]
    fn a_period_below_a_step_is_a_mistake_of_the_program() {
        factor(1, 0.5, 0.94);
    }
}
