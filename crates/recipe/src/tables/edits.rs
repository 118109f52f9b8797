//! The named edits that the tables are made of. Each is a trick or a network of the paper, with its section.

/// Changes of a recipe that belong together, in the form that `--set` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    pub name: &'static str,
    pub keys: &'static [&'static str],
}

const fn edit(name: &'static str, keys: &'static [&'static str]) -> Edit {
    Edit { name, keys }
}

// §2.2 networks.
pub(super) const RESNET_50: Edit = model("ResNet-50", &["network.model=resnet50_original"]);
pub(super) const RESNET_50_B: Edit = model("ResNet-50-B (§4.2)", &["network.model=resnet50"]);
pub(super) const RESNET_50_C: Edit = model("ResNet-50-C (§4.2)", &["network.model=resnet50c"]);
pub(super) const RESNET_50_D: Edit = model("ResNet-50-D (§4.2)", &["network.model=resnet50d"]);
pub(super) const RESNET_152_D: Edit = model("ResNet-152-D (§5.5)", &["network.model=resnet152d"]);
pub(super) const MOBILENET: Edit = model("MobileNet", &["network.model=mobilenetv1_100"]);
/// "For Inception-V3 we resize the input images into 299x299"; the shorter edge keeps 224 : 256.
pub(super) const INCEPTION_V3: Edit = edit(
    "Inception-V3 at 299×299",
    &[
        "network.model=inception_v3",
        "preprocess.size=299",
        "validation.resize=342",
        "validation.crop=299",
    ],
);

// Table 1.
pub(super) const RESNEXT_50: Edit = model("ResNeXt-50", &["network.model=resnext50_32x4d"]);
pub(super) const SE_RESNET_50: Edit = model("SE-ResNet-50", &["network.model=seresnet50_original"]);
pub(super) const SE_RESNEXT_50: Edit = model("SE-ResNeXt-50", &["network.model=seresnext50_32x4d"]);
pub(super) const DENSENET_201: Edit = model("DenseNet-201", &["network.model=densenet201"]);

const fn model(name: &'static str, keys: &'static [&'static str]) -> Edit {
    edit(name, keys)
}

// §3 efficient training.
pub(super) const BATCH_1024: Edit = edit("batch 1024 (§3.1)", &["train.batch=1024"]);
pub(super) const LINEAR_SCALING: Edit =
    edit("linear scaling (§3.1)", &["rate.linear_scaling={reference_batch=256}"]);
pub(super) const WARMUP: Edit = edit("LR warm-up (§3.1)", &["rate.warmup={duration=\"5 epochs\"}"]);
pub(super) const ZERO_GAMMA: Edit = edit("zero γ (§3.1)", &["network.last_gamma=0.0"]);
pub(super) const NO_BIAS_DECAY: Edit = edit("no bias decay (§3.1)", &["update.decay_on=weights"]);
pub(super) const FP16: Edit = edit("FP16 (§3.2)", &["train.precision=f16"]);

// §5 refinements.
pub(super) const COSINE: Edit = edit("cosine decay (§5.1)", &["rate.decay={cosine={}}"]);
pub(super) const SMOOTHING: Edit =
    edit("label smoothing (§5.2)", &["target.smoothing={epsilon=0.1, over=\"others\"}"]);
pub(super) const DISTILLATION: Edit = edit(
    "distillation (§5.3)",
    &["distillation={teacher=\"runs/teacher\", temperature=20.0, weighting=\"sum\"}"],
);
/// "and increase the number of epochs from 120 to 200 because the mixed examples ask for a longer training progress".
pub(super) const MIXUP: Edit = edit(
    "mixup for 200 epochs (§5.4)",
    &["mixup={alpha=0.2, pairing=\"permutation\"}", "train.duration=200 epochs"],
);

// §6.1 detection: the networks that its rows begin with.
pub(super) const DETECTION_WARMUP: Edit =
    edit("linear warm-up (§6.1)", &["rate.warmup={duration=\"500 steps\"}"]);
/// The factor of the auxiliary loss that the authors' command gives; their code did not apply it.
pub(super) const SEGMENTATION: Edit =
    edit("auxiliary loss (§6.2)", &["segment.auxiliary=0.5", "segment.norm=part"]);
pub(super) const FROM_STANDARD: Edit = from(&["init.from=runs/table5/resnet50-b"]);
pub(super) const FROM_EFFICIENT: Edit = from(&["init.from=runs/table6/efficient"]);
pub(super) const FROM_COSINE: Edit = from(&["init.from=runs/table6/cosine"]);
pub(super) const FROM_SMOOTHING: Edit = from(&["init.from=runs/table6/smoothing"]);
pub(super) const FROM_DISTILLATION: Edit = from(&["init.from=runs/table6/distillation"]);
pub(super) const FROM_MIXUP: Edit = from(&["init.from=runs/table6/mixup"]);
pub(super) const FROM_DISTILLATION_MIXUP: Edit =
    from(&["init.from=runs/table6/distillation-mixup"]);

const fn from(keys: &'static [&'static str]) -> Edit {
    edit("the weights of Table 6's row", keys)
}
