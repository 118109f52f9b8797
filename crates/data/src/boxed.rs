//! Datasets of boxes: opening them, what is taken of them, and what tells one from another.

use std::path::Path;

use crate::formats::Found;
use crate::formats::boxes::{self, FoundBoxes};
use crate::{BadImage, Boxes, DataError, Dataset, LeftOut};

/// What becomes of a box that no object can have: without an area, with swapped corners, or outside its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBox {
    /// All of them are told, and the dataset is not opened.
    Stops,
    /// It is left out, and told as such.
    Dropped,
}

impl Dataset<Boxes> {
    /// Opens images with boxes: Pascal VOC, COCO or YOLO, told apart by looking. Without a validation part, the share `split`
    /// of the images is held out, chosen by `split_seed`.
    ///
    /// # Errors
    /// Where the annotations have mistakes; all of them are named.
    pub fn with_boxes(
        path: &Path,
        split: f64,
        split_seed: u64,
        bad_box: BadBox,
    ) -> Result<Dataset<Boxes>, DataError> {
        let name = path.display().to_string();
        if !path.exists() {
            return Err(DataError::Missing { path: path.to_owned() });
        }
        let Some(found) = boxes::open(path)? else { return Err(DataError::NotBoxes { name }) };
        let FoundBoxes { layout, source, mut images, mut mistakes, bad_boxes, cut } = found;
        if bad_box == BadBox::Stops {
            mistakes.extend(bad_boxes.iter().cloned());
        }
        if !mistakes.is_empty() {
            return Err(DataError::Annotations { name, bad: mistakes });
        }
        if layout.train.is_empty() {
            return Err(DataError::NotBoxes { name });
        }
        let found = Found { layout, source };
        let labelled = Dataset::arrange(found, name, split, split_seed)?;
        let mut dataset = labelled
            .annotated(|path, _| images.remove(path).map(|image| image.boxes).unwrap_or_default());
        dataset.left_out.extend(bad_boxes.into_iter().chain(cut).map(left_out));
        Ok(dataset)
    }

    /// Opens a dataset of boxes for looking at it: nothing is held out, and mistakes of the annotations are left out and told.
    pub fn undivided_boxes(path: &Path) -> Result<Dataset<Boxes>, DataError> {
        let name = path.display().to_string();
        let Some(found) = boxes::open(path)? else { return Err(DataError::NotBoxes { name }) };
        let FoundBoxes { layout, source, mut images, mistakes, bad_boxes, cut } = found;
        let labelled = Dataset::whole(Found { layout, source }, name);
        let mut dataset = labelled
            .annotated(|path, _| images.remove(path).map(|image| image.boxes).unwrap_or_default());
        dataset.left_out.extend([mistakes, bad_boxes, cut].concat().into_iter().map(left_out));
        Ok(dataset)
    }
}

impl Dataset {
    /// Whether a path holds images with boxes.
    pub fn has_boxes(path: &Path) -> Result<bool, DataError> {
        match path.exists() {
            true => Ok(boxes::open(path)?.is_some()),
            false => Ok(false),
        }
    }
}

fn left_out(BadImage { name, reason }: BadImage) -> LeftOut {
    LeftOut { name, reason }
}

/// Adds the boxes of an image to a hash.
pub(crate) fn hash_boxes(boxes: &Boxes, hasher: &mut blake3::Hasher) {
    hasher.update(&(boxes.0.len() as u64).to_le_bytes());
    for one in &boxes.0 {
        one.corners.iter().for_each(|value| {
            hasher.update(&value.to_le_bytes());
        });
        hasher.update(&one.class.to_le_bytes());
        hasher.update(&[u8::from(one.difficult), u8::from(one.crowd)]);
    }
}
