//! `classes.jsonl` and `pictures.jsonl`: how well a segmenter answers by class and by validation image, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::number;
use crate::rows::line;

/// The most pictures with the worst answers whose images a run keeps.
pub const WORST_PICTURES: usize = 12;

/// One class over all validation images, in the order of the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Steps done.
    pub step: u64,
    pub class: String,
    /// Intersection over union, percent; NaN where the class is in neither truth nor answers.
    #[serde(deserialize_with = "number::read")]
    pub iou: f64,
    /// Labelled pixels of the class.
    pub truth_pixels: u64,
    /// Labelled pixels that were answered with the class.
    pub answer_pixels: u64,
}

/// One validation image, in the order of the dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRow {
    /// Steps done.
    pub step: u64,
    /// The image's path.
    pub image: String,
    /// Percent of its labelled pixels.
    pub pixel_accuracy: f64,
    /// Percent, over the classes in its truth or its answer.
    pub mean_iou: f64,
}

impl ClassRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<ClassRow> {
        serde_json::from_str(line).ok()
    }
}

impl PictureRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<PictureRow> {
        serde_json::from_str(line).ok()
    }
}

/// The places in `rows` of the pictures with the lowest mean IoU, at most [`WORST_PICTURES`] of them. The worst comes first,
/// and of equal ones the earlier.
pub fn worst_pictures<'a>(rows: impl IntoIterator<Item = &'a PictureRow>) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> =
        rows.into_iter().map(|row| row.mean_iou).enumerate().collect();
    places.sort_by(|a, b| a.1.total_cmp(&b.1));
    places.into_iter().take(WORST_PICTURES).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_half_of_one_is_none() {
        let class = ClassRow {
            step: 7,
            class: "sky".to_owned(),
            iou: f64::NAN,
            truth_pixels: 0,
            answer_pixels: 0,
        };
        let line = class.to_line();
        assert_eq!(
            line,
            "{\"step\":7,\"class\":\"sky\",\"iou\":null,\"truth_pixels\":0,\"answer_pixels\":0}\n"
        );
        assert!(ClassRow::read(&line).unwrap().iou.is_nan());
        let picture =
            PictureRow { step: 7, image: "a.jpg".into(), pixel_accuracy: 50.0, mean_iou: 12.5 };
        let line = picture.to_line();
        assert_eq!(PictureRow::read(&line), Some(picture));
        assert_eq!(PictureRow::read(&line[..line.len() / 2]), None);
    }

    #[test]
    fn the_worst_pictures_come_first_and_are_few() {
        let row =
            |mean_iou| PictureRow { step: 1, image: String::new(), pixel_accuracy: 0.0, mean_iou };
        assert_eq!(worst_pictures(&[row(30.0), row(10.0), row(20.0), row(10.0)]), [1, 3, 2, 0]);
        assert_eq!(worst_pictures(&vec![row(1.0); 50]).len(), WORST_PICTURES);
    }
}
