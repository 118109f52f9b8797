//! How good a classifier's answers are.

use std::path::Path;
use std::sync::Arc;

use data::Dataset;
use record::MeasureColumns;
use train::{Measure, TrainError};

use crate::answer::Answer;
use crate::predictions;

/// Accuracy over validation images.
#[derive(Clone, Debug)]
pub struct Accuracy {
    pub loss: f64,
    /// Percent.
    pub top1: f64,
    /// Percent.
    pub top5: f64,
    pub images: u64,
    /// The answer for each image, in the order of the dataset.
    pub answers: Vec<Answer>,
    /// None where the images are not at hand, so that no details can be written.
    dataset: Option<Arc<Dataset>>,
}

impl Accuracy {
    /// The accuracy over the answers for all validation images, in the order of the dataset.
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

#[cfg(test)]
mod tests {
    use super::*;

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
