//! `[train]`, `[rate]`, `[update]`, `[average]` and `[checkpoint]`: how long, how fast and by which rule a network learns.

use tricks::Precision;

use super::rules::{BELOW_ONE, COUNT, INNER_SHARE, NOT_NEGATIVE, PARTS, POSITIVE};
use super::*;
use crate::types::{Interval, Span};

table! {
    /// How long training lasts, and on how many images at once.
    pub struct Train {
        /// Length of the run.
        duration: Span = key(r#""120 epochs""#),
        /// Images of a step.
        batch: usize = key("256").rules(COUNT),
        /// The number of equal parts that a batch is cut into. Each part has batch norm statistics of its own, and mixup and
        /// CutMix pair images inside it; gradients and running statistics are the parts' mean. It is 8 in the paper, one
        /// part for each GPU.
        parts: usize = key("8").rules(PARTS),
        /// §3.2: in which numbers activations are stored.
        precision: Precision = key(r#""f16""#).absent(Precision::F32),
        /// §3.2: factor of the loss while its gradient is taken, so that small gradients are not lost. Only with f16, where
        /// it is `dynamic` if the key is absent.
        loss_scale: Option<LossScale> = key(r#""dynamic""#),
        /// Time between two evaluations.
        evaluate_every: Span = key(r#""1 epoch""#),
    }
}

words! {
    /// §3.2 The factor of the loss while its gradient is taken, so that small gradients are not lost in f16.
    pub enum LossScale {
        /// As large a factor as does not overflow.
        Dynamic = "dynamic",
        /// No factor, as in the authors' code.
        Off = "off",
    }
}

table! {
    /// The learning rate.
    pub struct Rate {
        /// Rate after the warm-up; with linear scaling, the one for the reference batch.
        base: f64 = key("0.1").rules(POSITIVE),
        /// Factor of the classifier's rate.
        head: Option<f64> = key("10.0").rules(POSITIVE),
        linear_scaling: Option<LinearScaling> = key("").short(&[
            Short { given: Given::Word("on"), means: "{ reference_batch = 256 }" },
            Short { given: Given::Number, means: "{ reference_batch = $ }" },
        ]),
        warmup: Option<Warmup> = key("").short(&[
            Short { given: Given::Word("on"), means: r#"{ duration = "5 epochs" }"# },
            Short { given: Given::Length, means: r#"{ duration = "$" }"# },
        ]),
        decay: Decay = key("").short(&[
            Short { given: Given::Word("cosine"), means: "{ cosine = {} }" },
            Short {
                given: Given::Word("step"),
                means: r#"{ step = { factor = 0.1, at = ["25 %", "50 %", "75 %"] } }"#,
            },
            Short { given: Given::Word("poly"), means: "{ poly = { power = 0.9 } }" },
        ]),
    }
}

table! {
    /// §3.1 linear scaling: the rate is in proportion to the batch.
    #[derive(Copy, Eq)]
    pub struct LinearScaling {
        /// The batch that `rate.base` is meant for: 256 in the paper.
        reference_batch: usize = key("256").rules(COUNT),
    }
}

table! {
    /// §3.1 learning rate warm-up.
    #[derive(Copy)]
    pub struct Warmup {
        /// Length of the warm-up.
        duration: Span = key(r#""5 epochs""#),
        /// The first rate: η/m in the paper, 0 in the authors' code.
        first: RampEnd = key(r#""zero""#).absent(RampEnd::OneStep),
    }
}

words! {
    /// How near to zero a rate begins or ends.
    pub enum RampEnd {
        /// One step from zero, as the paper's formulas say.
        OneStep = "one-step",
        /// At zero itself, as in the authors' code.
        Zero = "zero",
    }
}

choice! {
    /// How the rate falls after the warm-up.
    pub enum Decay {
        /// §2.1: multiplied by `factor` at each point, counted from the start of the run.
        Step as "step" {
            /// Factor of the rate at each point.
            factor: f64 = key("0.1").rules(INNER_SHARE),
            /// The points, in ascending order. A saved recipe has shares of the run as lengths.
            at: Vec<Span> = key(r#"["30 epochs", "60 epochs", "90 epochs"]"#),
        }
        /// §5.1: half a cosine, from the end of the warm-up to the end of the run.
        Cosine as "cosine" {
            /// The last rate.
            last: RampEnd = key(r#""zero""#).absent(RampEnd::OneStep),
        }
        /// §5.1: multiplied by `factor` once every period, counted from the start of the run.
        Exponential as "exponential" {
            /// Factor of the rate in a period.
            factor: f64 = key("0.94").rules(INNER_SHARE),
            /// Length of a period.
            every: Span = key(r#""2 epochs""#),
        }
        /// §6.2: a power of what is left of the run, the warm-up left out.
        Poly as "poly" {
            /// The power: 0.9 in the authors' code.
            power: f64 = key("0.9").rules(POSITIVE),
        }
    }
}

table! {
    /// How a gradient changes the parameters.
    #[derive(Copy)]
    pub struct Update {
        optimizer: Optimizer = key("").short(&[
            Short { given: Given::Word("nag"), means: "{ nag = { momentum = 0.9 } }" },
            Short { given: Given::Word("sgd"), means: "{ sgd = { momentum = 0.9 } }" },
            Short {
                given: Given::Word("adamw"),
                means: "{ adamw = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } }",
            },
        ]),
        /// λ, the weight decay: `λ w` is added to the gradient of w, but for AdamW, which takes `rate × λ w` off w itself.
        decay: f64 = key("1e-4").rules(NOT_NEGATIVE),
        /// What weight decay acts on.
        decay_on: DecayOn = key(r#""weights""#),
        clip: Option<Clip> = key(""),
    }
}

choice! {
    /// The rule that turns a gradient into a step.
    #[derive(Copy)]
    pub enum Optimizer {
        /// §2.1 Nesterov accelerated gradient.
        Nag as "nag" {
            /// Share of the velocity that a step keeps.
            momentum: f64 = key("0.9").rules(BELOW_ONE),
        }
        /// Stochastic gradient descent with heavy-ball momentum.
        Sgd as "sgd" {
            /// Share of the velocity that a step keeps.
            momentum: f64 = key("0.9").rules(BELOW_ONE),
        }
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        Adamw as "adamw" {
            /// Share of the mean gradient that a step keeps.
            beta1: f64 = key("0.9").rules(BELOW_ONE),
            /// Share of the mean squared gradient that a step keeps.
            beta2: f64 = key("0.999").rules(BELOW_ONE),
            /// Added to the root of the mean squared gradient.
            epsilon: f64 = key("1e-8").rules(POSITIVE),
        }
    }
}

choice! {
    /// How far a gradient may go before it is cut back.
    #[derive(Copy)]
    pub enum Clip {
        /// The greatest norm of the gradient over all parameters together; a longer one is scaled down.
        Norm(f64) as "norm" = "2.0", POSITIVE;
        /// The greatest absolute value of each number of the gradient.
        Value(f64) as "value" = "1.0", POSITIVE;
    }
}

words! {
    /// What weight decay acts on.
    pub enum DecayOn {
        /// Every learnable parameter (§2.1).
        Everything = "everything",
        /// §3.1 no bias decay: the weights of convolutions and linear layers only.
        Weights = "weights",
    }
}

table! {
    /// The exponential moving average of the weights, which evaluation and the stored model take.
    #[derive(Copy)]
    pub struct Averaging {
        /// Share of the average that a step keeps.
        decay: f64 = key("0.9999").rules(INNER_SHARE),
    }
}

table! {
    /// When the run is saved, so that it can be resumed.
    #[derive(Copy)]
    pub struct Checkpointing {
        /// Time between two checkpoints.
        every: Interval = key(r#""5 minutes""#),
        /// The number of latest checkpoints to keep, beside the best one.
        keep: usize = key("2").rules(COUNT),
    }
}
