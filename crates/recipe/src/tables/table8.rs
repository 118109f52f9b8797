//! Table 8 (§6.1): Faster-RCNN on Pascal VOC, on the networks of Table 6. Each row begins with the weights of the row of the
//! same name there: `--set init.from=…` says where they are.
//!
//! Deviation: the text says "linear warmup and long schedule" and no numbers. Here the rate grows over 500 steps, and what
//! else is missing is the authors' released script: 20 epochs, a tenth of the rate from the 14th on.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table8", "Faster-RCNN on Pascal VOC", "Refinement", "gluoncv-faster-rcnn")
        .column("", "", &[DETECTION_WARMUP])
        .row("standard", "B-standard", &[RESNET_50_B, FROM_STANDARD])
        .row("efficient", "D-efficient", &[RESNET_50_D, FROM_EFFICIENT])
        .fork("efficient", "cosine", "+ cosine", &[FROM_COSINE])
        .fork("efficient", "smoothing", "+ smooth", &[FROM_SMOOTHING])
        .fork("efficient", "distillation", "+ distill w/o mixup", &[FROM_DISTILLATION])
        .fork("efficient", "mixup", "+ mixup w/o distill", &[FROM_MIXUP])
        .fork("efficient", "distillation-mixup", "+ distill w/ mixup", &[FROM_DISTILLATION_MIXUP])
}
