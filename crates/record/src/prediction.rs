//! `predictions.jsonl`: what a classifier said of each validation image, one JSON object a line, in the order of the
//! dataset.

use serde::{Deserialize, Serialize};

use crate::number;
use crate::rows::line;

/// The most mistakes whose images a run keeps.
pub const SUREST_MISTAKES: usize = 24;

/// The model's answer for one validation image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRow {
    /// Steps done.
    pub step: u64,
    /// The image's path, or its name where it has none.
    pub image: String,
    /// The true class.
    pub label: u32,
    /// The class with the largest logit.
    pub predicted: u32,
    /// The probability of the predicted class.
    #[serde(deserialize_with = "number::read")]
    pub confidence: f64,
    /// The largest logit minus the mean of the others: what label smoothing bounds (§5.2, Figure 4b).
    #[serde(deserialize_with = "number::read")]
    pub gap: f64,
}

impl PredictionRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<PredictionRow> {
        serde_json::from_str(line).ok()
    }

    pub fn is_right(&self) -> bool {
        self.label == self.predicted
    }
}

/// The places in `rows` of the wrong answers with the highest confidence, at most [`SUREST_MISTAKES`] of them. The surest
/// comes first, and of equally sure ones the earlier.
pub fn surest_mistakes<'a>(rows: impl IntoIterator<Item = &'a PredictionRow>) -> Vec<usize> {
    let wrong = |(place, row): (usize, &PredictionRow)| {
        (!row.is_right() && row.confidence.is_finite()).then_some((place, row.confidence))
    };
    let mut wrong: Vec<(usize, f64)> = rows.into_iter().enumerate().filter_map(wrong).collect();
    wrong.sort_by(|a, b| b.1.total_cmp(&a.1));
    wrong.into_iter().take(SUREST_MISTAKES).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: u32, confidence: f64) -> PredictionRow {
        PredictionRow {
            step: 8,
            image: "val/\"a\".png".to_owned(),
            label,
            predicted: 1,
            confidence,
            gap: f64::NAN,
        }
    }

    #[test]
    fn a_row_comes_back_and_half_of_it_is_none() {
        let line = row(3, 0.5).to_line();
        assert_eq!(
            line,
            "{\"step\":8,\"image\":\"val/\\\"a\\\".png\",\"label\":3,\"predicted\":1,\"confidence\":0.5,\"gap\":null}\n"
        );
        let found = PredictionRow::read(&line).unwrap();
        assert!(found.gap.is_nan());
        assert_eq!(PredictionRow { gap: 2.5, ..found }, PredictionRow { gap: 2.5, ..row(3, 0.5) });
        assert_eq!(PredictionRow::read(&line[..line.len() / 2]), None);
    }

    #[test]
    fn the_surest_mistakes_come_first_and_are_few() {
        let rows = [(0, 0.5), (1, 0.9), (2, 0.7), (0, 0.7), (0, f64::NAN)].map(|(l, c)| row(l, c));
        assert_eq!(surest_mistakes(&rows), [2, 3, 0]);
        let many = vec![row(0, 0.5); 100];
        assert_eq!(surest_mistakes(&many), (0..SUREST_MISTAKES).collect::<Vec<_>>());
    }
}
