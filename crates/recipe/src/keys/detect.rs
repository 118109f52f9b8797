//! `[detect]` (§6.1): the numbers of a detector. What is left out is the authors' Faster-RCNN on Pascal VOC; where systems
//! differ, each difference is a value by name.

use super::rules::{COUNT, EDGE, INNER_SHARE, NOT_NEGATIVE, POSITIVE, PROBABILITY};
use super::*;

table! {
    /// §6.1: what images become, the anchors, the two networks of Faster-RCNN, and what is kept of their answers.
    pub struct Detection {
        /// Pixels of the shorter side of every image.
        side: usize = key("600").rules(EDGE).absent(600),
        /// Pixels that the longer side has at most.
        longest: usize = key("1000").rules(EDGE).absent(1000),
        /// What batch norms do.
        norms: DetectorNorms = key(r#""frozen""#).absent(DetectorNorms::Frozen),
        /// What happens to a box that no object can have: without an area, with swapped corners, outside its image.
        on_bad_box: OnBadBox = key(r#""stop""#).absent(OnBadBox::Stop),
        anchors: Anchors = key("").absent(Anchors::authors()),
        proposals: Proposals = key("").absent(Proposals::AUTHORS),
        regions: Regions = key("").absent(Regions::AUTHORS),
        answers: Answers = key("").absent(Answers::AUTHORS),
    }
}

impl Detection {
    /// The authors' Faster-RCNN on Pascal VOC.
    pub fn authors() -> Detection {
        Detection {
            side: 600,
            longest: 1000,
            norms: DetectorNorms::Frozen,
            on_bad_box: OnBadBox::Stop,
            anchors: Anchors::authors(),
            proposals: Proposals::AUTHORS,
            regions: Regions::AUTHORS,
            answers: Answers::AUTHORS,
        }
    }
}

words! {
    /// What batch norms do while a detector is trained.
    pub enum DetectorNorms {
        /// They keep statistics, γ and β that came with `init.from`; without trained weights they train, since frozen
        /// random ones switch normalisation off.
        Frozen = "frozen",
        /// They use the statistics of their image, and γ and β are trained.
        Trained = "trained",
    }
}

words! {
    /// What happens to a box that no object can have.
    pub enum OnBadBox {
        /// The run stops and names every one.
        Stop = "stop",
        /// It is left out and told.
        Drop = "drop",
    }
}

table! {
    /// The boxes that the region proposal network corrects.
    pub struct Anchors {
        /// Side of the square of scale 1, pixels.
        base: f64 = key("16.0").rules(POSITIVE).absent(16.0),
        /// Sides of the anchors, times the base.
        scales: Vec<f64> = key("[2.0, 4.0, 8.0, 16.0, 32.0]").rules(POSITIVE).absent(vec![2.0, 4.0, 8.0, 16.0, 32.0]),
        /// Height divided by width.
        ratios: Vec<f64> = key("[0.5, 1.0, 2.0]").rules(POSITIVE).absent(vec![0.5, 1.0, 2.0]),
        /// Whether anchors that leave the image are trained.
        border: BorderAnchors = key(r#""ignored""#).absent(BorderAnchors::Ignored),
    }
}

impl Anchors {
    fn authors() -> Anchors {
        let (scales, ratios) = (vec![2.0, 4.0, 8.0, 16.0, 32.0], vec![0.5, 1.0, 2.0]);
        Anchors { base: 16.0, scales, ratios, border: BorderAnchors::Ignored }
    }
}

words! {
    /// Whether anchors that leave the image are trained.
    pub enum BorderAnchors {
        /// The authors and py-faster-rcnn.
        Ignored = "ignored",
        /// torchvision and detectron2.
        Trained = "trained",
    }
}

table! {
    /// The region proposal network: its width, its targets, and which of its boxes go on.
    #[derive(Copy)]
    pub struct Proposals {
        /// Channels of its 3×3 convolution.
        channels: usize = key("1024").rules(COUNT).absent(1024),
        /// Anchors that its loss looks at.
        batch: usize = key("256").rules(COUNT).absent(256),
        /// The greatest share of them that are positive.
        positives: f64 = key("0.5").rules(PROBABILITY).absent(0.5),
        /// Overlap from which on an anchor is positive.
        positive: f64 = key("0.7").rules(INNER_SHARE).absent(0.7),
        /// Overlap below which an anchor is negative.
        negative: f64 = key("0.3").rules(INNER_SHARE).absent(0.3),
        /// What becomes of the best anchor of an object that overlaps it by less than `negative`.
        low_best: LowBest = key(r#""negative""#).absent(LowBest::Negative),
        /// Where smooth L1 turns from a parabola into a line.
        beta: f64 = key("0.1111111111111111").rules(NOT_NEGATIVE).absent(1.0 / 9.0),
        /// Side below which a box is dropped, pixels of the resized image.
        least_side: f64 = key("16.0").rules(NOT_NEGATIVE).absent(16.0),
        /// Overlap above which the less sure of two boxes is dropped.
        overlap: f64 = key("0.7").rules(PROBABILITY).absent(0.7),
        training: Kept = key("").absent(Kept { before: 12_000, after: 2000 }),
        test: Kept = key("").absent(Kept { before: 6000, after: 300 }),
    }
}

impl Proposals {
    const AUTHORS: Proposals = Proposals {
        channels: 1024,
        batch: 256,
        positives: 0.5,
        positive: 0.7,
        negative: 0.3,
        low_best: LowBest::Negative,
        beta: 1.0 / 9.0,
        least_side: 16.0,
        overlap: 0.7,
        training: Kept { before: 12_000, after: 2000 },
        test: Kept { before: 6000, after: 300 },
    };
}

words! {
    /// What becomes of the anchor that overlaps an object best of all, but by less than the negative limit.
    pub enum LowBest {
        /// The authors.
        Negative = "negative",
        /// py-faster-rcnn, torchvision and detectron2. An object that no anchor touches then makes all of those positive that
        /// touch none.
        Positive = "positive",
    }
}

table! {
    /// How many boxes go into suppression, and how many at most come out.
    #[derive(Copy, Eq)]
    pub struct Kept {
        /// The surest boxes that go in.
        before: usize = key("6000").rules(COUNT),
        /// The most boxes that come out.
        after: usize = key("300").rules(COUNT),
    }
}

table! {
    /// The second network: which regions it is trained on, and how their features are cut out.
    #[derive(Copy)]
    pub struct Regions {
        /// Regions that its loss looks at.
        batch: usize = key("128").rules(COUNT).absent(128),
        /// The greatest share of them that hold an object.
        positives: f64 = key("0.25").rules(PROBABILITY).absent(0.25),
        /// Overlap from which on a region holds an object.
        positive: f64 = key("0.5").rules(INNER_SHARE).absent(0.5),
        /// Where smooth L1 turns from a parabola into a line.
        beta: f64 = key("1.0").rules(NOT_NEGATIVE).absent(1.0),
        /// What the codes of boxes are divided by.
        scales: [f64; 4] = key("[0.1, 0.1, 0.2, 0.2]").rules(POSITIVE).absent([0.1, 0.1, 0.2, 0.2]),
        /// Rows and columns that a region's features are resampled to.
        size: usize = key("14").rules(COUNT).absent(14),
        /// Samples of each of these, in each direction; 0 for as many as features' pixels lie under it.
        samples: usize = key("2").absent(2),
        /// Where the centre of a feature's pixel lies.
        grid: RegionGrid = key(r#""corners""#).absent(RegionGrid::Corners),
    }
}

impl Regions {
    const AUTHORS: Regions = Regions {
        batch: 128,
        positives: 0.25,
        positive: 0.5,
        beta: 1.0,
        scales: [0.1, 0.1, 0.2, 0.2],
        size: 14,
        samples: 2,
        grid: RegionGrid::Corners,
    };
}

words! {
    /// Where the centre of a feature's pixel lies.
    pub enum RegionGrid {
        /// On the corner of the pixels that it stands for: the first RoIAlign, and the authors'.
        Corners = "corners",
        /// Half a pixel further: detectron2's.
        Centres = "centres",
    }
}

table! {
    /// Which of the second network's boxes are answers.
    #[derive(Copy)]
    pub struct Answers {
        /// Score above which a box counts.
        score: f64 = key("0.01").rules(PROBABILITY).absent(0.01),
        /// Overlap above which the less sure of two boxes of a class is dropped.
        overlap: f64 = key("0.3").rules(PROBABILITY).absent(0.3),
        /// The most boxes of a class in an image that go into suppression.
        most: usize = key("400").rules(COUNT).absent(400),
        /// When boxes are cut at the edges of the image.
        clip: ClipAnswers = key(r#""after-suppression""#).absent(ClipAnswers::AfterSuppression),
    }
}

impl Answers {
    const AUTHORS: Answers =
        Answers { score: 0.01, overlap: 0.3, most: 400, clip: ClipAnswers::AfterSuppression };
}

words! {
    /// When boxes are cut at the edges of the image.
    pub enum ClipAnswers {
        /// The authors.
        AfterSuppression = "after-suppression",
        /// py-faster-rcnn, torchvision and detectron2.
        BeforeSuppression = "before-suppression",
    }
}
