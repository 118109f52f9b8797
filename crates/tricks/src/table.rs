//! The table of `trickbag tricks`.

use crate::Trick;

/// Every trick this program has, in the order of the paper, then the practitioners'.
pub const TRICKS: &[Trick] = &[
    Trick {
        name: "linear scaling learning rate",
        section: "3.1",
        summary: "the initial rate grows with the batch: base × batch / reference batch",
        seam: "resolving the recipe",
        recipe_key: "rate.linear_scaling",
        default_in: &["efficient", "quickstart", "resnet18d-128", "resnet18d-32", "resnet18d-64"],
    },
    Trick {
        name: "learning rate warmup",
        section: "3.1",
        summary: "batch i of the first m trains at i/m of the initial rate",
        seam: "schedule",
        recipe_key: "rate.warmup",
        default_in: &["efficient", "quickstart", "resnet18d-128", "resnet18d-32", "resnet18d-64"],
    },
    Trick {
        name: "zero γ",
        section: "3.1",
        summary: "the last batch norm of each residual block starts at γ = 0",
        seam: "initialisation",
        recipe_key: "network.last_gamma",
        default_in: &["efficient", "quickstart", "resnet18d-128", "resnet18d-32", "resnet18d-64"],
    },
    Trick {
        name: "no bias decay",
        section: "3.1",
        summary: "weight decay acts on the weights of convolutions and linear layers only",
        seam: "update",
        recipe_key: "update.decay_on",
        default_in: &["efficient", "quickstart", "resnet18d-128", "resnet18d-32", "resnet18d-64"],
    },
    Trick {
        name: "low-precision training",
        section: "3.2",
        summary: "activations and their gradients are halves (f16 or bf16), weights and sums f32; the loss is scaled for f16",
        seam: "precision",
        recipe_key: "train.precision",
        default_in: &["efficient"],
    },
    off(
        ["ResNet-B", "4.2"],
        ["network", "network.model"],
        "path A of a downsampling block strides on its 3×3 (models resnet50, resnet50c, resnet50d)",
    ),
    Trick {
        name: "ResNet-C",
        section: "4.2",
        summary: "three 3×3 convolutions in place of the stem's 7×7 (models resnet50c, resnet50d)",
        seam: "network",
        recipe_key: "network.model",
        default_in: &["quickstart", "resnet18d-128"],
    },
    Trick {
        name: "ResNet-D",
        section: "4.2",
        summary: "path B pools 2×2 before its 1×1, whose stride becomes 1 (model resnet50d)",
        seam: "network",
        recipe_key: "network.model",
        default_in: &["quickstart", "resnet18d-128", "resnet18d-32", "resnet18d-64"],
    },
    off(
        ["cosine learning rate decay", "5.1"],
        ["schedule", "rate.decay.cosine"],
        "batch t of T after the warm-up trains at (1 + cos(tπ/T))/2 of the initial rate",
    ),
    off(
        ["exponential decay", "5.1"],
        ["schedule", "rate.decay.exponential"],
        "the rate falls to a factor of itself, 0.94, every two epochs",
    ),
    off(
        ["label smoothing", "5.2"],
        ["target", "target.smoothing"],
        "the true class is given 1 − ε, the others share ε",
    ),
    off(
        ["knowledge distillation", "5.3"],
        ["loss", "distillation"],
        "one more cross entropy, with a teacher's softened outputs as the target",
    ),
    off(
        ["mixup", "5.4"],
        ["batch", "mixup"],
        "two examples are mixed, images and targets: λ and 1 − λ of each",
    ),
    off(
        ["CutMix", "–"],
        ["batch", "cutmix"],
        "a box of one image is pasted over another, and targets mix by its area",
    ),
    off(
        ["RandAugment", "–"],
        ["preprocess", "preprocess.randaugment"],
        "a few random operations of 14, all of one magnitude, change each image",
    ),
    off(
        ["random erasing", "–"],
        ["preprocess", "preprocess.erasing"],
        "a random rectangle of an image is filled with the mean pixel",
    ),
    off(
        ["parts of a batch", "–"],
        ["batch", "train.parts"],
        "a batch is trained on in equal parts, and their gradients are averaged",
    ),
    off(
        ["gradient clipping", "–"],
        ["update", "update.clip"],
        "a gradient longer than the limit, over all parameters together, is shortened to it",
    ),
    off(
        ["exponential moving average", "–"],
        ["update", "average"],
        "evaluation and the stored model take a running average of the weights",
    ),
];

/// A trick that no built-in recipe has on.
const fn off(
    [name, section]: [&'static str; 2],
    [seam, recipe_key]: [&'static str; 2],
    summary: &'static str,
) -> Trick {
    Trick { name, section, summary, seam, recipe_key, default_in: &[] }
}
