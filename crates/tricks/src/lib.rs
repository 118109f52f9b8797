//! The paper's tricks (§3, §4.2, §5) and those that practitioners expect beside them: one file a trick, one seam a
//! trick, pure functions.
//!
//! A trick knows no loop, no device and no recipe. It takes plain numbers and gives plain numbers back; the seam
//! it plugs into is named at the top of its file and in [`TRICKS`].

pub mod cosine_decay;
pub mod cutmix;
pub mod distillation;
pub mod exponential_decay;
pub mod gradient_accumulation;
pub mod gradient_clipping;
pub mod label_smoothing;
pub mod linear_scaling;
pub mod mixup;
pub mod no_bias_decay;
pub mod role;
pub mod step_decay;
pub mod warmup;
pub mod weight_average;
pub mod zero_gamma;

pub use role::Role;

/// A row of `trickbag tricks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trick {
    /// The paper's own words, or the field's.
    pub name: &'static str,
    /// Where the paper describes it, without the `§`; `–` for what practitioners expect besides.
    pub section: &'static str,
    pub summary: &'static str,
    /// The one place in the program where the trick acts.
    pub seam: &'static str,
    /// The key of a recipe that switches it.
    pub recipe_key: &'static str,
    /// The built-in recipes that have it on.
    pub default_in: &'static [&'static str],
}

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
        name: "ResNet-B",
        section: "4.2",
        summary: "path A of a downsampling block strides on its 3×3 (models resnet50, resnet50c, resnet50d)",
        seam: "network",
        recipe_key: "network.model",
        default_in: &[],
    },
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
    Trick {
        name: "cosine learning rate decay",
        section: "5.1",
        summary: "batch t of T after the warm-up trains at (1 + cos(tπ/T))/2 of the initial rate",
        seam: "schedule",
        recipe_key: "rate.decay.cosine",
        default_in: &[],
    },
    Trick {
        name: "exponential decay",
        section: "5.1",
        summary: "the rate falls to a factor of itself, 0.94, every two epochs",
        seam: "schedule",
        recipe_key: "rate.decay.exponential",
        default_in: &[],
    },
    Trick {
        name: "label smoothing",
        section: "5.2",
        summary: "the true class is given 1 − ε, the others share ε",
        seam: "target",
        recipe_key: "target.smoothing",
        default_in: &[],
    },
    Trick {
        name: "knowledge distillation",
        section: "5.3",
        summary: "one more cross entropy, with a teacher's softened outputs as the target",
        seam: "loss",
        recipe_key: "distillation",
        default_in: &[],
    },
    Trick {
        name: "mixup",
        section: "5.4",
        summary: "two examples are mixed, images and targets: λ and 1 − λ of each",
        seam: "batch",
        recipe_key: "mixup",
        default_in: &[],
    },
    Trick {
        name: "CutMix",
        section: "–",
        summary: "a box of one image is pasted over another, and targets mix by its area",
        seam: "batch",
        recipe_key: "cutmix",
        default_in: &[],
    },
    Trick {
        name: "RandAugment",
        section: "–",
        summary: "a few random operations of 14, all of one magnitude, change each image",
        seam: "preprocess",
        recipe_key: "preprocess.randaugment",
        default_in: &[],
    },
    Trick {
        name: "random erasing",
        section: "–",
        summary: "a random rectangle of an image is filled with the mean pixel",
        seam: "preprocess",
        recipe_key: "preprocess.erasing",
        default_in: &[],
    },
    Trick {
        name: "gradient accumulation",
        section: "–",
        summary: "a batch is trained on in equal parts, and their gradients are averaged",
        seam: "update",
        recipe_key: "train.accumulate",
        default_in: &[],
    },
    Trick {
        name: "gradient clipping",
        section: "–",
        summary: "a gradient longer than the limit, over all parameters together, is shortened to it",
        seam: "update",
        recipe_key: "update.clip",
        default_in: &[],
    },
    Trick {
        name: "exponential moving average",
        section: "–",
        summary: "evaluation and the stored model take a running average of the weights",
        seam: "update",
        recipe_key: "average",
        default_in: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::TRICKS;

    #[test]
    fn the_table_is_in_order_and_has_no_name_twice() {
        for pair in TRICKS.windows(2) {
            assert!(pair[0].section <= pair[1].section, "{} is out of order", pair[1].name);
        }
        for (index, trick) in TRICKS.iter().enumerate() {
            assert!(TRICKS[..index].iter().all(|other| other.name != trick.name), "{}", trick.name);
            assert!(trick.default_in.is_sorted(), "{}: the recipes are sorted by name", trick.name);
        }
    }
}
