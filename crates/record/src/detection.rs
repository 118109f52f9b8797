//! `detections.jsonl`: what a detector found in each validation image, one JSON object a line, in the order of the dataset;
//! and `precision.jsonl`: how good that is for each class.

use serde::{Deserialize, Serialize};

use crate::number;
use crate::rows::line;

/// One validation image: its objects, and what was found there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionRow {
    /// Steps done.
    pub step: u64,
    /// The image's path, or its name where it has none.
    pub image: String,
    pub objects: Vec<ObjectRow>,
    /// By falling score.
    pub found: Vec<FoundRow>,
}

/// An object of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRow {
    pub class: u32,
    /// Left, top, right and bottom edge, pixels.
    #[serde(rename = "box")]
    pub corners: [f32; 4],
    /// Whether no measure counts it.
    pub difficult: bool,
}

/// An object that the detector found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundRow {
    pub class: u32,
    /// From 0 to 1.
    pub score: f32,
    #[serde(rename = "box")]
    pub corners: [f32; 4],
}

/// A detector's precision for one class: a line of `precision.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRow {
    /// Steps done.
    pub step: u64,
    pub class: u32,
    /// Objects that count.
    pub objects: u64,
    /// Average precision by 11 points, percent.
    #[serde(rename = "map_11_point", deserialize_with = "number::read")]
    pub eleven_points: f64,
    /// Average precision by area, percent.
    #[serde(rename = "map", deserialize_with = "number::read")]
    pub area: f64,
    /// Recall and precision, from 0 to 1, by falling score; some points of many.
    pub curve: Vec<[f64; 2]>,
}

impl PrecisionRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<PrecisionRow> {
        serde_json::from_str(line).ok()
    }
}

impl DetectionRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<DetectionRow> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_half_of_it_is_none() {
        let row = DetectionRow {
            step: 7,
            image: "a.jpg".to_owned(),
            objects: vec![ObjectRow {
                class: 1,
                corners: [0.5, 1.0, 20.0, 30.25],
                difficult: true,
            }],
            found: vec![FoundRow { class: 0, score: 0.75, corners: [1.0, 2.0, 3.0, 4.0] }],
        };
        let line = row.to_line();
        assert_eq!(
            line,
            "{\"step\":7,\"image\":\"a.jpg\",\"objects\":[{\"class\":1,\"box\":[0.5,1.0,20.0,30.25],\"difficult\":true}],\
             \"found\":[{\"class\":0,\"score\":0.75,\"box\":[1.0,2.0,3.0,4.0]}]}\n"
        );
        assert_eq!(DetectionRow::read(&line), Some(row));
        assert_eq!(DetectionRow::read(&line[..line.len() / 2]), None);
    }
}
