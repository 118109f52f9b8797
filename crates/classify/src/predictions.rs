//! The details of an evaluation: `predictions.jsonl` and `mistakes/` of a run folder, for its report.
//!
//! `mistakes/` holds thumbnails of the wrong answers of the highest confidence, each named by its line, counted from
//! 0. Every file is written aside and renamed, and holds no time.

use std::fs;
use std::path::Path;

use data::{ImageSet, thumbnail};
use record::{PredictionRow, names, surest_mistakes};
use train::TrainError;
use train::durable::{self, WriteError};

use crate::answer::Answer;

/// Longer edge of a thumbnail, pixels.
const THUMBNAIL: usize = 96;

/// Writes `predictions.jsonl` and `mistakes/` over those of an earlier evaluation. `answers` are those for `images`.
pub(crate) fn write(
    folder: &Path,
    step: u64,
    images: &ImageSet,
    answers: &[Answer],
) -> Result<(), TrainError> {
    let row = |(index, answer): (usize, &Answer)| {
        let Answer { label, predicted, confidence, gap, .. } = *answer;
        PredictionRow { step, image: images.name(index), label, predicted, confidence, gap }
    };
    let rows: Vec<PredictionRow> = answers.iter().enumerate().map(row).collect();
    durable::write_with(&folder.join(names::PREDICTIONS), |out| {
        rows.iter().try_for_each(|row| out.write_all(row.to_line().as_bytes()))
    })?;
    let mistakes = folder.join(names::MISTAKES);
    if mistakes.is_dir() {
        fs::remove_dir_all(&mistakes).map_err(|cause| WriteError::new(&mistakes, cause))?;
    }
    durable::create_folder(&mistakes)?;
    for index in surest_mistakes(&rows) {
        let image = images.image(index).map_err(TrainError::task)?;
        let png = thumbnail(&image, THUMBNAIL);
        durable::write(&mistakes.join(names::mistake(index)), &png)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let said = |predicted| Answer {
            label: 3,
            predicted,
            rank: 0,
            loss: 0.0,
            confidence: 0.5,
            gap: f64::NAN,
        };
        write(folder.path(), 7, &dataset.validation, &[said(3), said(4), said(5)]).unwrap();
        assert_eq!(names(), ["000001.png", "000002.png"]);
        write(folder.path(), 8, &dataset.validation, &[said(1), said(3)]).unwrap();
        assert_eq!(names(), ["000000.png"]);
        let text = fs::read_to_string(folder.path().join("predictions.jsonl")).unwrap();
        let first = "{\"step\":8,\"image\":\"fashion-mnist:test/0\",\"label\":3,\"predicted\":1,\"confidence\":0.5,\"gap\":null}";
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(text.lines().count(), 2);
        let png = fs::read(folder.path().join("mistakes/000000.png")).unwrap();
        assert_eq!(data::decode(&png, "png").unwrap(), dataset.validation.image(0).unwrap());
    }
}
