//! The table of `trickbag tricks`.

use crate::Trick;

/// Every trick this program has, in the order of the paper, then those that practitioners expect.
pub const TRICKS: &[Trick] = &[
    trick(
        ["Nesterov accelerated gradient", "2.1"],
        ["update", "update.optimizer.nag"],
        "the gradient is added to a velocity and taken where that velocity leads; the paper's optimizer",
    ),
    trick(
        ["linear scaling learning rate", "3.1"],
        ["resolving the recipe", "rate.linear_scaling"],
        "the initial rate grows with the batch: base × batch / reference batch",
    ),
    trick(
        ["learning rate warmup", "3.1"],
        ["schedule", "rate.warmup"],
        "batch i of the first m trains at i/m of the initial rate",
    ),
    trick(
        ["zero γ", "3.1"],
        ["initialisation", "network.last_gamma"],
        "the last batch norm of each residual block starts at γ = 0",
    ),
    trick(
        ["no bias decay", "3.1"],
        ["update", "update.decay_on"],
        "weight decay acts on the weights of convolutions and linear layers only",
    ),
    trick(
        ["low-precision training", "3.2"],
        ["precision", "train.precision"],
        "activations and their gradients are stored in f16 or bf16, weights and sums in f32; the loss is scaled for f16",
    ),
    trick(
        ["ResNet-B", "4.2"],
        ["network", "network.model"],
        "path A of a downsampling block strides on its 3×3 (models resnet50, resnet50c, resnet50d)",
    ),
    trick(
        ["ResNet-C", "4.2"],
        ["network", "network.model"],
        "three 3×3 convolutions replace the stem's 7×7 (models resnet50c, resnet50d)",
    ),
    trick(
        ["ResNet-D", "4.2"],
        ["network", "network.model"],
        "path B pools 2×2 before its 1×1, whose stride becomes 1 (model resnet50d)",
    ),
    trick(
        ["cosine learning rate decay", "5.1"],
        ["schedule", "rate.decay.cosine"],
        "batch t of T after the warm-up trains at (1 + cos(tπ/T))/2 of the initial rate",
    ),
    trick(
        ["exponential decay", "5.1"],
        ["schedule", "rate.decay.exponential"],
        "the rate falls to a factor of itself, 0.94, every two epochs",
    ),
    trick(
        ["label smoothing", "5.2"],
        ["target", "target.smoothing"],
        "the true class is given 1 − ε, the others share ε",
    ),
    trick(
        ["knowledge distillation", "5.3"],
        ["loss", "distillation"],
        "one more cross entropy, with a teacher's softened outputs as the target",
    ),
    trick(
        ["mixup", "5.4"],
        ["batch", "mixup"],
        "two examples are mixed, images and targets: λ and 1 − λ of each",
    ),
    trick(
        ["poly decay", "6.2"],
        ["schedule", "rate.decay.poly"],
        "step t of T after the warm-up trains at (1 − t/T)^0.9 of the initial rate; for segmentation",
    ),
    trick(
        ["CutMix", "–"],
        ["batch", "cutmix"],
        "a box of one image is pasted over another, and targets mix by its area",
    ),
    trick(
        ["RandAugment", "–"],
        ["preprocess", "preprocess.randaugment"],
        "a few random operations of 14, all of one magnitude, change each image",
    ),
    trick(
        ["random erasing", "–"],
        ["preprocess", "preprocess.erasing"],
        "a random rectangle of an image is filled with the mean pixel",
    ),
    trick(
        ["parts of a batch", "–"],
        ["batch", "train.parts"],
        "a batch is cut into equal parts, each with batch norm statistics of its own, and their gradients are averaged",
    ),
    trick(
        ["gradient clipping", "–"],
        ["update", "update.clip"],
        "a gradient whose norm exceeds a limit is shortened to it, or each of its numbers is cut off at one",
    ),
    trick(
        ["SGD with momentum", "–"],
        ["update", "update.optimizer.sgd"],
        "the gradient is added to a velocity, and the weights move by it",
    ),
    trick(
        ["AdamW", "–"],
        ["update", "update.optimizer.adamw"],
        "each weight moves by its mean gradient over the root of its mean square; weight decay acts apart from both",
    ),
    trick(
        ["exponential moving average", "–"],
        ["update", "average"],
        "evaluation and the stored model take a running average of the weights",
    ),
];

const fn trick(
    [name, section]: [&'static str; 2],
    [seam, recipe_key]: [&'static str; 2],
    summary: &'static str,
) -> Trick {
    Trick { name, section, summary, seam, recipe_key }
}
