//! Table 5 (§4.3): ResNet-50 and its tweaks, each one edit from the row above.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table5", "ResNet-50 and its tweaks", "Model", "efficient")
        .column("", "", &[])
        .row("resnet50", "ResNet-50", &[RESNET_50])
        .add("resnet50-b", "ResNet-50-B", &[RESNET_50_B])
        .add("resnet50-c", "ResNet-50-C", &[RESNET_50_C])
        .add("resnet50-d", "ResNet-50-D", &[RESNET_50_D])
}
