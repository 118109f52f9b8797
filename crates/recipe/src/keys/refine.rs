//! §5 `[target]`, `[mixup]`, `[cutmix]` and `[distillation]`: what a classifier should answer.

use super::rules::{EPSILON, POSITIVE};
use super::*;

table! {
    /// What the network should answer, as a distribution.
    #[derive(Copy)]
    pub struct Target {
        smoothing: Option<Smoothing> = key("").short(&[
            Short { given: Given::Word("on"), means: r#"{ epsilon = 0.1, over = "others" }"# },
            Short { given: Given::Number, means: r#"{ epsilon = $, over = "others" }"# },
        ]),
    }
}

impl Target {
    /// Whether the true class has all of it.
    pub fn is_plain(&self) -> bool {
        self.smoothing.is_none()
    }
}

table! {
    /// §5.2 label smoothing.
    #[derive(Copy)]
    pub struct Smoothing {
        /// ε, what the true class gives away.
        epsilon: f64 = key("0.1").rules(EPSILON),
        /// Which classes share ε.
        over: Spread = key(r#""others""#),
    }
}

words! {
    /// Which classes share ε.
    pub enum Spread {
        /// The wrong ones, ε/(K − 1) each, as in the paper.
        Others = "others",
        /// All of them, ε/K each, as in the authors' code.
        All = "all",
    }
}

table! {
    /// §5.4: two images become one, with weights λ and 1 − λ; λ is drawn from Beta(α, α).
    #[derive(Copy)]
    pub struct Mixup {
        /// α.
        alpha: f64 = key("0.2").rules(POSITIVE),
        /// Which images are mixed.
        pairing: Pairing = key(r#""permutation""#),
    }
}

words! {
    /// Which images are mixed.
    pub enum Pairing {
        /// Each with its partner in a permutation of its part of the batch; a λ for each pair.
        Permutation = "permutation",
        /// Each part of the batch with itself in reverse order; one λ for the whole batch. The authors' code.
        Reversed = "reversed",
    }
}

table! {
    /// CutMix (Yun et al. 2019): λ is drawn from Beta(α, α). If mixup is on too, a coin decides for each batch.
    #[derive(Copy)]
    pub struct Cutmix {
        /// α.
        alpha: f64 = key("1.0").rules(POSITIVE),
    }
}

table! {
    /// §5.3 knowledge distillation: the answers of a teacher join the target.
    pub struct Distillation {
        /// A run folder or a model folder.
        teacher: String = key(r#""runs/teacher""#),
        /// T: 20 in the paper.
        temperature: f64 = key("20.0").rules(POSITIVE),
        /// How the two terms of the loss add up.
        weighting: Weighting = key(r#""sum""#),
    }
}

words! {
    /// How the two terms of the loss add up.
    pub enum Weighting {
        /// Eq. 6.
        Sum = "sum",
        /// Half of it: the authors' code, whose hard weight is 0.5.
        Half = "half",
    }
}
