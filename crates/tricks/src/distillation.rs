//! §5.3 Knowledge distillation
//!
//! Formula (eq. 6): ℓ(p, softmax(z)) + T² ℓ(softmax(r/T), softmax(z/T)); z are the student's scores, r the teacher's, p
//! the true distribution and T the temperature.
//!
//! What it does: "we add a distillation loss to penalize the difference between the softmax outputs from the teacher
//! model and the learner model".
//!
//! Why: "by imitation, the student model is able to improve its own accuracy while keeping the model complexity the
//! same."
//!
//! Seam: loss, one more cross entropy. Recipe key: `distillation`.
//!
//! The authors' code weighs both terms by one half: that is [`HALF`], and `weighting = "half"` in a recipe. The paper has
//! T = 20 and a ResNet-152-D as the teacher. Table 6.

/// The weights of the two terms in eq. 6, without T².
pub const SUM: [f64; 2] = [1.0, 1.0];

/// The weights of the two terms in the authors' code (hard weight 0.5), without T².
pub const HALF: [f64; 2] = [0.5, 0.5];

/// The weights of the two cross entropies, with the truth and with the teacher. T² keeps the size of the teacher's gradient.
pub fn weights([hard, soft]: [f64; 2], temperature: f64) -> [f64; 2] {
    [hard, soft * temperature * temperature]
}

/// Turns the teacher's scores r of one image into the target softmax(r/T).
pub fn soften(r: &mut [f32], temperature: f64) {
    let largest = r.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let exponential = |r: f32| ((f64::from(r) - largest) / temperature).exp();
    let sum: f64 = r.iter().map(|&r| exponential(r)).sum();
    r.iter_mut().for_each(|r| *r = (exponential(*r) / sum) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ℓ(p, softmax(z/T)).
    fn cross_entropy(p: &[f64], z: &[f64], temperature: f64) -> f64 {
        let sum: f64 = z.iter().map(|z| (z / temperature).exp()).sum();
        p.iter().zip(z).map(|(p, z)| -p * (z / temperature - sum.ln())).sum()
    }

    /// Eq. 6 with what this file gives.
    fn loss(by: [f64; 2], p: &[f64], z: &[f64], r: &[f32], temperature: f64) -> f64 {
        let mut soft = r.to_vec();
        soften(&mut soft, temperature);
        let soft: Vec<f64> = soft.into_iter().map(f64::from).collect();
        let [hard_weight, soft_weight] = weights(by, temperature);
        hard_weight * cross_entropy(p, z, 1.0) + soft_weight * cross_entropy(&soft, z, temperature)
    }

    #[test]
    fn a_temperature_softens() {
        for (temperature, expected) in [
            (1.0, [0.866_813_332, 0.117_310_428, 0.015_876_240]),
            (20.0, [0.367_165_401, 0.332_224_994, 0.300_609_605]),
        ] {
            let mut r = [2.0, 0.0, -2.0];
            soften(&mut r, temperature);
            for (found, expected) in r.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-7, "{r:?} at {temperature}");
            }
        }
        let mut large = [1e4, -1e4];
        soften(&mut large, 1.0);
        assert_eq!(large, [1.0, 0.0]);
    }

    #[test]
    fn equation_six() {
        let (p, z, r) = ([0.0, 1.0, 0.0], [0.5, 1.5, -1.0], [2.0, 0.0, -2.0]);
        // 0.371539 + 400 · 1.097527.
        let sum = loss(SUM, &p, &z, &r, 20.0);
        assert!((sum - 439.382_355).abs() < 1e-4, "{sum}");
        let half = loss(HALF, &p, &z, &r, 20.0);
        assert!((half - sum / 2.0).abs() < 1e-9, "the authors' loss is half of it: {half}");
        assert_eq!(weights(SUM, 20.0), [1.0, 400.0]);
        assert_eq!(weights(HALF, 20.0), [0.5, 200.0]);
    }

    #[test]
    fn a_student_that_imitates_exactly_has_the_least_distillation_loss() {
        let (r, none) = ([2.0, 0.0, -2.0], [0.0; 3]);
        let at = |z: [f64; 3]| loss(SUM, &none, &z, &r, 4.0);
        let best = at([2.0, 0.0, -2.0]);
        for z in [[2.1, 0.0, -2.0], [2.0, 0.3, -2.0], [1.9, 0.0, -2.1]] {
            assert!(at(z) > best, "{z:?}");
        }
    }
}
