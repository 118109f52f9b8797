//! The numbers of a detector: `[detect]` of a recipe. Where systems differ, each difference is a value by name.

/// What images become, the anchors, the two networks behind them, and what is kept of their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Pixels of the shorter side of every image.
    pub side: usize,
    /// Pixels that the longer side has at most.
    pub longest: usize,
    pub norms: DetectorNorms,
    pub on_bad_box: OnBadBox,
    pub anchors: Anchors,
    pub proposals: Proposals,
    pub regions: Regions,
    pub answers: Answers,
}

/// What batch norms do while a detector is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorNorms {
    /// They keep the statistics, γ and β that they came with. Without trained weights they train all the same: frozen
    /// ones would switch normalisation off.
    Frozen,
    /// They use the statistics of their image, and γ and β are trained.
    Trained,
}

/// What happens to a box that no object can have: without an area, with swapped corners, outside its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBadBox {
    Stop,
    /// The box is left out and told.
    Drop,
}

/// The boxes that the first network corrects.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchors {
    /// Side of the square of scale 1, pixels.
    pub base: f64,
    pub scales: Vec<f64>,
    /// Height divided by width.
    pub ratios: Vec<f64>,
    pub border: BorderAnchors,
}

/// Whether anchors that leave the image are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BorderAnchors {
    /// The authors and py-faster-rcnn.
    Ignored,
    /// torchvision and detectron2.
    Trained,
}

/// The region proposal network: its width, its targets, and which of its boxes go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposals {
    /// Channels of its 3×3 convolution.
    pub channels: usize,
    /// Anchors that its loss looks at.
    pub batch: usize,
    /// The greatest share of them that are positive.
    pub positives: f64,
    /// The overlap from which on an anchor is positive, and below which it is negative.
    pub positive: f64,
    pub negative: f64,
    pub low_best: LowBest,
    /// Where smooth L1 turns from a parabola into a line.
    pub beta: f64,
    /// The side below which a box is dropped, pixels of the resized image.
    pub least_side: f64,
    /// The overlap above which the less sure of two boxes is dropped.
    pub overlap: f64,
    pub training: Kept,
    pub test: Kept,
}

/// What becomes of the anchor that overlaps an object best of all, but by less than the negative limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowBest {
    /// The authors' code.
    Negative,
    /// py-faster-rcnn, torchvision and detectron2. An object that no anchor touches then makes all that touch none positive.
    Positive,
}

/// How many boxes go into suppression, and how many at most come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub before: usize,
    pub after: usize,
}

/// The second network: which regions it is trained on, and how their features are cut out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regions {
    /// Regions that its loss looks at.
    pub batch: usize,
    /// The greatest share of them that hold an object.
    pub positives: f64,
    /// The overlap from which on a region holds an object.
    pub positive: f64,
    pub beta: f64,
    /// What codes of boxes are divided by.
    pub scales: [f64; 4],
    /// Rows and columns that a region's features are resampled to.
    pub size: usize,
    /// Samples of each of these, in each direction; 0 for as many as cells lie under it.
    pub samples: usize,
    pub grid: RegionGrid,
}

/// Where the centre of a feature's pixel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionGrid {
    /// On the corner of the pixels it stands for: the first RoIAlign, and the authors'.
    Corners,
    /// Half a pixel further: detectron2's.
    Centres,
}

/// Which of the second network's boxes are answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answers {
    /// The score above which a box counts.
    pub score: f64,
    /// The overlap above which the less sure of two boxes of a class is dropped.
    pub overlap: f64,
    /// The most boxes of a class in an image that go into suppression.
    pub most: usize,
    pub clip: ClipAnswers,
}

/// When boxes are cut at the edges of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipAnswers {
    /// The authors.
    AfterSuppression,
    /// py-faster-rcnn, torchvision and detectron2.
    BeforeSuppression,
}
