//! Table 2 (§2.2): the baseline training procedure on three networks, beside the reference implementations' numbers.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table2", "The baseline training procedure", "Model", "baseline")
        .column("baseline", "Baseline", &[])
        .cited("reference", "Reference")
        .row("resnet50", "ResNet-50", &[RESNET_50])
        .row("inception_v3", "Inception-V3", &[INCEPTION_V3])
        .row("mobilenet", "MobileNet", &[MOBILENET])
}
