//! `bad_samples.jsonl`: the training images that could not be decoded, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::rows::line;

/// A training image that could not be decoded, and the image that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipRow {
    /// Steps done, the one with this image's batch included.
    pub step: u64,
    pub image: String,
    /// Why it could not be decoded.
    pub reason: String,
    /// The image that took its place.
    pub stand_in: String,
}

impl SkipRow {
    /// The row as a line of the file, its end included.
    pub fn to_line(&self) -> String {
        line(self)
    }

    /// Reads a line; None where it is damaged.
    pub fn read(line: &str) -> Option<SkipRow> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_half_of_it_is_none() {
        let [image, reason, stand_in] = ["a", "the file is empty", "b"].map(str::to_owned);
        let row = SkipRow { step: 4, image, reason, stand_in };
        let line = row.to_line();
        assert_eq!(
            line,
            "{\"step\":4,\"image\":\"a\",\"reason\":\"the file is empty\",\"stand_in\":\"b\"}\n"
        );
        assert_eq!(SkipRow::read(&line), Some(row));
        assert_eq!(SkipRow::read(&line[..line.len() / 2]), None);
    }
}
