//! Table 3 (§3.3): the efficient training procedure beside the baseline, on three networks.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    let efficient = [BATCH_1024, LINEAR_SCALING, WARMUP, ZERO_GAMMA, NO_BIAS_DECAY, FP16];
    Table::new("table3", "Efficient training beside the baseline", "Model", "baseline")
        .column("efficient", "Efficient", &efficient)
        .column("baseline", "Baseline", &[])
        .row("resnet50", "ResNet-50", &[RESNET_50])
        .row("inception_v3", "Inception-V3", &[INCEPTION_V3])
        .row("mobilenet", "MobileNet", &[MOBILENET])
}
