//! Table 4 (§3.3): the heuristics of large-batch training, stacked, at a small and at a large batch.
//!
//! Deviation: the row without any heuristic is ours; the paper begins with linear scaling.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table4", "The heuristics of efficient training, stacked", "Heuristic", "baseline")
        .column("bs256", "BS=256", &[])
        .column("bs1024", "BS=1024", &[BATCH_1024])
        .row("baseline", "None", &[])
        .add("linear-scaling", "Linear scaling", &[LINEAR_SCALING])
        .add("warmup", "+ LR warmup", &[WARMUP])
        .add("zero-gamma", "+ Zero γ", &[ZERO_GAMMA])
        .add("no-bias-decay", "+ No bias decay", &[NO_BIAS_DECAY])
        .add("fp16", "+ FP16", &[FP16])
}
