//! A recipe is a run, written down: closed, complete, plain data (§2.1, §3.1).
//!
//! A trick that is off is absent (`None`); a trick that is on is complete. No type here has a default, and nothing reads a
//! file, a clock or a device.

use serde::Serialize;
pub use tricks::{Init, Precision};

/// One run. `trickbag recipes NAME` prints one as TOML.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Version of the file format; this program reads version 2.
    pub version: u32,
    /// Names the run folder, so it is one component of a path.
    pub name: String,
    /// Every random draw of the run is a function of this number and of its position.
    pub seed: u64,
    pub network: NetworkChoice,
    /// Fine-tuning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<FineTuning>,
    pub data: Data,
    pub preprocess: Preprocess,
    pub validation: Validation,
    pub train: Train,
    pub rate: Rate,
    pub update: Update,
    /// §5.2
    #[serde(skip_serializing_if = "Target::is_plain")]
    pub target: Target,
    /// §5.4
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<Mixup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<Cutmix>,
    /// §5.3
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<Averaging>,
    pub checkpoint: Checkpointing,
}

/// `[network]` §4: which network is trained, and how its weights begin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkChoice {
    /// A name that `trickbag models` lists, such as `resnet50d`.
    pub model: String,
    pub stem: StemChoice,
    /// §2.1 initialization of convolution and linear weights.
    #[serde(serialize_with = "crate::words::serialize_init")]
    pub init: Init,
    /// γ of the last batch norm of each residual block at the start: 1 in §2.1, 0 is §3.1's *zero γ*.
    pub last_gamma: f32,
    /// Another depth and width than those that belong to the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<NetworkShape>,
}

/// The input of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StemChoice {
    /// The paper's: stride 4, for images of about 224 pixels.
    Imagenet,
    /// One 3×3 convolution of stride 1 and no max pool, for images of at most 64 pixels.
    Small,
}

/// `[network.shape]`: blocks and channels of each stage, and channels of the stem's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkShape {
    pub blocks: [usize; 4],
    /// Inner channels of each stage (64, 128, 256, 512 in every ResNet of the paper).
    pub channels: [usize; 4],
    /// Channels of the stem's output (64 in the paper).
    pub stem_channels: usize,
}

/// `[init]` fine-tuning: training begins with the weights of a trained model. Its classifier is taken over only if it knows
/// the same classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FineTuning {
    /// A run folder or a model folder of the same network.
    pub from: String,
    /// The last feature that is not trained, such as `stage2`; those before it are not trained either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<String>,
}

/// `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    pub source: Source,
    /// Share of the training images held out for validation where the data has no validation part.
    pub split: f64,
    /// Which images are held out is a function of this number. It is apart from the run's seed, so that runs of several
    /// seeds, a teacher and its student, and a model and what is fine-tuned from it validate on the same images.
    pub split_seed: u64,
    /// The most training images to use. They are taken evenly from the whole, so each class keeps its share, and every
    /// seed sees the same ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    pub on_bad_sample: OnBadSample,
    pub orientation: Orientation,
}

/// What happens when a training image cannot be decoded. A validation image always stops the run, since each counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadSample {
    /// The run stops and names every bad image.
    Stop,
    /// Another training image, drawn at random, takes its place, and the run folder lists both.
    Skip,
}

/// Which way up a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// The way its pixels are stored, as in torchvision.
    Stored,
    /// The way its EXIF data says.
    Exif,
}

/// Where the images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The path given with `--data`.
    Path,
    /// The Fashion-MNIST subset inside the program.
    FashionMnist,
}

/// `[preprocess]`: the six steps of §2.1 and what practitioners add to them. Step 1, decoding, has no parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preprocess {
    /// Side of the square a training image becomes, pixels.
    pub size: usize,
    /// Of step 2, and of resizing in validation.
    pub interpolation: Interpolation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Probability of a horizontal flip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip: Option<f64>,
    /// After step 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub randaugment: Option<RandAugment>,
    /// The authors' code has this in place of step 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Color>,
    /// Standard deviation of the PCA noise coefficients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pca_noise: Option<f64>,
    pub normalize: Normalize,
    /// After step 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasing: Option<Erasing>,
}

/// How an image is resized, as Pillow does: antialiased when shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    Bilinear,
    Bicubic,
}

impl std::fmt::Display for Interpolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        })
    }
}

/// Step 2: a random rectangle, as shares of the image's area and as width / height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Crop {
    pub area: [f64; 2],
    pub aspect: [f64; 2],
}

/// Step 4: ranges of the coefficients, [0.6, 1.4] in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Color {
    pub hue: [f64; 2],
    pub saturation: [f64; 2],
    pub brightness: [f64; 2],
}

/// Step 4 of the authors' code: brightness, contrast and saturation in a random order, on 8-bit pixels, with coefficients
/// from these ranges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Jitter {
    pub brightness: [f64; 2],
    pub contrast: [f64; 2],
    pub saturation: [f64; 2],
}

/// RandAugment (Cubuk et al. 2019): the number of operations per image, and the magnitude of each, 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RandAugment {
    pub operations: usize,
    pub magnitude: f64,
}

/// Random erasing (Zhong et al. 2017): a rectangle, as shares of the image's area and as height / width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Erasing {
    pub probability: f64,
    pub area: [f64; 2],
    pub aspect: [f64; 2],
}

/// Step 6: per channel, in levels of 0..=255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Normalize {
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

impl Normalize {
    /// How far two means or deviations may lie apart and still count as equal, in levels of 0..=255. Other programs store
    /// them as shares of 255, rounded.
    const LEVELS: f64 = 0.05;

