//! `metrics.csv`: one table of all rows, for spreadsheets. A cell is empty where a kind of row has no value for it, and none
//! ever needs quotes.
//!
//! The columns are those that both kinds of rows share, the measure's (a measure's `loss` stands in the column of the
//! training loss), and training's own. The terms of a loss share the last column, as `class=1.5 box=0.25`.

use record::{EvaluationRow, LOSS, MeasureColumn, MeasureColumns, TrainRow};

use super::{Foreign, Kept, whole_lines};

/// The first line.
pub(super) fn head(measure: &MeasureColumns) -> String {
    let own: String = own_columns(measure).map(|column| format!("{},", column.name)).collect();
    format!(
        "step,epoch,kind,{LOSS},rate,{own}images_per_second,wait_share,seconds,gradient_norm,loss_scale,skipped,terms\n"
    )
}

pub(super) fn train(row: &TrainRow, measure: &MeasureColumns) -> String {
    let TrainRow { step, epoch, loss, rate, images_per_second, wait_share, seconds, .. } = row;
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let own = ",".repeat(own_columns(measure).count());
    let gradient_norm = cell(row.gradient_norm);
    let loss_scale = cell(row.loss_scale);
    let skipped = if row.skipped > 0 { row.skipped.to_string() } else { String::new() };
    let terms: Vec<String> =
        row.terms.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let terms = terms.join(" ");
    format!(
        "{step},{epoch},train,{loss},{rate},{own}{images_per_second},{wait_share},{seconds},\
         {gradient_norm},{loss_scale},{skipped},{terms}\n"
    )
}

pub(super) fn evaluation(row: &EvaluationRow, measure: &MeasureColumns) -> String {
    let EvaluationRow { step, epoch, values, seconds } = row;
    let cell = |name| measure.value(values, name).map_or(String::new(), |value| value.to_string());
    let loss = cell(LOSS);
    let own: String = own_columns(measure).map(|column| cell(&column.name) + ",").collect();
    format!("{step},{epoch},evaluation,{loss},,{own},,{seconds},,,,\n")
}

/// The columns of the measure that training rows do not share.
fn own_columns(measure: &MeasureColumns) -> impl Iterator<Item = &MeasureColumn> {
    measure.columns().iter().filter(|column| column.name != LOSS)
}

/// The head and the rows to keep.
pub(super) fn whole(bytes: &[u8], head: &str, last_step: u64) -> Result<Kept, Foreign> {
    if head.as_bytes().starts_with(bytes) {
        return Ok(Kept::First(if bytes.len() == head.len() { bytes.len() } else { 0 }));
    }
    if !bytes.starts_with(head.as_bytes()) {
        return Err(Foreign);
    }
    let columns = head.split(',').count();
    Ok(whole_lines(bytes, head.len(), last_step, |line| {
        let whole = line.split(',').count() == columns;
        line.split(',').next().filter(|_| whole)?.parse().ok()
    }))
}
