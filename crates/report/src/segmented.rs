//! What a segmenter's run left of its last evaluation: the results by class, and the pictures with the worst answers.

use std::path::Path;

use record::{ClassRow, MeasureColumns, PictureRow, names, worst_pictures};

use crate::run::{ReportError, note_damage, png, text};

/// The details of a segmenter's evaluation.
#[derive(Clone, Debug, Default)]
pub struct Segmented {
    pub classes: Vec<ClassRow>,
    /// The worst pictures, each with a PNG of image, truth, answer and difference where there is one.
    pub worst: Vec<(PictureRow, Option<Vec<u8>>)>,
}

/// The largest such PNG in bytes.
const PICTURE_LIMIT: u64 = 400_000;

/// Whether the measure is a segmenter's.
pub(crate) fn is_segmentation(measure: &MeasureColumns) -> bool {
    measure.column("pixel_accuracy").is_some()
}

/// Reads the details of a folder; damaged lines become notes.
pub(crate) fn read(folder: &Path, notes: &mut Vec<String>) -> Result<Segmented, ReportError> {
    let classes = rows(folder, names::CLASSES, ClassRow::read, notes)?;
    let pictures = rows(folder, names::PICTURES, PictureRow::read, notes)?;
    let worst = worst_pictures(pictures.iter().map(|(_, row)| row)).into_iter().map(|place| {
        let (line, row) = &pictures[place];
        let path = folder.join(names::MISTAKES).join(names::mistake(*line));
        (row.clone(), png(&path, PICTURE_LIMIT))
    });
    let worst = worst.collect();
    Ok(Segmented { classes: classes.into_iter().map(|(_, row)| row).collect(), worst })
}

/// The rows of a file, each with its line counted from 0.
fn rows<T>(
    folder: &Path,
    name: &str,
    read: fn(&str) -> Option<T>,
    notes: &mut Vec<String>,
) -> Result<Vec<(usize, T)>, ReportError> {
    let text = text(&folder.join(name))?.unwrap_or_default();
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        match read(line) {
            Some(row) => found.push((index, row)),
            None => damaged.push(index + 1),
        }
    }
    note_damage(name, &damaged, notes);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn sound_rows_are_read_in_order_and_damaged_ones_are_told() {
        let place = tempfile::tempdir().unwrap();
        let class = |name: &str| ClassRow {
            step: 3,
            class: name.to_owned(),
            iou: 50.0,
            truth_pixels: 10,
            answer_pixels: 5,
        };
        let text = class("sky").to_line() + "{\n" + &class("road").to_line();
        fs::write(place.path().join(names::CLASSES), text).unwrap();
        let mut notes = Vec::new();
        let found = read(place.path(), &mut notes).unwrap();
        assert_eq!(found.classes, [class("sky"), class("road")]);
        assert_eq!(notes, ["line 2 of classes.jsonl cannot be read and is left out"]);
        assert!(found.worst.is_empty());
    }
}
