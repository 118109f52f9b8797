//! `metrics.jsonl`: one JSON object a line, `kind` first. The same run writes the same bytes, but for the fields that
//! measure time; a number that is not finite is `null`, because JSON has no word for it.

use serde::{Deserialize, Serialize};

use super::{EvaluationRow, Fault, TrainRow, whole_lines};

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line<'a> {
    Train(&'a TrainRow),
    Evaluation(&'a EvaluationRow),
}

pub(super) fn train(row: &TrainRow) -> Vec<u8> {
    line(&Line::Train(row))
}

pub(super) fn evaluation(row: &EvaluationRow) -> Vec<u8> {
    line(&Line::Evaluation(row))
}

fn line(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a row is plain numbers");
    bytes.push(b'\n');
    bytes
}

/// The length of the rows to keep.
pub(super) fn whole(bytes: &[u8], last_step: u64) -> Result<usize, Fault> {
    /// All that is read back of a row.
    #[derive(Deserialize)]
    struct Step {
        step: u64,
    }
    whole_lines(bytes, 0, last_step, |line| {
        serde_json::from_str(line).ok().map(|Step { step }| step)
    })
}
