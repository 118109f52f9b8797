//! Table 6 (§5.5): the refinements, stacked on three networks. Their teachers, ResNet-152-D "with both cosine decay and
//! label smoothing applied", and for the last row "with mixup as well", are rows too.

use super::Table;
use super::edits::*;

pub(super) fn table() -> Table {
    Table::new("table6", "The training refinements, stacked", "Refinements", "efficient")
        .column("resnet50d", "ResNet-50-D", &[RESNET_50_D])
        .column("inception_v3", "Inception-V3", &[INCEPTION_V3])
        .column("mobilenet", "MobileNet", &[MOBILENET])
        .row("teacher", "ResNet-152-D, the teacher w/o mixup", &[COSINE, SMOOTHING, RESNET_152_D])
        .teaches()
        .add("teacher-mixup", "ResNet-152-D, the teacher w/ mixup", &[MIXUP])
        .teaches()
        .row("efficient", "Efficient", &[])
        .add("cosine", "+ cosine decay", &[COSINE])
        .add("smoothing", "+ label smoothing", &[SMOOTHING])
        .add("distillation", "+ distill w/o mixup", &[DISTILLATION])
        .taught_by("teacher")
        .fork("smoothing", "mixup", "+ mixup w/o distill", &[MIXUP])
        .add("distillation-mixup", "+ distill w/ mixup", &[DISTILLATION])
        .taught_by("teacher-mixup")
}
