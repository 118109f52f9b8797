//! The details of an evaluation: `classes.jsonl` and `pictures.jsonl` of a run folder, and in `mistakes/` the pictures with the
//! worst answers: image, truth, answer, and where the two differ, side by side.

use std::fs;
use std::path::Path;

use data::{Dataset, IGNORED, Mask, MaskFile, RgbImage, png, resize};
use recipe::AbsentClasses;
use record::{ClassRow, PictureRow, names, worst_pictures};
use train::TrainError;
use train::durable::{self, WriteError};

use crate::measure::MeanIou;
use crate::palette::colored;
use crate::task::{PictureAnswer, shrunk};

/// White between two pictures, pixels.
const GAP: usize = 4;

/// Writes the details over those of an earlier evaluation.
pub(crate) fn write(
    folder: &Path,
    step: u64,
    dataset: &Dataset<MaskFile>,
    measure: &MeanIou,
) -> Result<(), TrainError> {
    let classes = dataset.classes.iter().zip(&measure.counts.classes);
    durable::write_with(&folder.join(names::CLASSES), |out| {
        classes.clone().try_for_each(|(class, counts)| {
            let row = ClassRow {
                step,
                class: class.clone(),
                iou: counts.iou().map_or(f64::NAN, |iou| 100.0 * iou),
                truth_pixels: counts.truth,
                answer_pixels: counts.answer,
            };
            out.write_all(row.to_line().as_bytes())
        })
    })?;
    let set = &dataset.validation;
    let row = |(index, answer): (usize, &PictureAnswer)| {
        let counts = answer.counts(dataset.classes.len());
        PictureRow {
            step,
            image: set.name(index),
            pixel_accuracy: 100.0 * counts.pixel_accuracy(),
            mean_iou: 100.0 * counts.mean_iou(AbsentClasses::Skipped),
        }
    };
    let rows: Vec<PictureRow> = measure.answers.iter().enumerate().map(row).collect();
    durable::write_with(&folder.join(names::PICTURES), |out| {
        rows.iter().try_for_each(|row| out.write_all(row.to_line().as_bytes()))
    })?;
    let mistakes = folder.join(names::MISTAKES);
    if mistakes.is_dir() {
        fs::remove_dir_all(&mistakes).map_err(|cause| WriteError::new(&mistakes, cause))?;
    }
    durable::create_folder(&mistakes)?;
    for index in worst_pictures(&rows) {
        let image = set.image(index).map_err(TrainError::task)?;
        // It was read a moment ago.
        let Ok(truth) = set.annotation(index).read([image.width, image.height]) else { continue };
        let picture = side_by_side(&image, &truth, &measure.answers[index]);
        durable::write(&mistakes.join(names::mistake(index)), &png(&picture))?;
    }
    Ok(())
}

/// Image, truth, answer and difference, each as large as the answer was kept. A difference shows the answer where it is wrong.
fn side_by_side(image: &RgbImage, truth: &Mask<u16>, answer: &PictureAnswer) -> RgbImage {
    let (width, height) = (answer.width, answer.small.len() / answer.width);
    let truth = match [truth.width, truth.height] {
        size if size == [width, height] => truth.clone(),
        _ => shrunk(truth).resized(width, height),
    };
    let wrong = truth.indices.iter().zip(&answer.small);
    let wrong: Vec<u16> = wrong
        .map(|(&truth, &answer)| if truth == answer || truth == IGNORED { IGNORED } else { answer })
        .collect();
    let pictures = [
        resize(image, width, height),
        colored(&truth.indices, width),
        colored(&answer.small, width),
        colored(&wrong, width),
    ];
    let whole = pictures.len() * (width + GAP) - GAP;
    let mut sheet = RgbImage { width: whole, height, pixels: vec![255; whole * height * 3] };
    for (place, picture) in pictures.iter().enumerate() {
        let rows = sheet.pixels.chunks_exact_mut(whole * 3);
        for (to, from) in rows.zip(picture.pixels.chunks_exact(width * 3)) {
            to[place * (width + GAP) * 3..][..width * 3].copy_from_slice(from);
        }
    }
    sheet
}
