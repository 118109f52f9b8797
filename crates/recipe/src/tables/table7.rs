//! Table 7 (§5.5): MIT Places365. "ResNet-50-D Best further incorporate cosine scheduling, label smoothing and mixup." The
//! labels of its test images are not published: `trickbag predict --submission` writes the file that the challenge takes.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table7", "The refinements on MIT Places365", "Model", "efficient")
        .column("", "", &[RESNET_50_D])
        .row("efficient", "ResNet-50-D Efficient", &[])
        .add("best", "ResNet-50-D Best", &[COSINE, SMOOTHING, MIXUP])
}
