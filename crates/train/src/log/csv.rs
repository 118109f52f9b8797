//! `metrics.csv`: one table of all rows, for spreadsheets; a cell that a kind of row has no value for is empty.
//! No cell ever needs quotes.

use super::{EvaluationRow, Fault, TrainRow, whole_lines};

pub(super) const HEAD: &str =
    "step,epoch,kind,loss,rate,top1,top5,images,images_per_second,wait_share,seconds\n";

pub(super) fn train(row: &TrainRow) -> String {
    let TrainRow { step, epoch, loss, rate, images_per_second, wait_share, seconds } = row;
    format!("{step},{epoch},train,{loss},{rate},,,,{images_per_second},{wait_share},{seconds}\n")
}

pub(super) fn evaluation(row: &EvaluationRow) -> String {
    let EvaluationRow { step, epoch, loss, top1, top5, images, seconds } = row;
    format!("{step},{epoch},evaluation,{loss},,{top1},{top5},{images},,,{seconds}\n")
}

/// The length of the head and the rows to keep.
pub(super) fn whole(bytes: &[u8], last_step: u64) -> Result<usize, Fault> {
    if HEAD.as_bytes().starts_with(bytes) {
        return Ok(if bytes.len() == HEAD.len() { bytes.len() } else { 0 });
    }
    if !bytes.starts_with(HEAD.as_bytes()) {
        return Err(Fault::Foreign);
    }
    let columns = HEAD.split(',').count();
    whole_lines(bytes, HEAD.len(), last_step, |line| {
        let whole = line.split(',').count() == columns;
        line.split(',').next().filter(|_| whole)?.parse().ok()
    })
}
