//! What a classifier says of one validation image.

use serde::{Deserialize, Serialize};

/// The model's answer for one validation image, with what the measure needs of its logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub label: u32,
    /// The class of the largest logit, the lower of equal ones.
    pub predicted: u32,
    /// How many classes beat the true one.
    pub rank: u32,
    /// −log of the probability of the true class.
    pub loss: f64,
    /// The probability of the predicted class.
    pub confidence: f64,
    /// The largest logit minus the mean of the others: what label smoothing bounds (§5.2, Figure 4b).
    pub gap: f64,
}

impl Answer {
    /// The answer that the logits `z` of an image give.
    pub fn of(z: &[f32], label: u32) -> Answer {
        let mut predicted = 0;
        for (class, &logit) in z.iter().enumerate() {
            if logit > z[predicted] || (logit.is_nan() && !z[predicted].is_nan()) {
                predicted = class;
            }
        }
        let largest = f64::from(z[predicted]);
        let others = z.iter().map(|&logit| f64::from(logit)).sum::<f64>() - largest;
        Answer {
            label,
            predicted: predicted as u32,
            rank: rank(z, label as usize) as u32,
            loss: negative_log_likelihood(z, label as usize),
            confidence: softmax(z)[predicted],
            gap: largest - others / (z.len() - 1) as f64,
        }
    }
}

/// How many classes beat the true one; of equal logits the lower index counts as first. NaN beats everything, so that
/// a broken model scores nothing.
fn rank(z: &[f32], label: usize) -> usize {
    let own = z[label];
    let beats = |(class, &other): (usize, &f32)| {
        class != label && (other > own || (other == own && class < label) || other.is_nan())
    };
    if own.is_nan() { z.len() } else { z.iter().enumerate().filter(|&each| beats(each)).count() }
}

fn negative_log_likelihood(z: &[f32], label: usize) -> f64 {
    let largest = z.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let sum: f64 = z.iter().map(|&value| (f64::from(value) - largest).exp()).sum();
    sum.ln() - (f64::from(z[label]) - largest)
}

/// Probabilities of logits.
pub fn softmax(z: &[f32]) -> Vec<f64> {
    let largest = z.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(f64::from(b)));
    let powers: Vec<f64> = z.iter().map(|&value| (f64::from(value) - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_the_classes_ahead() {
        for (z, label, expected) in [
            (vec![1.0, 3.0, 2.0], 1, 0),
            (vec![1.0, 3.0, 2.0], 0, 2),
            (vec![2.0, 2.0, 2.0], 0, 0),
            (vec![2.0, 2.0, 2.0], 2, 2),
            (vec![f32::NAN, 2.0], 1, 1),
            (vec![1.0, f32::NAN], 1, 2),
        ] {
            assert_eq!(rank(&z, label), expected, "{z:?} {label}");
        }
    }

    #[test]
    fn softmax_of_large_logits_is_finite() {
        let p = softmax(&[1000.0, 999.0]);
        assert!((p[0] - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-12);
        assert!((negative_log_likelihood(&[0.0, 0.0], 1) - 2.0f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn an_answer_is_the_largest_logit_and_its_gap() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let two = Answer::of(&[1.0, 4.0, 3.0], 2);
        assert_eq!((two.label, two.predicted, two.rank), (2, 1, 1));
        assert!(close(two.gap, 2.0), "{two:?}");
        assert!(close(two.confidence, 1.0 / (1.0 + (-3.0f64).exp() + (-1.0f64).exp())), "{two:?}");
        assert_eq!(Answer::of(&[2.0, 2.0], 0).predicted, 0);
        let broken = Answer::of(&[1.0, f32::NAN, 5.0], 0);
        assert_eq!(broken.predicted, 1);
        assert!(broken.confidence.is_nan() && broken.gap.is_nan());
    }
}
