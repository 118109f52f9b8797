//! What a classifier says of a validation image, and how good all that it says is.

use std::path::Path;
use std::sync::Arc;

use data::Dataset;
use record::MeasureColumns;
use serde::{Deserialize, Serialize};
use train::{Measure, TrainError};

use crate::predictions;

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

/// Accuracy over validation images.
#[derive(Clone, Debug)]
pub struct Accuracy {
    pub loss: f64,
    /// Percent.
    pub top1: f64,
    /// Percent.
    pub top5: f64,
    pub images: u64,
    /// Each image's, in the order of the dataset.
    pub answers: Vec<Answer>,
    /// None where the images are not at hand, so that no details can be written.
    dataset: Option<Arc<Dataset>>,
}

impl Answer {
    /// The answer that the logits of an image are.
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

impl Accuracy {
    /// Over the answers for all validation images, in the order of the dataset.
    pub(crate) fn of(answers: Vec<Answer>, dataset: Option<Arc<Dataset>>) -> Accuracy {
        let count = answers.len();
        let within = |places: u32| answers.iter().filter(|answer| answer.rank < places).count();
        let percent = |hits: usize| 100.0 * hits as f64 / count as f64;
        Accuracy {
            loss: answers.iter().map(|answer| answer.loss).sum::<f64>() / count as f64,
            top1: percent(within(1)),
            top5: percent(within(5)),
            images: count as u64,
            answers,
            dataset,
        }
    }
}

impl Measure for Accuracy {
    fn columns() -> MeasureColumns {
        MeasureColumns::classification()
    }

    fn values(&self) -> Vec<f64> {
        vec![self.loss, self.top1, self.top5, self.images as f64]
    }

    fn write_details(&self, folder: &Path, step: u64) -> Result<(), TrainError> {
        match &self.dataset {
            Some(dataset) => predictions::write(folder, step, &dataset.validation, &self.answers),
            None => Ok(()),
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

    #[test]
    fn accuracy_counts_every_answer_once() {
        let answers =
            [0, 0, 4, 5, 1].map(|label| Answer::of(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], label));
        let accuracy = Accuracy::of(answers.to_vec(), None);
        assert_eq!((accuracy.top1, accuracy.top5, accuracy.images), (40.0, 80.0, 5));
        let columns = Accuracy::columns();
        assert_eq!(columns.headline_value(&accuracy.values()), 40.0);
        assert_eq!(columns.value(&accuracy.values(), "images"), Some(5.0));
    }
}
