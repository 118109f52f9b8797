//! Table 9 (§6.2): FCN on ADE20K, on the networks of Table 6. Each row begins with the weights of the row of the same name
//! there: `--set init.from=…` says where they are.
//!
//! Deviation: the text gives no hyper-parameters. All are those of the authors' released script but for the networks, which the
//! paper names and their public code does not have, the factor of the auxiliary loss, which is 0.5 as their command says, and
//! norms over a part.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table9", "FCN on ADE20K", "Refinement", "gluoncv-fcn")
        .column("", "", &[SEGMENTATION])
        .row("standard", "B-standard", &[RESNET_50_B, FROM_STANDARD])
        .row("efficient", "D-efficient", &[RESNET_50_D, FROM_EFFICIENT])
        .fork("efficient", "cosine", "+ cosine", &[FROM_COSINE])
        .fork("efficient", "smoothing", "+ smooth", &[FROM_SMOOTHING])
        .fork("efficient", "distillation", "+ distill w/o mixup", &[FROM_DISTILLATION])
        .fork("efficient", "mixup", "+ mixup w/o distill", &[FROM_MIXUP])
        .fork("efficient", "distillation-mixup", "+ mixup w/ distill", &[FROM_DISTILLATION_MIXUP])
}