    /// Whether the two are the same but for rounding.
    pub fn is_near(self, other: Normalize) -> bool {
        let pairs = self.mean.iter().zip(other.mean).chain(self.std.iter().zip(other.std));
        pairs.into_iter().all(|(a, b)| (a - b).abs() <= Normalize::LEVELS)
    }
}

/// `[validation]`: shorter edge to `resize` pixels, then the center square of `crop` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Validation {
    pub resize: usize,
    pub crop: usize,
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Train {
    pub duration: Span,
    pub batch: usize,
    /// The number of equal parts that a batch is cut into, a power of two. Each part has batch norm statistics of its own,
    /// and mixup and CutMix pair images inside it; gradients and running statistics are the parts' mean. It is 8 in the
    /// paper, one part for each GPU.
    pub parts: usize,
    /// §3.2
    #[serde(serialize_with = "crate::words::serialize_precision")]
    pub precision: Precision,
    /// Only with f16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    pub evaluate_every: Span,
}

/// §3.2 The factor of the loss while its gradient is taken, so that small gradients are not lost in f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossScale {
    /// As large a factor as does not overflow.
    Dynamic,
    /// No factor, as in the authors' code.
    Off,
}

/// `[rate]`: the learning rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    pub base: f64,
    /// The factor of the classifier's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<f64>,
    /// §3.1 linear scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_scaling: Option<LinearScaling>,
    /// §3.1 learning rate warm-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    pub decay: Decay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinearScaling {
    /// The batch that `base` is meant for: 256 in the paper.
    pub reference_batch: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Warmup {
    pub duration: Span,
    /// The first rate: η/m in the paper, 0 in the authors' code.
    pub first: RampEnd,
}

/// How near to zero a rate begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RampEnd {
    /// One step from zero, as the paper's formulas say.
    OneStep,
    /// At zero itself, as in the authors' code.
    Zero,
}

/// How the rate falls after the warm-up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// §2.1: multiplied by `factor` at each point, counted from the start of the run.
    Step { factor: f64, at: Vec<Span> },
    /// §5.1: half a cosine, from the end of the warm-up to the end of the run.
    Cosine { last: RampEnd },
    /// §5.1: multiplied by `factor` once every period, counted from the start of the run.
    Exponential { factor: f64, every: Span },
}

/// `[update]`: how a gradient changes the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Update {
    pub optimizer: Optimizer,
    /// λ, the weight decay: `λ w` is added to the gradient of w, but for AdamW, which takes `rate × λ w` off w itself.
    pub decay: f64,
    pub decay_on: DecayOn,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
}

/// The rule that turns a gradient into a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// §2.1 Nesterov accelerated gradient.
    Nag { momentum: f64 },
    /// Stochastic gradient descent with heavy-ball momentum.
    Sgd { momentum: f64 },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw { beta1: f64, beta2: f64, epsilon: f64 },
}

/// How far a gradient may go before it is cut back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// The greatest norm of the gradient over all parameters together; a longer one is scaled down.
    Norm(f64),
    /// The greatest absolute value of each number of the gradient.
    Value(f64),
}

/// What weight decay acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayOn {
    /// Every learnable parameter (§2.1).
    Everything,
    /// §3.1 *no bias decay*: the weights of convolutions and linear layers only.
    Weights,
}

/// `[target]`: what the network should answer, as a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<Smoothing>,
}

impl Target {
    /// Whether the true class has all of it.
    pub fn is_plain(&self) -> bool {
        self.smoothing.is_none()
    }
}

/// §5.2 label smoothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Smoothing {
    pub epsilon: f64,
    pub over: Spread,
}

/// Which classes share ε.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// The wrong ones, ε/(K − 1) each, as in the paper.
    Others,
    /// All of them, ε/K each, as in the authors' code.
    All,
}

/// `[mixup]` §5.4: λ is drawn from Beta(α, α).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mixup {
    pub alpha: f64,
    pub pairing: Pairing,
}

/// Which images are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Each with its partner in a permutation of its part of the batch; a λ for each pair.
    Permutation,
    /// Each part of the batch with itself in reverse order; one λ for the whole batch. The authors' code.
    Reversed,
}

/// `[cutmix]` (Yun et al. 2019): λ is drawn from Beta(α, α). If mixup is on too, a coin decides for each batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cutmix {
    pub alpha: f64,
}

/// `[distillation]` §5.3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distillation {
    /// A run folder or a model folder.
    pub teacher: String,
    /// T: 20 in the paper.
    pub temperature: f64,
    pub weighting: Weighting,
}

/// How the two terms of the loss add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Eq. 6.
    Sum,
    /// Half of it: the authors' code, whose hard weight is 0.5.
    Half,
}

/// `[average]`: the exponential moving average of the weights, which evaluation and the stored model take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Averaging {
    pub decay: f64,
}

/// `[checkpoint]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Checkpointing {
    pub every: Interval,
    /// The number of latest checkpoints to keep, beside the best one.
    pub keep: usize,
}

/// A length of training. Written with its unit: `"5 epochs"`, `"100 steps"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    Epochs(f64),
    Steps(u64),
}

impl Span {
    /// Steps, given how many an epoch has. Rounded to the nearest step.
    pub fn steps(self, steps_per_epoch: u64) -> u64 {
        match self {
            Span::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Span::Steps(steps) => steps,
        }
    }
}

/// Time between checkpoints: of work, `"5 minutes"` or `"30 seconds"`, or a span of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interval {
    Seconds(f64),
    Span(Span),
}
