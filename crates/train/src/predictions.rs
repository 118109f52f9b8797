//! What a model said of each validation image: `predictions.jsonl` and `mistakes/` of a run folder, for its report.
//!
//! A line is an image, in the order of the dataset: `step`, `image` (path or name), `label`, `predicted`,
//! `confidence` (the probability of the predicted class) and `gap` (Figure 4b); a number that is not finite is `null`.
//! `mistakes/` holds thumbnails of the wrong answers of the highest confidence, each named by its line, counted from
//! 0. Both are written aside and renamed; no clock enters them.

use std::fs;
use std::path::Path;

use data::{Part, thumbnail};
use record::{PredictionRow, names, surest_mistakes};

use crate::classify::softmax;
use crate::durable::{self, WriteError};
use crate::error::TrainError;

/// The model's answer for one validation image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    pub label: u32,
    /// The class of the largest logit, the lower of equal ones.
    pub predicted: u32,
    /// The probability of the predicted class.
    pub confidence: f64,
    /// The largest logit minus the mean of the others: what label smoothing bounds (§5.2, Figure 4b).
    pub gap: f64,
}

/// The pixels of a thumbnail's longer edge, at most.
const THUMBNAIL: usize = 96;

impl Prediction {
    /// From the logits of an image.
    pub fn of(z: &[f32], label: u32) -> Prediction {
        let mut predicted = 0;
        for (class, &logit) in z.iter().enumerate() {
            if logit > z[predicted] || (logit.is_nan() && !z[predicted].is_nan()) {
                predicted = class;
            }
        }
        let largest = f64::from(z[predicted]);
        let others = z.iter().map(|&logit| f64::from(logit)).sum::<f64>() - largest;
        Prediction {
            label,
            predicted: predicted as u32,
            confidence: softmax(z)[predicted],
            gap: largest - others / (z.len() - 1) as f64,
        }
    }
}

/// Writes both into the run folder, over those of an earlier evaluation. `images` are what was predicted.
pub fn write(
    folder: &Path,
    step: u64,
    images: &Part,
    predictions: &[Prediction],
) -> Result<(), TrainError> {
    let row = |(index, prediction): (usize, &Prediction)| {
        let Prediction { label, predicted, confidence, gap } = *prediction;
        PredictionRow { step, image: images.name(index), label, predicted, confidence, gap }
    };
    let rows: Vec<PredictionRow> = predictions.iter().enumerate().map(row).collect();
    durable::write_with(&folder.join(names::PREDICTIONS), |out| {
        rows.iter().try_for_each(|row| out.write_all(row.to_line().as_bytes()))
    })?;
    let mistakes = folder.join(names::MISTAKES);
    if mistakes.is_dir() {
        fs::remove_dir_all(&mistakes).map_err(|cause| WriteError::new(&mistakes, cause))?;
    }
    durable::create_folder(&mistakes)?;
    for index in surest_mistakes(&rows) {
        let png = thumbnail(&images.image(index)?, THUMBNAIL);
        durable::write(&mistakes.join(names::mistake(index)), &png)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_is_the_largest_logit_and_its_gap() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        let two = Prediction::of(&[1.0, 4.0, 3.0], 2);
        assert_eq!((two.label, two.predicted), (2, 1));
        assert!(close(two.gap, 2.0), "{two:?}");
        assert!(close(two.confidence, 1.0 / (1.0 + (-3.0f64).exp() + (-1.0f64).exp())), "{two:?}");
        assert_eq!(Prediction::of(&[2.0, 2.0], 0).predicted, 0);
        let broken = Prediction::of(&[1.0, f32::NAN, 5.0], 0);
        assert_eq!(broken.predicted, 1);
        assert!(broken.confidence.is_nan() && broken.gap.is_nan());
    }

    #[test]
    fn a_folder_holds_the_latest_predictions_only() {
        let dataset = data::Dataset::fashion_mnist();
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path().join("mistakes"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let said = |predicted| Prediction { label: 3, predicted, confidence: 0.5, gap: f64::NAN };
        write(folder.path(), 7, &dataset.validation, &[said(3), said(4), said(5)]).unwrap();
        assert_eq!(names(), ["000001.png", "000002.png"]);
        write(folder.path(), 8, &dataset.validation, &[said(1), said(3)]).unwrap();
        assert_eq!(names(), ["000000.png"]);
        let text = fs::read_to_string(folder.path().join(names::PREDICTIONS)).unwrap();
        let first = "{\"step\":8,\"image\":\"fashion-mnist:test/0\",\"label\":3,\"predicted\":1,\"confidence\":0.5,\"gap\":null}";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(text.lines().count(), 2);
        let png = fs::read(folder.path().join("mistakes/000000.png")).unwrap();
        assert_eq!(data::decode(&png, "png").unwrap(), dataset.validation.image(0).unwrap());
    }
}
