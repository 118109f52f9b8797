//! `[segment]` (§6.2): an FCN on a dilated ResNet, and how its images and masks are cut. A recipe that has it is of
//! segmentation.

use super::rules::{CROP, EDGE, NOT_NEGATIVE, PROBABILITY};
use super::*;

table! {
    /// §6.2: the FCN, the crops that it is trained on, and how it is evaluated. `preprocess.flip` and `preprocess.normalize`
    /// act as in classification.
    pub struct Segmentation {
        /// Side of the square crops of training, pixels. Smaller images get a border that counts for nothing.
        crop: usize = key("480").rules(CROP),
        /// The least and the greatest length that an image's shorter side is resized to, drawn uniformly.
        shorter: [usize; 2] = key("[260, 1040]").rules(EDGE),
        blur: Option<Blur> = key("").short(&[
            Short { given: Given::Word("on"), means: "{ probability = 0.5, radius = 1.0 }" },
        ]),
        /// Whether stages 3 and 4 are dilated and keep stride 8. Without it the stride is the network's own, 32.
        dilated: bool = key("true").absent(true),
        /// Factor of the auxiliary head's loss. The head sits on stage 3 and is left out at 0.
        auxiliary: f64 = key("0.5").rules(NOT_NEGATIVE),
        /// How coarse logits are laid over the pixels.
        upsampling: Upsampling = key(r#""corners""#).absent(Upsampling::Corners),
        /// Which pixels a batch norm takes its mean and variance from while training.
        norm: NormScope = key(r#""part""#).absent(NormScope::Part),
        /// How validation images are given to the network.
        evaluation: EvaluationMode = key(r#""whole""#).absent(EvaluationMode::Center),
        /// The longer side of an image at scale 1 of the evaluation at several scales, pixels.
        base: usize = key("520").rules(EDGE).absent(520),
        /// How a class counts that is neither in the truth nor in the answers.
        absent_classes: AbsentClasses = key(r#""zero""#).absent(AbsentClasses::Zero),
    }
}

table! {
    /// A Gaussian blur of some of the crops.
    #[derive(Copy)]
    pub struct Blur {
        /// Probability of a blur.
        probability: f64 = key("0.5").rules(PROBABILITY),
        /// The greatest radius, the standard deviation in pixels; the least is 0.
        radius: f64 = key("1.0").rules(NOT_NEGATIVE),
    }
}

words! {
    /// How coarse logits are laid over the pixels.
    pub enum Upsampling {
        /// Corners lie on corners, as in the authors' code.
        Corners = "corners",
        /// Centers of pixels lie on centers, as in torchvision.
        Centers = "centers",
    }
}

words! {
    /// Which pixels a batch norm takes its mean and variance from.
    pub enum NormScope {
        /// Those of a part.
        Part = "part",
        /// Those of the whole batch, as the authors' synchronized norms. It needs `train.parts = 1`, and so one process.
        Batch = "batch",
    }
}

words! {
    /// How validation images are given to the network.
    pub enum EvaluationMode {
        /// The center crop, after the shorter side was resized to the crop: the authors' score while they train.
        Center = "center",
        /// Each image whole, in its own size.
        Whole = "whole",
        /// The authors' final score: six scales, windows of the crop, and all of it mirrored too.
        MultiScale = "multi-scale",
    }
}

words! {
    /// How a class counts in the mean IoU that is neither in the truth nor in the answers.
    pub enum AbsentClasses {
        /// As 0: the benchmark of ADE20K and the authors.
        Zero = "zero",
        /// Not at all: mmsegmentation.
        Skipped = "skipped",
        /// The mean is then no number: torchvision.
        NotANumber = "not-a-number",
    }
}
