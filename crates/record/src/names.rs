//! The names of the files and folders that a run or an ablation leaves behind, relative to its folder.

use std::path::PathBuf;

/// The resolved recipe. A folder that holds it is a run folder.
pub const RECIPE: &str = "recipe.toml";
/// The file that the process at work on a run or an ablation keeps locked. It holds the process's number.
pub const LOCK: &str = ".lock";
/// What the run is beside its recipe, as one JSON object: the machine, the data, the classes, the measure's columns.
pub const RUN: &str = "run.json";
/// The key of `run.json` under which [`MeasureColumns`](crate::MeasureColumns) stand.
pub const MEASURE_KEY: &str = "measure";
/// All rows about training and evaluations, one JSON object a line.
pub const METRICS_JSONL: &str = "metrics.jsonl";
/// The same rows as one table.
pub const METRICS_CSV: &str = "metrics.csv";
/// The same rows for TensorBoard, which looks for `tfevents` in the name; the number and the rest are free.
pub const EVENTS: &str = "events.out.tfevents.0000000001.trickbag";
/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// Classification's answer for each validation image, one JSON object a line.
pub const PREDICTIONS: &str = "predictions.jsonl";
/// The boxes that a detector found in each validation image, one JSON object a line.
pub const DETECTIONS: &str = "detections.jsonl";

/// The precision of a detector for each class, one JSON object a line.
pub const PRECISION: &str = "precision.jsonl";
/// Segmentation's result for each class, one JSON object a line.
pub const CLASSES: &str = "classes.jsonl";
/// Segmentation's result for each validation image, one JSON object a line.
pub const PICTURES: &str = "pictures.jsonl";
/// The folder of thumbnails of the surest mistakes, or of the pictures with the worst answers.
pub const MISTAKES: &str = "mistakes";
/// The training images that could not be decoded, one JSON object a line for each time another stood in.
pub const BAD_SAMPLES: &str = "bad_samples.jsonl";
/// The folder of the trained model.
pub const MODEL: &str = "model";
/// The report of the run.
pub const REPORT: &str = "report.html";
/// The outcome of a run of an ablation. A run folder that holds it is finished.
pub const RESULT: &str = "result.json";
/// The identity of an ablation. A folder that holds it belongs to that ablation.
pub const ABLATION: &str = "ablation.json";
/// The table of an ablation for people.
pub const TABLE_MARKDOWN: &str = "table.md";
/// The table of an ablation for programs.
pub const TABLE_JSON: &str = "table.json";

/// The run folder of a cell with a seed inside an ablation's folder: `runs/CELL/seed-N`.
pub fn run_folder(cell: &str, seed: u64) -> PathBuf {
    ["runs", cell, &format!("seed-{seed}")].iter().collect()
}

/// The thumbnail in [`MISTAKES`] of the image on a line of [`PREDICTIONS`] or [`PICTURES`], counted from 0.
pub fn mistake(line: usize) -> String {
    format!("{line:06}.png")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_thumbnails_are_named_as_documented() {
        assert_eq!(run_folder("table4.baseline", 3), PathBuf::from("runs/table4.baseline/seed-3"));
        assert_eq!(mistake(5), "000005.png");
        assert_eq!(mistake(1_234_567), "1234567.png");
    }
}
