//! `bad_samples.jsonl`: a line for each time that an image stood in for one that does not decode, with both names and
//! the reason. A run that goes on from a checkpoint drops the lines after it, as with the other logs.

use std::collections::BTreeSet;
use std::path::Path;

use record::SkipRow;
use record::names::BAD_SAMPLES;

use super::{LogError, Rows, whole_lines};

/// The open list of bad images, and its counts.
#[derive(Debug)]
pub struct BadSamples {
    rows: Rows,
    images: BTreeSet<String>,
    skips: u64,
}

impl BadSamples {
    /// Opens the list in `folder`, new or cut back to the rows with `step <= last_step`.
    pub fn open(folder: &Path, last_step: u64) -> Result<BadSamples, LogError> {
        let (mut images, mut skips) = (BTreeSet::new(), 0);
        let rows = Rows::open(folder.join(BAD_SAMPLES), &[], &|bytes| {
            Ok(whole_lines(bytes, 0, last_step, |line| SkipRow::read(line).map(|row| row.step)))
        })?;
        let kept = std::fs::read_to_string(folder.join(BAD_SAMPLES)).unwrap_or_default();
        for row in kept.lines().filter_map(SkipRow::read) {
            images.insert(row.image);
            skips += 1;
        }
        Ok(BadSamples { rows, images, skips })
    }

    /// Adds a skip to the list; returns whether it is the first one of its image.
    pub fn list(&mut self, row: &SkipRow) -> Result<bool, LogError> {
        self.rows.append(row.to_line().as_bytes())?;
        self.skips += 1;
        Ok(self.images.insert(row.image.clone()))
    }

    pub fn sync(&self) -> Result<(), LogError> {
        self.rows.sync()
    }

    /// How many images are bad, and how often one was skipped.
    pub fn counts(&self) -> (u64, u64) {
        (self.images.len() as u64, self.skips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_back_to_the_step_and_counts_on() {
        let folder = tempfile::tempdir().unwrap();
        let row = |step: u64, image: &str| SkipRow {
            step,
            image: image.to_owned(),
            reason: "the file is empty".to_owned(),
            stand_in: "c".to_owned(),
        };
        let mut list = BadSamples::open(folder.path(), 0).unwrap();
        let first: Vec<bool> = [(1, "a"), (2, "b"), (2, "a"), (3, "c")]
            .map(|(step, image)| list.list(&row(step, image)).unwrap())
            .to_vec();
        assert_eq!(first, [true, true, false, true]);
        assert_eq!(list.counts(), (3, 4));
        let mut list = BadSamples::open(folder.path(), 2).unwrap();
        assert_eq!(list.counts(), (2, 3));
        assert!(list.list(&row(3, "c")).unwrap());
        let text = std::fs::read_to_string(folder.path().join(BAD_SAMPLES)).unwrap();
        assert_eq!(text.lines().count(), 4);
    }
}
